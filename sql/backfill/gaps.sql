-- Ids that an exchange with dense ids gave a symbol, and that nobody sent: from, to. Of all rows, for a late one may have filled a gap.
WITH ordered AS (
    SELECT
        symbol,
        source_sequence AS id,
        validation_timestamp,
        lag(source_sequence) OVER (PARTITION BY symbol ORDER BY source_sequence, validation_timestamp) AS before
    FROM ${silver}
)
SELECT symbol, before + 1, id - 1
FROM ordered
WHERE id > before + 1 AND validation_timestamp >= TIMESTAMP '${since}'
ORDER BY symbol, before
