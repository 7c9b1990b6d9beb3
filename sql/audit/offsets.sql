-- Offsets that a bronze table lacks between the first and the last of a partition, and those that it has more than once, as runs.
WITH ordered AS (
    SELECT topic, "partition", "offset", lag("offset") OVER (PARTITION BY topic, "partition" ORDER BY "offset") AS before
    FROM ${bronze} LEFT JOIN floors USING (topic, "partition")
    WHERE "offset" >= coalesce(first, ${floor})
),
doubled AS (
    SELECT DISTINCT topic, "partition", "offset" FROM ordered WHERE "offset" = before
),
islands AS (
    SELECT *, "offset" - row_number() OVER (PARTITION BY topic, "partition" ORDER BY "offset") AS island FROM doubled
),
runs AS (
    SELECT 'absent' AS kind, topic, "partition", before + 1 AS first, "offset" - 1 AS last FROM ordered WHERE "offset" > before + 1
    UNION ALL
    SELECT 'doubled', topic, "partition", min("offset"), max("offset") FROM islands GROUP BY topic, "partition", island
)
SELECT *, (sum(last - first + 1) OVER (PARTITION BY kind))::BIGINT AS total
FROM runs
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY topic, "partition", first) <= ${shown}
ORDER BY kind, topic, "partition", first
