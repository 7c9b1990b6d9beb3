-- Why a message was rejected.
SELECT *, filename
FROM ${table}
WHERE bronze_source = '${bronze}' AND kafka_topic = '${topic}' AND kafka_partition = ${partition} AND kafka_offset = ${offset}
