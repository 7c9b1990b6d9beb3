"""The jobs: one module each, submitted by `flink run -py`. They wire; what a trade is stands in `udfs`, what is asked of Flink in `sql`."""
