"""Passages that score too low are left out."""

from __future__ import annotations

from ...records import Hit
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .scores import named


def min_score(hits: list[Hit], _query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Leave out passages that score less than a number or a share of the best: min-score:x.

    `x` is a number such as 0.4, compared with the score as it is at this point, or a percentage
    such as 50% of the best score. What goes is on record. Raises QueryError.
    """
    arguments = Arguments("min-score:x", argument, "post")
    text = arguments.text(0)
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        raise arguments.error(f"{text!r} is no score, such as 0.4 or 50%") from None
    if not 0 <= value <= (100 if text.endswith("%") else float("inf")):
        raise arguments.error(f"{text!r} is no score, such as 0.4 or 50%")
    best = max((h.score for h in hits), default=0.0)
    least = best * value / 100 if text.endswith("%") else value
    gone = [h for h in hits if h.score < least]
    with searcher.step("too low") as about:
        about["least"] = least
        about["dropped"] = [{**named(h), "score": h.score} for h in gone]
    return [h for h in hits if h.score >= least]
