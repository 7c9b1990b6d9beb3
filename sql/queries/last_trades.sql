-- Which trades came last, by trade time?
SELECT
    make_timestamp("timestamp") AS trade_time,
    exchange,
    symbol,
    side,
    price,
    quantity,
    trade_id
FROM gold_crypto_trades
ORDER BY "timestamp" DESC, message_id DESC
LIMIT 20;
