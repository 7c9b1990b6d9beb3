
-- Bars, each once: its rows united. `corrections` of them were written after its window was closed.
CREATE TEMPORARY VIEW ohlcv AS
SELECT
    exchange,
    symbol,
    currency,
    width,
    window_start,
    CAST(SUBSTRING(first_row FROM 75) AS DECIMAL(18, 8)) AS `open`,
    high,
    low,
    CAST(SUBSTRING(last_row FROM 75) AS DECIMAL(18, 8)) AS `close`,
    volume,
    notional,
    CAST(notional / volume AS DECIMAL(18, 8)) AS vwap,
    trades,
    corrections
FROM (
    SELECT
        exchange,
        symbol,
        MIN(currency) AS currency,
        width,
        window_start,
        MIN(CONCAT(
            LPAD(CAST(first_timestamp AS STRING), 19, '0'),
            COALESCE(LPAD(CAST(first_sequence AS STRING), 19, '0'), '-------------------'),
            first_message_id,
            CAST(`open` AS STRING)
        )) AS first_row,
        MAX(high) AS high,
        MIN(low) AS low,
        MAX(CONCAT(
            LPAD(CAST(last_timestamp AS STRING), 19, '0'),
            COALESCE(LPAD(CAST(last_sequence AS STRING), 19, '0'), '-------------------'),
            last_message_id,
            CAST(`close` AS STRING)
        )) AS last_row,
        SUM(volume) AS volume,
        CASE WHEN COUNT(notional) = COUNT(*) THEN SUM(notional) END AS notional,
        SUM(trades) AS trades,
        COUNT(CASE WHEN correction THEN 1 END) AS corrections
    FROM gold_ohlcv
    GROUP BY exchange, symbol, width, window_start
);

-- In which minutes was a coin 0.5 % dearer or cheaper on an exchange than on the others, or more? (Dollar and its stablecoins count as one.)
CREATE TEMPORARY VIEW price_against_other_exchanges AS
WITH minutes AS (
    SELECT
        window_start,
        SUBSTRING(symbol, 1, CHAR_LENGTH(symbol) - CHAR_LENGTH(currency)) AS coin,
        exchange,
        SUM(volume) AS volume,
        SUM(notional) AS notional,
        SUM(trades) AS trades
    FROM ohlcv
    WHERE width = '1m' AND currency IN ('USD', 'USDT', 'USDC', 'FDUSD', 'DAI')
    GROUP BY window_start, SUBSTRING(symbol, 1, CHAR_LENGTH(symbol) - CHAR_LENGTH(currency)), exchange
),

priced AS (
    SELECT
        here.window_start,
        here.coin,
        here.exchange,
        CAST(here.notional / here.volume AS DECIMAL(18, 8)) AS price,
        CAST(SUM(there.notional) / SUM(there.volume) AS DECIMAL(18, 8)) AS other_price,
        here.trades,
        SUM(there.trades) AS other_trades
    FROM minutes AS here
    JOIN minutes AS there ON here.window_start = there.window_start AND here.coin = there.coin AND here.exchange <> there.exchange
    GROUP BY here.window_start, here.coin, here.exchange, here.notional, here.volume, here.trades
)

SELECT
    window_start AS trade_minute,
    coin,
    exchange,
    price,
    other_price,
    ROUND(10000 * CAST(price - other_price AS DOUBLE) / CAST(other_price AS DOUBLE), 2) AS deviation_bp,
    trades,
    other_trades
FROM priced
WHERE 10000 * ABS(price - other_price) >= 50 * other_price;

-- In which minutes was five times the volume, or more, of an average minute of the hour before? (A minute without a trade counts, as zero.)
-- Only where the whole hour before is known, and had a trade.
CREATE TEMPORARY VIEW volume_against_its_past AS
SELECT
    here.window_start AS trade_minute,
    here.exchange,
    here.symbol,
    here.volume,
    SUM(past.volume) AS volume_of_hour_before,
    ROUND(60 * CAST(here.volume AS DOUBLE) / CAST(SUM(past.volume) AS DOUBLE), 2) AS times_the_average,
    here.trades
FROM ohlcv AS here
JOIN (
    SELECT exchange, symbol, MIN(window_start) AS first_minute
    FROM gold_ohlcv
    WHERE width = '1m'
    GROUP BY exchange, symbol
) AS known ON here.exchange = known.exchange AND here.symbol = known.symbol
JOIN ohlcv AS past
    ON here.exchange = past.exchange AND here.symbol = past.symbol
    AND past.window_start >= here.window_start - INTERVAL '60' MINUTE AND past.window_start < here.window_start
WHERE here.width = '1m' AND past.width = '1m' AND known.first_minute <= here.window_start - INTERVAL '60' MINUTE
GROUP BY here.window_start, here.exchange, here.symbol, here.volume, here.trades
HAVING 60 * here.volume >= 5 * SUM(past.volume);
