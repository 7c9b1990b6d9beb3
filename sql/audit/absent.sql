-- How many absent rows are left.
SELECT count(*) FROM ${found} WHERE kind = 'absent'
