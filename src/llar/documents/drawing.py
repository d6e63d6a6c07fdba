"""Charts, diagrams and formulas of office files as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .compose import squeeze
from .marks import superscript
from .zipped import attribute, child, local

_MOST_POINTS = 10_000
_PROPERTIES = frozenset(("rPr", "ctrlPr", "sSupPr", "sSubPr", "fPr", "radPr", "dPr", "naryPr"))


def chart_table(root: Any) -> tuple[str | None, list[list[str]]]:
    """A chart's title, and its stored values: a row per category, a column per series."""
    title = None
    for holder in root.iter():
        if local(holder) == "title" and title is None:
            title = squeeze("".join(_texts(holder))) or None
        if local(holder) == "plotArea":
            break
    names: list[str] = []
    columns: list[dict[int, str]] = []
    labels: dict[int, str] = {}
    for series in (e for e in root.iter() if local(e) == "ser"):
        name = next((c for c in series if local(c) == "tx"), None)
        names.append(squeeze(" ".join(_points(name).values())) if name is not None else "")
        for part in series:
            if local(part) in ("cat", "xVal"):
                labels = labels or _points(part)
            elif local(part) in ("val", "yVal"):
                columns.append(_points(part))
    columns += [{} for _ in range(len(names) - len(columns))]
    indexes = sorted(set(labels).union(*columns)) if columns else []
    rows = [["", *names]]
    rows += [[labels.get(i, ""), *(c.get(i, "") for c in columns)] for i in indexes]
    return title, rows if indexes else []


def diagram_lines(root: Any) -> list[str]:
    """The texts of a SmartArt diagram's data, one per node."""
    nodes = (squeeze("".join(_texts(e))) for e in root.iter() if local(e) == "pt")
    return [text for text in nodes if text]


def formula(element: Any) -> str:
    """An Office formula on one line: fractions with a slash, powers raised, roots with a sign."""
    name = local(element)
    if name == "t":
        return element.text or ""
    if name in _PROPERTIES:
        return ""
    parts = {local(c): formula(c) for c in element}
    inside = parts.get("e", "")
    written = {
        "f": lambda: f"{_grouped(parts.get('num', ''))}/{_grouped(parts.get('den', ''))}",
        "sSup": lambda: inside + _raised(parts.get("sup", "")),
        "sSub": lambda: f"{inside}_{_grouped(parts.get('sub', ''))}",
        "rad": lambda: f"√{_grouped(inside)}",
        "d": lambda: f"({', '.join(formula(c) for c in element if local(c) == 'e')})",
        "nary": lambda: _sum_sign(element, parts) + inside,
    }.get(name)
    return written() if written else "".join(formula(c) for c in element)


def _raised(power: str) -> str:
    raised = superscript(power)
    return raised if raised != power else f"^{_grouped(power)}"


def _sum_sign(element: Any, parts: dict[str, str]) -> str:
    """The sign of a sum, product or integral with its limits."""
    holder = child(element, "naryPr", "chr")
    sign = (attribute(holder, "val") if holder is not None else None) or "∫"
    low, high = parts.get("sub", ""), parts.get("sup", "")
    return (
        sign + (f"_{_grouped(low)}" if low else "") + (f"^{_grouped(high)}" if high else "") + " "
    )


def _grouped(text: str) -> str:
    bare = len(text) < 2 or text.isalnum() or (text[0] == "(" and text.find(")") == len(text) - 1)
    return text if bare else f"({text})"


def _points(holder: Any) -> dict[int, str]:
    points: dict[int, str] = {}
    for point in holder.iter():
        if local(point) == "pt" and len(points) < _MOST_POINTS:
            value = next((c.text or "" for c in point if local(c) == "v"), "")
            index = point.get("idx") or "0"
            points[int(index) if index.isdigit() else 0] = value
    return points


def _texts(holder: Any) -> Iterator[str]:
    return (e.text or "" for e in holder.iter() if local(e) == "t")
