-- Does bronze hold every Kafka offset exactly once, per partition?
WITH bronze AS (
    -- for each exchange
    SELECT topic, partition, "offset" FROM bronze_${exchange}_trades
    -- end
)

SELECT
    topic,
    partition,
    min("offset") AS first_offset,
    max("offset") AS last_offset,
    count(*) AS records,
    max("offset") - min("offset") + 1 - count(DISTINCT "offset") AS missing,
    count(*) - count(DISTINCT "offset") AS repeated
FROM bronze
GROUP BY topic, partition
ORDER BY topic, partition;
