"""Horizontal federated learning: parties with the same kind of data and different shoppers."""
