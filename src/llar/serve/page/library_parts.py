"""Small things that several screens are built of: HTML tags, numbers, dialogs, pages of a list."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from . import parts
from .look import STYLE
from .words import Say, words

_GROUPS = {"en": ",", "es": ".", "ca": ".", "hu": " "}
_DATE = {"en": "%d %b %Y", "es": "%d/%m/%Y", "ca": "%d/%m/%Y", "hu": "%Y. %m. %d."}
_POINT = {"en": ".", "es": ",", "ca": ",", "hu": ","}


def tag(name: str, text: str = "", style: str = "", **attributes: Any) -> TextElement:
    """An HTML element with a text, which is never read as HTML; `aria_label` is aria-label.

    Attributes that are None or False are left out; their values may be anything.
    """
    element = parts.tag(name, text, style)
    for key, value in attributes.items():
        if value is not None and value is not False:
            element.props[key.rstrip("_").replace("_", "-")] = value
    return element


def sheet(name: str) -> None:
    """Link style/NAME.css and style/NAME.js, where there are such, in this page."""
    if (STYLE / f"{name}.css").is_file():
        address = f"/style/{name}.css?{_version(f'{name}.css')}"
        ui.add_head_html(f'<link rel="stylesheet" href="{address}">')
    if (STYLE / f"{name}.js").is_file():
        ui.add_head_html(f'<script src="/style/{name}.js?{_version(f"{name}.js")}"></script>')


@cache
def _version(file: str) -> str:
    return hashlib.sha256((STYLE / file).read_bytes()).hexdigest()[:12]


def number(value: float, language: str, digits: int = 0) -> str:
    """A number as the language writes it: 12,345.6 is 12.345,6 in Spanish."""
    return localised(f"{value:,.{digits}f}", language)


def localised(text: str, language: str) -> str:
    """A number as Python formats it, with the language's signs for thousands and decimals."""
    return text.translate({ord(","): _GROUPS[language], ord("."): _POINT[language]})


def size(count: float, language: str) -> str:
    """Bytes for people, base 1024."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{number(count, language, 0 if unit == 'B' else 1)} {unit}"
        count /= 1024
    return f"{number(count, language, 1)} GiB"


def milliseconds(seconds: float, language: str) -> str:
    """A time for people: milliseconds, from ten seconds on seconds."""
    if seconds >= 10:
        return f"{number(seconds, language, 1)} s"
    return f"{number(1000 * seconds, language, 1 if seconds < 0.1 else 0)} ms"


def duration(seconds: float, language: str) -> str:
    """How long something still takes: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{number(whole // 3600, language)} h {whole % 3600 // 60} min"


def day(stamp: str | None, language: str) -> str:
    """Date and time of an ISO stamp as the language writes them, on the server's clock.

    A date alone stays one; "" where there is none, and what is no ISO stamp is told as it is.
    """
    try:
        when = datetime.fromisoformat(stamp or "")
    except ValueError:
        return stamp or ""
    if when.tzinfo is not None:
        when = when.astimezone()
    date = when.strftime(_DATE[language])
    return date if "T" not in (stamp or "") and len(stamp or "") <= 10 else f"{date} {when:%H:%M}"


@contextmanager
def asking(title: str, style: str = "") -> Iterator[ui.dialog]:
    """A dialog, on the page itself: what it was opened from may be drawn anew meanwhile."""
    with ui.context.client.content, ui.dialog() as dialog:
        dialog.props["aria-label"] = title
        with ui.card().classes(f"k-dialog {style}"):
            tag("h2", title)
            yield dialog


async def answered(dialog: ui.dialog) -> Any:
    """What was submitted; None where the dialog was left."""
    answer = await dialog
    if not dialog.client.is_deleted:  # nobody closed the page meanwhile
        dialog.delete()
    return answer


async def confirmed(say: Say, title: str, said: str, lost: list[str], action: str) -> bool:
    """Ask before something is lost; `lost` says what, a line each."""
    with asking(title) as dialog:
        tag("p", said)
        if lost:
            with tag("ul", style="k-lost"):
                for line in lost:
                    tag("li", line)
        with tag("div", style="k-actions"):
            ui.button(say("cancel"), on_click=lambda: dialog.submit(False)).props("flat")
            go = ui.button(action, on_click=lambda: dialog.submit(True))
            go.props("unelevated color=negative").classes("k-confirm")
    return bool(await answered(dialog))


def copy_button(text: str, say: Say, label: str) -> None:
    """A button that puts a text on the clipboard."""
    button = ui.button(icon="content_copy").props("flat round dense")
    button.props["aria-label"] = label
    button.props["data-text"], button.props["data-copied"] = text, say("copied")
    button.on("click", js_handler="(e) => llarCopy(e.currentTarget)")
    with button:
        ui.tooltip(label).props("aria-hidden=true")


def pager(page: int, pages: int, language: str, turn: Callable[[int], Any], label: str) -> None:
    """Buttons to the page before and after, and where one is; nothing for a single page."""
    if pages < 2:
        return
    say = words("library", language)
    with tag("nav", style="k-pager", aria_label=label):
        back = ui.button(icon="chevron_left", on_click=lambda: turn(page - 1))
        back.props("flat round dense").props["aria-label"] = say("page_before")
        back.set_enabled(page > 1)
        tag("span", say("page_of", page=number(page, language), pages=number(pages, language)))
        on = ui.button(icon="chevron_right", on_click=lambda: turn(page + 1))
        on.props("flat round dense").props["aria-label"] = say("page_after")
        on.set_enabled(page < pages)


def empty(icon: str, title: str, said: str, language: str = "") -> None:
    """What stands where there is nothing yet; with a language, the way to the library."""
    with tag("div", style="k-empty"):
        ui.icon(icon).props("aria-hidden=true")
        tag("h2", title)
        tag("p", said, "l-quiet")
        if language:
            ui.link(words("chat", language)("to_library"), "/library")
