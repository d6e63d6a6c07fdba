"""Who may read which collection, and who may also change it."""

from __future__ import annotations

from nicegui import ui

from ...index.index import collection_names
from ..accounts import EVERYONE, Grant
from ..threads import in_thread
from .admin_parts import admin, note
from .frame import Screen
from .parts import icon_button, tag

__all__ = ["Access"]


class Access:
    """The tab."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        tag("p", screen.say("access_about"), "l-quiet")
        self._place = ui.element("section").classes("t-cards")

    async def show(self) -> None:
        """Read and draw every collection with what is granted on it."""
        admin(self._screen)
        state = self._screen.state
        names = await in_thread(collection_names, state.config)
        grants = await in_thread(state.accounts.grants)
        users = await in_thread(state.accounts.users)
        groups = sorted({g for user in users for g in (*user.groups, *user.sso_groups)})
        known = [EVERYONE, *(f"user:{u.name}" for u in users), *(f"group:{g}" for g in groups)]
        self._place.clear()
        with self._place:
            if not names:
                tag("p", self._screen.say("no_collections"), "l-quiet")
            for name in names:
                self._card(name, [g for g in grants if g.collection == name], known)

    def _card(self, name: str, grants: list[Grant], known: list[str]) -> None:
        say = self._screen.say
        with ui.element("article").classes("t-card") as card:
            card.props["data-collection"] = name
            tag("h2", name, "t-head")
            if not grants:
                tag("p", say("admins_only"), "l-quiet")
            with ui.element("ul").classes("t-grants"):
                for grant in grants:
                    with ui.element("li").classes("t-row"):
                        tag("span", self._called(grant.name), "t-grow")
                        tag("span", say(f"may_{grant.role}"), "k-chip")
                        label = f"{say('take_back')}: {self._called(grant.name)}"
                        button = icon_button("close", label)
                        button.on_click(lambda grant=grant: self._revoke(grant))
            with ui.element("div").classes("t-row"):
                who = ui.select(
                    {n: self._called(n) for n in known}, label=say("whom"), with_input=True,
                    new_value_mode="add-unique",
                ).props("outlined dense options-dense").classes("t-grow")  # fmt: skip
                who.props["hint"] = say("whom_hint")
                may = ui.select(
                    {role: say(f"may_{role}") for role in ("reader", "editor")}, value="reader",
                    label=say("may"),
                ).props("outlined dense options-dense").classes("t-narrow")  # fmt: skip
                ui.button(
                    say("grant"),
                    on_click=lambda: self._grant(name, str(who.value or ""), may.value),
                ).props("outline data-do=grant")

    def _called(self, name: str) -> str:
        """A grantee for people: "everyone", or the name with what it is."""
        say = self._screen.say
        kind, _, rest = name.partition(":")
        return say("everyone") if name == EVERYONE else f"{say(f'of_{kind}')} {rest}"

    async def _grant(self, collection: str, name: str, role: object) -> None:
        by = admin(self._screen)
        what = "read and edit" if role == "editor" else "read"
        accounts = self._screen.state.accounts
        access = "editor" if role == "editor" else "reader"
        await in_thread(accounts.grant, collection, [name], access)
        detail = f"{name} may {what} {collection}"
        await note(self._screen, by, "access granted", detail, collection=collection)
        await self.show()

    async def _revoke(self, grant: Grant) -> None:
        by = admin(self._screen)
        accounts = self._screen.state.accounts
        await in_thread(accounts.revoke, grant.collection, [grant.name])
        detail = f"{grant.name} on {grant.collection}"
        await note(self._screen, by, "access revoked", detail, collection=grant.collection)
        await self.show()
