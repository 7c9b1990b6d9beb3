-- The dead-letter table: every message that is not a valid trade, and why.
CREATE TABLE ${table} (
    raw_record BYTES,
    error_type STRING,
    error_reason STRING,
    error_detail STRING,
    error_timestamp TIMESTAMP(6),
    bronze_source STRING,
    kafka_topic STRING,
    kafka_partition INT,
    kafka_offset BIGINT,
    schema_id INT COMMENT 'NULL when unreadable',
    dlq_date DATE
) PARTITIONED BY (dlq_date) WITH (
    'format-version' = '2',
    'write.format.default' = 'parquet',
    'write.parquet.compression-codec' = 'zstd',
    'write.metadata.compression-codec' = 'gzip',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50',
    'commit.retry.num-retries' = '20',
    -- Several jobs write here, and one expires: snapshots without rows would push out those by which a job that was stopped finds its place.
    'flink.max-continuous-empty-commits' = '2147483647'
);
