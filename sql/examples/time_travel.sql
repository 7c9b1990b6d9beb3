-- Time travel: a table by one of its snapshots, or as of a moment (milliseconds since the epoch).
-- tradelake sql -f sql/examples/time_travel.sql --set snapshot_id=ID --set as_of_ms=MS
-- The ids and times to choose from: SELECT snapshot_id, committed_at FROM `gold_crypto_trades$snapshots`;
SET 'execution.runtime-mode' = 'batch';

SELECT COUNT(*) AS rows_now FROM gold_crypto_trades;

SELECT COUNT(*) AS rows_of_the_snapshot
FROM gold_crypto_trades /*+ OPTIONS('snapshot-id' = '${snapshot_id}') */;

SELECT COUNT(*) AS rows_as_of_then
FROM gold_crypto_trades /*+ OPTIONS('as-of-timestamp' = '${as_of_ms}') */;

-- What was added after the snapshot.
SELECT COUNT(*) AS rows_since
FROM gold_crypto_trades /*+ OPTIONS('start-snapshot-id' = '${snapshot_id}') */;
