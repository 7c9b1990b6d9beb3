"""`tradelake audit`: is every Kafka offset in bronze once, every row of bronze in silver or rejected once, every trade in gold once?

The checks read one set of snapshots, pinned against the flow of the data: gold first, Kafka last. So what a layer has must be in the layer
before it, and what it lacks may still be on its way; that alone is looked at again until it has arrived or the patience is over.
"""
