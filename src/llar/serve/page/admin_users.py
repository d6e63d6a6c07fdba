"""Users: who may sign in, with which role and groups; add, change, keep out, forget."""

from __future__ import annotations

from nicegui import ui

from ..accounts import User
from ..forget import forget
from ..threads import in_thread
from ..who import ROLES
from .admin_parts import admin, answer, cell, form, note, table, time_cell
from .frame import Screen
from .library_parts import confirmed, number
from .parts import icon_button, tag

__all__ = ["Users", "groups_of"]


class Users:
    """The tab."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        say = screen.say
        with ui.element("div").classes("t-row"):
            tag("p", say("users_about"), "l-quiet t-grow")
            button = ui.button(say("add_user"), icon="person_add", on_click=self._add)
            button.props("unelevated data-do=add-user")
        self._place = ui.element("section").classes("t-card")

    async def show(self) -> None:
        """Read and draw them."""
        admin(self._screen)
        users = await in_thread(self._screen.state.accounts.users)
        say = self._screen.say
        self._place.clear()
        with self._place:
            if not users:
                tag("p", say("no_users"), "k-note")
                return
            heads = [say(k) for k in ("name", "role", "groups", "ways", "last_sign_in")]
            with table([*heads, ""], say("tab_users")):
                for user in users:
                    self._row(user)

    def _row(self, user: User) -> None:
        say = self._screen.say
        ways = [say("password")] if user.has_password else []
        ways += [say("sso")] if user.subject else []
        with ui.element("tr") as row:
            row.props["data-user"] = user.name
            with tag("th", user.name, props="scope=row"):
                if user.disabled:
                    tag("span", say("disabled"), "k-chip t-chip")
            cell(say("role"), say(f"role_{user.role}"))
            cell(say("groups"), ", ".join((*user.groups, *user.sso_groups)) or "–")
            cell(say("ways"), ", ".join(ways) or "–")
            language = self._screen.language
            time_cell(say("last_sign_in"), user.last_sign_in, language, say("never"))
            with ui.element("td").classes("t-actions"):
                for name, icon, do in (
                    ("change", "edit", self._change),
                    ("new_password", "password", self._password),
                    ("forget", "person_remove", self._forget),
                ):
                    button = icon_button(icon, f"{say(name)}: {user.name}")
                    button.on_click(lambda do=do: do(user)).props["data-do"] = name

    async def _add(self) -> None:
        admin(self._screen)
        say, accounts = self._screen.say, self._screen.state.accounts
        first = not await in_thread(accounts.users)
        with form(say("add_user"), say("cancel")) as (dialog, actions):
            if first:
                tag("p", say("first_user"), "k-note")
            name = ui.input(say("name")).props("outlined autocomplete=off data-field=name")
            role = _role(self._screen, "admin" if first else "reader")
            groups = ui.input(say("groups")).props("outlined data-field=groups")
            groups.props["hint"] = say("groups_hint")
            word = _secret(say("password"))
            word.props["hint"] = say("password_hint")

        async def save() -> None:
            identity = admin(self._screen)
            given = str(word.value or "") or None
            member = groups_of(groups.value or "")
            user = await in_thread(
                accounts.add_user, name.value or "", given, role=role.value, groups=member
            )
            await note(self._screen, identity, "user added", f"{user.name} as {user.role}")
            dialog.submit(True)

        with actions:
            ui.button(say("add"), on_click=save).props("unelevated data-do=save")
        if await answer(dialog):
            if first:  # from now on everybody has to sign in
                ui.navigate.to("/login")
            else:
                await self.show()

    async def _change(self, user: User) -> None:
        say, accounts = self._screen.say, self._screen.state.accounts
        admin(self._screen)
        with form(say("change_title", name=user.name), say("cancel")) as (dialog, actions):
            role = _role(self._screen, user.role)
            groups = ui.input(say("groups"), value=", ".join(user.groups))
            groups.props("outlined data-field=groups").props["hint"] = say("groups_hint")
            off = ui.checkbox(say("keep_out"), value=user.disabled).props("data-field=disabled")
            if user.sso_groups:
                tag("p", say("sso_groups", groups=", ".join(user.sso_groups)), "l-quiet l-small")

        async def save() -> None:
            identity = admin(self._screen)
            changed = await in_thread(
                accounts.change_user, user.name, role=role.value,
                groups=groups_of(groups.value or ""), disabled=bool(off.value),
            )  # fmt: skip
            state = "disabled" if changed.disabled else changed.role
            await note(self._screen, identity, "user changed", f"{changed.name} is {state}")
            dialog.submit(True)

        with actions:
            ui.button(say("save"), on_click=save).props("unelevated data-do=save")
        if await answer(dialog):
            await self.show()

    async def _password(self, user: User) -> None:
        say, accounts = self._screen.say, self._screen.state.accounts
        admin(self._screen)
        with form(say("password_title", name=user.name), say("cancel")) as (dialog, actions):
            tag("p", say("password_ends"), "l-quiet")
            word = _secret(say("password"))
            word.props["hint"] = say("password_hint")

        async def save() -> None:
            identity = admin(self._screen)
            await in_thread(accounts.set_password, user.name, str(word.value or ""))
            await note(self._screen, identity, "password set", user.name)
            dialog.submit(True)

        with actions:
            ui.button(say("save"), on_click=save).props("unelevated data-do=save")
        if await answer(dialog):
            ui.notify(say("password_set", name=user.name), type="positive", position="top")
            await self.show()

    async def _forget(self, user: User) -> None:
        say, language = self._screen.say, self._screen.language
        identity = admin(self._screen)
        state = self._screen.state
        keys = await in_thread(state.accounts.keys, user.name)
        sessions = await in_thread(state.accounts.sessions, user.name)
        talks = await in_thread(state.history.conversations, user.name, limit=100_000)
        entries = await in_thread(state.audit.entries, user=user.name, limit=100_000)
        lost = [
            say("lost_account"),
            say("lost_keys", count=number(len(keys), language)),
            say("lost_sessions", count=number(len(sessions), language)),
            say("lost_talks", count=number(len(talks), language)),
            say("lost_entries", count=number(len(entries), language)),
        ]
        title = say("forget_title", name=user.name)
        if not await confirmed(say, title, say("forget_about"), lost, say("forget")):
            return
        identity = admin(self._screen)
        await in_thread(
            forget, identity, user.name, accounts=state.accounts, audit=state.audit,
            history=state.history, library=state.library,
        )  # fmt: skip
        ui.notify(say("forgotten", name=user.name), position="top")
        await self.show()


def groups_of(text: str) -> tuple[str, ...]:
    """Groups as they are typed: by commas or line ends."""
    return tuple(p.strip() for p in text.replace("\n", ",").split(",") if p.strip())


def _role(screen: Screen, value: str) -> ui.select:
    options = {role: screen.say(f"role_{role}_about") for role in ROLES}
    chosen = ui.select(options, value=value, label=screen.say("role"))
    return chosen.props("outlined options-dense data-field=role")


def _secret(label: str) -> ui.input:
    field = ui.input(label, password=True, password_toggle_button=True)
    return field.props("outlined autocomplete=new-password data-field=password")
