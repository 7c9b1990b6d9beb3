-- One exchange's trades in silver, each with its file.
SELECT message_id, "timestamp", validation_timestamp, filename FROM ${silver}
