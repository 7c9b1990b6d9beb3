-- Of the ids from one to another of a symbol, those that are not there: from, to.
WITH there AS (
    SELECT source_sequence::HUGEINT AS id
    FROM ${silver}
    WHERE symbol = '${symbol}' AND source_sequence BETWEEN ${first} AND ${last}
    UNION ALL
    VALUES (${first}::HUGEINT - 1), (${last}::HUGEINT + 1)
),
ordered AS (
    SELECT id, lag(id) OVER (ORDER BY id) AS before
    FROM there
)
SELECT (before + 1)::BIGINT, (id - 1)::BIGINT
FROM ordered
WHERE id > before + 1
ORDER BY id
