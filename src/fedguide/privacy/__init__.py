"""Noise that is drawn exactly, and what it costs: mechanisms, samplers, accounting."""
