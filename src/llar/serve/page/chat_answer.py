"""An answer on the page: its sentences and sources, what was left out, what was not found."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nicegui.element import Element

from ..turns import Turn
from .parts import document_address, follow_link, icon, tag, written
from .words import Say

Open = Callable[[Turn, dict[str, Any]], object]  # shows a passage beside the chat
Ask = Callable[[str], object]

_REASONS = {
    "it was said before": "because_before",
    "it is beside the question": "because_beside",
    "no passage was found": "because_nothing",
    "the nearest passage means something else": "because_meaning",
    "it only repeats the question": "because_repeats",
    "the passages do not say it": "because_unsaid",
    "one of sentence and passage is negated": "because_negated",
    "the value stands in another row of the table": "because_row",
    "the value stands in another column of the table": "because_column",
    "the passage says that it is, not that it may be": "because_possible",
    "the passage puts the words in another order": "because_order",
    "it repeats itself": "because_stutters",
    "it says nothing": "because_empty",
}
_MISSING = re.compile(r"(.+) does not stand there in the passage", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s+", re.MULTILINE)  # Markdown's mark before one
_SUGGESTED = 3


def show(turn: Turn, say: Say, opens: Open, asks: Ask) -> None:
    """The whole answer of a turn that is finished, without its buttons."""
    answer = turn.answer
    if turn.state in ("failed", "stopped"):
        _broken_off(turn, say)
    if answer.get("plain"):
        _plain(answer, say)
        return
    if answer.get("abstained"):
        _not_found(turn, say, opens)
    else:
        _sentences(turn, say, opens)
    looked_up = answer.get("looked_up", "")
    if looked_up and looked_up != turn.question:
        tag("p", say("looked_up", question=looked_up), "l-quiet l-small")
    if answer.get("citations"):
        _sources(turn, say, opens)
    left_out(answer.get("sentences", ()), say)
    _more(turn, say, asks)


def line(s: dict[str, Any], turn: Turn, say: Say, opens: Open) -> Element:
    """One supported sentence with the numbers of its sources."""
    with tag("span", classes="l-sentence") as element:
        if s.get("computed"):
            with tag("span", classes="l-badge") as badge:
                badge.props["title"] = say("computed_about")
                icon("calculate")
                tag("span", say("computed"))
        tag("span", s["text"])
        by_number = {c["n"]: c for c in turn.answer.get("citations", ())}
        for n in s.get("citations", ()):
            _number(n, by_number.get(n), turn, say, opens)
    return element


def left_out(sentences: Any, say: Say) -> None:
    """What the model wrote and the documents do not support, folded away and marked."""
    bad = [s for s in sentences if not s["supported"]]
    if not bad:
        return
    with tag("details", classes="l-left-out"):
        with tag("summary"):
            icon("block")
            many = say("left_out", count=len(bad)) if len(bad) > 1 else say("left_out_one")
            tag("span", many)
        with tag("ul"):
            for s in bad:
                with tag("li"):
                    tag("s", s["text"])
                    reason = because(s["reason"], say)
                    tag("span", say("left_out_because", reason=reason), "l-reason")


def because(reason: str, say: Say) -> str:
    """Why a sentence was left out, in the reader's language."""
    if reason in _REASONS:
        return say(_REASONS[reason])
    missing = _MISSING.fullmatch(reason)
    if missing:
        return say("because_missing", what=missing[1])
    return say("because_other", reason=reason)


def _number(n: int, citation: dict[str, Any] | None, turn: Turn, say: Say, opens: Open) -> None:
    """The number of a source; a link as soon as the answer is complete."""
    if citation is None:
        tag("span", str(n), "l-cite")
        return
    link = tag("a", str(n), "l-cite")
    link.props["href"] = _address(turn, citation)
    link.props["aria-label"] = say("source", n=n, name=citation["name"])
    link.props["title"] = citation["quote"]
    follow_link(link, lambda: opens(turn, citation))


