"""Runs of a protocol: couriers, journals, the durable driver, rounds, comparison."""
