-- Trades of one day that silver has and gold has no right row of. `replaced`: gold has a row that is not
-- right, taken `since`; `filename`: the file that silver has it in first.
CREATE OR REPLACE TEMP TABLE lacking AS
SELECT message_id, bool_or(coalesce(stands, false)) AS replaced, min(since) AS since, min_by(filename, validation_timestamp) AS filename
FROM (${silver_in_files}) AS silver
LEFT JOIN (SELECT key AS message_id, true AS stands, min(gold_ingestion_timestamp) AS since FROM standing GROUP BY key) USING (message_id)
WHERE ${traded} AND message_id IS NOT NULL AND message_id NOT IN (SELECT key FROM standing WHERE kind = 'right')
GROUP BY message_id
