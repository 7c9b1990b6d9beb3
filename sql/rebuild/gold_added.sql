-- Gold's rows of the trades of one day that it lacks: of each the row that came to silver first.
SELECT
    ${columns},
    coalesce(since, TIMESTAMP '${now}') AS gold_ingestion_timestamp,
    make_timestamp("timestamp")::DATE AS exchange_date,
    hour(make_timestamp("timestamp"))::INTEGER AS exchange_hour
FROM ${silver}
JOIN (SELECT message_id, since FROM lacking) USING (message_id)
WHERE ${traded}
QUALIFY row_number() OVER (PARTITION BY message_id ORDER BY kafka_timestamp, topic, "partition", "offset") = 1
ORDER BY message_id
