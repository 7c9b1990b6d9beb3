-- Bars of trades. A bar is all rows of its exchange, symbol, width and window_start together (docs/bars.md); where there was no trade, there
-- is none.
CREATE TABLE ${table} (
    exchange STRING,
    symbol STRING,
    currency STRING COMMENT 'quote asset',
    width STRING COMMENT '1s, 1m or 1h',
    window_start TIMESTAMP(6) COMMENT 'UTC; the window holds its start, and ends before the next one''s',
    `open` DECIMAL(18, 8) COMMENT 'price of the first trade, by timestamp, source_sequence, message_id',
    high DECIMAL(18, 8),
    low DECIMAL(18, 8),
    `close` DECIMAL(18, 8) COMMENT 'price of the last trade',
    volume DECIMAL(38, 8) COMMENT 'sum of quantity',
    notional DECIMAL(38, 16) COMMENT 'sum of price * quantity',
    vwap DECIMAL(18, 8) COMMENT 'notional / volume, half up',
    trades BIGINT,
    first_timestamp BIGINT COMMENT 'of the first trade, microseconds since the epoch',
    first_sequence BIGINT COMMENT 'its source_sequence; NULL without one, which comes before all numbers',
    first_message_id STRING,
    last_timestamp BIGINT,
    last_sequence BIGINT,
    last_message_id STRING,
    correction BOOLEAN COMMENT 'trades that came after their window was closed',
    produced_at TIMESTAMP(6),
    window_date DATE
) PARTITIONED BY (width, window_date) WITH (
    'format-version' = '2',
    'write.format.default' = 'parquet',
    'write.parquet.compression-codec' = 'zstd',
    'write.metadata.compression-codec' = 'gzip',
    'write.metadata.delete-after-commit.enabled' = 'true',
    'write.metadata.previous-versions-max' = '50',
    'commit.retry.num-retries' = '20'
);
