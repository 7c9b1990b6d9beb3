-- Which snapshots does each table still have, and when were they committed?
WITH every_snapshot AS (
    -- for each exchange
    SELECT 'bronze_${exchange}_trades' AS table_name, *
    FROM iceberg_snapshots('lake.' || current_schema() || '.bronze_${exchange}_trades')
    UNION ALL
    SELECT 'silver_${exchange}_trades' AS table_name, *
    FROM iceberg_snapshots('lake.' || current_schema() || '.silver_${exchange}_trades')
    -- end
    UNION ALL
    SELECT 'silver_dlq_trades' AS table_name, * FROM iceberg_snapshots('lake.' || current_schema() || '.silver_dlq_trades')
    UNION ALL
    SELECT 'gold_crypto_trades' AS table_name, * FROM iceberg_snapshots('lake.' || current_schema() || '.gold_crypto_trades')
)

SELECT
    table_name,
    sequence_number,
    snapshot_id,
    timestamp_ms AS committed,
    operation
FROM every_snapshot
ORDER BY table_name, sequence_number DESC;
