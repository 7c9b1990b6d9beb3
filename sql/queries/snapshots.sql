-- Which snapshots does each table still have, and when were they committed?
WITH every_snapshot AS (
    SELECT 'bronze_binance_trades' AS table_name, * FROM iceberg_snapshots('lake.' || current_schema() || '.bronze_binance_trades')
    UNION ALL
    SELECT 'bronze_kraken_trades' AS table_name, * FROM iceberg_snapshots('lake.' || current_schema() || '.bronze_kraken_trades')
    UNION ALL
    SELECT 'silver_binance_trades' AS table_name, * FROM iceberg_snapshots('lake.' || current_schema() || '.silver_binance_trades')
    UNION ALL
    SELECT 'silver_kraken_trades' AS table_name, * FROM iceberg_snapshots('lake.' || current_schema() || '.silver_kraken_trades')
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
