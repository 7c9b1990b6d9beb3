-- How far a bronze table goes in each partition.
SELECT topic, "partition", min("offset"), max("offset"), count(*)
FROM ${bronze} LEFT JOIN floors USING (topic, "partition")
WHERE "offset" >= coalesce(first, ${floor})
GROUP BY topic, "partition"
