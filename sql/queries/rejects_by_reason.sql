-- How many messages were rejected, for which reasons, and what does the newest of each look like?
SELECT
    bronze_source,
    error_type,
    error_reason,
    count(*) AS messages,
    max(error_timestamp) AS newest,
    arg_max(error_detail, error_timestamp) AS newest_detail
FROM silver_dlq_trades
GROUP BY bronze_source, error_type, error_reason
ORDER BY messages DESC, bronze_source, error_type, error_reason;
