-- Bronze rows beside what silver and the dead-letter table made of them; a rejection counts no more once silver has its replay.
SELECT
    b.topic, b."partition", b."offset",
    b.raw_bytes, b.kafka_timestamp, b.ingestion_timestamp,
    s."offset" IS NOT NULL AS in_silver,
    ${columns},
    s.schema_id, s.kafka_timestamp, s.bronze_ingestion_timestamp,
    d.kafka_offset IS NOT NULL AND NOT (
        s."offset" IS NOT NULL
        AND (c.topic, c."partition", c."offset") IN (SELECT (kafka_topic, kafka_partition, kafka_offset) FROM ${replays})
    ) AS in_dlq,
    d.raw_record, d.error_type, d.error_reason, d.error_detail, d.schema_id
FROM ${chosen} AS c
JOIN ${bronze} AS b USING (topic, "partition", "offset")
LEFT JOIN ${silver} AS s USING (topic, "partition", "offset")
LEFT JOIN (FROM ${dlq} WHERE bronze_source = '${bronze_name}') AS d
    ON (d.kafka_topic, d.kafka_partition, d.kafka_offset) = (c.topic, c."partition", c."offset")
