-- How many rows of silver repeat a trade, and how often was one sent at most? (Gold keeps one of each.)
WITH silver AS (
    SELECT exchange, message_id FROM silver_binance_trades
    UNION ALL
    SELECT exchange, message_id FROM silver_kraken_trades
),

sent AS (
    SELECT exchange, message_id, count(*) AS times
    FROM silver
    GROUP BY exchange, message_id
)

SELECT
    exchange,
    sum(times)::BIGINT AS silver_rows,
    count(*) AS distinct_trades,
    sum(times - 1)::BIGINT AS duplicates,
    max(times) AS most_often
FROM sent
GROUP BY exchange
ORDER BY exchange;
