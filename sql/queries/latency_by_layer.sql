-- How long did rows take from Kafka into bronze and into silver, until a commit made them visible? (`demo` measures all hops.)
-- A file that was added by the manifest that lists it has that manifest's sequence number, which names its snapshot. Files whose
-- manifests were merged, or whose snapshots have expired, cannot be dated and are left out.
WITH dated AS (
    -- for each exchange
    SELECT file.file_path AS filename, snapshot.timestamp_ms AS committed
    FROM iceberg_metadata('lake.' || current_schema() || '.bronze_${exchange}_trades') AS file
    JOIN iceberg_snapshots('lake.' || current_schema() || '.bronze_${exchange}_trades') AS snapshot
        ON snapshot.sequence_number = file.manifest_sequence_number
    WHERE file.status = 'ADDED' AND snapshot.operation = 'append'
    UNION ALL
    SELECT file.file_path AS filename, snapshot.timestamp_ms AS committed
    FROM iceberg_metadata('lake.' || current_schema() || '.silver_${exchange}_trades') AS file
    JOIN iceberg_snapshots('lake.' || current_schema() || '.silver_${exchange}_trades') AS snapshot
        ON snapshot.sequence_number = file.manifest_sequence_number
    WHERE file.status = 'ADDED' AND snapshot.operation = 'append'
    -- end
),

sent AS (
    -- for each exchange
    SELECT '1 Kafka to bronze' AS layer, filename, kafka_timestamp FROM bronze_${exchange}_trades
    UNION ALL
    SELECT '2 Kafka to silver' AS layer, filename, kafka_timestamp FROM silver_${exchange}_trades
    -- end
)

SELECT
    layer,
    count(*) AS records,
    quantile_disc(epoch_ms(committed) - epoch_ms(kafka_timestamp), 0.5) / 1000 AS p50_s,
    quantile_disc(epoch_ms(committed) - epoch_ms(kafka_timestamp), 0.99) / 1000 AS p99_s,
    max(epoch_ms(committed) - epoch_ms(kafka_timestamp)) / 1000 AS max_s
FROM sent
JOIN dated USING (filename)
GROUP BY layer
ORDER BY layer;
