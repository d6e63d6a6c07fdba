"""Answers being written: in the background, kept sentence by sentence, whoever is watching.

A page may be reloaded or closed meanwhile: the answer goes on and is there afterwards. One that
the server's end interrupted keeps the sentences it had.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from ..config import Config
from ..errors import Conflict, LlarError, QueryError
from ..models.interface import ChatModel, Options
from ..records import Answer, Message, Sentence
from .audit import Audit
from .engines import Engines
from .history import History
from .library import Library
from .threads import in_thread, iterate
from .turns import State, Turn, kept, sentence
from .who import Identity

LOG = logging.getLogger("llar.serve")
Item = TypeVar("Item")

_REMEMBERED = 6  # earlier turns that a question may lean on
_OFTEN = 0.5  # seconds between two savings of what a model writes without documents
_ENOUGH = 32_000  # characters of a question; more is a document, not a question


class Ask:
    """One answer in the making. Belongs to the server's event loop.

    `stage` is "search", "write" or "done"; `answer` is as in `Turn`.
    """

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.stage = "search"
        self.answer: dict[str, Any] = {"sentences": []}
        self.cited: dict[int, str] = {}  # documents that answered: id -> path
        self.stopping = False
        self._watchers: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def done(self) -> bool:
        """Is there nothing more to come?"""
        return self.stage == "done"

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let this write it."""
        self._task = asyncio.create_task(work)

    def stop(self) -> None:
        """End it; the sentences that are there stay."""
        if self._task is not None and not self.stopping:
            self.stopping = True
            self._task.cancel()
            self.tell()

    async def ended(self) -> None:
        """Wait until it is done."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def changes(self) -> AsyncIterator[None]:
        """One item for each change, several at once being one, until it is done."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            while not self.done:
                yield
                await changed.wait()
                changed.clear()
            yield
        finally:
            self._watchers.discard(changed)

    def tell(self, stage: str | None = None) -> None:
        """Something changed."""
        self.stage = stage or self.stage
        for changed in self._watchers:
            changed.set()


