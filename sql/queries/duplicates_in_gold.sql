-- Does any trade stand in gold more than once? (No row: none does.)
SELECT
    message_id,
    count(*) AS times,
    min(gold_ingestion_timestamp) AS first,
    max(gold_ingestion_timestamp) AS last,
    any_value(trade_id) AS trade_id
FROM gold_crypto_trades
GROUP BY message_id
HAVING count(*) > 1
ORDER BY times DESC, message_id;
