-- Does any trade stand in gold more than once? (rows_too_many is 0: none does.)
SELECT
    exchange,
    count(*) AS gold_rows,
    count(DISTINCT message_id) AS trades,
    count(*) - count(DISTINCT message_id) AS rows_too_many
FROM gold_crypto_trades
GROUP BY exchange
ORDER BY exchange;
