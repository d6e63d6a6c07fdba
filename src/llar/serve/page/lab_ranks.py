"""Rankings beside each other, with a line from each passage to where it stands in the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nicegui import ui

from ...records import Chunk, Source
from .lab_look import Column, Place
from .lab_steps import score_name
from .library_parts import milliseconds, number, tag
from .words import Say

PITCH, GAP = 112, 8  # pixels from one card to the next, and of the space between them
ACROSS = 32  # pixels between two columns
SNIPPET = 140  # characters of a passage on its card; all of it opens with a click

Passages = Mapping[int, tuple[Source, Chunk]]


@dataclass(frozen=True, slots=True)
class Titled:
    """A column with what stands above it."""

    title: str
    about: str
    column: Column


def ranks(
    say: Say,
    language: str,
    columns: Sequence[Titled],
    passages: Passages,
    opened: Callable[[int], object],
    label: str,
) -> None:
    """Draw the columns; `opened` is called with a passage's chunk id when it is chosen."""
    rows = max((len(c.column.places) for c in columns), default=0)
    with tag("div", style="k-ranks", role="region", aria_label=label, tabindex=0):
        for n, titled in enumerate(columns):
            if n:
                _lines(columns[n - 1].column.places, titled.column.places, rows)
            _column(say, language, titled, passages, opened)


def _column(
    say: Say, language: str, titled: Titled, passages: Passages, opened: Callable[[int], object]
) -> None:
    column = titled.column
    with tag("section", style="k-column k-own" if column.own else "k-column"):
        with tag("header"):
            tag("h3", titled.title)
            tag("p", f"{titled.about} · {milliseconds(column.seconds, language)}")
        if not column.places:
            tag("p", say("nothing"), "l-quiet k-nothing")
        with tag("ol"):
            for place in column.places:
                _card(say, language, place, column, passages, opened)


def _card(
    say: Say,
    language: str,
    place: Place,
    column: Column,
    passages: Passages,
    opened: Callable[[int], object],
) -> None:
    found = passages.get(place.chunk_id)  # None: removed from the collection meanwhile
    with tag("li"):
        card = tag("button", style="k-hit", type="button", data_chunk=place.chunk_id)
    card.on("click", lambda: opened(place.chunk_id))
    with card:
        with tag("span", style="k-hit-top"):
            tag("span", str(place.rank), "k-rank")
            tag("span", where(say, *found) if found else say("gone"), "k-name")
            _moved(say, place, column)
        if found:
            text = " ".join(found[1].text.split())
            cut = text if len(text) <= SNIPPET else f"{text[:SNIPPET].rstrip()} …"
            tag("span", cut, "k-snippet")
        tag("span", scores(say, language, place), "k-score l-number")


def _moved(say: Say, place: Place, column: Column) -> None:
    """How far it moved since the column before, as a sign and in words."""
    if column.own or place.moved is None:
        return
    if place.moved == 0:
        tag("span", "=", "k-moved", aria_label=say("same"), role="img")
    elif place.moved > 0:
        sign = tag("span", f"▲{place.moved}", "k-moved k-up", role="img")
        sign.props["aria-label"] = say("up", count=place.moved)
    else:
        sign = tag("span", f"▼{-place.moved}", "k-moved k-down", role="img")
        sign.props["aria-label"] = say("down", count=-place.moved)


def where(say: Say, source: Source, chunk: Chunk) -> str:
    """A passage's document and page."""
    if chunk.first_page is None:
        return source.name
    return f"{source.name}, {say('page', number=chunk.first_page)}"


def scores(say: Say, language: str, place: Place) -> str:
    """A score and what it is made of."""
    parts = [
        f"{score_name(say, name)} {number(value, language, 3)}"
        for name, value in place.parts.items()
    ]
    whole = number(place.score, language, 3)
    return whole if len(parts) < 2 else f"{whole} · {' · '.join(parts)}"


def _lines(left: Sequence[Place], right: Sequence[Place], rows: int) -> None:
    """Curves between the two places of each passage that both columns hold."""
    at = {p.chunk_id: p.rank for p in left}
    height = max(rows, 1) * PITCH
    drawn = []
    for place in right:
        if place.chunk_id not in at:
            continue
        y1 = (at[place.chunk_id] - 1) * PITCH + (PITCH - GAP) // 2
        y2 = (place.rank - 1) * PITCH + (PITCH - GAP) // 2
        drawn.append(
            f'<path data-chunk="{place.chunk_id:d}" '
            f'd="M0 {y1}C{ACROSS // 2} {y1} {ACROSS // 2} {y2} {ACROSS} {y2}"/>'
        )
    svg = (
        f'<svg width="{ACROSS}" height="{height}" viewBox="0 0 {ACROSS} {height}" '
        f'aria-hidden="true">{"".join(drawn)}</svg>'
    )
    ui.html(svg, sanitize=False).classes("k-lines")  # numbers of ours only
