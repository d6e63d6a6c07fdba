"""Look inside a language model: tokens, decoding, numbers, meanings."""
