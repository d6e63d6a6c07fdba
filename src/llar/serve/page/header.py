"""The header of every screen: the name, the ways to the other screens, language and colours."""

from __future__ import annotations

from nicegui import context, ui

from ..who import Identity
from . import look
from .parts import icon_button
from .words import LANGUAGES, Say, words

SCREENS = {  # name -> icon, and the role that sees it
    "chat": ("forum", "reader"),
    "library": ("folder_open", "reader"),
    "lab": ("manage_search", "reader"),
    "inside": ("visibility", "reader"),
    "evaluation": ("fact_check", "reader"),
    "models": ("memory", "reader"),
    "admin": ("shield", "admin"),
}
_LOOK_ICONS = {"system": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}


def build(active: str, language: str, identity: Identity | None) -> None:
    """Put it on the page. Who is not signed in sees no ways to other screens."""
    say = words("frame", language)
    if identity is not None:
        drawer = ui.dialog().props("position=left full-height")
        drawer.props["aria-label"] = say("menu")
        with drawer, ui.card().classes("l-drawer"):
            _navigation(active, identity, say, say("menu"), "l-drawer-nav")
    with ui.header(wrap=False).classes("l-header"):
        if identity is not None:
            icon_button("menu", say("menu"), "l-burger").on_click(drawer.open)
        with ui.link(target="/chat").classes("l-brand"):
            ui.element("img").props('src=/style/favicon.svg alt="" width=28 height=28')
            ui.label("llar")
        if identity is not None:
            _navigation(active, identity, say, say("screens"), "l-nav")
        ui.element("div").classes("l-grow")
        _languages(language, say)
        _looks(say)
        if identity is not None:
            _user(identity, say)
    ui.skip_link(say("skip"), target=context.client.content)  # last: the header moves to the top


def _navigation(active: str, identity: Identity, say: Say, label: str, style: str) -> None:
    with ui.element("nav").classes(style).props(f'aria-label="{label}"'):
        for name, (icon, role) in SCREENS.items():
            if role == "admin" and not identity.is_admin:
                continue
            with ui.link(target=f"/{name}").classes("l-nav-link") as link:
                if name == active:
                    link.props("aria-current=page")
                ui.icon(icon).props("aria-hidden=true")
                ui.label(say(name))


def _choice(label: str, icon: str, style: str = "") -> ui.menu:
    """A round button with a menu under it."""
    with icon_button(icon, label, f"l-choice {style}").props("aria-haspopup=menu"):
        return ui.menu().props("auto-close anchor='bottom right' self='top right'")


def _item(text: str, icon: str, value: str, chosen: bool, script: str) -> ui.item:
    item = ui.item().props(f"clickable role=menuitemradio aria-checked={str(chosen).lower()}")
    item.props(f"data-choice={value}").classes("l-choice-item").on("click", js_handler=script)
    with item:
        with ui.item_section().props("avatar"):
            ui.icon(icon).props("aria-hidden=true")
        with ui.item_section():
            ui.label(text)
    return item


def _languages(language: str, say: Say) -> None:
    with _choice(say("language"), "translate"), ui.list().props("role=menu"):
        for code, name in LANGUAGES.items():
            icon = "check" if code == language else ""
            item = _item(name, icon, code, code == language, f"() => llarLanguage('{code}')")
            item.props(f"lang={code}")


def _looks(say: Say) -> None:
    chosen = look.look_of(context.client.request)
    with _choice(say("look"), "contrast", "l-look"), ui.list().props("role=menu"):
        for name in look.LOOKS:
            script = f"() => llarLook('{name}')"
            _item(say(name), _LOOK_ICONS[name], name, name == chosen, script)


def _user(identity: Identity, say: Say) -> None:
    with _choice(say("account"), "account_circle"), ui.list():
        with ui.item(), ui.item_section():
            ui.item_label(identity.user)
            ui.item_label(say(f"role_{identity.role}")).props("caption")
        mine = ui.item().props("clickable role=menuitem").classes("l-me")
        mine.on("click", js_handler="() => { location.href = '/me' }")
        with mine:
            with ui.item_section().props("avatar"):
                ui.icon("manage_accounts").props("aria-hidden=true")
            with ui.item_section():
                ui.label(say("me"))
        if identity.via != "local":
            item = ui.item().props("clickable role=menuitem").classes("l-sign-out")
            item.on("click", js_handler="() => llarSignOut()")
            with item:
                with ui.item_section().props("avatar"):
                    ui.icon("logout").props("aria-hidden=true")
                with ui.item_section():
                    ui.label(say("sign_out"))
