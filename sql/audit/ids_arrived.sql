-- What was still on its way when the audit began, and is there now.
DELETE FROM wrong_ids WHERE kind = 'absent' AND message_id IN (SELECT message_id FROM ${gold})
