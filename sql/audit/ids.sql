-- Ids that stand in gold once, as one of their rows in silver, are right; the others are kept.
CREATE OR REPLACE TEMP TABLE wrong_ids AS
WITH contents AS (
    SELECT message_id, content, sum(in_gold) AS gold, sum(in_silver) AS silver, bool_or(recent) AS recent
    FROM (
        SELECT message_id, hash(${columns}) AS content, 1 AS in_gold, 0 AS in_silver, gold_ingestion_timestamp >= TIMESTAMP '${since}' AS recent
        FROM ${gold}
        UNION ALL
        ${silver}
    )
    GROUP BY message_id, content
),
ids AS (
    SELECT
        message_id,
        sum(gold) AS gold,
        sum(silver) AS silver,
        bool_or(gold > 0 AND silver = 0) AS altered,
        bool_or(recent) AS recent
    FROM contents
    GROUP BY message_id
)
SELECT
    message_id,
    CASE WHEN gold = 0 THEN 'absent' WHEN silver = 0 THEN 'orphan' WHEN gold > 1 THEN 'doubled' ELSE 'altered' END AS kind,
    gold,
    silver
FROM ids
WHERE recent AND (gold <> 1 OR silver = 0 OR altered)
