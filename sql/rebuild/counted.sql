-- How many of the rows that are to be added to which table have no row there at all; with an example.
SELECT ${target} AS target, count(*) FILTER (NOT replaced), min(${key}) FILTER (NOT replaced)
FROM lacking
GROUP BY target
