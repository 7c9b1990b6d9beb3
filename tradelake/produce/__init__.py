"""What puts trades into Kafka: recordings, the shipped sample, and a seeded generator, in Confluent wire format."""

KEY_FIELD = {"binance": "symbol", "kraken": "pair"}
"""The field of the raw trade that is its Kafka key."""
