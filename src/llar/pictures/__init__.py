"""Pictures for slides and reports: one look for all commands that draw, light or dark."""
