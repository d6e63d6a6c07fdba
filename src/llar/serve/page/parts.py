"""Small pieces that screens are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from urllib.parse import quote, urlencode

from markdown_it import MarkdownIt
from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement


def tag(name: str, text: str = "", classes: str = "", props: str = "") -> TextElement:
    """An HTML element with this text, which is never read as HTML."""
    element = TextElement(tag=name, text=text)
    return element.classes(classes).props(props)


def icon_button(icon: str, label: str, classes: str = "") -> ui.button:
    """A round button that shows only an icon; `label` is its name, also under the pointer."""
    button = ui.button(icon=icon, color=None).props("flat round dense").classes(classes)
    button.props["aria-label"] = button.props["title"] = label  # a label may hold quotes
    return button


def icon(name: str, classes: str = "") -> ui.icon:
    """A picture that only decorates: it is not read out."""
    return ui.icon(name).props("aria-hidden=true").classes(classes)


def follow_link(element: ui.element, handler: Callable[[], object]) -> None:
    """Let a plain click on a link call this; with a key or another button it opens as any link."""
    element.on(
        "click",
        handler,
        js_handler="(e) => { if (e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;"
        " e.preventDefault(); emit(); }",
    )


def document_address(
    collection: str,
    document: int,
    *,
    page: int | None = None,
    start: int | None = None,
    end: int | None = None,
) -> str:
    """Where a document is shown, with a passage of it marked."""
    where = {"page": page, "start": start, "end": end}
    query = urlencode({k: v for k, v in where.items() if v is not None})
    return f"/document/{quote(collection, safe='')}/{document}" + (f"?{query}" if query else "")


def written(markdown: str) -> ui.html:
    """What a model wrote, as Markdown. HTML in it is shown as it is, pictures are not fetched."""
    return ui.html(_markdown().render(markdown), sanitize=True).classes("l-written")


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
