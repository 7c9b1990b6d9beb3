(
    -- A table that has no snapshot yet.
    SELECT *, NULL::VARCHAR AS filename, NULL::BIGINT AS file_row_number FROM ${table} WHERE false
)
