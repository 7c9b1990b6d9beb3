-- Every message of a trade, in the order in which they came. Its id tells the time of the trade, and with it silver's partition.
SELECT topic, "partition", "offset"
FROM ${table}
WHERE message_id = '${message_id}' AND exchange_date = DATE '${date}'
ORDER BY kafka_timestamp, "partition", "offset"
