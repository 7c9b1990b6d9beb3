-- What was still on its way when the audit began, and is there now.
DELETE FROM wrong_coordinates
WHERE kind = 'absent' AND silver + dlq = 0 AND (topic, "partition", "offset") IN (
    SELECT (topic, "partition", "offset") FROM ${silver}
    UNION ALL
    SELECT (kafka_topic, kafka_partition, kafka_offset) FROM ${dlq} WHERE bronze_source = '${bronze_name}'
)
