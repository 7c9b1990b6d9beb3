"""What puts trades into Kafka: recordings, the shipped sample, and a seeded generator, in Confluent wire format."""
