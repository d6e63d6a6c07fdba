"""The user's conversations beside the chat: search, open, rename, delete, export."""

from __future__ import annotations

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from ..export import as_markdown, as_pdf
from ..threads import in_thread
from ..turns import Conversation, Turn
from .chat_answer import because
from .frame import Screen
from .parts import icon, icon_button, tag

_LISTED = 100


class ConversationList:
    """The list, with what it does. `current` is the conversation that is shown."""

    def __init__(self, screen: Screen, current: str | None) -> None:
        self.current = current
        self._screen = screen
        self._say = screen.say
        self._shown: list[tuple[str, str, bool]] | None = None
        self._links: list[TextElement] = []
        with tag("aside", classes="l-conversations", props="id=conversations") as aside:
            aside.props["aria-label"] = self._say("conversations")
            self._search = ui.input(self._say("search")).props(
                "outlined dense clearable debounce=250 type=search"
            )
            self._search.classes("l-wide").on_value_change(self.refresh)
            with ui.link(target="/chat").classes("l-new"):
                icon("edit_square")
                ui.label(self._say("new"))
            self._items = tag("nav", classes="l-conversation-list")
            self._items.props["aria-label"] = self._say("conversations")

    async def refresh(self) -> None:
        """Read the list again."""
        user, history = self._screen.identity().user, self._screen.state.history
        search = str(self._search.value or "")
        found = await in_thread(history.conversations, user, search=search, limit=_LISTED)
        places = await in_thread(history.places, user, search)
        shown = [(c.id, c.title, c.id == self.current) for c in found]
        if shown != self._shown:  # otherwise an open menu stays open
            self._shown = shown
            self._items.clear()
            with self._items:
                if not found:
                    tag("p", self._say("none_found" if search else "none"), "l-quiet l-small")
                self._links = [self._item(conversation) for conversation in found]
        for link, conversation in zip(self._links, found, strict=True):
            turn = places.get(conversation.id)  # where what is searched stands, else the end
            address = f"/chat/{conversation.id}" + (f"?turn={turn}" if turn else "")
            if link.props.get("href") != address:
                link.props["href"] = address

    def _item(self, conversation: Conversation) -> TextElement:
        with tag("div", classes="l-conversation"):
            link = tag("a", conversation.title, "l-conversation-link")
            if conversation.id == self.current:
                link.props["aria-current"] = "page"
            label = self._say("options", title=conversation.title)
            more = icon_button("more_horiz", label).props("size=sm aria-haspopup=menu")
            more.on_click(lambda: self._menu(more, conversation))
        return link

    def _menu(self, button: ui.button, conversation: Conversation) -> None:
        """Made when it is asked for: a hundred menus would make the page slow."""
        button.clear()
        with button, ui.menu().props("auto-close") as menu, ui.list().props("role=menu"):
            choices = (
                ("edit", "rename", self._rename),
                ("description", "export_markdown", self._markdown),
                ("picture_as_pdf", "export_pdf", self._pdf),
                ("delete", "delete", self._delete),
            )
            for picture, text, does in choices:
                item = ui.item(on_click=lambda d=does: d(conversation))
                with item.props("clickable role=menuitem"):
                    with ui.item_section().props("avatar"):
                        icon(picture)
                    with ui.item_section():
                        ui.label(self._say(text))
        menu.open()

    async def _rename(self, conversation: Conversation) -> None:
        with self._dialog() as dialog, ui.card().classes("l-dialog"):
            tag("h2", self._say("rename"))
            box = ui.input(self._say("name"), value=conversation.title)
            box.props("outlined autofocus maxlength=200").classes("l-wide")
            box.on("keydown.enter", lambda: dialog.submit(True))
            self._buttons(dialog, "save")
        if await dialog:
            user, history = self._screen.identity().user, self._screen.state.history
            await in_thread(history.rename, user, conversation.id, box.value)
            await self.refresh()
        dialog.delete()

    async def _delete(self, conversation: Conversation) -> None:
        with self._dialog() as dialog, ui.card().classes("l-dialog"):
            tag("h2", self._say("delete"))
            tag("p", self._say("delete_sure", title=conversation.title))
            self._buttons(dialog, "delete", "color=negative")
        if await dialog:
            user, history = self._screen.identity().user, self._screen.state.history
            await in_thread(history.delete, user, conversation.id)
            if conversation.id == self.current:
                ui.navigate.to("/chat")
            else:
                await self.refresh()
        dialog.delete()

    def _dialog(self) -> ui.dialog:
        return ui.dialog()

    def _buttons(self, dialog: ui.dialog, does: str, props: str = "") -> None:
        with ui.row().classes("l-dialog-buttons"):
            ui.button(self._say("cancel"), on_click=lambda: dialog.submit(False)).props("flat")
            yes = ui.button(self._say(does), on_click=lambda: dialog.submit(True))
            yes.props(f"unelevated {props}")

    async def _markdown(self, conversation: Conversation) -> None:
        turns = await self._turns(conversation)
        text = as_markdown(conversation, turns, self._say, because)
        ui.download.content(text, f"{_file(conversation)}.md", "text/markdown")

    async def _pdf(self, conversation: Conversation) -> None:
        turns = await self._turns(conversation)
        pdf = await in_thread(as_pdf, conversation, turns, self._say, because)
        ui.download.content(pdf, f"{_file(conversation)}.pdf", "application/pdf")

    async def _turns(self, conversation: Conversation) -> list[Turn]:
        user, history = self._screen.identity().user, self._screen.state.history
        return await in_thread(history.turns, user, conversation.id)


def _file(conversation: Conversation) -> str:
    """A name for a file: letters, digits, spaces and dashes of the title."""
    kept = "".join(c if c.isalnum() or c in " -_" else " " for c in conversation.title)
    return " ".join(kept.split())[:60] or "llar"
