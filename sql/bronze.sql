-- Kafka to bronze: bytes untouched, with their coordinates.
CREATE TEMPORARY TABLE kafka_messages (
    message_key BYTES,
    raw_bytes BYTES,
    headers MAP<STRING, BYTES> METADATA,
    topic STRING METADATA VIRTUAL,
    `partition` INT METADATA VIRTUAL,
    `offset` BIGINT METADATA VIRTUAL,
    kafka_timestamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
    kafka_timestamp_type STRING METADATA FROM 'timestamp-type' VIRTUAL
) WITH (
    'connector' = 'kafka',
    'topic' = '${topic}',
    'properties.group.id' = '${job}',
    'properties.client.id.prefix' = '${job}',
${kafka_options},
    'scan.startup.mode' = 'earliest-offset',
    'scan.topic-partition-discovery.interval' = '${partition_discovery}',
    'key.format' = 'raw',
    'key.fields' = 'message_key',
    'value.format' = 'raw',
    'value.fields-include' = 'EXCEPT_KEY'
);

-- CURRENT_TIMESTAMP is one value for all columns of a row.
INSERT INTO ${bronze} /*+ OPTIONS(${sink_options}) */
SELECT
    raw_bytes,
    message_key,
    headers,
    topic,
    `partition`,
    `offset`,
    CAST(kafka_timestamp AS TIMESTAMP(6)) AS kafka_timestamp,
    kafka_timestamp_type,
    CAST(CURRENT_TIMESTAMP AS TIMESTAMP(6)) AS ingestion_timestamp,
    CAST(CURRENT_TIMESTAMP AS DATE) AS ingestion_date
FROM kafka_messages;
