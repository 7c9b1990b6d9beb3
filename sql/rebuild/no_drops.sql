-- Rows that are to go, by their place in their file.
CREATE OR REPLACE TEMP TABLE dropped (target VARCHAR, filename VARCHAR, file_row_number BIGINT)
