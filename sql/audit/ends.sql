-- The first and the last offset of each partition in a bronze table.
SELECT topic, "partition", min("offset"), max("offset")
FROM ${bronze}
GROUP BY topic, "partition"
