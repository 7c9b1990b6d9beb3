-- Who was more eager, buyers or sellers? (The side is the taker's.)
SELECT
    exchange,
    symbol,
    side,
    count(*) AS trades,
    sum(quantity) AS quantity,
    round(100 * sum(quantity)::DOUBLE / sum(sum(quantity)) OVER (PARTITION BY exchange, symbol)::DOUBLE, 2) AS percent_of_quantity
FROM gold_crypto_trades
GROUP BY exchange, symbol, side
ORDER BY exchange, symbol, side;
