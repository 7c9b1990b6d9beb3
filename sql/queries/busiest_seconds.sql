-- Which seconds had the most trades?
SELECT
    date_trunc('second', make_timestamp("timestamp")) AS second,
    exchange,
    count(*) AS trades,
    count(DISTINCT symbol) AS symbols
FROM gold_crypto_trades
GROUP BY second, exchange
ORDER BY trades DESC, second, exchange
LIMIT 20;
