-- How much was traded on each exchange in each hour (UTC), by pair?
SELECT
    exchange,
    exchange_date,
    exchange_hour,
    symbol,
    count(*) AS trades,
    sum(quantity) AS base_volume,
    sum(price::DECIMAL(38, 8) * quantity) AS quote_volume,
    any_value(currency) AS quote_asset
FROM gold_crypto_trades
GROUP BY exchange, exchange_date, exchange_hour, symbol
ORDER BY exchange_date, exchange_hour, exchange, symbol;
