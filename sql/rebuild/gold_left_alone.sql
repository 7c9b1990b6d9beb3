-- What is on its way is not added.
DELETE FROM lacking WHERE message_id IN (SELECT message_id FROM on_their_way)
