-- In which minutes was five times the volume, or more, of an average minute of the hour before? (A minute without a trade counts, as zero.)
WITH minutes AS (
    SELECT
        exchange,
        symbol,
        window_start,
        sum(volume) AS volume,
        sum(trades)::BIGINT AS trades
    FROM gold_ohlcv
    WHERE width = '1m'
    GROUP BY exchange, symbol, window_start
),

-- Only where the whole hour before is known, and had a trade.
with_past AS (
    SELECT
        *,
        sum(volume) OVER (
            PARTITION BY exchange, symbol
            ORDER BY window_start RANGE BETWEEN INTERVAL 60 MINUTE PRECEDING AND INTERVAL 1 MINUTE PRECEDING
        ) AS volume_of_hour_before,
        min(window_start) OVER (PARTITION BY exchange, symbol) AS first_minute
    FROM minutes
)

SELECT
    window_start AS minute,
    exchange,
    symbol,
    volume,
    volume_of_hour_before,
    round(60 * volume::DOUBLE / volume_of_hour_before::DOUBLE, 2) AS times_the_average,
    trades
FROM with_past
WHERE first_minute <= window_start - INTERVAL 60 MINUTE AND 60 * volume >= 5 * volume_of_hour_before
ORDER BY minute, exchange, symbol;
