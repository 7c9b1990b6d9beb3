"""Tests that start processes or speak to a broker of their own, without the stack: a supervisor, librdkafka's mock cluster."""
