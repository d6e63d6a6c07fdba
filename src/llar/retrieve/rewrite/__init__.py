"""What happens to a question before retrieval, the steps of `--query`."""
