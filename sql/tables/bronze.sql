-- Every Kafka message as it came: what this table does not keep can never be had again.
CREATE TABLE ${table} (
    raw_bytes BYTES COMMENT 'the whole Kafka value, Confluent header included; NULL for a tombstone',
    message_key BYTES,
    headers MAP<STRING, BYTES>,
    topic STRING,
    `partition` INT,
    `offset` BIGINT,
    kafka_timestamp TIMESTAMP(6),
    kafka_timestamp_type STRING,
    ingestion_timestamp TIMESTAMP(6) COMMENT 'when the bronze job read the message',
    ingestion_date DATE
) PARTITIONED BY (ingestion_date) WITH (
    'format-version' = '2',
    'write.format.default' = 'parquet',
    'write.parquet.compression-codec' = 'zstd',
    'write.metadata.compression-codec' = 'gzip',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50',
    'commit.retry.num-retries' = '20'
);
