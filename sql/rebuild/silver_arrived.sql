-- Messages that were on their way, and are in one of the two tables now.
DELETE FROM lacking
WHERE NOT replaced AND "offset" IN (
    SELECT "offset" FROM ${silver_name} WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" BETWEEN ${first} AND ${last}
    UNION ALL
    SELECT kafka_offset
    FROM ${dlq_name}
    WHERE
        bronze_source = '${bronze_name}'
        AND kafka_topic = '${topic}' AND kafka_partition = ${partition} AND kafka_offset BETWEEN ${first} AND ${last}
)
