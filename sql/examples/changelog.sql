-- Streaming mode over what the table holds now: the query ends, and prints every change of its result as a row of its own.
-- +I is a new row; -U takes the old version of a row back, +U gives the new one.
SET 'execution.runtime-mode' = 'streaming';

SELECT bronze_source, COUNT(*) AS messages
FROM silver_dlq_trades
GROUP BY bronze_source;
