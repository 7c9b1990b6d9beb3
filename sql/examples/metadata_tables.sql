-- What Iceberg knows of a table: its name, a dollar sign and what is asked for, in backquotes.
SET 'execution.runtime-mode' = 'batch';

-- Every snapshot that has not expired, and the checkpoint that committed it.
SELECT
    committed_at,
    snapshot_id,
    operation,
    summary['added-records'] AS added,
    summary['total-records'] AS total,
    summary['flink.job-id'] AS job,
    summary['flink.max-committed-checkpoint-id'] AS checkpoint
FROM `gold_crypto_trades$snapshots`
ORDER BY committed_at DESC
LIMIT 10;

-- Which snapshot was the newest since when. One that was rolled back is no ancestor of the newest.
SELECT made_current_at, snapshot_id, is_current_ancestor
FROM `gold_crypto_trades$history`
ORDER BY made_current_at DESC
LIMIT 10;

SELECT `partition`, record_count, file_count
FROM `gold_crypto_trades$partitions`
ORDER BY record_count DESC
LIMIT 10;

SELECT COUNT(*) AS files, SUM(record_count) AS records, MIN(file_size_in_bytes) AS smallest, MAX(file_size_in_bytes) AS largest
FROM `gold_crypto_trades$files`;
