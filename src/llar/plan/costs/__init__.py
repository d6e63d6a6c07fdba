"""Tokens, prices, owning and renting, energy, and the cost of training."""
