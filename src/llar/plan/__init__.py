"""What a model takes before anyone buys or downloads it: memory, speed, cost, energy, advice.

Nothing here needs a network or an installed model. Every number is a `Figure`, which carries the
formula it came from and the source of that formula.
"""
