-- Rows of a silver table whose day is not that of their trade.
SELECT message_id, make_timestamp("timestamp"), exchange_date::VARCHAR, count(*) OVER () AS total
FROM ${table}
WHERE kafka_timestamp >= TIMESTAMP '${since}' AND exchange_date IS DISTINCT FROM make_timestamp("timestamp")::DATE
ORDER BY message_id
LIMIT ${shown}