def _address(turn: Turn, at: dict[str, Any]) -> str:
    return document_address(
        turn.collection, at["document"], page=at["page"], start=at["start"], end=at["end"]
    )


def _sentences(turn: Turn, say: Say, opens: Open) -> None:
    good = [s for s in turn.answer.get("sentences", ()) if s["supported"]]
    if good:
        with tag("p", classes="l-text"):
            for s in good:
                line(s, turn, say, opens)


def _broken_off(turn: Turn, say: Say) -> None:
    failed = turn.state == "failed"
    with tag("div", classes="l-notice l-bad" if failed else "l-notice"):
        icon("error_outline" if failed else "stop_circle")
        with tag("div"):
            tag("p", say("failed" if failed else "stopped"))
            if failed:
                tag("p", turn.error or say("failed_log"), "l-error-text")


def _plain(answer: dict[str, Any], say: Say) -> None:
    with tag("div", classes="l-notice l-warn"):
        icon("warning_amber")
        tag("p", say("plain_mark"))
    written(answer.get("text", ""))
    if answer.get("finish") == "length":
        tag("p", say("cut"), "l-notice l-warn")
    if answer.get("given", 0) < answer.get("of", 0):
        text = say("plain_given", given=answer["given"], of=answer["of"])
        tag("p", text, "l-quiet l-small")


def _not_found(turn: Turn, say: Say, opens: Open) -> None:
    """That the documents do not say it: looks different from an answer, and shows what is near."""
    nearest = turn.answer.get("nearest", ())
    with tag("section", classes="l-not-found"):
        with tag("div", classes="l-not-found-head"):
            icon("search_off")
            tag("h3", say("not_found"))
        about = "not_found_about" if nearest else "not_found_none"
        tag("p", say(about, collection=turn.collection))
        if nearest:
            with tag("ul", classes="l-passages"):
                for passage in nearest:
                    with tag("li"):
                        _passage(passage["text"], passage, turn, say, opens)


def _sources(turn: Turn, say: Say, opens: Open) -> None:
    with tag("section", classes="l-sources"):
        tag("h3", say("sources"))
        with tag("ol", classes="l-passages"):
            for citation in turn.answer["citations"]:
                with tag("li"):
                    _passage(citation["quote"], citation, turn, say, opens, citation["n"])


def _passage(
    text: str, at: dict[str, Any], turn: Turn, say: Say, opens: Open, n: int | None = None
) -> None:
    """A quote with the document and page it is from, all of it a link."""
    with tag("a", classes="l-passage") as link:
        link.props["href"] = _address(turn, at)
        follow_link(link, lambda: opens(turn, at))
        with tag("span", classes="l-passage-head"):
            if n is not None:
                tag("span", str(n), "l-cite")
            tag("span", at["name"], "l-passage-name")
            if at["page"] is not None:
                tag("span", say("page", page=at["page"]), "l-quiet l-number")
        quote = tag("span", _readable(text), "l-quote")
        if at.get("language"):
            quote.props["lang"] = at["language"]
        if at.get("recognised"):
            with tag("span", classes="l-recognised"):
                icon("image_search")
                tag("span", say("recognised"))


def _readable(text: str) -> str:
    """A quote without the marks of Markdown's headings and tables."""
    if text.lstrip().startswith("|"):
        return " · ".join(cell.strip() for cell in text.split("|") if cell.strip(" -:\n"))
    return _HEADING.sub("", text)


def _more(turn: Turn, say: Say, asks: Ask) -> None:
    """Sections that the passages found stand in, as questions: nothing is made up."""
    found = [h for h in turn.answer.get("headings", ()) if 3 < len(h) < 90][:_SUGGESTED]
    if turn.answer.get("abstained") or not found:
        return
    with tag("section", classes="l-more"):
        tag("h3", say("more"))
        with tag("ul"):
            for heading in found:
                with tag("li"):
                    question = say("more_ask", heading=heading)
                    tag("button", heading, "l-chip", "type=button").on(
                        "click", lambda _, q=question: asks(q)
                    ).props["title"] = question
