-- The newest rejected messages.
SELECT kafka_topic, kafka_partition, kafka_offset, error_timestamp, error_type, error_reason, error_detail
FROM silver_dlq_trades
WHERE ${where}
ORDER BY error_timestamp DESC, kafka_topic, kafka_partition, kafka_offset
LIMIT ${limit}
