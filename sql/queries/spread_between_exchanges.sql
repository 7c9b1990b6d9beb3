-- How far apart were the exchanges in minutes in which more than one traded a coin? (US dollar and its stablecoins count as one.)
WITH last_of_minute AS (
    SELECT
        time_bucket(INTERVAL 1 MINUTE, make_timestamp("timestamp")) AS minute,
        left(symbol, length(symbol) - length(currency)) AS coin,
        exchange,
        arg_max(price, "timestamp") AS price
    FROM gold_crypto_trades
    WHERE currency IN ('USD', 'USDT', 'USDC', 'FDUSD', 'DAI')
    GROUP BY minute, coin, exchange
)

SELECT
    minute,
    coin,
    arg_min(exchange, price) AS cheapest_on,
    min(price) AS lowest,
    arg_max(exchange, price) AS dearest_on,
    max(price) AS highest,
    max(price) - min(price) AS spread,
    round(10000 * (max(price) - min(price))::DOUBLE / min(price)::DOUBLE, 2) AS spread_bp
FROM last_of_minute
GROUP BY minute, coin
HAVING count(*) > 1
ORDER BY minute, coin;
