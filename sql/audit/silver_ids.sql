-- One exchange's rows of silver for the comparison with gold.
SELECT message_id, hash(${columns}) AS content, 0 AS in_gold, 1 AS in_silver, kafka_timestamp >= TIMESTAMP '${since}' AS recent
FROM ${silver}
