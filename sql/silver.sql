-- Bronze to silver and to the dead-letter table.
-- `decode_trade` gives the trade of a message, or NULL for every message that it is not certain of; `judge` decides those.

-- decoded
SELECT
    raw_bytes,
    topic,
    `partition`,
    `offset`,
    kafka_timestamp,
    ingestion_timestamp AS bronze_ingestion_timestamp,
    decode_trade(raw_bytes) AS trade
FROM ${bronze} /*+ OPTIONS(${source_options}) */;

-- doubtful: what crosses into the judge; timestamps as text, which keeps every microsecond
SELECT
    raw_bytes,
    topic,
    `partition`,
    `offset`,
    CAST(kafka_timestamp AS STRING) AS kafka_timestamp,
    CAST(bronze_ingestion_timestamp AS STRING) AS bronze_ingestion_timestamp
FROM decoded
WHERE trade.message_id IS NULL;

-- to silver
INSERT INTO ${silver} /*+ OPTIONS(${silver_options}) */
SELECT
    trade.message_id,
    trade.trade_id,
    trade.symbol,
    '${exchange}' AS exchange,
    'crypto' AS asset_class,
    trade.`timestamp`,
    trade.price,
    trade.quantity,
    trade.currency,
    trade.side,
    CASE WHEN trade.trade_condition IS NULL THEN ARRAY_REMOVE(ARRAY[''], '') ELSE ARRAY[trade.trade_condition] END AS trade_conditions,
    trade.source_sequence,
    trade.ingestion_timestamp,
    `offset` AS platform_sequence,
    trade.vendor_data,
    trade.schema_id,
    topic,
    `partition`,
    `offset`,
    kafka_timestamp,
    bronze_ingestion_timestamp,
    CAST(CURRENT_TIMESTAMP AS TIMESTAMP(6)) AS validation_timestamp,
    CAST(TO_TIMESTAMP_LTZ(trade.`timestamp` / 1000, 3) AS DATE) AS exchange_date
FROM decoded
WHERE trade.message_id IS NOT NULL;

-- judged to silver, by a sink of its own: brought together with the others first, every row would be serialised and handed over
INSERT INTO ${silver} /*+ OPTIONS(${judged_options}) */
SELECT
    message_id,
    trade_id,
    symbol,
    exchange,
    asset_class,
    `timestamp`,
    CAST(price AS DECIMAL(18, 8)) AS price,
    CAST(quantity AS DECIMAL(18, 8)) AS quantity,
    currency,
    side,
    trade_conditions,
    source_sequence,
    ingestion_timestamp,
    `offset` AS platform_sequence,
    vendor_data,
    schema_id,
    topic,
    `partition`,
    `offset`,
    CAST(kafka_timestamp AS TIMESTAMP(6)) AS kafka_timestamp,
    CAST(bronze_ingestion_timestamp AS TIMESTAMP(6)) AS bronze_ingestion_timestamp,
    CAST(CURRENT_TIMESTAMP AS TIMESTAMP(6)) AS validation_timestamp,
    CAST(TO_TIMESTAMP_LTZ(`timestamp` / 1000, 3) AS DATE) AS exchange_date
FROM judged;

-- to the dead-letter table
INSERT INTO ${dlq} /*+ OPTIONS(${dlq_options}) */
SELECT
    raw_record,
    error_type,
    error_reason,
    error_detail,
    CAST(CURRENT_TIMESTAMP AS TIMESTAMP(6)) AS error_timestamp,
    '${bronze_name}' AS bronze_source,
    kafka_topic,
    kafka_partition,
    kafka_offset,
    schema_id,
    CAST(CURRENT_TIMESTAMP AS DATE) AS dlq_date
FROM rejected;
