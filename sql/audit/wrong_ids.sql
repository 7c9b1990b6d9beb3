-- The first wrong ids of each kind, and how many there are.
SELECT kind, message_id, gold::BIGINT, silver::BIGINT, count(*) OVER (PARTITION BY kind) AS total
FROM wrong_ids
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY message_id) <= ${shown}
ORDER BY kind, message_id
