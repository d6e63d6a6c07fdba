"""Ways of retrieving, the steps of `--strategy`."""
