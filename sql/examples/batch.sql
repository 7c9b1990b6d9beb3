-- Batch mode: the lake as it is now, each answer complete, each query ends by itself.
SET 'execution.runtime-mode' = 'batch';

SHOW VIEWS;

SELECT exchange, COUNT(*) AS trades, MIN(trade_time) AS oldest, MAX(trade_time) AS newest
FROM trades
GROUP BY exchange
ORDER BY exchange;

SELECT * FROM rejects_by_reason ORDER BY messages DESC, error_reason;

SELECT * FROM volume_by_exchange_and_minute ORDER BY trade_minute DESC, exchange, currency LIMIT 10;

SELECT * FROM spread_between_exchanges ORDER BY coin;

SELECT * FROM last_trades;

SELECT * FROM duplicates_in_gold;
