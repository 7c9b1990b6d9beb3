-- Coordinates that bronze has as often as silver and the dead-letter table together do are right; the others are kept. A message that
-- was rejected and replayed later stands in both.
CREATE OR REPLACE TEMP TABLE wrong_coordinates AS
WITH counted AS (
    SELECT
        topic,
        "partition",
        "offset",
        sum(in_bronze) AS bronze,
        sum(in_silver) AS silver,
        sum(in_dlq) AS dlq,
        least(sum(in_silver), sum(in_dlq), max(in_replays)) AS replayed
    FROM (
        SELECT topic, "partition", "offset", 1 AS in_bronze, 0 AS in_silver, 0 AS in_dlq, 0 AS in_replays FROM ${bronze}
        UNION ALL
        SELECT topic, "partition", "offset", 0, 1, 0, 0 FROM ${silver}
        UNION ALL
        SELECT kafka_topic, kafka_partition, kafka_offset, 0, 0, 1, 0 FROM ${dlq} WHERE bronze_source = '${bronze_name}'
        UNION ALL
        SELECT kafka_topic, kafka_partition, kafka_offset, 0, 0, 0, 1 FROM ${replays}
    )
    LEFT JOIN floors USING (topic, "partition")
    WHERE "offset" >= coalesce(first, ${floor})
    GROUP BY topic, "partition", "offset"
)
SELECT
    topic,
    "partition",
    "offset",
    CASE WHEN bronze = 0 THEN 'orphan' WHEN silver + dlq - replayed < bronze THEN 'absent' ELSE 'doubled' END AS kind,
    bronze,
    silver,
    dlq
FROM counted
WHERE bronze <> silver + dlq - replayed
