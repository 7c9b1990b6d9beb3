-- Streaming mode without an end: every trade that comes to gold from now on. LIMIT does not end a query like this; Ctrl-C does, or
-- tradelake sql -f sql/examples/streaming.sql --stop-after "1 min"
SET 'execution.runtime-mode' = 'streaming';

SELECT exchange, symbol, side, price, quantity
FROM gold_crypto_trades /*+ OPTIONS('streaming' = 'true', 'monitor-interval' = '1 s') */;
