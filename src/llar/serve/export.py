"""A conversation to take away: as Markdown, as PDF, or one answer as text.

Everything is in it: the sources with their pages, what was left out and why, that an answer was
not found, that a model spoke by itself.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

from .turns import Conversation, Turn

Say = Callable[..., str]
Because = Callable[[str, Say], str]
Kind = Literal[
    "title", "about", "question", "answer", "written", "notice", "heading", "source", "left_out"
]

_FONTS = Path(__file__).with_name("fonts")
_MISSING = "\ufffd"


@dataclass(frozen=True, slots=True)
class Part:
    """One paragraph of an export. `written` is a model's own Markdown; `why` is for what was left
    out."""

    kind: Kind
    text: str
    why: str = ""


def as_text(turn: Turn, say: Say) -> str:
    """An answer with its sources, as plain text for the clipboard."""
    answer = turn.answer
    lines = [_said(turn, say)]
    if answer.get("plain"):
        lines.append(say("plain_mark"))
    lines += [f"[{c['n']}] {_where(c, say)}: “{c['quote']}”" for c in answer.get("citations", ())]
    return "\n\n".join(line for line in lines if line)


def as_markdown(
    conversation: Conversation, turns: Sequence[Turn], say: Say, because: Because
) -> str:
    """The conversation as Markdown. `because` says why a sentence was left out."""
    shape = {
        "title": "# {}", "about": "*{}*", "question": "## {}", "answer": "{}", "written": "{}",
        "notice": "**{}**", "heading": "### {}", "source": "- {}", "left_out": "- ~~{}~~",
    }  # fmt: skip
    lines: list[str] = []
    last = ""
    for part in _parts(conversation, turns, say, because):
        text = part.text if part.kind == "written" else _plain(part.text)
        line = shape[part.kind].format(text) + (f" {_plain(part.why)}" if part.why else "")
        together = part.kind == last and part.kind in ("source", "left_out")
        lines.append(line if together or not lines else f"\n{line}")
        last = part.kind
    return "\n".join(lines) + "\n"


def as_pdf(conversation: Conversation, turns: Sequence[Turn], say: Say, because: Because) -> bytes:
    """The conversation as PDF (A4, embedded fonts for Latin, Greek and Cyrillic).

    A character the fonts do not have is shown as a mark, and named at the end.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    known = _fonts()
    missing: set[str] = set()

    def printed(text: str) -> str:
        lost = {c for c in text if ord(c) not in known and not c.isspace()}
        missing.update(lost)
        text = "".join(_MISSING if c in lost else c for c in text)
        return escape(text).replace("\n", "<br/>")

    base: dict[str, Any] = {
        "fontName": "DejaVu",
        "fontSize": 10,
        "leading": 15,
        "textColor": "#2a201a",
    }
    bold: dict[str, Any] = {"fontName": "DejaVu-Bold", "textColor": "#a33c15"}
    styles: dict[str, dict[str, Any]] = {
        "title": {**bold, "fontSize": 18, "leading": 23, "spaceAfter": 4},
        "about": {"fontSize": 8.5, "leading": 12, "textColor": "#655548", "spaceAfter": 10},
        "question": {**bold, "fontSize": 12, "leading": 17, "spaceBefore": 16, "spaceAfter": 5,
                     "keepWithNext": 1},
        "answer": {"spaceAfter": 6},
        "written": {"spaceAfter": 6},
        "notice": {"fontName": "DejaVu-Bold", "spaceAfter": 6},
        "heading": {"fontName": "DejaVu-Bold", "fontSize": 9, "spaceBefore": 4, "keepWithNext": 1},
        "source": {"fontSize": 8.5, "leading": 12.5, "leftIndent": 12, "spaceAfter": 3},
        "left_out": {"fontSize": 8.5, "leading": 12.5, "leftIndent": 12, "textColor": "#655548"},
    }  # fmt: skip
    made = {kind: ParagraphStyle(kind, **{**base, **more}) for kind, more in styles.items()}
    story = [
        Paragraph(printed(f"{part.text} {part.why}".strip()), made[part.kind])
        for part in _parts(conversation, turns, say, because)
    ]
    if missing:
        codes = ", ".join(f"U+{ord(c):04X}" for c in sorted(missing))
        story.append(Paragraph(f"{_MISSING} = {codes}", made["about"]))
    out = io.BytesIO()
    page = SimpleDocTemplate(
        out, pagesize=A4, title=conversation.title, author="llar", leftMargin=56, rightMargin=56,
        topMargin=56, bottomMargin=56,
    )  # fmt: skip
    page.build(story)
    return out.getvalue()


