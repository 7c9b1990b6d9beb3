-- Wrong coordinates as runs of offsets, with how often each layer has them, and how far silver and the dead-letter table have got.
WITH islands AS (
    SELECT
        *,
        "offset" - row_number() OVER (PARTITION BY kind, topic, "partition", bronze, silver, dlq ORDER BY "offset") AS island
    FROM wrong_coordinates
),
runs AS (
    SELECT kind, topic, "partition", min("offset") AS first, max("offset") AS last, bronze, silver, dlq
    FROM islands
    GROUP BY kind, topic, "partition", bronze, silver, dlq, island
),
reached AS (
    SELECT topic, "partition", max("offset") AS reached
    FROM (
        SELECT topic, "partition", "offset" FROM ${silver}
        UNION ALL
        SELECT kafka_topic, kafka_partition, kafka_offset FROM ${dlq} WHERE bronze_source = '${bronze_name}'
    )
    GROUP BY topic, "partition"
)
SELECT
    kind, topic, "partition", first, last, bronze::BIGINT, silver::BIGINT, dlq::BIGINT,
    coalesce(reached, -1),
    (sum(last - first + 1) OVER (PARTITION BY kind))::BIGINT AS total
FROM runs LEFT JOIN reached USING (topic, "partition")
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY topic, "partition", first) <= ${shown}
ORDER BY kind, topic, "partition", first
