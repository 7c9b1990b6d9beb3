-- One exchange's rows of one layer since a moment, each with the file that holds it.
SELECT
    topic,
    partition,
    "offset",
    ${message_id} AS message_id,
    kafka_timestamp,
    filename
FROM ${table}
WHERE kafka_timestamp >= TIMESTAMP '${since}'
