-- Rows of the dead-letter table for the messages of a stretch that it lacks.
SELECT
    raw_bytes AS raw_record,
    error_type,
    error_reason,
    error_detail,
    coalesce(since, TIMESTAMP '${now}') AS error_timestamp,
    '${bronze_name}' AS bronze_source,
    '${topic}' AS kafka_topic,
    ${partition} AS kafka_partition,
    "offset" AS kafka_offset,
    schema_id,
    coalesce(since, TIMESTAMP '${now}')::DATE AS dlq_date
FROM rejections
JOIN (${messages}) AS bronze USING ("offset")
JOIN (SELECT "offset", since FROM lacking WHERE target = '${dlq_name}') USING ("offset")
ORDER BY "offset"
