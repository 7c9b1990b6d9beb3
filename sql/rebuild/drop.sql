-- Rows that are not right are to go.
INSERT INTO dropped SELECT target, filename, file_row_number FROM standing WHERE kind <> 'right'
