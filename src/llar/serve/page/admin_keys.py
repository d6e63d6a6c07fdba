"""API keys: made, shown once, revoked; everybody's for an admin, or one's own."""

from __future__ import annotations

from nicegui import context, ui

from ..accounts import Key
from ..threads import in_thread
from ..who import ROLES, Identity
from .admin_parts import answer, cell, form, note, table, time_cell
from .frame import Screen
from .library_parts import confirmed, copy_button
from .parts import icon_button, tag
from .words import Say, words

__all__ = ["Keys"]

DAYS = {30: "days_30", 90: "days_90", 365: "days_365", 0: "for_ever"}


class Keys:
    """All keys, or those of one user. The texts are those of the administration."""

    def __init__(self, screen: Screen, user: str | None = None) -> None:
        self._screen = screen
        self._user = user
        self._say: Say = words("admin", screen.language)
        say = self._say
        with ui.element("div").classes("t-row"):
            tag("p", say("keys_about"), "l-quiet t-grow")
            button = ui.button(say("add_key"), icon="add", on_click=self._add)
            button.props("unelevated data-do=add-key")
        self._place = ui.element("section").classes("t-card")

    def _identity(self) -> Identity:
        """Who is looking; an admin, unless these are their own keys."""
        identity = self._screen.identity()
        if self._user is None:
            identity.require("admin")
        return identity

    async def show(self) -> None:
        """Read and draw them."""
        self._identity()
        keys = await in_thread(self._screen.state.accounts.keys, self._user)
        say = self._say
        self._place.clear()
        with self._place:
            if not keys:
                tag("p", say("no_keys"), "l-quiet")
                return
            heads = ["key", "owner", "label", "most", "only", "expires", "last_used"]
            if self._user is not None:
                heads.remove("owner")
            with table([*map(say, heads), ""], say("tab_keys")):
                for key in keys:
                    self._row(key)

    def _row(self, key: Key) -> None:
        say = self._say
        with ui.element("tr") as row:
            row.props["data-key"] = key.id
            tag("th", f"{key.id}…", "t-code", "scope=row")
            if self._user is None:
                cell(say("owner"), key.user)
            cell(say("label"), key.label or "–")
            cell(say("most"), say(f"role_{key.role}") if key.role else "–")
            only = say("all") if key.collections is None else ", ".join(key.collections)
            cell(say("only"), only)
            language = self._screen.language
            time_cell(say("expires"), key.expires, language, say("for_ever"))
            time_cell(say("last_used"), key.last_used, language, say("never"))
            with ui.element("td").classes("t-actions"):
                button = icon_button("key_off", f"{say('revoke')}: {key.id}")
                button.on_click(lambda: self._revoke(key)).props["data-do"] = "revoke"

    async def _add(self) -> None:
        identity = self._identity()
        say, state = self._say, self._screen.state
        users = (
            [self._user] if self._user else [u.name for u in await in_thread(state.accounts.users)]
        )
        if not users:
            ui.notify(say("no_users"), position="top")
            return
        names = await in_thread(state.library.names, identity)
        with form(say("add_key"), say("cancel")) as (dialog, actions):
            first = identity.user if identity.user in users else users[0]
            owner = ui.select(users, value=first, label=say("owner")).props(
                "outlined options-dense"
            )
            owner.set_visibility(self._user is None)
            label = ui.input(say("label")).props("outlined data-field=label maxlength=100")
            label.props["hint"] = say("label_hint")
            days = ui.select({d: say(k) for d, k in DAYS.items()}, value=365, label=say("valid"))
            days.props("outlined options-dense data-field=days")
            roles = {"": say("as_owner")} | {role: say(f"role_{role}") for role in ROLES}
            role = ui.select(roles, value="", label=say("most")).props("outlined options-dense")
            only = ui.select(names, value=[], multiple=True, label=say("only"))
            only.props("outlined options-dense use-chips").props["hint"] = say("only_hint")

        async def save() -> None:
            by = self._identity()
            key, secret = await in_thread(
                state.accounts.add_key, str(owner.value), label.value or "",
                days=days.value or None, role=role.value or None, collections=only.value or None,
            )  # fmt: skip
            await note(self._screen, by, "key made", f"{key.user} {key.id}")
            dialog.submit(secret)

        with actions:
            ui.button(say("make"), on_click=save).props("unelevated data-do=save")
        secret = await answer(dialog)
        if secret:
            await self._show_once(str(secret))
            await self.show()

    async def _show_once(self, secret: str) -> None:
        """The secret with a line to try it; it is kept nowhere and cannot be shown again."""
        say = self._say
        base = str(context.client.request.scope.get("llar.base") or "")
        base = base or str(context.client.request.base_url).rstrip("/")
        with ui.dialog().props("persistent") as dialog, ui.card().classes("k-dialog"):
            dialog.props["aria-label"] = say("made")
            tag("h2", say("made"))
            tag("p", say("shown_once"), "k-note")
            with ui.element("div").classes("t-row"):
                tag("code", secret, "t-secret t-grow", "data-part=secret")
                copy_button(secret, say, say("copy"))
            tag("p", say("try_it"), "l-quiet")
            tag("pre", f'curl -H "Authorization: Bearer {secret}" {base}/v1/models', "k-prompt")
            with ui.element("div").classes("k-actions"):
                done = ui.button(say("kept_it"), on_click=lambda: dialog.submit(True))
                done.props("unelevated data-do=done")
        await answer(dialog)

    async def _revoke(self, key: Key) -> None:
        self._identity()
        say, state = self._say, self._screen.state
        title = say("revoke_title", name=f"{key.id}…")
        if not await confirmed(say, title, say("revoke_about"), [], say("revoke")):
            return
        by = self._identity()
        await in_thread(state.accounts.revoke_key, key.id)
        await note(self._screen, by, "key revoked", f"{key.user} {key.id}")
        await self.show()
