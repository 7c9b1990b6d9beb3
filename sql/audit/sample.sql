-- Rows of one exchange, chosen at random, the same ones for the same seed.
CREATE OR REPLACE TEMP TABLE sampled AS
SELECT topic, "partition", "offset"
FROM (
    SELECT DISTINCT topic, "partition", "offset" FROM ${bronze} LEFT JOIN floors USING (topic, "partition") WHERE "offset" >= coalesce(first, ${floor})
)
USING SAMPLE reservoir(${rows} ROWS) REPEATABLE (${seed})
