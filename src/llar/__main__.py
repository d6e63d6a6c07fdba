"""`python -m llar` is `llar`: both begin here."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `llar`. Ctrl-C while it loads, or while it already stops, is no error either."""
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
