"""The screen "Administration": users, keys, access, the audit log and the server's state."""

from __future__ import annotations

from typing import Protocol

from nicegui import ui

from . import me as _me  # noqa: F401 - registers the screen of one's own account
from .admin_access import Access
from .admin_audit import Log
from .admin_keys import Keys
from .admin_status import Status
from .admin_users import Users
from .frame import frame, page
from .library_parts import sheet

ICONS = {
    "users": "group",
    "keys": "vpn_key",
    "access": "lock_open",
    "audit": "history",
    "status": "monitor_heart",
}


class Tab(Protocol):
    """A part of the screen; `show` reads what is there and draws it."""

    async def show(self) -> None: ...


@page("/admin")
async def show(tab: str = "users") -> None:
    """The screen, for admins. `tab` is one of ICONS; any other opens the first."""
    sheet("tools")
    sheet("library")
    with frame("admin") as screen:
        screen.identity().require("admin")
        say = screen.say
        chosen = tab if tab in ICONS else "users"
        with ui.tabs().props("inline-label outside-arrows mobile-arrows align=left") as tabs:
            for name, icon in ICONS.items():
                ui.tab(name, say(f"tab_{name}"), icon=icon)
        parts: dict[str, Tab] = {}
        with ui.tab_panels(tabs, value=chosen).props("keep-alive").classes("t-panels"):
            with ui.tab_panel("users"):
                parts["users"] = Users(screen)
            with ui.tab_panel("keys"):
                parts["keys"] = Keys(screen)
            with ui.tab_panel("access"):
                parts["access"] = Access(screen)
            with ui.tab_panel("audit"):
                parts["audit"] = Log(screen)
            with ui.tab_panel("status"):
                parts["status"] = Status(screen)

        async def opened() -> None:
            name = str(tabs.value)
            ui.run_javascript(f"history.replaceState(null, '', '?tab={name}')")
            await parts[name].show()

        tabs.on_value_change(opened)
        await parts[chosen].show()
