-- In which minutes was a coin 0.5 % dearer or cheaper on an exchange than on the others, or more? (Dollar and its stablecoins count as one.)
WITH minutes AS (
    SELECT
        window_start,
        left(symbol, length(symbol) - length(currency)) AS coin,
        exchange,
        sum(volume) AS volume,
        sum(notional) AS notional,
        sum(trades)::BIGINT AS trades
    FROM gold_ohlcv
    WHERE width = '1m' AND currency IN ('USD', 'USDT', 'USDC', 'FDUSD', 'DAI')
    GROUP BY window_start, coin, exchange
),

compared AS (
    SELECT
        here.window_start,
        here.coin,
        here.exchange,
        here.trades,
        sum(there.trades)::BIGINT AS other_trades,
        replace(here.notional::VARCHAR, '.', '')::HUGEINT AS notional,
        replace(here.volume::VARCHAR, '.', '')::HUGEINT AS volume,
        replace(sum(there.notional)::VARCHAR, '.', '')::HUGEINT AS other_notional,
        replace(sum(there.volume)::VARCHAR, '.', '')::HUGEINT AS other_volume
    FROM minutes AS here
    INNER JOIN minutes AS there
        ON here.window_start = there.window_start AND here.coin = there.coin AND here.exchange <> there.exchange
    GROUP BY here.window_start, here.coin, here.exchange, here.trades, here.notional, here.volume
),

-- Volume-weighted prices, half up; whole numbers of 16 places by such of 8 are whole numbers of 8.
priced AS (
    SELECT
        *,
        ((notional // volume + (2 * (notional % volume) >= volume)::INTEGER)::DECIMAL(38, 0) * 0.00000001)::DECIMAL(18, 8) AS price,
        ((other_notional // other_volume + (2 * (other_notional % other_volume) >= other_volume)::INTEGER)::DECIMAL(38, 0) * 0.00000001)
        ::DECIMAL(18, 8) AS other_price
    FROM compared
)

SELECT
    window_start AS minute,
    coin,
    exchange,
    price,
    other_price,
    round(10000 * (price - other_price)::DOUBLE / other_price::DOUBLE, 2) AS deviation_bp,
    trades,
    other_trades
FROM priced
WHERE 10000 * abs(price - other_price) >= 50 * other_price
ORDER BY minute, coin, exchange;
