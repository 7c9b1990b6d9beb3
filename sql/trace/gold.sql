-- A trade in gold.
SELECT *, filename
FROM ${table}
WHERE message_id = '${message_id}' AND exchange_date = DATE '${date}'
