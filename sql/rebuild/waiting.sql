-- How many rows may be on their way.
SELECT count(*) FROM lacking WHERE NOT replaced
