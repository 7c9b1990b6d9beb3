-- Silver's rows of the messages of a stretch that it lacks.
SELECT
    ${columns},
    schema_id, '${topic}' AS topic, ${partition} AS "partition", "offset", kafka_timestamp, bronze_ingestion_timestamp,
    coalesce(since, TIMESTAMP '${now}') AS validation_timestamp,
    make_timestamp("timestamp")::DATE AS exchange_date
FROM trades
JOIN (SELECT "offset", since FROM lacking WHERE target = '${silver_name}') USING ("offset")
ORDER BY "offset"
