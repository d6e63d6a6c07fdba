"""A map of meanings as one HTML page, with its script in it and nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from string import Template
from typing import Any

from ..errors import InsideError
from .map import Map

__all__ = ["SCRIPT", "check", "data", "page", "write"]

_PAGE = Path(__file__).with_name("page")
SCRIPT = _PAGE / "map.js"
_CALL = 'llarMap(document, JSON.parse(document.getElementById("data").textContent));\n'
_NAMED = 16  # groups with a colour and a shape of their own, as on pictures
# What could end a script element or a line of JavaScript, and halves of characters.
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def page(drawn: Map, about: str) -> str:
    """The page: points to hover, zoom and walk with the keyboard, light or dark as the reader's.

    The policy in its head forbids every script but its own, and all loading from anywhere.
    """
    style = (_PAGE / "map.css").read_text(encoding="utf-8")
    script = SCRIPT.read_text(encoding="utf-8") + _CALL
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    return Template((_PAGE / "map.html").read_text(encoding="utf-8")).substitute(
        policy=policy,
        title=_text(drawn.title),
        about=_text(about),
        style=style,
        script=script,
        data=_UNSAFE.sub(
            lambda found: f"\\u{ord(found[0]):04x}",
            json.dumps(data(drawn), ensure_ascii=False, separators=(",", ":"), allow_nan=False),
        ),
    )


def data(drawn: Map) -> dict[str, Any]:
    """What map.js draws."""
    number = {group.name: n for n, group in enumerate(drawn.groups)}
    return {
        "named": _NAMED,
        "groups": [{"name": g.name, "size": g.size, "typical": g.typical} for g in drawn.groups],
        "points": [
            [_place(p.x), _place(p.y), number[p.group], p.text, p.source] for p in drawn.points
        ],
    }


def check(file: Path) -> None:
    """Raise InsideError where no page could be written to this file."""
    if file.suffix.lower() not in (".html", ".htm"):
        raise InsideError(f"{str(file)!r}: expected a name that ends in .html")
    if not file.absolute().parent.is_dir():
        raise InsideError(f"there is no folder {str(file.absolute().parent)!r} to write into")


def write(file: Path, drawn: Map, about: str) -> None:
    """Write the page. Raises InsideError as `check`, or where the file cannot be written."""
    check(file)
    try:
        file.write_text(page(drawn, about), encoding="utf-8")
    except OSError as e:
        raise InsideError(f"{str(file)!r} cannot be written: {e.strerror or e}") from e


def _place(value: float) -> float:
    """Six digits, more than a screen can show."""
    return float(f"{value:.6g}")


def _text(text: str) -> str:
    return html.escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _digest(text: str) -> str:
    """A source of a content security policy: these bytes and no others."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
