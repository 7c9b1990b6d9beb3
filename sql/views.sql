-- What the SQL client has beside the tables: views that answer the questions of every day. They are temporary: Iceberg 1.11 keeps no
-- view for Flink, so that each session makes them anew. They work in batch and in streaming mode.

-- Every trade once, with its time to the millisecond and how many seconds after it gold had it.
CREATE TEMPORARY VIEW trades AS
SELECT
    TO_TIMESTAMP_LTZ(`timestamp` / 1000, 3) AS trade_time,
    exchange,
    symbol,
    side,
    price,
    quantity,
    currency,
    trade_id,
    message_id,
    gold_ingestion_timestamp AS gold_time,
    TIMESTAMPDIFF(SECOND, CAST(TO_TIMESTAMP_LTZ(`timestamp` / 1000, 3) AS TIMESTAMP(3)), gold_ingestion_timestamp) AS lag_s
FROM gold_crypto_trades;

-- Which trades came last, by trade time?
CREATE TEMPORARY VIEW last_trades AS
SELECT trade_time, exchange, symbol, side, price, quantity, trade_id
FROM trades
ORDER BY trade_time DESC, message_id DESC
LIMIT 20;

-- How much was traded on each exchange in each minute (UTC), in each quote asset?
CREATE TEMPORARY VIEW volume_by_exchange_and_minute AS
SELECT
    FLOOR(trade_time TO MINUTE) AS trade_minute,
    exchange,
    currency,
    COUNT(*) AS trades,
    SUM(price * quantity) AS quote_volume
FROM trades
GROUP BY FLOOR(trade_time TO MINUTE), exchange, currency;

-- How many messages were rejected, for which reasons, and when was the last?
CREATE TEMPORARY VIEW rejects_by_reason AS
SELECT
    bronze_source,
    error_type,
    error_reason,
    COUNT(*) AS messages,
    MAX(error_timestamp) AS newest
FROM silver_dlq_trades
GROUP BY bronze_source, error_type, error_reason;

-- How far is gold behind the exchanges, in seconds, for the trades that it took in each minute?
CREATE TEMPORARY VIEW lag_by_exchange_and_minute AS
SELECT
    FLOOR(gold_time TO MINUTE) AS gold_minute,
    exchange,
    COUNT(*) AS trades,
    PERCENTILE(lag_s, 0.5) AS p50_s,
    PERCENTILE(lag_s, 0.99) AS p99_s,
    MAX(lag_s) AS max_s
FROM trades
GROUP BY FLOOR(gold_time TO MINUTE), exchange;

-- How far apart are two exchanges' last prices of a coin, and those trades? (US dollar and its stablecoins count as one.)
CREATE TEMPORARY VIEW spread_between_exchanges AS
WITH last_prices AS (
    SELECT coin, exchange, price, trade_time
    FROM (
        SELECT
            SUBSTRING(symbol, 1, CHAR_LENGTH(symbol) - CHAR_LENGTH(currency)) AS coin,
            exchange,
            price,
            trade_time,
            ROW_NUMBER() OVER (
                PARTITION BY SUBSTRING(symbol, 1, CHAR_LENGTH(symbol) - CHAR_LENGTH(currency)), exchange
                ORDER BY trade_time DESC, message_id DESC
            ) AS nth
        FROM trades
        WHERE currency IN ('USD', 'USDT', 'USDC', 'FDUSD', 'DAI')
    )
    WHERE nth = 1
)

SELECT
    a.coin,
    a.exchange,
    a.price,
    b.exchange AS other_exchange,
    b.price AS other_price,
    b.price - a.price AS spread,
    ROUND(10000 * CAST(b.price - a.price AS DOUBLE) / CAST(a.price AS DOUBLE), 2) AS spread_bp,
    ABS(TIMESTAMPDIFF(SECOND, CAST(a.trade_time AS TIMESTAMP(3)), CAST(b.trade_time AS TIMESTAMP(3)))) AS seconds_apart
FROM last_prices AS a
JOIN last_prices AS b ON a.coin = b.coin AND a.exchange < b.exchange;

-- Does any trade stand in gold more than once? (None does: no row.)
CREATE TEMPORARY VIEW duplicates_in_gold AS
SELECT message_id, COUNT(*) AS times
FROM gold_crypto_trades
GROUP BY message_id
HAVING COUNT(*) > 1;
