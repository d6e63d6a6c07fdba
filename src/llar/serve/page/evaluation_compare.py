"""Two runs on the same questions: which is better, by how much, and whether chance explains it."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from ...evaluate.diff import RunsDiffer
from ...evaluate.statistics import Interval
from ..runs import RunShown
from ..threads import in_thread
from .evaluation_parts import (
    differences_table,
    draw_later,
    made_with,
    main_first,
    measure_name,
    verdict,
)
from .frame import Screen, frame, page
from .library_parts import number, sheet, tag

SHOWN = 8  # measures compared at first sight
DRAWN = 4
MOVED = 20


@page("/evaluation/compare")
async def show(a: str, b: str, measure: str = "") -> None:
    """The screen; differences are B less A, `measure` is the one that questions are ranked by."""
    sheet("library")
    sheet("evaluation")
    with frame("evaluation", heading=False) as screen:
        runs, identity = screen.state.library.runs, screen.identity()
        found = await in_thread(runs.compare, identity, a, b, measure=measure or None, most=MOVED)
        first = await in_thread(runs.run, identity, a)
        second = await in_thread(runs.run, identity, b)
        _draw(screen, found, first, second)


def _draw(screen: Screen, found: RunsDiffer, a: RunShown, b: RunShown) -> None:
    say, language = screen.say, screen.language
    with tag("nav", style="k-crumbs", aria_label=say("where")):
        ui.link(say("evaluation"), f"/evaluation?collection={a.row.collection}")
        tag("span", "›", aria_hidden="true")
        tag("span", say("comparison"), aria_current="page")
    tag("h2", say("comparison"), "k-title")
    with tag("dl", style="k-facts"):
        for letter, run in (("A", a), ("B", b)):
            tag("dt", letter)
            with tag("dd"):
                ui.link(run.row.id, f"/evaluation/run/{run.row.id}")
                changed = ", ".join(f"{k}={v}" for k, v in run.row.changed.items())
                tag("span", f" {changed or say('as_configured')}", "l-quiet l-small")
    with tag("div", style="k-toolbar"):
        ui.link(say("swap"), f"/evaluation/compare?a={b.row.id}&b={a.row.id}")
    names = main_first(list(found.differences))
    if not names:
        tag("p", say("nothing_shared"), "k-note")
        return
    _verdict(screen, found, names)
    tag("h3", say("differences"))
    differences_table(say, language, found.differences, names[:SHOWN], say("differences"))
    if len(names) > SHOWN:
        rest = names[SHOWN:]
        with ui.expansion(say("more_figures", count=len(rest))).classes("k-fold"):
            differences_table(say, language, found.differences, rest, say("differences"))
    tag("h3", say("both"))
    _both(screen, a, b, names[:SHOWN])
    place = tag("div")
    _moved(screen, found, a, b, names)
    made_with(say, found.made)
    intervals: list[dict[str, Interval]] = [
        {n: Interval(*of) for n, of in run.row.measures.items()} for run in (a, b)
    ]
    drawn_names = [n for n in names if all(n in of for of in intervals)][:DRAWN]
    draw_later(place, ["A", "B"], drawn_names, intervals, _alt(screen, intervals, drawn_names))


def _verdict(screen: Screen, found: RunsDiffer, names: list[str]) -> None:
    """What it comes to, in a sentence on the main measure."""
    say, main = screen.say, found.main if found.main in names else names[0]
    d = found.differences[main]
    key = verdict(d)
    said = say(
        f"verdict_{key}", measure=measure_name(main), count=found.questions,
        by=number(abs(d.mean), screen.language, 4), p=number(d.p, screen.language, 4),
    )  # fmt: skip
    tag("p", said, f"k-verdict k-{key}")


def _both(screen: Screen, a: RunShown, b: RunShown, names: list[str]) -> None:
    """Both runs' means with their intervals."""
    say, language = screen.say, screen.language
    with tag("div", style="k-card k-scroll"), tag("table", style="k-table"):
        tag("caption", say("both"), "l-unseen")
        with tag("thead"), tag("tr"):
            tag("th", say("measure"), scope="col")
            tag("th", "A", "k-num", scope="col")
            tag("th", "B", "k-num", scope="col")
        with tag("tbody"):
            for name in names:
                with tag("tr"):
                    tag("th", measure_name(name), scope="row")
                    for run in (a, b):
                        tag("td", _cell(run, name, language), "k-num")


def _cell(run: RunShown, name: str, language: str) -> str:
    if name not in run.row.measures:
        return "–"
    mean, low, high = (number(v, language, 3) for v in run.row.measures[name])
    return f"{mean} ({low} – {high})"


def _moved(screen: Screen, found: RunsDiffer, a: RunShown, b: RunShown, names: list[str]) -> None:
    """The questions that changed most by one measure, which may be chosen."""
    say, language = screen.say, screen.language
    with tag("div", style="k-toolbar"):
        tag("h3", say("moved"), "l-grow")
        choice = ui.select(
            {n: measure_name(n) for n in names},
            value=found.main if found.main in names else names[0],
            label=say("measure"),
        ).props("outlined dense")
        address = f"/evaluation/compare?a={a.row.id}&b={b.row.id}&measure="
        choice.on_value_change(lambda e: ui.navigate.to(f"{address}{e.value}"))
    if not found.moved:
        tag("p", say("none_moved"), "l-quiet")
        return
    with tag("div", style="k-card k-scroll"), tag("table", style="k-table"):
        tag("caption", say("moved"), "l-unseen")
        with tag("thead"), tag("tr"):
            tag("th", say("question"), scope="col")
            for text in ("A", "B", say("difference")):
                tag("th", text, "k-num", scope="col")
        with tag("tbody"):
            for moved in found.moved:
                change = moved.after - moved.before
                with tag("tr"):
                    tag("th", moved.question, scope="row")
                    tag("td", number(moved.before, language, 3), "k-num")
                    tag("td", number(moved.after, language, 3), "k-num")
                    style = "k-num k-better" if change > 0 else "k-num k-worse"
                    sign = "+" if change > 0 else ""
                    tag("td", sign + number(change, language, 3), style)


def _alt(screen: Screen, found: list[dict[str, Interval]], names: list[str]) -> str:
    """The picture in words: what it shows, with its numbers."""

    def said(of: dict[str, Any]) -> str:
        return ", ".join(
            f"{measure_name(n)} {number(of[n].mean, screen.language, 3)}" for n in names
        )

    return screen.say("compare_alt", a=said(found[0]), b=said(found[1]))
