-- How late did trades reach us: time of reception minus trade time, by pair? (Below zero: the recorder's clock ran behind.)
SELECT
    exchange,
    symbol,
    count(*) AS trades,
    quantile_disc(ingestion_timestamp - "timestamp", 0.5) / 1000 AS p50_ms,
    quantile_disc(ingestion_timestamp - "timestamp", 0.99) / 1000 AS p99_ms,
    max(ingestion_timestamp - "timestamp") / 1000 AS max_ms
FROM gold_crypto_trades
GROUP BY exchange, symbol
ORDER BY exchange, symbol;
