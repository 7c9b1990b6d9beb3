-- How far apart are the exchanges' last prices of a coin, and how long apart were those trades? (US dollar and its stablecoins count as one.)
WITH last_prices AS (
    SELECT
        left(symbol, length(symbol) - length(currency)) AS coin,
        exchange,
        arg_max(price, "timestamp") AS price,
        max("timestamp") AS traded
    FROM gold_crypto_trades
    WHERE currency IN ('USD', 'USDT', 'USDC', 'FDUSD', 'DAI')
    GROUP BY coin, exchange
)

SELECT
    coin,
    arg_min(exchange, price) AS cheapest_on,
    min(price) AS lowest,
    arg_max(exchange, price) AS dearest_on,
    max(price) AS highest,
    max(price) - min(price) AS spread,
    round(10000 * (max(price) - min(price))::DOUBLE / min(price)::DOUBLE, 2) AS spread_bp,
    (max(traded) - min(traded)) / 1000000 AS seconds_apart
FROM last_prices
GROUP BY coin
HAVING count(*) > 1
ORDER BY coin;
