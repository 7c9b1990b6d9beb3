-- How long each hop took, over all rows: from one commit that made a row visible to the next.
-- `commits` dates data files; a row whose file has no date, or that has no partner in the layer before, is unmeasured.
WITH bronze AS (
    SELECT row.topic, row.partition, row."offset", row.kafka_timestamp, commits.committed
    FROM (${bronze}) AS row
    LEFT JOIN commits USING (filename)
),

silver AS (
    SELECT row.topic, row.partition, row."offset", row.message_id, row.kafka_timestamp, commits.committed
    FROM (${silver}) AS row
    LEFT JOIN commits USING (filename)
),

-- A trade that was sent twice has two rows in silver; gold took the one that came first.
first_of_silver AS (
    SELECT message_id, min(kafka_timestamp) AS kafka_timestamp, min(committed) AS committed
    FROM silver
    GROUP BY message_id
),

gold AS (
    SELECT row.message_id, commits.committed
    FROM (
        SELECT message_id, filename
        FROM gold_crypto_trades
        WHERE gold_ingestion_timestamp >= TIMESTAMP '${since}'
    ) AS row
    LEFT JOIN commits USING (filename)
),

gold_with_silver AS (
    SELECT gold.committed, silver.committed AS silver_committed, silver.kafka_timestamp
    FROM gold
    LEFT JOIN first_of_silver AS silver USING (message_id)
),

hops AS (
    SELECT 'kafka_to_bronze' AS hop, epoch_us(committed) - epoch_us(kafka_timestamp) AS us
    FROM bronze
    UNION ALL
    SELECT 'bronze_to_silver' AS hop, epoch_us(silver.committed) - epoch_us(bronze.committed) AS us
    FROM silver
    LEFT JOIN bronze USING (topic, partition, "offset")
    UNION ALL
    SELECT 'silver_to_gold' AS hop, epoch_us(committed) - epoch_us(silver_committed) AS us
    FROM gold_with_silver
    UNION ALL
    SELECT 'end_to_end' AS hop, epoch_us(committed) - epoch_us(kafka_timestamp) AS us
    FROM gold_with_silver
)

SELECT
    hop,
    count(us) AS measured,
    count(*) - count(us) AS unmeasured,
    quantile_disc(us, 0.5) / 1e6 AS p50_s,
    quantile_disc(us, 0.95) / 1e6 AS p95_s,
    quantile_disc(us, 0.99) / 1e6 AS p99_s,
    max(us) / 1e6 AS max_s
FROM hops
GROUP BY hop
