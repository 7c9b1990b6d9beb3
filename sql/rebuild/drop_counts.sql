-- How many rows are to go of which table.
SELECT target, count(*) FROM standing WHERE kind <> 'right' GROUP BY target
