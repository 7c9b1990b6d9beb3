-- How many rows are right, and how many are wrong in which way, with an example of each.
SELECT target, kind, count(*), min(key) FROM standing GROUP BY target, kind ORDER BY target, kind
