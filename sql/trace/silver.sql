-- What silver made of a message.
SELECT *, filename
FROM ${table}
WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" = ${offset}
