"""A collection on disk: what it holds, how files get in, how passages are found in it."""
