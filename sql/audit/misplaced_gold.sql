-- Rows of gold whose hour is not that of their trade.
SELECT message_id, TRY(make_timestamp("timestamp")::VARCHAR), exchange_date || ' ' || exchange_hour, count(*) OVER () AS total
FROM ${table}
WHERE
    gold_ingestion_timestamp >= TIMESTAMP '${since}'
    AND (
        exchange_date IS DISTINCT FROM TRY(make_timestamp("timestamp")::DATE)
        OR exchange_hour IS DISTINCT FROM TRY(hour(make_timestamp("timestamp")))
    )
ORDER BY message_id
LIMIT ${shown}
