"""Machines: what they are, what fits them, how fast they run a model."""
