"""Figures of evaluation as tables and pictures: intervals, differences, what they mean."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nicegui import ui

from ...errors import PictureError
from ...evaluate.plot import plot
from ...evaluate.runs import Result
from ...evaluate.statistics import Difference, Interval
from ..threads import in_thread
from .library_parts import number, tag
from .words import Say

LEVEL = 0.05  # p below which a difference is called one
MAIN = ("ndcg@10", "recall@10", "hit@10", "mrr@10", "f1", "semscore", "citation_recall", "answered",
        "abstention_recall")  # fmt: skip
_NAMES = {
    "ndcg": "nDCG", "mrr": "MRR", "map": "MAP", "f1": "F1", "bleu": "BLEU", "chrf": "chrF",
    "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum",
    "meteor": "METEOR", "semscore": "SemScore",
}  # fmt: skip


def measure_name(name: str) -> str:
    """A measure as it is written: ndcg@10 is nDCG@10, exact_match is exact match."""
    base, at, k = name.partition("@")
    return f"{_NAMES.get(base, base.replace('_', ' '))}{at}{k}"


def main_first(names: Sequence[str]) -> list[str]:
    """The main measures, then the others as they come."""
    return [*(n for n in MAIN if n in names), *(n for n in names if n not in MAIN)]


def figures_table(
    say: Say,
    language: str,
    measures: Mapping[str, tuple[float, float, float]],
    results: Sequence[Result],
    names: Sequence[str],
    label: str,
) -> None:
    """Means with their intervals, as numbers and as marks on a line from 0 to 1."""
    counts = {n: sum(n in r.measures for r in results) for n in names}
    with tag("div", style="k-card k-scroll"), tag("table", style="k-table k-figures"):
        tag("caption", label, "l-unseen")
        with tag("thead"), tag("tr"):
            tag("th", say("measure"), scope="col")
            tag("th", say("mean"), "k-num", scope="col")
            tag("th", say("interval"), "k-num", scope="col")
            tag("td", "0 – 1", "k-axis", aria_hidden="true")
            tag("th", say("questions"), "k-num", scope="col")
        with tag("tbody"):
            for name in names:
                at = Interval(*measures[name])
                with tag("tr"):
                    tag("th", measure_name(name), scope="row")
                    tag("td", number(at.mean, language, 4), "k-num k-mean")
                    tag("td", _range(at.low, at.high, language), "k-num")
                    with tag("td", style="k-axis", aria_hidden="true"):
                        if at.low >= 0 and at.high <= 1:
                            _mark(at.low, at.mean, at.high)
                    tag("td", number(counts[name], language), "k-num")


def _range(low: float, high: float, language: str, *, signed: bool = False) -> str:
    def shown(value: float) -> str:
        return ("+" if signed and value > 0 else "") + number(value, language, 4)

    return f"{shown(low)} – {shown(high)}"


def _mark(low: float, mean: float, high: float) -> None:
    """An interval and its mean on a line from 0 to 1."""
    with tag("div", style="k-line"):
        tag("div", "", "k-band").style(f"left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%")
        tag("div", "", "k-dot").style(f"left:{100 * mean:.2f}%")


def differences_table(
    say: Say, language: str, found: Mapping[str, Difference], names: Sequence[str], label: str
) -> None:
    """How much the second is better, with intervals, p-values and what they mean in words."""
    widest = max([0.01, *(max(abs(found[n].low), abs(found[n].high)) for n in names)])
    with tag("div", style="k-card k-scroll"), tag("table", style="k-table k-figures"):
        tag("caption", label, "l-unseen")
        with tag("thead"), tag("tr"):
            tag("th", say("measure"), scope="col")
            tag("th", say("difference"), "k-num", scope="col")
            tag("th", say("interval"), "k-num", scope="col")
            tag("td", say("axis"), "k-axis", aria_hidden="true")
            tag("th", "p", "k-num", scope="col")
            tag("th", say("meaning"), scope="col")
        with tag("tbody"):
            for name in names:
                d = found[name]
                with tag("tr"):
                    tag("th", measure_name(name), scope="row")
                    sign = "+" if d.mean > 0 else ""
                    tag("td", sign + number(d.mean, language, 4), "k-num k-mean")
                    tag("td", _range(d.low, d.high, language, signed=True), "k-num")
                    with tag("td", style="k-axis k-axis-middle", aria_hidden="true"):
                        low, mean, high = (0.5 + v / widest / 2 for v in (d.low, d.mean, d.high))
                        _mark(low, mean, high)
                    tag("td", number(d.p, language, 4), "k-num")
                    key = verdict(d)
                    tag("td", say(key), f"k-{key}")


def verdict(d: Difference) -> str:
    """What a difference means: "better", "worse", or "unclear" where chance could explain it."""
    if d.p >= LEVEL:
        return "unclear"
    return "better" if d.mean > 0 else "worse"


def picture(
    names: Sequence[str], measures: Sequence[str], found: Sequence[dict[str, Interval]]
) -> dict[str, str] | str:
    """The runs' intervals drawn for light and dark, as data addresses; else why not.

    Drawing takes a second or two: call it in a thread.
    """
    drawn = {}
    with tempfile.TemporaryDirectory() as folder:
        for theme in ("light", "dark"):
            file = Path(folder) / f"{theme}.svg"
            try:
                plot(file, names, measures, found, theme)
            except PictureError as e:
                return str(e)
            data = base64.b64encode(file.read_bytes()).decode()
            drawn[theme] = f"data:image/svg+xml;base64,{data}"
    return drawn


def draw_later(
    place: ui.element, names: Sequence[str], measures: Sequence[str],
    found: Sequence[dict[str, Interval]], alt: str,
) -> None:  # fmt: skip
    """Draw into `place` once the page is there: a picture must not keep anybody waiting."""

    async def draw() -> None:
        drawn = await in_thread(picture, names, measures, found)
        place.clear()
        with place:
            _show(drawn, alt)

    with place:
        ui.skeleton().classes("k-skeleton").props("aria-hidden=true")
    ui.timer(0.05, draw, once=True)


def _show(drawn: dict[str, str] | str, alt: str) -> None:
    """The picture that goes with the page's colours, or what kept it from being drawn."""
    if isinstance(drawn, str):
        tag("p", drawn, "k-note")
        return
    with tag("figure", style="k-figure"):
        for theme, address in drawn.items():
            tag("img", "", f"k-{theme}", src=address, alt=alt)


def made_with(say: Say, rows: Sequence[tuple[str, Any, Any]]) -> None:
    """What two runs were made with where it differs."""
    with ui.expansion(say("made_with", count=len(rows))).classes("k-fold"), tag(
        "div", style="k-scroll"
    ), tag("table", style="k-table"):  # fmt: skip
        tag("caption", say("made_with", count=len(rows)), "l-unseen")
        with tag("thead"), tag("tr"):
            for key in ("setting", "run_a", "run_b"):
                tag("th", say(key), scope="col")
        with tag("tbody"):
            for where, a, b in rows:
                with tag("tr"):
                    tag("th", where, scope="row")
                    tag("td", str(a), "k-value")
                    tag("td", str(b), "k-value")
