-- Ids that an exchange with dense ids gave, and that nobody sent: from, to. Of all its rows, for a late one may have filled a gap.
WITH ordered AS (
    SELECT
        symbol,
        source_sequence::HUGEINT AS id,
        gold_ingestion_timestamp,
        lag(source_sequence::HUGEINT) OVER (PARTITION BY symbol ORDER BY source_sequence) AS before
    FROM ${gold}
    WHERE exchange = '${exchange}'
)
SELECT symbol, before + 1, id - 1, sum(id - before - 1) OVER ()
FROM ordered
WHERE id > before + 1 AND gold_ingestion_timestamp >= TIMESTAMP '${since}'
ORDER BY symbol, before
LIMIT ${shown}
