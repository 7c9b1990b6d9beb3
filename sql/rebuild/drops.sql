-- A table's files with rows that are to go: which.
SELECT filename, list(file_row_number) FROM dropped WHERE target = '${target}' GROUP BY filename ORDER BY filename
