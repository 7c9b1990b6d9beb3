-- Rows of one exchange, a stretch of one partition at a time.
CREATE OR REPLACE TEMP TABLE sampled AS
SELECT DISTINCT topic, "partition", "offset"
FROM ${bronze}
WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" BETWEEN ${first} AND ${last}
