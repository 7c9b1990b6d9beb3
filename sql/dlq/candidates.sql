-- Rejected messages that may be judged again, each with its row in bronze; those that silver has, or that were judged twice, are left out.
SELECT
    d.kafka_topic, d.kafka_partition, d.kafka_offset, d.error_type, d.error_reason,
    b.raw_bytes, b.kafka_timestamp, b.ingestion_timestamp
FROM (
    SELECT kafka_topic, kafka_partition, kafka_offset, min(error_type) AS error_type, min(error_reason) AS error_reason
    FROM silver_dlq_trades
    WHERE bronze_source = '${bronze}' AND ${where}
    GROUP BY kafka_topic, kafka_partition, kafka_offset
) AS d
JOIN ${bronze} AS b ON (b.topic, b."partition", b."offset") = (d.kafka_topic, d.kafka_partition, d.kafka_offset)
ANTI JOIN ${silver} AS s ON (s.topic, s."partition", s."offset") = (d.kafka_topic, d.kafka_partition, d.kafka_offset)
ORDER BY d.kafka_topic, d.kafka_partition, d.kafka_offset
