-- The first of an exchange's equal trades by arrival. Ordered by processing time alone: that keeps a boolean a key, sends no update and keeps
-- trades that are late. Trades of two exchanges are never equal, so each has a deduplication, and a way into the table, of its own.
INSERT INTO ${gold} /*+ OPTIONS(${sink_options}) */
SELECT
    message_id,
    trade_id,
    symbol,
    exchange,
    asset_class,
    `timestamp`,
    price,
    quantity,
    currency,
    side,
    trade_conditions,
    source_sequence,
    ingestion_timestamp,
    platform_sequence,
    vendor_data,
    CAST(CURRENT_TIMESTAMP AS TIMESTAMP(6)) AS gold_ingestion_timestamp,
    CAST(TO_TIMESTAMP_LTZ(`timestamp` / 1000, 3) AS DATE) AS exchange_date,
    CAST(MOD(`timestamp` / 3600000000, 24) AS INT) AS exchange_hour
FROM (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY message_id ORDER BY arrival ASC) AS nth
    FROM (
        SELECT *, PROCTIME() AS arrival FROM ${silver}
    )
)
WHERE nth = 1;
