-- The trades of gold that came last, by trade time.
SELECT
    strftime(make_timestamp("timestamp"), '%Y-%m-%d %H:%M:%S.%g') AS trade_time,
    exchange,
    symbol,
    side,
    price,
    quantity
FROM gold_crypto_trades
ORDER BY "timestamp" DESC, message_id DESC
LIMIT 8
