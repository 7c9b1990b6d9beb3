"""The pure core: bytes of a Kafka message -> a trade of the 15 V2 columns, or the one reason why not.

No Flink, no clock, no configuration: everything comes in as an argument. `judge` is the exact row-by-row reference, `batch` the
column-wise path that accepts a part of what the judge accepts, with equal values.
"""
