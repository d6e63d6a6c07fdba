"""The chat: questions to a collection, answers with their sources, the conversations of a user."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from ...errors import ModelError
from ..asks import Ask
from ..threads import in_thread
from ..turns import Conversation, Turn
from .chat_list import ConversationList
from .chat_turn import TurnView, follow
from .chat_turns import AT_FIRST, Turns
from .document_view import passage_dialog
from .frame import Screen, frame, page
from .parts import icon, icon_button, tag


@page("/chat")
async def new() -> None:
    """A new conversation."""
    await _show(None, None)


@page("/chat/{conversation}")
async def show(conversation: str, turn: int | None = None) -> None:
    """One of the user's conversations, at its end or at a turn of it."""
    await _show(conversation, turn)


async def _show(conversation: str | None, sought: int | None) -> None:
    with frame("chat", heading=False) as screen:
        user = screen.identity().user
        history = screen.state.history
        found, turns = None, []
        if conversation is not None:
            found = await in_thread(history.conversation, user, conversation)
            turns = await in_thread(history.turns, user, conversation, limit=AT_FIRST)
        latest = found or next(iter(await in_thread(history.conversations, user, limit=1)), None)
        chat = Chat(screen, found, sought)
        await chat.build(turns, latest)


class Chat:
    """The screen: the conversations at the left, the turns, and below them where one asks."""

    def __init__(
        self, screen: Screen, conversation: Conversation | None, sought: int | None
    ) -> None:
        self.screen = screen
        self._say = screen.say
        self._conversation = conversation.id if conversation else None
        self._sought = sought  # the turn to go to; None is the end
        self._asks = screen.state.asks

    async def build(self, turns: list[Turn], latest: Conversation | None) -> None:
        """Put it on the page. `latest` has the collection and model chosen last."""
        with tag("div", classes="l-chat"):
            self._list = ConversationList(self.screen, self._conversation)
            with tag("div", classes="l-talk"):
                self._opener()
                self._turns = Turns(self, self._conversation)
                self._empty = tag("section", classes="l-empty")
                await self._composer(latest)
        await self._turns.build(turns)
        self._show_empty()
        await self._list.refresh()
        running = self._asks.running(turns[-1].id) if turns else None
        ui.timer(0.01, lambda: self._connected(running), once=True)

    def open_passage(self, turn: Turn, at: dict[str, Any]) -> None:
        """Show the page of a document with the passage marked, beside the chat."""
        passage_dialog(
            self.screen, turn.collection, at["document"], at["page"], at["start"], at["end"]
        )

    async def suggest(self, question: str) -> None:
        """Ask one of the questions suggested."""
        await self._ask(question)

    async def ask_again(self, turn: Turn, question: str) -> None:
        """Ask in the place of an earlier turn, what follows it is removed."""
        await self._ask(question, instead_of=turn.id)

    async def _ask(self, question: str, *, instead_of: int | None = None) -> None:
        if not question.strip():
            return
        identity = self.screen.identity()
        ask = await self._asks.start(
            identity,
            question,
            self._collection.value,
            self._model.value,
            conversation=self._conversation,
            instead_of=instead_of,
        )
        with (
            self._turns.element
        ):  # what was pressed may be deleted with the turns that are replaced
            await self._show_asked(ask, instead_of)

    async def _show_asked(self, ask: Ask, instead_of: int | None) -> None:
        if instead_of is None:
            self._box.value = ""
            ui.run_javascript("llarDraft(true)")
        else:
            self._turns.remove_from(instead_of)
        if self._conversation is None or self._sought is not None:
            self._conversation = self._list.current = ask.turn.conversation
            self._turns.conversation, self._sought = ask.turn.conversation, None
            ui.navigate.history.replace(f"/chat/{ask.turn.conversation}")
        view = self._turns.add(ask.turn, ask)
        self._show_empty()
        await self._list.refresh()
        ui.run_javascript("llarFollow(true)")
        await self._follow(ask, view)

    async def _connected(self, running: Ask | None) -> None:
        """The page is there: go to its end or to what is sought, and on with an answer."""
        ui.run_javascript("llarDraft()")
        if self._sought is not None:
            await self._turns.reach(self._sought)
        elif self._turns.views:
            ui.run_javascript("llarFollow(true)")
        if running is not None:
            await self._follow(running, self._turns.views[-1])

    async def _follow(self, ask: Ask, view: TurnView) -> None:
        self._busy(ask)

        async def seen() -> None:
            ui.run_javascript("llarFollow(false)")

        try:
            await follow(ask, view, seen)
        finally:
            if not view.element.client.is_deleted:
                self._busy(None)

    def _busy(self, ask: Ask | None) -> None:
        self._running = ask
        self._stop.set_visibility(ask is not None)
        self._send.set_visibility(ask is None)
        self._state.text = self._say("writing_plain") if ask else ""
        views = self._turns.views
        if ask is None and views and views[-1].turn.state == "done":
            self._state.text = self._say("answered")

    def _show_empty(self) -> None:
        self._empty.clear()
        if self._turns.views:
            return
        with self._empty:
            icon("local_fire_department", "l-hearth")
            tag("h2", self._say("greeting"))
            if self._collection.value:
                tag("p", self._say("promise"), "l-quiet")
            elif len(self._collection.options) > 1:
                tag("p", self._say("promise_plain"), "l-quiet")
            elif not self.screen.is_admin:
                tag("p", self._say("no_access"), "l-quiet")
            else:
                tag("p", self._say("no_collections"), "l-quiet")
                ui.link(self._say("to_library"), "/library")
            if self._model.value in self._missing:
                tag(
                    "p",
                    self._say("no_model", model=self._named(self._model.value)),
                    "l-notice l-warn",
                )
                ui.link(self._say("to_models"), "/models")

    def _opener(self) -> None:
        """On a phone, the conversations are opened by a button."""
        with tag("button", classes="l-opens-conversations", props="type=button") as button:
            icon("history")
        button.props["aria-label"] = button.props["title"] = self._say("conversations")
        button.props("aria-controls=conversations")
        button.on("click", js_handler="() => llarConversations()")  # Quasar's takes the focus back

    async def _composer(self, latest: Conversation | None) -> None:
        say, state = self._say, self.screen.state
        names = await in_thread(state.library.names, self.screen.identity())
        models = await in_thread(state.engines.names)
        collection = latest.collection if latest and latest.collection in names else None
        if collection is None:
            usual = state.config.collection
            collection = usual if usual in names else next(iter(names), "")
        if latest and latest.collection == "" and self._conversation:
            collection = ""
        model = latest.model if latest and latest.model in models else state.config.chat_model
        if model not in models:
            models = [model, *models]
        self._missing = await in_thread(self._not_installed, models)
        with tag("div", classes="l-composer"):
            with tag("div", classes="l-composer-box"):
                self._box = ui.textarea(placeholder=say("ask")).classes("l-grow")
                self._box.props("borderless dense autogrow autofocus rows=1 maxlength=32000")
                self._box.props["aria-label"] = say("ask")
                self._box.on(
                    "keydown.enter",
                    lambda e: self._ask(e.args),
                    js_handler="(e) => { if (e.shiftKey || e.isComposing) return;"
                    " e.preventDefault(); emit(e.target.value); }",
                )
                self._send = icon_button("arrow_upward", say("send"), "l-send")
                self._send.on_click(lambda: self._ask(self._box.value or ""))
                self._stop = icon_button("stop", say("stop"), "l-send l-stop")
                self._stop.on_click(self._end).set_visibility(False)
            with tag("div", classes="l-composer-options"):
                options = {name: name for name in names} | {"": say("without")}
                self._collection = ui.select(options, label=say("collection"), value=collection)
                self._model = ui.select({m: self._named(m) for m in models})
                self._model.props["label"] = say("model")
                self._model.value = model
                for choice in (self._collection, self._model):
                    choice.props("outlined dense options-dense").classes("l-choose")
                    choice.on_value_change(self._show_empty)
            tag("p", say("hint"), "l-hint l-quiet")
            self._state = tag("div", classes="l-unseen", props="role=status")

    def _named(self, model: str) -> str:
        """A model without what runs it."""
        return model.partition(":")[2] or model

    def _not_installed(self, models: list[str]) -> set[str]:
        """Those that were named in a setting or an earlier conversation, but are not here."""
        found = set()
        for model in models:
            try:
                self.screen.state.engines.chat(model)
            except ModelError:
                found.add(model)
        return found

    def _end(self) -> None:
        if self._running is not None:
            self._running.stop()
