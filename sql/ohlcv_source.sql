-- Gold as the bars read it. The watermark says when a window closes; trades that come later are corrections, and none is dropped.
CREATE TEMPORARY TABLE default_catalog.default_database.gold_trades (
    message_id STRING,
    symbol STRING,
    exchange STRING,
    `timestamp` BIGINT,
    price DECIMAL(18, 8),
    quantity DECIMAL(18, 8),
    currency STRING,
    source_sequence BIGINT,
    event_time AS TO_TIMESTAMP_LTZ(`timestamp` / 1000, 3),
    arrival AS PROCTIME(),
    WATERMARK FOR event_time AS event_time - INTERVAL '${watermark}' DAY TO SECOND
) WITH (
    'connector' = 'iceberg',
    'catalog-table' = '${table}',
    'catalog-database' = '${database}',
    'catalog-name' = '${catalog}',
${properties},
${source_options}
);