class Asks:
    """All answers being written."""

    def __init__(
        self, config: Config, library: Library, engines: Engines, history: History, audit: Audit
    ) -> None:
        self._config = config
        self._library = library
        self._engines = engines
        self._history = history
        self._audit = audit
        self._running: dict[int, Ask] = {}
        self._starting = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def running(self, turn: int) -> Ask | None:
        """The answer of this turn while it is being written."""
        return self._running.get(turn)

    async def start(
        self,
        identity: Identity,
        question: str,
        collection: str,
        model: str,
        *,
        conversation: str | None = None,
        instead_of: int | None = None,
    ) -> Ask:
        """Ask in a conversation, or a new one. `collection` "" asks the model without documents.

        Raises QueryError for no question, UnknownCollection where it may not read the collection,
        NotThere for another's conversation, and Conflict while its last answer is being written.
        """
        question = question.strip()
        if not 0 < len(question) <= _ENOUGH:
            raise QueryError(f"a question has 1 to {_ENOUGH} characters, this has {len(question)}")
        self._loop = asyncio.get_running_loop()
        if collection:
            await in_thread(self._library.open, collection, identity)
        for ask in self._of(conversation):
            if ask.stopping:
                await ask.ended()
        async with self._starting:
            turn, before = await in_thread(
                self._begin, identity.user, question, collection, model, conversation, instead_of
            )
            ask = self._running[turn.id] = Ask(turn)
        ask.begin(self._run(ask, identity, before))
        await asyncio.sleep(0)  # a task that is cancelled before it began would never end its turn
        return ask

    def _of(self, conversation: str | None) -> list[Ask]:
        return [a for a in self._running.values() if a.turn.conversation == conversation]

    def close(self) -> None:
        """Stop all and keep what there is; called from a thread while the loop still runs."""
        if self._loop is not None and self._running:
            asyncio.run_coroutine_threadsafe(self._stop_all(), self._loop).result()

    async def _stop_all(self) -> None:
        for ask in list(self._running.values()):
            ask.stop()
            await ask.ended()

    def _begin(
        self,
        user: str,
        question: str,
        collection: str,
        model: str,
        conversation: str | None,
        instead_of: int | None,
    ) -> tuple[Turn, list[Turn]]:
        """The new turn, and those before it that were finished."""
        if conversation is None:
            conversation = self._history.start(user, question, collection, model).id
        before = self._history.turns(user, conversation)
        if any(t.id in self._running for t in before):
            raise Conflict("an answer of this conversation is still being written; stop it first")
        turn = self._history.begin(
            user, conversation, question, collection, model, instead_of=instead_of
        )
        earlier = [t for t in before if instead_of is None or t.id < instead_of]
        return turn, [t for t in earlier if t.state == "done" and t.collection == collection]

    async def _run(self, ask: Ask, identity: Identity, before: list[Turn]) -> None:
        start, error = time.perf_counter(), ""
        state: State = "done"
        try:
            if ask.turn.collection:
                await self._from_documents(ask, identity, before[-_REMEMBERED:])
            else:
                await self._from_model(ask, before)
        except asyncio.CancelledError:
            state = "stopped"
        except LlarError as e:
            state, error = "failed", str(e) if identity.is_admin else e.message
        except Exception as e:  # noqa: BLE001 - a task of its own: nobody else would hear of it
            state = "failed"
            LOG.error("an answer failed: %s at %s", type(e).__name__, _place(e))
        ask.answer.setdefault("seconds", round(time.perf_counter() - start, 2))
        ask.turn = replace(ask.turn, answer=ask.answer, state=state, error=error)
        try:
            ask.turn = await in_thread(self._write_down, ask, identity)
            ask.answer = ask.turn.answer
        finally:
            self._running.pop(ask.turn.id, None)
            ask.tell("done")

    def _write_down(self, ask: Ask, identity: Identity) -> Turn:
        """The turn as it is kept: an answer that cannot be recorded is taken back."""
        turn = ask.turn
        detail = "" if turn.state == "done" else "broken off"
        if turn.answer.get("abstained"):
            detail = "abstained"
        try:
            self._audit.record(
                identity,
                "ask",
                collection=turn.collection,
                question=turn.question,
                documents=list(ask.cited.items()),
                detail=detail if turn.collection else f"without documents {detail}".strip(),
            )
        except LlarError as e:
            turn = replace(turn, state="failed", error=str(e), answer={})
        self._history.keep(turn, turn.answer, turn.state, turn.error)
        return turn

    async def _from_documents(self, ask: Ask, identity: Identity, before: list[Turn]) -> None:
        loop, turn = asyncio.get_running_loop(), ask.turn
        said = [m for t in before for m in _messages(t)]

        def progress(stage: str) -> None:
            loop.call_soon_threadsafe(ask.tell, stage)

        def events() -> Iterator[Sentence | Answer]:
            collection = self._library.open(turn.collection, identity)
            return collection.ask_stream(
                turn.question, model=turn.model, history=said, progress=progress
            )

        async with aclosing(iterate(events)) as stream:
            async for event in stream:
                if isinstance(event, Answer):
                    ask.answer = kept(event)
                    ask.cited = {c.document.id: c.document.path for c in event.citations}
                else:
                    ask.answer["sentences"].append(sentence(event))
                    await in_thread(self._history.keep, turn, ask.answer)
                    ask.tell("write")

    async def _from_model(self, ask: Ask, before: list[Turn]) -> None:
        """What a model says by itself; nothing of it is checked."""
        chat = await in_thread(self._engines.chat, ask.turn.model)
        options = Options(temperature=self._config.temperature)
        messages, given = await in_thread(_fitting, chat, before, ask.turn.question)
        ask.answer = {"plain": True, "sentences": [], "text": "", "model": ask.turn.model}
        ask.answer |= {"given": given, "of": len(before)}
        ask.tell("write")
        saved = time.monotonic()
        async with aclosing(iterate(lambda: chat.stream(messages, options))) as stream:
            async for piece in stream:
                ask.answer["text"] += piece.text
                if piece.finish_reason:
                    ask.answer["finish"] = piece.finish_reason
                ask.tell()
                if time.monotonic() - saved > _OFTEN:
                    await in_thread(self._history.keep, ask.turn, ask.answer)
                    saved = time.monotonic()


def _fitting(chat: ChatModel, before: list[Turn], question: str) -> tuple[list[Message], int]:
    """The question behind as many of the turns before it as leave half of the context free.

    Also how many those are: the page says so.
    """
    messages = [Message("user", question)]
    given = 0
    for turn in reversed(before):
        longer = [*_messages(turn), *messages]
        if chat.count_prompt(longer) > chat.context // 2:
            break
        messages, given = longer, given + 1
    return messages, given


def _messages(turn: Turn) -> list[Message]:
    text = str(turn.answer.get("text", ""))
    return [Message("user", turn.question), Message("assistant", text)]


def _place(error: Exception) -> str:
    """Where an error arose, without anything that was said."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
