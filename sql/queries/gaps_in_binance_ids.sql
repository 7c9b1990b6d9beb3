-- Which Binance trades are missing? (Its ids are dense per symbol: a jump is a gap. Between two recordings one is expected.)
WITH neighbours AS (
    SELECT
        symbol,
        source_sequence AS next_id,
        lag(source_sequence) OVER (PARTITION BY symbol ORDER BY source_sequence) AS last_id,
        "timestamp" AS next_time,
        lag("timestamp") OVER (PARTITION BY symbol ORDER BY source_sequence) AS last_time
    FROM gold_crypto_trades
    WHERE exchange = 'BINANCE'
)

SELECT
    symbol,
    last_id + 1 AS first_missing,
    next_id - 1 AS last_missing,
    next_id - last_id - 1 AS missing,
    make_timestamp(last_time) AS after,
    make_timestamp(next_time) AS before
FROM neighbours
WHERE next_id > last_id + 1
ORDER BY missing DESC, symbol, first_missing;
