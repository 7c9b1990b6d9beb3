-- What are the bars: open, high, low, close, volume of each second, minute and hour? (The rows of a bar united: docs/bars.md)
WITH united AS (
    SELECT
        exchange,
        symbol,
        min(currency) AS currency,
        width,
        window_start,
        arg_min(open, (first_timestamp, coalesce(first_sequence, -1), first_message_id)) AS open,
        max(high) AS high,
        min(low) AS low,
        arg_max(close, (last_timestamp, coalesce(last_sequence, -1), last_message_id)) AS close,
        sum(volume) AS volume,
        CASE WHEN count(notional) = count(*) THEN sum(notional) END AS notional,
        sum(trades)::BIGINT AS trades,
        arg_min(first_message_id, (first_timestamp, coalesce(first_sequence, -1), first_message_id)) AS first_message_id,
        arg_max(last_message_id, (last_timestamp, coalesce(last_sequence, -1), last_message_id)) AS last_message_id,
        count(*) FILTER (correction) AS corrections,
        max(produced_at) AS produced_at
    FROM gold_ohlcv
    GROUP BY exchange, symbol, width, window_start
),

-- As whole numbers, of 16 places and of 8: their quotient is the price in units of its 8th place.
scaled AS (
    SELECT
        *,
        replace(notional::VARCHAR, '.', '')::HUGEINT AS scaled_notional,
        replace(volume::VARCHAR, '.', '')::HUGEINT AS scaled_volume
    FROM united
)

SELECT
    exchange,
    symbol,
    currency,
    width,
    window_start,
    open,
    high,
    low,
    close,
    volume,
    notional,
    ((scaled_notional // scaled_volume + (2 * (scaled_notional % scaled_volume) >= scaled_volume)::INTEGER)::DECIMAL(38, 0) * 0.00000001)
    ::DECIMAL(18, 8) AS vwap,
    trades,
    first_message_id,
    last_message_id,
    corrections,
    produced_at
FROM scaled
ORDER BY width, window_start, exchange, symbol;
