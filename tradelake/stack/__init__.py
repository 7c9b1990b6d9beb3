"""The local stack: Kafka, schema registry, Iceberg catalog, object store, ZooKeeper and Flink as plain processes on 127.0.0.1."""
