-- What is on its way is not added.
DELETE FROM lacking WHERE "offset" IN (SELECT "offset" FROM on_their_way)
