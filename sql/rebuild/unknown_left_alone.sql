-- Without a wait nobody can tell what is lost from what is on its way.
DELETE FROM lacking WHERE NOT replaced
