"""The screen of one's own account: password, keys, sessions, and what is kept of one."""

from __future__ import annotations

import json

from nicegui import ui

from ...errors import NotSignedIn, ServeError
from ...records import to_json
from ..accounts import Session
from ..history import History
from ..threads import in_thread
from ..who import Identity
from .admin_keys import Keys
from .admin_parts import Moment, cell, note, table, time_cell
from .chat_answer import because
from .frame import Screen, frame, page
from .library_parts import confirmed, number, sheet
from .parts import icon_button, tag
from .words import words

MOST = 100_000  # conversations


@page("/me")
async def show() -> None:
    """The screen."""
    sheet("tools")
    sheet("library")
    with frame("me") as screen:
        identity = screen.identity()
        if identity.via == "local":
            tag("p", screen.say("local"), "k-note")
            await Kept(screen).show()
            return
        _about(screen, identity)
        user = await in_thread(screen.state.accounts.user, identity.user)
        if user.has_password:
            Password(screen)
        with ui.element("section").classes("t-results").props("data-part=keys"):
            tag("h2", screen.say("keys"))
            await Keys(screen, identity.user).show()
        await Sessions(screen).show()
        await Kept(screen).show()


def _about(screen: Screen, identity: Identity) -> None:
    say = screen.say
    with ui.element("section").classes("t-card"):
        tag("h2", identity.user, "t-head")
        role, groups = say(f"role_{identity.role}"), ", ".join(sorted(identity.groups))
        text = say("you_are", role=role)
        tag("p", f"{text} {say('in_groups', groups=groups)}" if groups else text)


class Password:
    """A new password, for who knows the old one."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        say = screen.say
        with ui.element("section").classes("t-card").props("data-part=password"):
            tag("h2", say("password"), "t-head")
            tag("p", say("password_ends"), "l-quiet")
            with ui.element("div").classes("t-form"):
                self._old = _secret(say("old"), "current-password", "old")
                self._new = _secret(say("new"), "new-password", "new")
                self._new.props["hint"] = say("password_hint")
                self._again = _secret(say("again"), "new-password", "again")
            button = ui.button(say("change"), icon="password", on_click=self._change)
            button.props("unelevated data-do=change-password")

    async def _change(self) -> None:
        say, accounts = self._screen.say, self._screen.state.accounts
        identity = self._screen.identity()
        old, new = str(self._old.value or ""), str(self._new.value or "")
        if new != str(self._again.value or ""):
            raise ServeError(say("differ"))
        try:
            await in_thread(accounts.verify, identity.user, old, identity.address)
        except NotSignedIn:
            raise ServeError(say("wrong")) from None
        await in_thread(accounts.set_password, identity.user, new)
        await note(self._screen, identity, "password set", identity.user)
        ui.navigate.to("/login")


class Sessions:
    """The browsers one is signed in with."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        with ui.element("section").classes("t-card").props("data-part=sessions"):
            tag("h2", screen.say("sessions"), "t-head")
            self._place = ui.element("div")

    async def show(self) -> None:
        """Read and draw them."""
        identity = self._screen.identity()
        found = await in_thread(self._screen.state.accounts.sessions, identity.user)
        say, language = self._screen.say, self._screen.language
        self._place.clear()
        with self._place, table([*(say(k) for k in ("since", "until", "address")), ""],
                                say("sessions")):  # fmt: skip
            for session in found:
                with ui.element("tr"):
                    this = f" ({say('this_one')})" if session.id == identity.session else ""
                    with tag("th", props="scope=row"):
                        Moment(session.created, language)
                        tag("span", this)
                    time_cell(say("until"), session.expires, language)
                    cell(say("address"), session.address or "–")
                    with ui.element("td").classes("t-actions"):
                        button = icon_button(
                            "logout", f"{say('end')}: {session.created:%Y-%m-%d %H:%M} UTC"
                        )
                        button.on_click(lambda session=session: self._end(session))

    async def _end(self, session: Session) -> None:
        identity = self._screen.identity()
        own = await in_thread(self._screen.state.accounts.sessions, identity.user)
        if session.id in {s.id for s in own}:
            await in_thread(self._screen.state.accounts.end_session, session.id)
        await self.show()


class Kept:
    """One's conversations: how many, as files, and deleted."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        say = screen.say
        with ui.element("section").classes("t-card").props("data-part=kept"):
            tag("h2", say("kept"), "t-head")
            self._count = ui.label()
            with ui.element("div").classes("t-row"):
                for form in ("markdown", "json"):
                    button = ui.button(say(f"save_{form}"), icon="download")
                    button.on_click(lambda form=form: self._save(form))
                    button.props(f"outline data-do={form}")
                button = ui.button(say("delete"), icon="delete", on_click=self._delete)
                button.props("outline color=negative data-do=delete-all")

    async def show(self) -> None:
        """Say how many there are."""
        identity = self._screen.identity()
        found = await in_thread(self._screen.state.history.conversations, identity.user, limit=MOST)
        count = number(len(found), self._screen.language)
        self._count.text = self._screen.say("conversations", count=count)

    async def _save(self, form: str) -> None:
        identity = self._screen.identity()
        history, language = self._screen.state.history, self._screen.language
        if form == "json":
            text = await in_thread(as_json, history, identity.user)
        else:
            text = await in_thread(as_markdown, history, identity.user, language)
        name = "llar-conversations." + ("json" if form == "json" else "md")
        ui.download.content(text.encode(), name)

    async def _delete(self) -> None:
        say, history = self._screen.say, self._screen.state.history
        if not await confirmed(say, say("delete_title"), say("delete_about"), [], say("delete")):
            return
        identity = self._screen.identity()
        await in_thread(history.forget, identity.user)
        await self.show()


def as_json(history: History, user: str) -> str:
    """All conversations of a user, with everything that is kept of them."""
    found = [
        to_json(each) | {"turns": [to_json(turn) for turn in history.turns(user, each.id)]}
        for each in history.conversations(user, limit=MOST)
    ]
    return json.dumps({"user": user, "conversations": found}, ensure_ascii=False, indent=2)


def as_markdown(history: History, user: str, language: str) -> str:
    """All conversations of a user, for reading."""
    from ..export import as_markdown as one

    say = words("chat", language)
    return "\n\n".join(
        one(each, history.turns(user, each.id), say, because)
        for each in history.conversations(user, limit=MOST)
    )


def _secret(label: str, complete: str, mark: str) -> ui.input:
    field = ui.input(label, password=True, password_toggle_button=True)
    return field.props(f"outlined autocomplete={complete} data-field={mark}")
