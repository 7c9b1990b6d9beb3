-- The first offset of each partition that belongs to the audit: that of the first row sent at or after a moment.
INSERT INTO floors
SELECT topic, "partition", min("offset")
FROM ${bronze}
WHERE kafka_timestamp >= TIMESTAMP '${since}'
GROUP BY topic, "partition"
