"""What the lake must hold, worked out by itself: from the recordings, from Kafka and from the data contract.

Nothing here imports `udfs` or `tradelake`, and no number passes through a float. What it shares with the code under test is the contract.
"""
