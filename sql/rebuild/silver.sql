-- Rows of silver and of the dead-letter table for a stretch of one partition, judged by what the messages must be.
CREATE OR REPLACE TEMP TABLE standing AS
WITH messages AS (
    SELECT "offset" FROM trades
    UNION ALL
    SELECT "offset" FROM rejections
),
stored AS (
    SELECT
        "offset",
        hash(${columns}, schema_id, kafka_timestamp, bronze_ingestion_timestamp) AS content,
        validation_timestamp AS made,
        exchange_date IS NOT DISTINCT FROM TRY(make_timestamp("timestamp")::DATE) AS placed,
        filename,
        file_row_number
    FROM ${silver}
    WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" BETWEEN ${first} AND ${last}
),
wanted AS (
    SELECT "offset", hash(${columns}, schema_id, kafka_timestamp, bronze_ingestion_timestamp) AS content FROM trades
),
rejected AS (
    SELECT
        kafka_offset AS "offset",
        hash(md5(raw_record), error_type, error_reason, schema_id) AS content,
        error_timestamp AS made,
        true AS placed,
        filename,
        file_row_number
    FROM ${dlq}
    WHERE
        bronze_source = '${bronze_name}'
        AND kafka_topic = '${topic}' AND kafka_partition = ${partition} AND kafka_offset BETWEEN ${first} AND ${last}
),
to_reject AS (
    SELECT "offset", hash(md5(raw_bytes), error_type, error_reason, schema_id) AS content
    FROM rejections
    JOIN (${messages}) AS bronze USING ("offset")
    UNION ALL
    -- What was rejected and replayed later stays in the dead-letter table, as what happened.
    SELECT rejected."offset", rejected.content
    FROM rejected
    JOIN trades USING ("offset")
    WHERE ('${topic}', ${partition}, rejected."offset") IN (SELECT (kafka_topic, kafka_partition, kafka_offset) FROM ${replays})
),
judged AS (
    SELECT
        '${silver_name}' AS target, *,
        ("offset", content) IN (SELECT ("offset", content) FROM wanted) AS equal,
        "offset" IN (SELECT "offset" FROM messages) AS known
    FROM stored
    UNION ALL
    SELECT
        '${dlq_name}', *,
        ("offset", content) IN (SELECT ("offset", content) FROM to_reject),
        "offset" IN (SELECT "offset" FROM messages)
    FROM rejected
)
SELECT
    target,
    '${topic}:${partition}:' || "offset" AS key,
    "offset",
    made,
    filename,
    file_row_number,
    CASE
        WHEN NOT placed THEN 'misplaced'
        WHEN NOT known THEN 'orphan'
        WHEN NOT equal THEN 'altered'
        WHEN row_number() OVER (PARTITION BY target, "offset", placed AND equal ORDER BY made, filename, file_row_number) > 1 THEN 'doubled'
        ELSE 'right'
    END AS kind
FROM judged
