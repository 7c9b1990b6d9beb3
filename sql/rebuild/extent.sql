-- How far a bronze table goes in each partition, and what was made of it: of the messages sent on some days, and of all there are.
SELECT topic, "partition", min("offset"), max("offset")
FROM (
    SELECT topic, "partition", "offset" FROM ${bronze} WHERE ${sent}
    UNION ALL
    SELECT topic, "partition", "offset" FROM ${silver} WHERE ${sent}
    UNION ALL
    SELECT kafka_topic, kafka_partition, kafka_offset FROM ${dlq} WHERE bronze_source = '${name}' AND ${every_day}
)
GROUP BY topic, "partition"
ORDER BY topic, "partition"
