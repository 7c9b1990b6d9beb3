-- A stretch of one partition in bronze: the first row of an offset is right, another one is there twice.
CREATE OR REPLACE TEMP TABLE standing AS
SELECT
    '${name}' AS target,
    topic || ':' || "partition" || ':' || "offset" AS key,
    filename,
    file_row_number,
    CASE WHEN row_number() OVER (PARTITION BY "offset" ORDER BY ingestion_timestamp, filename, file_row_number) > 1 THEN 'doubled' ELSE 'right' END
        AS kind
FROM ${bronze}
WHERE topic = '${topic}' AND "partition" = ${partition} AND "offset" BETWEEN ${first} AND ${last}
