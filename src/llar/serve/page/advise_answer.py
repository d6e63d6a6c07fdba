"""An advice on the page, with every figure's formula and source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nicegui import ui

from ...plan.advice.advise import NAMES, described
from ...plan.advice.figures import money_text
from ...plan.advice.records import Advice
from ...plan.advice.report import answers, markdown
from ...plan.amount import shown
from .frame import Screen
from .parts import tag

__all__ = ["show_answer"]


def show_answer(screen: Screen, advice: Advice) -> None:
    """The recommendation, why, what would change it, the figures. The library says it in English;
    the headings are in the reader's language."""
    say = screen.say
    with ui.element("section").classes("t-card t-advice"):
        tag("h2", say("recommended"))
        tag("p", advice.headline, "t-headline", "lang=en")
        if screen.language != "en":
            tag("p", say("in_english"), "l-quiet l-small")
        _table(_parts(screen, advice), (say("part"), say("recommended")))
        button = ui.button(say("save"), icon="download")
        button.on_click(lambda: ui.download.content(markdown(advice), "llar-advice.md"))
        button.props("outline")
    _lines(say("why"), [f"{r.about}: {r.text}" for r in advice.reasons])
    _lines(say("mind"), advice.warnings, "t-warn")
    _lines(say("change"), advice.changes)
    if advice.alternatives:
        with ui.element("section").classes("t-card"):
            tag("h2", say("others"))
            _table(((a.name, a.why_not) for a in advice.alternatives), (say("other"), say("not")))
    with ui.element("section").classes("t-card"):
        tag("h2", say("figures"))
        tag("p", say("figures_about"), "l-quiet")
        rows = ((f.name, shown(f), f.formula, f.source) for f in advice.figures)
        heads = (say("figure"), say("value"), say("formula"), say("source"))
        _table(rows, heads)
    with ui.element("section").classes("t-card"):
        tag("h2", say("asked"))
        _table(answers(advice), (say("question"), say("answer")))
    _lines(say("assumptions"), advice.assumptions)


def _parts(screen: Screen, advice: Advice) -> list[tuple[str, str]]:
    """What is recommended, part by part."""
    say = screen.say
    if advice.way is None:
        return [(say("model"), say("nothing"))]
    found = [(say("model"), described(advice.way)), (say("licence"), advice.way.licence)]
    found += [(say("way"), f"{NAMES[m.name]}: {m.why}") for m in advice.methods]
    if advice.embedder:
        found.append((say("embedder"), advice.embedder))
    if advice.way.once:
        found.append((say("pay_once"), money_text(advice.way.once, advice.situation)))
    if advice.way.monthly:
        found.append((say("pay_monthly"), money_text(advice.way.monthly, advice.situation)))
    return found


def _lines(title: str, lines: Sequence[str], style: str = "") -> None:
    if not lines:
        return
    with ui.element("section").classes(f"t-card {style}"):
        tag("h2", title)
        with ui.element("ul").classes("t-list").props("lang=en"):
            for line in lines:
                tag("li", line)


def _table(rows: Iterable[tuple[str, ...]], heads: tuple[str, ...]) -> None:
    """The first column names the row; on a narrow screen each cell says what it is."""
    found = list(rows)
    if not found:
        return
    with ui.element("div").classes("t-scroll"), ui.element("table").classes("t-table t-stack"):
        with ui.element("thead"), ui.element("tr"):
            for head in heads:
                tag("th", head, props="scope=col")
        with ui.element("tbody").props("lang=en"):
            for row in found:
                with ui.element("tr"):
                    tag("th", row[0], props="scope=row")
                    for head, cell in zip(heads[1:], row[1:], strict=True):
                        tag("td", cell).props["data-label"] = head
