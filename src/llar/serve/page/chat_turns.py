"""The questions of a conversation on the page: the latest at once, the earlier ones on demand."""

from __future__ import annotations

import asyncio

from nicegui import ui

from ..asks import Ask
from ..threads import in_thread
from ..turns import Turn
from .chat_turn import Around, TurnView
from .parts import tag

AT_FIRST = 6  # turns that the page is sent with: more than a window shows, each takes time
_MORE = 20  # turns that are shown when earlier ones are asked for


class Turns:
    """What is shown of a conversation: always its end, with nothing left out in between."""

    def __init__(self, chat: Around, conversation: str | None) -> None:
        self.conversation = conversation
        self.views: list[TurnView] = []
        self._chat = chat
        self._left = 0  # earlier turns that are not on the page
        self._earlier = tag("div", classes="l-earlier")
        self.element = tag("div", classes="l-turns")

    async def build(self, turns: list[Turn]) -> None:
        """Put the last turns on the page."""
        for turn in turns:
            self.add(turn, self._chat.screen.state.asks.running(turn.id))
            await asyncio.sleep(0)  # others' pages do not wait for all of this one
        await self._count()
        self._offer()

    def add(self, turn: Turn, ask: Ask | None) -> TurnView:
        """Show a turn below the others."""
        with self.element:
            view = TurnView(self._chat, turn, ask)
        self.views.append(view)
        return view

    def remove_from(self, turn: int) -> None:
        """Take a turn away, and all that follow it."""
        for view in [v for v in self.views if v.turn.id >= turn]:
            self.views.remove(view)
            view.element.delete()

    async def reach(self, turn: int) -> None:
        """Go to a turn, showing whatever lies between it and those on the page."""
        while self._left and self.views and self.views[0].turn.id > turn:
            await self._load()
        view = next((v for v in self.views if v.turn.id == turn), None)
        if view is None:
            ui.notify(self._chat.screen.say("turn_gone"), type="warning")
            ui.run_javascript("llarFollow(true)")
            return
        view.element.classes("l-sought")
        ui.run_javascript(f"llarTurn({turn})")

    async def _load(self) -> Turn | None:
        """Show earlier turns above the others; the last of them, None where there are none."""
        screen = self._chat.screen
        self._earlier.clear()  # nothing is asked for twice
        found = await in_thread(
            screen.state.history.turns,
            screen.identity().user,
            self.conversation or "",
            limit=_MORE,
            before=self.views[0].turn.id,
        )
        for turn in reversed(found):  # what is removed meanwhile is never above what comes
            if self.element.is_deleted:
                return None
            with self.element:
                view = TurnView(self._chat, turn, None)
            view.element.move(target_index=0)
            self.views.insert(0, view)
            await asyncio.sleep(0)
        await self._count()
        self._offer()
        return found[-1] if found else None

    async def _count(self) -> None:
        screen = self._chat.screen
        self._left = 0
        if self.conversation and self.views:
            self._left = await in_thread(
                screen.state.history.earlier,
                screen.identity().user,
                self.conversation,
                self.views[0].turn.id,
            )

    def _offer(self) -> None:
        """The button for earlier turns, where there are some."""
        self._earlier.clear()
        count = min(_MORE, self._left)
        if count:
            say = self._chat.screen.say
            label = say("earlier", count=count) if count > 1 else say("earlier_one")
            with self._earlier:
                ui.button(label, icon="expand_less", on_click=self._more).props("flat")

    async def _more(self) -> None:
        with self.element:  # the button pressed goes away
            last = await self._load()
            if last is not None:
                ui.run_javascript(f"llarTurn({last.id})")
