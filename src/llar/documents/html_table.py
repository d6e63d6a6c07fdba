"""An HTML table as rows of cells, spans written out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from .compose import squeeze
from .markdown_table import Cell, spread
from .marks import superscript

_MOST_SPAN = 1_000  # browsers cap colspan there (html.spec.whatwg.org, "processing rows")
_SECTION_PARTS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6", "pre", "table"])
_LONG_CELL = 300  # characters; with a heading or table inside that is a section, not a value
_BREAKS = frozenset(
    [
        "br",
        "p",
        "div",
        "li",
        "ul",
        "ol",
        "dl",
        "dt",
        "dd",
        "tr",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "pre",
    ]
)
_SILENT = frozenset(["script", "style", "template", "noscript", "svg"])


@dataclass(frozen=True, slots=True)
class HtmlTable:
    """Rows of equal meaning as a browser lays them out, and the tables inside its cells."""

    rows: list[list[str]]
    caption: str | None
    inner: list[list[list[str]]]


def is_layout(table: Any) -> bool:
    """Whether a table only places things on the page.

    So it is with that role; and, where it has no header cells and no caption, with no second
    column, or where headings, code or tables stand in its only row, in most of its cells, or in a
    cell with long text.
    """
    if (table.get("role") or "").lower() in ("presentation", "none"):
        return True
    rows = [list(_cells(row)) for row in _rows(table)]
    cells = [cell for row in rows for cell in row]
    if any(cell.tag == "th" for cell in cells) or table.find("caption") is not None:
        return False
    if max((len(row) for row in rows), default=0) < 2:
        return True
    sections = [cell for cell in cells if any(e.tag in _SECTION_PARTS for e in cell.iter())]
    if not sections:
        return False
    if len(rows) < 2 or 2 * len(sections) > len(cells):
        return True
    return any(len(squeeze("".join(cell.itertext()))) > _LONG_CELL for cell in sections)


def read_table(table: Any) -> HtmlTable:
    """The table's grid: header, body and footer rows in that order."""
    declared = [
        [[_cell(cell) for cell in _cells(row)] for row in group] for group in _groups(table)
    ]
    caption = table.find("caption")
    inner = [
        read_table(nested).rows
        for nested in table.iter("table")
        if nested is not table and not is_layout(nested)
    ]
    return HtmlTable(
        rows=[row for group in declared for row in spread(group)],
        caption=squeeze(" ".join(caption.itertext())) or None if caption is not None else None,
        inner=[rows for rows in inner if len(rows) > 1],
    )


def _rows(table: Any) -> list[Any]:
    return [row for group in _groups(table) for row in group]


def _groups(table: Any) -> list[list[Any]]:
    """Rows by the head, bodies and foot of a table, in that order; no cell spans two of them."""
    parts: dict[str, list[list[Any]]] = {"thead": [], "tbody": [], "tfoot": []}
    open_body = False
    for child in table:
        if child.tag == "tr":
            if not open_body:
                parts["tbody"].append([])
            parts["tbody"][-1].append(child)
        elif child.tag in parts:
            parts[child.tag].append([row for row in child if row.tag == "tr"])
        open_body = child.tag == "tr"
    return [*parts["thead"], *parts["tbody"], *parts["tfoot"]]


def _cell(cell: Any) -> Cell:
    return Cell(_text(cell), _span(cell, "colspan", 1), _span(cell, "rowspan", 0))


def _cells(row: Any) -> Iterator[Any]:
    return (cell for cell in row if cell.tag in ("td", "th"))


def _span(cell: Any, name: str, least: int) -> int:
    value = (cell.get(name) or "").strip()
    return max(least, min(int(value), _MOST_SPAN)) if value.isascii() and value.isdigit() else 1


def _text(cell: Any) -> str:
    parts: list[str] = []
    steps = etree.iterwalk(cell, events=("start", "end"))
    for event, element in steps:
        if event == "start":
            if element.tag in _SILENT or element.get("hidden") is not None:
                steps.skip_subtree()
                continue
            if element.tag in _BREAKS:
                parts.append(" ")
            if element.tag == "sup":
                parts.append(superscript("".join(element.itertext())))
                steps.skip_subtree()
                continue
            parts.append(element.text or "")
        elif element is not cell:
            if element.tag in _BREAKS or element.tag in ("td", "th"):
                parts.append(" ")
            parts.append(element.tail or "")
    return squeeze("".join(parts))
