"""What a model is made of: from names, files, a config.json or bare numbers to a Shape."""
