"""Commands for people who teach or choose: what happens inside a model."""
