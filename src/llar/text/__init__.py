"""Language tools: words to index, languages, sentences."""
