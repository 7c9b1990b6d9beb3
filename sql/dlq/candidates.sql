-- Rejected messages that may be judged again, each once, with its row in bronze; those that silver has are left out.
SELECT d.kafka_topic, d.kafka_partition, d.kafka_offset, b.raw_bytes, b.kafka_timestamp, b.ingestion_timestamp
FROM (
    SELECT DISTINCT kafka_topic, kafka_partition, kafka_offset
    FROM silver_dlq_trades
    WHERE bronze_source = '${bronze}' AND ${where}
) AS d
JOIN ${bronze} AS b ON (b.topic, b."partition", b."offset") = (d.kafka_topic, d.kafka_partition, d.kafka_offset)
ANTI JOIN ${silver} AS s ON (s.topic, s."partition", s."offset") = (d.kafka_topic, d.kafka_partition, d.kafka_offset)
QUALIFY row_number() OVER (PARTITION BY d.kafka_topic, d.kafka_partition, d.kafka_offset ORDER BY b.ingestion_timestamp) = 1
ORDER BY d.kafka_topic, d.kafka_partition, d.kafka_offset
