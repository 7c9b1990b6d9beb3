-- Messages of a stretch of which the table that they belong to has no right row. `replaced`: one of the two
-- tables has a row that is not right, made `since`.
CREATE OR REPLACE TEMP TABLE lacking AS
SELECT target, "offset", bool_or(coalesce(stands, false)) AS replaced, min(made) AS since
FROM (
    SELECT '${silver_name}' AS target, "offset" FROM trades
    UNION ALL
    SELECT '${dlq_name}' AS target, "offset" FROM rejections
)
LEFT JOIN (SELECT "offset", true AS stands, made FROM standing) USING ("offset")
WHERE (target, "offset") NOT IN (SELECT (target, "offset") FROM standing WHERE kind = 'right')
GROUP BY target, "offset"
