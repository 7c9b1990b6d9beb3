-- Trades of one day that were on their way, and are in gold now, in their place.
DELETE FROM lacking
WHERE NOT replaced AND message_id IN (
    SELECT message_id
    FROM gold_crypto_trades
    WHERE
        exchange_date IS NOT DISTINCT FROM ${day}
        AND exchange_date IS NOT DISTINCT FROM TRY(make_timestamp("timestamp")::DATE)
        AND exchange_hour IS NOT DISTINCT FROM TRY(hour(make_timestamp("timestamp")))
)
