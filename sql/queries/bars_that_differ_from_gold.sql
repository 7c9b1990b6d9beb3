-- Which bars are not those of gold's trades? (None is: no row. What may be on its way is left out.)
-- A bar is missed 5 min after its end, by the newest trade; and nothing is said of one with a trade that gold took in the last 2 min.
WITH widths (width, us) AS (VALUES ('1s', 1000000), ('1m', 60000000), ('1h', 3600000000)),

from_gold AS (
    SELECT
        exchange,
        symbol,
        width,
        make_timestamp("timestamp" - "timestamp" % us) AS window_start,
        max("timestamp" - "timestamp" % us + us) AS end_us,
        arg_min(price, ("timestamp", CASE WHEN source_sequence >= 0 THEN source_sequence ELSE -1 END, message_id)) AS open,
        max(price) AS high,
        min(price) AS low,
        arg_max(price, ("timestamp", CASE WHEN source_sequence >= 0 THEN source_sequence ELSE -1 END, message_id)) AS close,
        sum(quantity) AS volume,
        sum(price::DECIMAL(38, 8) * quantity) AS notional,
        count(*) AS trades,
        max(gold_ingestion_timestamp) AS newest
    FROM gold_crypto_trades
    CROSS JOIN widths
    GROUP BY exchange, symbol, width, "timestamp" - "timestamp" % us
),

from_bars AS (
    SELECT
        exchange,
        symbol,
        width,
        window_start,
        arg_min(open, (first_timestamp, coalesce(first_sequence, -1), first_message_id)) AS open,
        max(high) AS high,
        min(low) AS low,
        arg_max(close, (last_timestamp, coalesce(last_sequence, -1), last_message_id)) AS close,
        sum(volume) AS volume,
        CASE WHEN count(notional) = count(*) THEN sum(notional) END AS notional,
        sum(trades)::BIGINT AS trades
    FROM gold_ohlcv
    GROUP BY exchange, symbol, width, window_start
)

SELECT
    exchange,
    symbol,
    width,
    window_start,
    CASE
        WHEN from_bars.trades IS NULL THEN 'there is no bar'
        WHEN from_gold.trades IS NULL THEN 'gold has no trade'
        WHEN from_bars.trades <> from_gold.trades THEN 'another number of trades'
        ELSE 'other values'
    END AS what,
    from_bars.trades AS trades_of_bar,
    from_gold.trades AS trades_in_gold,
    from_bars.volume AS volume_of_bar,
    from_gold.volume AS volume_in_gold
FROM from_gold
FULL JOIN from_bars USING (exchange, symbol, width, window_start)
WHERE (
    from_gold.trades IS NULL
    OR (from_bars.trades IS NULL AND end_us + 300000000 <= (SELECT max("timestamp") FROM gold_crypto_trades))
    OR from_bars.trades <> from_gold.trades
    OR from_bars.open <> from_gold.open
    OR from_bars.high <> from_gold.high
    OR from_bars.low <> from_gold.low
    OR from_bars.close <> from_gold.close
    OR from_bars.volume <> from_gold.volume
    OR from_bars.notional <> from_gold.notional
)
AND (newest IS NULL OR newest < (now() AT TIME ZONE 'UTC') - INTERVAL 2 MINUTE)
ORDER BY width, window_start, exchange, symbol;
