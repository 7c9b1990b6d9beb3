-- How far the messages of one time span have come, counted exactly.
WITH bronze AS (
    SELECT topic, partition, "offset"
    FROM (${bronze})
    WHERE kafka_timestamp < TIMESTAMP '${until}'
),

silver AS (
    SELECT topic, partition, "offset", message_id
    FROM (${silver})
    WHERE kafka_timestamp < TIMESTAMP '${until}'
),

rejected AS (
    SELECT kafka_topic AS topic, kafka_partition AS partition, kafka_offset AS "offset"
    FROM silver_dlq_trades
    WHERE error_timestamp >= TIMESTAMP '${since}'
),

judged AS (
    SELECT topic, partition, "offset" FROM silver
    UNION ALL
    SELECT topic, partition, "offset" FROM rejected
),

trades AS (
    SELECT DISTINCT message_id FROM silver
)

SELECT
    (SELECT count(*) FROM bronze) AS bronze,
    (SELECT count(*) FROM bronze SEMI JOIN judged USING (topic, partition, "offset")) AS judged,
    (SELECT count(*) FROM silver) AS silver,
    (SELECT count(*) FROM rejected SEMI JOIN bronze USING (topic, partition, "offset")) AS rejected,
    (SELECT count(*) FROM trades) AS trades,
    (SELECT count(*) FROM gold_crypto_trades SEMI JOIN trades USING (message_id)) AS gold
