-- One exchange's silver table as gold reads it: the 15 columns, nothing else.
-- The watermark says how late a trade may be before it counts as late. No trade is dropped for it.
CREATE TEMPORARY TABLE default_catalog.default_database.silver_${exchange} (
    message_id STRING,
    trade_id STRING,
    symbol STRING,
    exchange STRING,
    asset_class STRING,
    `timestamp` BIGINT,
    price DECIMAL(18, 8),
    quantity DECIMAL(18, 8),
    currency STRING,
    side STRING,
    trade_conditions ARRAY<STRING>,
    source_sequence BIGINT,
    ingestion_timestamp BIGINT,
    platform_sequence BIGINT,
    vendor_data STRING,
    event_time AS TO_TIMESTAMP_LTZ(`timestamp` / 1000, 3),
    WATERMARK FOR event_time AS event_time - INTERVAL '${watermark}' DAY TO SECOND
) WITH (
    'connector' = 'iceberg',
    'catalog-table' = '${table}',
    'catalog-database' = '${database}',
    'catalog-name' = '${catalog}',
${properties},
${source_options}
);
