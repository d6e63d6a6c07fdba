"""Bytes of running and of training a model, and the proof of them by measuring."""
