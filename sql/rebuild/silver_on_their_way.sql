-- Messages beyond the last one of which either table has a row: the job has not come to them yet, and they are left to it.
CREATE OR REPLACE TEMP TABLE on_their_way AS
WITH reached AS (
    SELECT max("offset") AS reached
    FROM (
        SELECT "offset" FROM ${silver_name} WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" >= ${first}
        UNION ALL
        SELECT kafka_offset
        FROM ${dlq_name}
        WHERE bronze_source = '${bronze_name}' AND kafka_topic = '${topic}' AND kafka_partition = ${partition} AND kafka_offset >= ${first}
    )
)
SELECT "offset" FROM lacking CROSS JOIN reached WHERE NOT replaced AND "offset" > coalesce(reached, -1)
