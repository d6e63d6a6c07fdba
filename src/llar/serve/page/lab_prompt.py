"""What a model would read of a search: the evidence, and the prompt with what each part takes."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from ...records import Hit
from .lab_look import Part, Read, Sent
from .library_parts import number, tag
from .words import Say

SHOWN = 8  # sentences of evidence


def evidence(say: Say, language: str, found: Read) -> None:
    """The sentences and rows that could answer, best first."""
    tag("p", say("answerable" if found.answerable else "not_answerable"), "k-verdict").classes(
        "k-good" if found.answerable else "k-none"
    )
    if not found.evidence:
        return
    with tag("ol", style="k-evidence"):
        for e in found.evidence[:SHOWN]:
            with tag("li"):
                tag("q", " ".join(e.text.split()))
                place = f"{e.hit.document.name}, {say('page', number=e.page)}" if e.page else (
                    e.hit.document.name
                )  # fmt: skip
                said = say(
                    "evidence_score",
                    score=number(e.score, language, 3),
                    covered=number(100 * e.covered, language),
                )
                tag("span", f"[{e.passage}] {place} · {said}", "l-quiet l-small l-number")
    rest = len(found.evidence) - SHOWN
    if rest > 0:
        tag("p", say("more_evidence", count=rest), "l-quiet l-small")


def budget(say: Say, language: str, sent: Sent, hits: Sequence[Hit]) -> None:
    """The context as a bar, the prompt as another, and both as one table."""
    whole = [
        ("prompt", sent.tokens),
        *((p.kind, p.tokens) for p in sent.parts if p.kind in ("answer", "free")),
    ]
    tag("p", say("budget", model=sent.model, tokens=number(sent.tokens, language),
                 context=number(sent.context, language)))  # fmt: skip
    _bar([(f"k-part-{kind}", tokens, "") for kind, tokens in whole], say("bar_context"))
    inside = [p for p in sent.parts if p.kind not in ("answer", "free")]
    _bar(
        [
            (f"k-part-{p.kind}", p.tokens, f"[{n}]" if p.kind == "passage" else "")
            for n, p in enumerate(inside, -1)
        ],
        say("bar_prompt"),
    )
    with tag("table", style="k-table k-budget"):
        tag("caption", say("budget_table"), "l-unseen")
        with tag("thead"), tag("tr"):
            for key in ("part", "tokens", "share"):
                tag("th", say(key), scope="col")
        with tag("tbody"):
            shown = 0
            for part in sent.parts:
                shown += part.kind == "passage"
                _row(say, language, part, shown, sent, hits)
    if sent.left_out:
        listed = ", ".join(map(str, sent.left_out))
        tag("p", say("left_out", count=len(sent.left_out), numbers=listed), "l-quiet l-small")


def _row(say: Say, language: str, part: Part, shown: int, sent: Sent, hits: Sequence[Hit]) -> None:
    if part.kind == "passage":
        name = f"[{shown}] {hits[part.number - 1].document.name}"
    else:
        name = say(f"part_{part.kind}")
    with tag("tr"):
        with tag("th", scope="row"):
            tag("span", "", f"k-swatch k-part-{part.kind}", aria_hidden="true")
            tag("span", name)
        tag("td", number(part.tokens, language))
        tag("td", f"{number(100 * part.tokens / sent.context, language, 1)} %")


def _bar(parts: Sequence[tuple[str, int, str]], label: str) -> None:
    """Parts as widths; the table below says the same to who cannot see it."""
    tag("p", label, "l-quiet l-small k-bar-label")
    with tag("div", style="k-bar", aria_hidden="true"):
        for style, tokens, text in parts:
            if tokens:
                tag("div", text, style).style(f"flex-grow:{tokens}")


def messages(say: Say, sent: Sent) -> None:
    """The prompt word for word."""
    with ui.expansion(say("prompt_text")).classes("k-fold"):
        for message in sent.messages:
            tag("h4", say(f"role_{message.role}"))
            tag("pre", message.content, "k-prompt", tabindex=0)
