"""Trades that no feed told, from the exchanges' REST APIs: into Kafka, as the feed would have sent them (`tradelake backfill`)."""
