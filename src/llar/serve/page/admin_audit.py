"""The audit log: who asked what of which collection, when, and which documents answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode

import nicegui
from fastapi import Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from nicegui import ui

from ...errors import Forbidden, LlarError, NotSignedIn
from ..audit import Entry, Format, parse_day
from ..request import identity_of
from ..state import State
from ..threads import in_thread, iterate
from .admin_parts import Moment, admin, answer, cell, note, table
from .frame import Screen
from .library_parts import confirmed, day, number
from .parts import tag

__all__ = ["Log"]

PAGE = 50
KINDS = {"csv": "text/csv", "jsonl": "application/jsonl"}
ACTIONS = (
    "ask", "search", "read", "create", "create collection", "delete", "delete collection",
    "reindex", "reembed", "sync", "pull", "model pulled", "model removed", "questions",
    "evaluate", "metadata", "change metadata", "remove", "download", "upload", "signed in",
    "signed out", "sign-in failed", "access granted", "access revoked", "audit exported",
    "audit pruned", "key made", "key revoked", "password set", "user added", "user changed",
    "user removed", "user forgotten",
)  # fmt: skip


class Log:
    """The tab."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._entries: list[Entry] = []
        self._fields: dict[str, ui.input | ui.select] = {}
        say = screen.say
        days = screen.state.config.audit_days
        kept = (
            say("kept_days", days=number(days, screen.language)) if days else say("kept_for_ever")
        )
        tag("p", f"{say('audit_about')} {kept}", "l-quiet")
        with ui.element("section").classes("t-card"):
            with ui.element("div").classes("t-row"):
                for name in ("user", "collection", "action", "since", "until"):
                    self._fields[name] = self._field(name)
            tag("p", say("days_are_utc"), "l-quiet l-small")
            with ui.element("div").classes("t-row"):
                for form in KINDS:
                    button = ui.button(say("export", form=form.upper()), icon="download")
                    button.on_click(lambda form=form: self._export(form))
                    button.props(f"outline data-do={form}")
                ui.element("span").classes("l-grow")
                ui.button(say("prune"), icon="auto_delete", on_click=self._prune).props("flat")
        self._place = ui.element("section").classes("t-card")

    def _field(self, name: str) -> ui.input | ui.select:
        """What the log is filtered by."""
        label = self._screen.say(f"filter_{name}")
        field: ui.input | ui.select
        if name == "action":
            names = {action: action_name(self._screen, action) for action in ACTIONS}
            field = ui.select(dict(sorted(names.items(), key=lambda n: n[1])), label=label)
            field.props("options-dense")
        else:
            field = ui.input(label).props("debounce=300")
        if name in ("since", "until"):
            field.props("type=date stack-label")
        field.props(f"outlined dense clearable data-field={name}").classes("t-narrow")
        field.on_value_change(self.show)
        return field

    def _filters(self) -> dict[str, Any]:
        """What is filtered by. Raises ServeError for a date that is none."""
        found: dict[str, Any] = {}
        for name, field in self._fields.items():
            text = str(field.value or "").strip()
            if text:
                found[name] = parse_day(text) if name in ("since", "until") else text
        if "until" in found:  # the day itself is meant, too
            found["until"] += timedelta(days=1)
        return found

    async def show(self) -> None:
        """Read the newest entries that fit, and draw them."""
        admin(self._screen)
        audit = self._screen.state.audit
        self._entries = await in_thread(audit.entries, limit=PAGE, **self._filters())
        self._draw()

    async def _more(self) -> None:
        admin(self._screen)
        audit, last = self._screen.state.audit, self._entries[-1].id
        self._entries += await in_thread(audit.entries, limit=PAGE, before=last, **self._filters())
        self._draw()

    def _draw(self) -> None:
        say = self._screen.say
        self._place.clear()
        with self._place:
            if not self._entries:
                tag("p", say("no_entries"), "l-quiet")
                return
            heads = ("when", "who", "what", "filter_collection", "question", "documents")
            with table([say(h) for h in heads], say("tab_audit")):
                for entry in self._entries:
                    self._row(entry)
            if len(self._entries) % PAGE == 0:
                ui.button(say("older"), on_click=self._more).props("outline")

    def _row(self, entry: Entry) -> None:
        say = self._screen.say
        with ui.element("tr") as row:
            row.props["data-entry"] = str(entry.id)
            with cell(say("when"), "").classes("l-number"):
                Moment(entry.at, self._screen.language, seconds=True)
            with cell(say("who"), entry.user):
                way = say(f"via_{entry.via}")
                tag("div", " ".join((way, entry.address)), "l-quiet l-small")
            with cell(say("what"), action_name(self._screen, entry.action)):
                if entry.detail:
                    tag("div", entry.detail, "l-quiet l-small")
            cell(say("filter_collection"), entry.collection or "–")
            cell(say("question"), entry.question or "–")
            documents = [d.path for d in entry.documents]
            cell(say("documents"), ", ".join(documents) or "–").classes("l-small")

    def _export(self, form: str) -> None:
        admin(self._screen)
        given = {n: str(f.value).strip() for n, f in self._fields.items() if f.value}
        ui.navigate.to(f"/admin/audit.{form}?{urlencode(given)}")

    async def _prune(self) -> None:
        say = self._screen.say
        admin(self._screen)
        days = self._screen.state.config.audit_days or 365
        before = (datetime.now(UTC) - timedelta(days=days // 2 or 1)).date().isoformat()
        with ui.dialog() as dialog, ui.card().classes("k-dialog"):
            dialog.props["aria-label"] = say("prune")
            tag("h2", say("prune"))
            field = ui.input(say("prune_before"), value=before)
            field.props("outlined type=date stack-label")
            with ui.element("div").classes("k-actions"):
                ui.button(say("cancel"), on_click=lambda: dialog.submit(None)).props("flat")
                ui.button(say("go_on"), on_click=lambda: dialog.submit(field.value))
        chosen = await answer(dialog)
        if not chosen:
            return
        first = parse_day(str(chosen))
        title = say("prune_title", day=day(f"{first:%Y-%m-%d}", self._screen.language))
        if not await confirmed(say, title, say("prune_about"), [], say("prune_do")):
            return
        by = admin(self._screen)
        count = await in_thread(self._screen.state.audit.prune, first)
        await note(self._screen, by, "audit pruned", f"before {first:%Y-%m-%d}")
        text = say("pruned", count=number(count, self._screen.language))
        ui.notify(text, position="top")
        await self.show()


def action_name(screen: Screen, action: str) -> str:
    """What was done, in the reader's language; one that this version does not know as it is."""
    if action not in ACTIONS:
        return action
    return screen.say(f"action_{action.replace(' ', '_').replace('-', '_')}")


@nicegui.app.get("/admin/audit.{form}", include_in_schema=False)
async def export(request: Request, form: str) -> Response:
    """The whole log, or what the filters of the query leave, as a file; for admins."""
    state: State = request.app.state.llar
    try:
        identity = identity_of(request)
        identity.require("admin")
        given = {n: v for n, v in request.query_params.items() if v}
        since = parse_day(given["since"]) if "since" in given else None
        until = parse_day(given["until"]) + timedelta(days=1) if "until" in given else None
    except LlarError as e:
        status = 403 if isinstance(e, Forbidden | NotSignedIn) else 400
        return PlainTextResponse(str(e), status)
    if form not in KINDS:
        return PlainTextResponse(f"expected one of {', '.join(KINDS)}", 404)
    await in_thread(state.audit.record, identity, "audit exported", detail=form)

    async def lines() -> AsyncIterator[str]:
        found = iterate(
            lambda: state.audit.export(
                cast(Format, form), user=given.get("user"), collection=given.get("collection"),
                action=given.get("action"), since=since, until=until,
            )
        )  # fmt: skip
        async for line in found:
            yield line

    headers = {"content-disposition": f'attachment; filename="llar-audit.{form}"'}
    return StreamingResponse(lines(), media_type=KINDS[form], headers=headers)
