-- Messages rejected since a moment: what is wrong with them, how many, and one of them in words.
SELECT
    error_type,
    error_reason,
    count(*) AS messages,
    min(error_detail) AS example
FROM silver_dlq_trades
WHERE error_timestamp >= TIMESTAMP '${since}'
GROUP BY error_type, error_reason
ORDER BY messages DESC, error_type, error_reason
