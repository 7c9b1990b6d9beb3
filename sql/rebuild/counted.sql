-- How many rows are to be added to which table, and how many of them it has no row of at all; with an example.
SELECT ${target} AS target, count(*), count(*) FILTER (NOT replaced), min(${key}) FILTER (NOT replaced)
FROM lacking
GROUP BY target
