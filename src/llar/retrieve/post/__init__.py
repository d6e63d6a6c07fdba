"""What happens to the passages found, the steps of `--post`."""
