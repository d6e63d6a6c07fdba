"""One question with its answer on the page, while it is written and afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from nicegui import ui

from ..asks import Ask
from ..export import as_text
from ..threads import in_thread
from ..turns import Turn, Verdict
from . import chat_answer
from .frame import Screen
from .library_parts import number
from .parts import icon, icon_button, tag

_PAUSE = 0.08  # seconds between two changes of the page


class Around(Protocol):
    """What a turn asks of the chat that it is in."""

    screen: Screen

    def open_passage(self, turn: Turn, at: dict[str, Any]) -> Any: ...

    def suggest(self, question: str) -> Any: ...

    async def ask_again(self, turn: Turn, question: str) -> None: ...


class TurnView:
    """The elements of one turn. `last` is whether nothing follows it."""

    def __init__(self, chat: Around, turn: Turn, ask: Ask | None) -> None:
        self.turn = turn
        self._chat = chat
        self._say = chat.screen.say
        self._shown = 0  # sentences
        with tag("article", classes="l-turn", props=f"data-turn={turn.id}") as self.element:
            self._question = tag("div", classes="l-question-row")
            self._show_question()
            self._body = tag("div", classes="l-answer")
        if ask is None:
            self.finished(turn)
        else:
            self._being_written()

    def grow(self, ask: Ask) -> None:
        """Show what came since the last call."""
        if ask.done:
            self.finished(ask.turn)
            return
        self._stage.text = self._say(self._stage_of(ask))
        if ask.answer.get("plain"):
            self._text.text = ask.answer["text"]
            return
        sentences = ask.answer["sentences"]
        new, self._shown = sentences[self._shown :], len(sentences)
        with self._text:
            for s in new:
                if s["supported"]:
                    chat_answer.line(s, self.turn, self._say, self._chat.open_passage)
        self._left.clear()
        with self._left:
            chat_answer.left_out(sentences, self._say)

    def finished(self, turn: Turn) -> None:
        """Show the whole answer."""
        self.turn = turn
        self._body.clear()
        with self._body:
            if turn.state == "writing":  # and nothing is writing it any more
                with tag("div", classes="l-notice"):
                    icon("power_off")
                    tag("p", self._say("interrupted"))
            chat_answer.show(turn, self._say, self._chat.open_passage, self._chat.suggest)
            self._actions()

    def _stage_of(self, ask: Ask) -> str:
        if ask.stopping:
            return "stopping"
        if not ask.turn.collection:
            return "writing_plain"
        return {"search": "searching"}.get(ask.stage, "writing")

    def _being_written(self) -> None:
        with self._body:
            self._text = tag("p", classes="l-text l-growing", props="aria-live=polite")
            self._left = tag("div")
            with tag("div", classes="l-status", props="role=status"):
                ui.spinner("dots", size="1.6em").props("aria-hidden=true")
                self._stage = tag("span", self._say("searching"))

    def _show_question(self) -> None:
        self._question.clear()
        with self._question:
            button = icon_button("edit", self._say("edit"), "l-edit").props("size=sm")
            button.on_click(self._edit)
            with tag("h2", classes="l-question", props="tabindex=-1"):
                tag("span", self._say("your_question"), "l-unseen")
                tag("span", self.turn.question)

    def _edit(self) -> None:
        self._question.clear()
        say = self._say
        with self._question, tag("div", classes="l-editing"):
            box = ui.textarea(say("edit"), value=self.turn.question)
            box.props("outlined autogrow autofocus").classes("l-wide")
            tag("p", say("edit_follows"), "l-quiet l-small")
            with ui.row():

                async def again() -> None:
                    await self._chat.ask_again(self.turn, box.value)

                ui.button(say("ask_this"), on_click=again).props("unelevated")
                ui.button(say("cancel"), on_click=self._show_question).props("flat")

    def _actions(self) -> None:
        turn, say = self.turn, self._say
        with tag("div", classes="l-actions"):
            copy = icon_button("content_copy", say("copy"))
            copy.props["data-text"] = as_text(turn, say)
            copy.props["data-copied"] = say("copied")
            copy.on("click", js_handler="(e) => llarCopy(e.currentTarget)")

            async def again() -> None:
                await self._chat.ask_again(turn, turn.question)

            icon_button("refresh", say("retry"), "l-retry").on_click(again)
            self._thumb("up", "good", "thumb_up")
            self._thumb("down", "bad", "thumb_down")
            tag("span", classes="l-grow")
            seconds = turn.answer.get("seconds")
            if seconds is not None:
                text = say("seconds", seconds=number(seconds, self._chat.screen.language, 1))
                name = turn.model.partition(":")[2] or turn.model
                tag("span", f"{name} · {text}", "l-quiet l-small l-number")
        self._comment = tag("div")

    def _thumb(self, verdict: Verdict, label: str, picture: str) -> None:
        chosen = self.turn.verdict == verdict
        button = icon_button(picture if chosen else f"o_{picture}", self._say(label), "l-thumb")
        button.props["aria-pressed"] = str(chosen).lower()

        async def judge() -> None:
            await self._judge(None if self.turn.verdict == verdict else verdict, "")

        button.on_click(judge)

    async def _judge(self, verdict: Verdict | None, comment: str) -> None:
        screen = self._chat.screen
        user, history = screen.identity().user, screen.state.history
        await in_thread(history.judge, user, self.turn.id, verdict, comment)
        turn = await in_thread(history.turn, user, self.turn.id)
        with self.element:  # what was pressed is made anew
            self.finished(turn)
            if verdict and not comment:
                self._ask_comment(verdict)
            else:
                ui.notify(self._say("thanks" if verdict else "taken_back"), type="positive")

    def _ask_comment(self, verdict: Verdict) -> None:
        say = self._say
        with self._comment, tag("div", classes="l-comment"):
            box = ui.textarea(say("comment")).props("outlined autogrow autofocus maxlength=4000")
            box.classes("l-wide")
            tag("p", say("comment_about"), "l-quiet l-small")
            with ui.row():

                async def save() -> None:
                    await self._judge(verdict, box.value or "")

                ui.button(say("save"), on_click=save).props("unelevated")
                ui.button(say("cancel"), on_click=self._comment.clear).props("flat")


async def follow(ask: Ask, view: TurnView, seen: Callable[[], Awaitable[None]]) -> None:
    """Show an answer as it is written, until it is done or nobody looks any more."""
    async for _ in ask.changes():
        if view.element.is_deleted or view.element.client.is_deleted:
            return
        view.grow(ask)
        await seen()
        await asyncio.sleep(_PAUSE)  # a model writes faster than anybody reads
