"""An advice as Markdown, to be handed to those who decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..amount import shown
from .advise import NAMES, described
from .figures import money
from .records import Advice

__all__ = ["answers", "markdown"]


def answers(advice: Advice) -> list[tuple[str, str]]:
    """The situation as (what, answer), in the order of the questions."""
    said = advice.situation

    def budget(amount: float | None) -> str:
        return "no limit" if amount is None else str(money(amount, said))

    return [
        ("Documents are", said.data),
        ("Users", f"{said.users:,}"),
        ("Task", said.task),
        ("Documents", f"{said.documents:,} of {said.pages:,} pages"),
        ("Languages", ", ".join(said.languages)),
        ("An answer begins after at most", f"{said.latency:g} s"),
        ("Budget, once", budget(None if said.once is None else float(said.once))),
        ("Budget, a month", budget(None if said.monthly is None else float(said.monthly))),
        ("Hardware at hand", ", ".join(said.hardware) or "none"),
        ("Examples to learn from", f"{said.examples:,}"),
        ("Licences", "open source only" if said.open_licence else "any that allow the use"),
    ]


def markdown(advice: Advice) -> str:
    """The report: headline, recommendation, reasons, figures with formulas and sources."""
    return "\n".join(_lines(advice)) + "\n"


def _lines(advice: Advice) -> Iterator[str]:
    yield "# Which model, on which hardware: a recommendation"
    yield ""
    yield f"{advice.dated}, made by llar plan advise without any network."
    yield ""
    yield f"**{_cell(advice.headline)}**"
    yield from _section("Recommendation", _recommendation(advice))
    yield from _section("Why", [f"- **{r.about}**: {_cell(r.text)}" for r in advice.reasons])
    yield from _section("Mind", [f"- {_cell(w)}" for w in advice.warnings])
    yield from _section("What would change it", [f"- {_cell(c)}" for c in advice.changes])
    rows = [(a.name, a.why_not) for a in advice.alternatives]
    yield from _section("What else was considered", _table(("Alternative", "Why not"), rows))
    figures = [(f.name, shown(f), f.formula, f.source) for f in advice.figures]
    yield from _section(
        "Figures", _table(("What", "Value (~ estimate)", "Formula", "Source"), figures)
    )
    yield from _section("Situation", _table(("Question", "Answer"), answers(advice)))
    yield from _section("Assumptions", [f"- {_cell(a)}" for a in advice.assumptions])


def _recommendation(advice: Advice) -> list[str]:
    if advice.way is None:
        return ["Within these limits, none. What would allow one stands below."]
    rows: list[tuple[str, str]] = [("Model and hardware", described(advice.way))]
    rows += [("Licence", advice.way.licence)]
    rows += [(f"Way of working: {NAMES[m.name]}", m.why) for m in advice.methods]
    if advice.embedder:
        rows.append(("Embedding model of the search", advice.embedder))
    said = advice.situation
    if advice.way.once:
        rows.append(("To pay once", str(money(advice.way.once, said))))
    if advice.way.monthly:
        rows.append(("To pay a month, without electricity", str(money(advice.way.monthly, said))))
    return _table(("Part", "Recommended"), rows)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield from ("", f"## {title}", "", *found)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    found = [[_cell(cell) for cell in row] for row in rows]
    if not found:
        return []
    return [
        f"| {' | '.join(header)} |",
        f"|{'|'.join(' --- ' for _ in header)}|",
        *(f"| {' | '.join(row)} |" for row in found),
    ]


def _cell(text: str) -> str:
    """Text that stays in its place: no line ends, no bars, no markup."""
    flat = " ".join(text.split())
    for mark in ("\\", "|", "*", "`", "<", "[", "]"):
        flat = flat.replace(mark, f"\\{mark}")
    return flat
