"""Vertical federated learning: the same customers, different columns."""
