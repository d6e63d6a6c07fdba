"""`python -m llar` is `llar`."""

from .cli import main

main()
