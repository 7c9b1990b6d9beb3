-- How many messages were rejected for which reason.
SELECT bronze_source, error_type, error_reason, count(*), min(error_timestamp), max(error_timestamp)
FROM silver_dlq_trades
WHERE ${where}
GROUP BY bronze_source, error_type, error_reason
ORDER BY count(*) DESC, bronze_source, error_type, error_reason
