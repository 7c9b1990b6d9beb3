(
    -- Before the first replay there is no table of them.
    SELECT NULL::VARCHAR AS kafka_topic, NULL::INTEGER AS kafka_partition, NULL::BIGINT AS kafka_offset WHERE false
)
