-- A message as it came.
SELECT topic, "partition", "offset", raw_bytes, message_key, headers, kafka_timestamp, ingestion_timestamp, filename
FROM ${table}
WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" = ${offset}
