-- A stretch of one partition in bronze, each offset once.
SELECT topic, "partition", "offset", raw_bytes, kafka_timestamp, ingestion_timestamp
FROM ${bronze}
WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" BETWEEN ${first} AND ${last}
QUALIFY row_number() OVER (PARTITION BY "offset" ORDER BY ingestion_timestamp) = 1
ORDER BY "offset"