def _parts(
    conversation: Conversation, turns: Sequence[Turn], say: Say, because: Because
) -> Iterator[Part]:
    """The conversation, paragraph by paragraph."""
    yield Part("title", conversation.title)
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    yield Part("about", say("exported", date=now))
    for turn in turns:
        yield Part("question", turn.question)
        yield from _turn(turn, say, because)


def _turn(turn: Turn, say: Say, because: Because) -> Iterator[Part]:
    answer = turn.answer
    asked = f"{say('collection')}: {turn.collection}" if turn.collection else say("without")
    yield Part("about", f"{asked} · {say('model')}: {turn.model}")
    if turn.state == "failed":
        yield Part("notice", f"{say('failed')} {turn.error or say('failed_log')}")
    if turn.state in ("stopped", "writing"):
        yield Part("notice", say("stopped" if turn.state == "stopped" else "interrupted"))
    if answer.get("plain"):
        yield Part("notice", say("plain_mark"))
    if answer.get("abstained"):
        yield Part("notice", say("not_found"))
    said = "" if answer.get("abstained") else _said(turn, say)
    if said:
        yield Part("written" if answer.get("plain") else "answer", said)
    looked_up = answer.get("looked_up", "")
    if looked_up and looked_up != turn.question:
        yield Part("about", say("looked_up", question=looked_up))
    if answer.get("citations"):
        yield Part("heading", say("sources"))
        for c in answer["citations"]:
            text = f"[{c['n']}] {_where(c, say)}: “{c['quote']}”"
            yield Part("source", f"{text} ({say('recognised')})" if c["recognised"] else text)
    bad = [s for s in answer.get("sentences", ()) if not s["supported"]]
    if bad:
        many = say("left_out", count=len(bad)) if len(bad) > 1 else say("left_out_one")
        yield Part("heading", many)
        for s in bad:
            why = say("left_out_because", reason=because(s["reason"], say))
            yield Part("left_out", s["text"], f"({why})")


def _said(turn: Turn, say: Say) -> str:
    """What was answered: the supported sentences with the numbers of their sources."""
    if turn.answer.get("plain"):
        return str(turn.answer.get("text", ""))
    if turn.answer.get("abstained"):
        return say("not_found")
    sentences = [s for s in turn.answer.get("sentences", ()) if s["supported"]]
    return " ".join(_marked(s, say) for s in sentences)


def _marked(s: dict[str, Any], say: Say) -> str:
    numbers = "".join(f"[{n}]" for n in s["citations"])
    computed = f" ({say('computed')})" if s.get("computed") else ""
    return f"{s['text']}{computed} {numbers}".strip()


def _where(at: dict[str, Any], say: Say) -> str:
    page = "" if at["page"] is None else f", {say('page', page=at['page'])}"
    return f"{at['name']}{page}"


def _plain(text: str) -> str:
    """Text on one line in which nothing is Markdown."""
    return re.sub(r"([\\`*_{}<>#|~])", r"\\\1", " ".join(text.split()))


@cache
def _fonts() -> frozenset[int]:
    """Register the fonts; returns the characters that they have."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    regular = TTFont("DejaVu", str(_FONTS / "DejaVuSans.ttf"))
    bold = TTFont("DejaVu-Bold", str(_FONTS / "DejaVuSans-Bold.ttf"))
    for font in (regular, bold):
        pdfmetrics.registerFont(font)
    return frozenset(regular.face.charToGlyph) & frozenset(bold.face.charToGlyph)
