-- How many rows of silver repeat a trade, and how often was one sent at most? (Gold keeps one of each.)
WITH silver AS (
    -- for each exchange
    SELECT exchange, message_id FROM silver_${exchange}_trades
    -- end
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
