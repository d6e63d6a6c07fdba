"""Which line of a text is a table's caption."""

from __future__ import annotations

import re

_CAPTION = re.compile(
    r"(?:table|tabla|taula|tableau|tabelle|tabella|tabela|cuadro|quadre|quadro)"
    r"[\s\u00a0]*(?:\d|[IVXLC]+\b|[A-Z]\.?\d|:)"
    r"|\d+\.[\s\u00a0]*táblázat\b",
    re.IGNORECASE,
)
_LONGEST = 400


def is_caption(line: str) -> bool:
    """Whether a line reads "Table 3: ...", in one of the languages llar knows best."""
    return len(line) <= _LONGEST and _CAPTION.match(line.strip("*_ \t")) is not None
