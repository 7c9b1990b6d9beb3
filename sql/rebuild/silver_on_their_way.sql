-- Messages beyond the last one of which either table had a row before the wait: the job may only be on its way to them, and they are left to it.
CREATE OR REPLACE TEMP TABLE on_their_way AS
WITH reached AS (
    SELECT max("offset") AS reached
    FROM (
        SELECT "offset" FROM ${silver} WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" >= ${first}
        UNION ALL
        SELECT kafka_offset
        FROM ${dlq}
        WHERE bronze_source = '${bronze_name}' AND kafka_topic = '${topic}' AND kafka_partition = ${partition} AND kafka_offset >= ${first}
    )
)
SELECT "offset" FROM lacking CROSS JOIN reached WHERE NOT replaced AND "offset" > coalesce(reached, -1)
