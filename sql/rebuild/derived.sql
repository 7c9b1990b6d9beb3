-- What the messages of a stretch must be: trades, or rejections.
CREATE OR REPLACE TEMP TABLE ${name} AS FROM piece
