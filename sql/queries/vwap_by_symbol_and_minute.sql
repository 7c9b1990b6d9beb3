-- What was the volume-weighted average price (VWAP) of each pair in each minute?
SELECT
    time_bucket(INTERVAL 1 MINUTE, make_timestamp("timestamp")) AS minute,
    exchange,
    symbol,
    round(sum(price::DECIMAL(38, 8) * quantity)::DOUBLE / sum(quantity)::DOUBLE, 8) AS vwap,
    min(price) AS low,
    max(price) AS high,
    count(*) AS trades
FROM gold_crypto_trades
GROUP BY minute, exchange, symbol
ORDER BY minute, exchange, symbol;
