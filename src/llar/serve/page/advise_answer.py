"""An advice on the page, with every figure's formula and source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from nicegui import ui

from ...plan.advice.advise import NAMES, described
from ...plan.advice.figures import money
from ...plan.advice.records import Advice
from ...plan.advice.report import markdown
from ...plan.sentence import Sentence
from .advise_said import quantity, said, value
from .frame import Screen
from .library_parts import number
from .parts import tag

__all__ = ["asked", "show_answer"]


def show_answer(screen: Screen, advice: Advice) -> None:
    """The recommendation, why, what would change it, the figures; all in the reader's language."""
    say, language = screen.say, screen.language
    with ui.element("section").classes("t-card t-advice"):
        tag("h2", say("recommended"))
        tag("p", said(advice.headline, language), "t-headline")
        _table(_parts(screen, advice), (say("part"), say("recommended")))
        button = ui.button(say("save"), icon="download")
        button.on_click(lambda: ui.download.content(markdown(advice), "llar-advice.md"))
        button.props("outline")
    why = [f"{say(f'about_{r.about}')}: {said(r.text, language)}" for r in advice.reasons]
    _lines(say("why"), why)
    _lines(say("mind"), [said(w, language) for w in advice.warnings], "t-warn")
    _lines(say("change"), [said(c, language) for c in advice.changes])
    if advice.alternatives:
        with ui.element("section").classes("t-card"):
            tag("h2", say("others"))
            rows = [(said(a.name, language), said(a.why_not, language))
                    for a in advice.alternatives]  # fmt: skip
            _table(rows, (say("other"), say("not")))
    with ui.element("section").classes("t-card"):
        tag("h2", say("figures"))
        tag("p", say("figures_about"), "l-quiet")
        figures = [
            (said(f.name, language), value(f, language), said(f.formula, language),
             said(f.source, language))
            for f in advice.figures
        ]  # fmt: skip
        quoted = [not isinstance(f.source, Sentence) for f in advice.figures]
        _table(figures, (say("figure"), say("value"), say("formula"), say("source")), quoted)
    with ui.element("section").classes("t-card"):
        tag("h2", say("asked"))
        _table(asked(screen, advice), (say("question"), say("answer")))
    _lines(say("assumptions"), [said(a, language) for a in advice.assumptions])


def _parts(screen: Screen, advice: Advice) -> list[tuple[str, str]]:
    """What is recommended, part by part."""
    say, language = screen.say, screen.language
    if advice.way is None:
        return [(say("model"), say("nothing"))]
    found = [(say("model"), said(described(advice.way), language))]
    found += [(say("licence"), said(advice.way.licence, language))]
    found += [(say("way"), f"{said(NAMES[m.name], language)}: {said(m.why, language)}")
              for m in advice.methods]  # fmt: skip
    if advice.embedder:
        found.append((say("embedder"), advice.embedder))
    for key, amount in (("pay_once", advice.way.once), ("pay_monthly", advice.way.monthly)):
        if amount:
            found.append((say(key), quantity(money(amount, advice.situation), language)))
    return found


def asked(screen: Screen, advice: Advice) -> list[tuple[str, str]]:
    """The situation as (question, answer), in the order of the questions."""
    say, language, told = screen.say, screen.language, advice.situation

    def budget(amount: Decimal | None) -> str:
        return say("no_limit") if amount is None else quantity(money(float(amount), told), language)

    counts = {key: number(getattr(told, key), language)
              for key in ("users", "documents", "pages", "examples")}  # fmt: skip
    answers = {
        "data": say(f"data_{told.data}"),
        "task": say(f"task_{told.task}"),
        "languages": ", ".join(told.languages),
        "latency": f"{number(told.latency, language, 0 if told.latency.is_integer() else 1)} s",
        "once": budget(told.once),
        "monthly": budget(told.monthly),
        "hardware": ", ".join(said(n, language) for n in told.hardware) or say("no_hardware"),
    } | counts
    order = ("data", "users", "task", "documents", "pages", "languages", "latency", "once",
             "monthly", "hardware", "examples")  # fmt: skip
    licences = say("open_only" if told.open_licence else "any_licence")
    return [*((say(key), answers[key]) for key in order), (say("licences"), licences)]


def _lines(title: str, lines: Sequence[str], style: str = "") -> None:
    if not lines:
        return
    with ui.element("section").classes(f"t-card {style}"):
        tag("h2", title)
        with ui.element("ul").classes("t-list"):
            for line in lines:
                tag("li", line)


def _table(
    rows: Iterable[tuple[str, ...]], heads: tuple[str, ...], quoted: Sequence[bool] = ()
) -> None:
    """The first column names the row; on a narrow screen each cell says what it is.

    `quoted` says of each row whether its last cell is quoted as it is published, in English.
    """
    found = list(rows)
    if not found:
        return
    with ui.element("div").classes("t-scroll"), ui.element("table").classes("t-table t-stack"):
        with ui.element("thead"), ui.element("tr"):
            for head in heads:
                tag("th", head, props="scope=col")
        with ui.element("tbody"):
            for n, row in enumerate(found):
                with ui.element("tr"):
                    tag("th", row[0], props="scope=row")
                    for head, text in zip(heads[1:], row[1:], strict=True):
                        cell = tag("td", text)
                        cell.props["data-label"] = head
                    if quoted and quoted[n]:
                        cell.props["lang"] = "en"
