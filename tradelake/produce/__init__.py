"""What puts trades into Kafka: recordings, the shipped sample, and a seeded generator, in Confluent wire format."""

from udfs.exchange import MODULES

KEY_FIELD = {name: module.KEY for name, module in MODULES.items()}
"""The field of the raw trade that is its Kafka key."""
