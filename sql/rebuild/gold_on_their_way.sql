-- Trades whose file in silver was committed after everything of which gold has a trade: gold has not come to them yet, and they are left to it.
-- Gold took a trade from a file if it took it after the file was committed.
CREATE OR REPLACE TEMP TABLE on_their_way AS
WITH reached AS (
    SELECT max(committed) AS reached
    FROM (${silver_in_files}) AS silver
    JOIN commits USING (filename)
    JOIN (SELECT message_id, gold_ingestion_timestamp FROM gold_crypto_trades) AS gold USING (message_id)
    WHERE gold_ingestion_timestamp >= committed
)
SELECT message_id
FROM lacking
LEFT JOIN commits USING (filename)
CROSS JOIN reached
WHERE NOT replaced AND committed >= coalesce(reached, TIMESTAMP '-infinity')
