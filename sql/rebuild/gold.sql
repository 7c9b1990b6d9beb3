-- Gold's rows of one day, each judged by the rows that silver has of its trade.
CREATE OR REPLACE TEMP TABLE standing AS
WITH wanted AS (
    SELECT DISTINCT message_id, hash(${columns}) AS content
    FROM ${silver}
    WHERE ${traded} AND message_id IS NOT NULL
),
stored AS (
    SELECT
        coalesce(message_id, '') AS message_id,
        hash(${columns}) AS content,
        gold_ingestion_timestamp,
        exchange_date IS NOT DISTINCT FROM TRY(make_timestamp("timestamp")::DATE)
        AND exchange_hour IS NOT DISTINCT FROM TRY(hour(make_timestamp("timestamp"))) AS placed,
        filename,
        file_row_number
    FROM ${gold}
    WHERE exchange_date IS NOT DISTINCT FROM ${day} AND ${exchange}
),
matched AS (
    SELECT *, (message_id, content) IN (SELECT (message_id, content) FROM wanted) AS equal
    FROM stored
)
SELECT
    'gold_crypto_trades' AS target,
    message_id AS key,
    gold_ingestion_timestamp,
    filename,
    file_row_number,
    CASE
        WHEN NOT placed THEN 'misplaced'
        WHEN message_id NOT IN (SELECT message_id FROM wanted) THEN 'orphan'
        WHEN NOT equal THEN 'altered'
        WHEN row_number() OVER (
            PARTITION BY message_id, placed AND equal ORDER BY gold_ingestion_timestamp, filename, file_row_number
        ) > 1 THEN 'doubled'
        ELSE 'right'
    END AS kind
FROM matched
