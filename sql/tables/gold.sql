-- All exchanges in one table; a message_id stands in it once.
CREATE TABLE ${table} (
    message_id STRING COMMENT 'UUIDv8 of the trade itself: equal for every repeat',
    trade_id STRING,
    symbol STRING,
    exchange STRING,
    asset_class STRING,
    `timestamp` BIGINT COMMENT 'trade time, microseconds since the epoch',
    price DECIMAL(18, 8),
    quantity DECIMAL(18, 8),
    currency STRING COMMENT 'quote asset',
    side STRING COMMENT 'the taker''s: BUY or SELL',
    trade_conditions ARRAY<STRING>,
    source_sequence BIGINT COMMENT 'the exchange''s own number of the trade',
    ingestion_timestamp BIGINT COMMENT 'when the frame was received, microseconds since the epoch',
    platform_sequence BIGINT COMMENT 'Kafka offset',
    vendor_data STRING COMMENT 'JSON',
    gold_ingestion_timestamp TIMESTAMP(6),
    exchange_date DATE,
    exchange_hour INT
) PARTITIONED BY (exchange_date, exchange_hour) WITH (
    'format-version' = '2',
    'write.format.default' = 'parquet',
    'write.parquet.compression-codec' = 'zstd',
    'write.metadata.compression-codec' = 'gzip',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50',
    'commit.retry.num-retries' = '20'
);
