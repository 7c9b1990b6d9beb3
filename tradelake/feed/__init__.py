"""Trades from the exchanges' own WebSockets, as they happen: into Kafka (`tradelake feed`), or into files (`tradelake record`)."""
