-- Rows of a silver table whose day is not that of their trade.
SELECT message_id, TRY(make_timestamp("timestamp")::VARCHAR), exchange_date::VARCHAR, count(*) OVER () AS total
FROM ${table}
WHERE kafka_timestamp >= TIMESTAMP '${since}' AND exchange_date IS DISTINCT FROM TRY(make_timestamp("timestamp")::DATE)
ORDER BY message_id
LIMIT ${shown}
