-- Each trade, with its place among the others and, for each width, whether its window is still open. That is asked once a trade, here, so
-- that a trade which misses its window is a correction, and one which does not is none.
-- A place sorts as text: microseconds, the exchange's number (dashes, which sort first, where there is none), message_id; then the price.
SELECT
    exchange,
    symbol,
    currency,
    price,
    quantity,
    price * quantity AS notional,
    FLOOR(price * quantity) AS whole_notional,
    CONCAT(
        LPAD(CAST(`timestamp` AS STRING), 19, '0'),
        CASE WHEN source_sequence >= 0 THEN LPAD(CAST(source_sequence AS STRING), 19, '0') ELSE '-------------------' END,
        message_id,
        CAST(price AS STRING)
    ) AS place,
    event_time,
    `timestamp` / 1000000 AS epoch_s,
    (`timestamp` / 1000000 + 1) * 1000 - 1 > latest_ms - ${watermark_ms} AS second_is_open,
    (`timestamp` / 60000000 + 1) * 60000 - 1 > latest_ms - ${watermark_ms} AS minute_is_open,
    (`timestamp` / 3600000000 + 1) * 3600000 - 1 > latest_ms - ${watermark_ms} AS hour_is_open
FROM (
    -- Not CURRENT_WATERMARK: that begins anew when the job does, while the windows keep theirs in their state, and drop what is behind it.
    SELECT *, MAX(`timestamp`) OVER (ORDER BY arrival ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) / 1000 AS latest_ms
    FROM default_catalog.default_database.gold_trades
);

CREATE TEMPORARY VIEW in_open_second AS
SELECT * FROM placed WHERE second_is_open;

CREATE TEMPORARY VIEW in_open_minute AS
SELECT * FROM placed WHERE minute_is_open;

CREATE TEMPORARY VIEW in_open_hour AS
SELECT * FROM placed WHERE hour_is_open;

CREATE TEMPORARY VIEW after_their_window AS
SELECT
    exchange,
    symbol,
    '1s' AS width,
    epoch_s AS start_s,
    currency,
    price,
    quantity,
    notional,
    whole_notional,
    place,
    PROCTIME() AS arrival
FROM placed
WHERE NOT second_is_open
UNION ALL
SELECT
    exchange,
    symbol,
    '1m' AS width,
    epoch_s - MOD(epoch_s, 60) AS start_s,
    currency,
    price,
    quantity,
    notional,
    whole_notional,
    place,
    PROCTIME() AS arrival
FROM placed
WHERE NOT minute_is_open
UNION ALL
SELECT
    exchange,
    symbol,
    '1h' AS width,
    epoch_s - MOD(epoch_s, 3600) AS start_s,
    currency,
    price,
    quantity,
    notional,
    whole_notional,
    place,
    PROCTIME() AS arrival
FROM placed
WHERE NOT hour_is_open;

-- A row for each window when the watermark passes its end, and one for what comes to a bar afterwards, every ${corrections}.
-- Group windows, not window table functions, which keep a watermark in their state and a buffer of managed memory each (decision 0019).
INSERT INTO ${ohlcv} /*+ OPTIONS(${sink_options}) */
SELECT
    exchange,
    symbol,
    currency,
    width,
    window_start,
    CAST(SUBSTRING(first_place FROM 75) AS DECIMAL(18, 8)) AS `open`,
    high,
    low,
    CAST(SUBSTRING(last_place FROM 75) AS DECIMAL(18, 8)) AS `close`,
    volume,
    CASE WHEN fits THEN notional END AS notional,
    CASE WHEN fits THEN CAST(notional / volume AS DECIMAL(18, 8)) END AS vwap,
    trades,
    CAST(SUBSTRING(first_place FROM 1 FOR 19) AS BIGINT) AS first_timestamp,
    TRY_CAST(SUBSTRING(first_place FROM 20 FOR 19) AS BIGINT) AS first_sequence,
    SUBSTRING(first_place FROM 39 FOR 36) AS first_message_id,
    CAST(SUBSTRING(last_place FROM 1 FOR 19) AS BIGINT) AS last_timestamp,
    TRY_CAST(SUBSTRING(last_place FROM 20 FOR 19) AS BIGINT) AS last_sequence,
    SUBSTRING(last_place FROM 39 FOR 36) AS last_message_id,
    correction,
    CAST(CURRENT_TIMESTAMP AS TIMESTAMP(6)) AS produced_at,
    CAST(window_start AS DATE) AS window_date
FROM (
    -- Flink's sum of decimals begins anew, silently, when 22 digits before the point are not enough for it. The sum of whole parts has 38.
    SELECT *, whole_notional + trades < CAST('10000000000000000000000' AS DECIMAL(38, 0)) AS fits
    FROM (
        SELECT
            exchange,
            symbol,
            MIN(currency) AS currency,
            '1s' AS width,
            CAST(TUMBLE_START(event_time, INTERVAL '1' SECOND) AS TIMESTAMP(6)) AS window_start,
            MAX(price) AS high,
            MIN(price) AS low,
            SUM(quantity) AS volume,
            SUM(notional) AS notional,
            SUM(whole_notional) AS whole_notional,
            COUNT(*) AS trades,
            MIN(place) AS first_place,
            MAX(place) AS last_place,
            FALSE AS correction
        FROM in_open_second
        GROUP BY exchange, symbol, TUMBLE(event_time, INTERVAL '1' SECOND)
        UNION ALL
        SELECT
            exchange,
            symbol,
            MIN(currency) AS currency,
            '1m' AS width,
            CAST(TUMBLE_START(event_time, INTERVAL '1' MINUTE) AS TIMESTAMP(6)) AS window_start,
            MAX(price) AS high,
            MIN(price) AS low,
            SUM(quantity) AS volume,
            SUM(notional) AS notional,
            SUM(whole_notional) AS whole_notional,
            COUNT(*) AS trades,
            MIN(place) AS first_place,
            MAX(place) AS last_place,
            FALSE AS correction
        FROM in_open_minute
        GROUP BY exchange, symbol, TUMBLE(event_time, INTERVAL '1' MINUTE)
        UNION ALL
        SELECT
            exchange,
            symbol,
            MIN(currency) AS currency,
            '1h' AS width,
            CAST(TUMBLE_START(event_time, INTERVAL '1' HOUR) AS TIMESTAMP(6)) AS window_start,
            MAX(price) AS high,
            MIN(price) AS low,
            SUM(quantity) AS volume,
            SUM(notional) AS notional,
            SUM(whole_notional) AS whole_notional,
            COUNT(*) AS trades,
            MIN(place) AS first_place,
            MAX(place) AS last_place,
            FALSE AS correction
        FROM in_open_hour
        GROUP BY exchange, symbol, TUMBLE(event_time, INTERVAL '1' HOUR)
        UNION ALL
        SELECT
            exchange,
            symbol,
            MIN(currency) AS currency,
            width,
            CAST(TO_TIMESTAMP_LTZ(start_s, 0) AS TIMESTAMP(6)) AS window_start,
            MAX(price) AS high,
            MIN(price) AS low,
            SUM(quantity) AS volume,
            SUM(notional) AS notional,
            SUM(whole_notional) AS whole_notional,
            COUNT(*) AS trades,
            MIN(place) AS first_place,
            MAX(place) AS last_place,
            TRUE AS correction
        FROM after_their_window
        GROUP BY exchange, symbol, width, start_s, TUMBLE(arrival, INTERVAL '${corrections}' DAY TO SECOND)
    )
);
