-- How many files and rows does each partition of gold have, and how large are they (bytes of their compressed columns)?
WITH live_files AS (
    SELECT file_path, record_count
    FROM iceberg_metadata('lake.' || current_schema() || '.gold_crypto_trades')
    WHERE status != 'DELETED' AND manifest_content = 'DATA'
),

sizes AS (
    SELECT file_path, sum(column_size)::BIGINT AS bytes
    FROM iceberg_column_stats('lake.' || current_schema() || '.gold_crypto_trades')
    WHERE status != 'DELETED'
    GROUP BY file_path
)

SELECT
    regexp_extract(file_path, '/data/(.*)/', 1) AS partition,
    count(*) AS files,
    sum(record_count)::BIGINT AS records,
    sum(bytes)::BIGINT AS bytes,
    (sum(bytes) / count(*))::BIGINT AS mean_file_bytes
FROM live_files
LEFT JOIN sizes USING (file_path)
GROUP BY partition
ORDER BY partition;
