"""Which model, on which hardware, worked with how: a recommendation with its reasons."""
