"""What the tabs of the administration share: dialogs with fields, tables, dates, and the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from ..threads import in_thread
from ..who import Identity
from .frame import Screen
from .parts import tag

__all__ = ["Moment", "admin", "answer", "cell", "form", "note", "table", "time_cell"]


def admin(screen: Screen) -> Identity:
    """Who is looking, as an admin. Raises NotSignedIn, Forbidden."""
    identity = screen.identity()
    identity.require("admin")
    return identity


async def note(
    screen: Screen, by: Identity, action: str, detail: str, *, collection: str = ""
) -> None:
    """Write down what somebody changed. Raises ServeError where it cannot be written."""
    audit = screen.state.audit
    await in_thread(audit.record, by, action, detail=detail, collection=collection)


@contextmanager
def form(title: str, cancel: str) -> Iterator[tuple[ui.dialog, ui.element]]:
    """A dialog to put fields into, with a row for buttons that has "cancel" already."""
    with ui.dialog().props("persistent") as dialog, ui.card().classes("k-dialog"):
        dialog.props["aria-label"] = title
        tag("h2", title)
        fields = ui.element("div").classes("t-fields")
        with ui.element("div").classes("k-actions") as actions:
            ui.button(cancel, on_click=lambda: dialog.submit(None)).props("flat no-caps")
        with fields:
            yield dialog, actions


async def answer(dialog: ui.dialog) -> Any:
    """What a dialog is closed with; nothing that was typed into it stays on the page."""
    found = await dialog
    dialog.delete()
    return found


@contextmanager
def table(heads: Sequence[str], label: str) -> Iterator[None]:
    """A table whose body is to be filled; an empty head is for buttons."""
    with ui.element("div").classes("t-scroll").props("tabindex=0 role=region") as place:
        place.props["aria-label"] = label
        with ui.element("table").classes("t-table t-stack"):
            with ui.element("thead"), ui.element("tr"):
                for head in heads:
                    if head:
                        tag("th", head, props="scope=col")
                    else:
                        ui.element("td")
            with ui.element("tbody"):
                yield


def cell(label: str, text: str) -> TextElement:
    """A cell; on a narrow screen it says what it is."""
    found = tag("td", text)
    found.props["data-label"] = label
    return found


class Moment(Element, component="admin_time.js"):
    """A date and time by the clock of the reader's browser; its title is the exact one, in UTC."""

    def __init__(self, when: datetime, language: str, *, seconds: bool = False) -> None:
        super().__init__()
        self._props["at"] = when.astimezone(UTC).isoformat(timespec="seconds")
        self._props["locale"] = language
        self._props["seconds"] = seconds


def time_cell(label: str, when: datetime | None, language: str, never: str = "–") -> None:
    """A cell with a moment, or `never` where there was none."""
    with cell(label, "" if when else never):
        if when:
            Moment(when, language)
