"""Answers written in the background: kept, stopped, recorded, whoever watches."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from llar import Collection
from llar.config import load
from llar.errors import Conflict, NotThere, QueryError, UnknownCollection
from llar.serve.asks import Ask
from llar.serve.state import State
from llar.serve.turns import Turn
from llar.serve.who import LOCAL

Found = TypeVar("Found")
QUOTE = "fake:quote"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the collection "notes"."""
    home = tmp_path_factory.mktemp("made")
    folder = home / "notes"
    folder.mkdir()
    (folder / "leave.txt").write_text("Staff have 27 days of annual leave.")
    (folder / "fire.md").write_text("# Fire\n\nThe alarm is tested on Mondays.\n")
    with Collection("notes", config=load({"home": home, "embedder": "fake:hash"}, env={})) as docs:
        docs.add(folder)
    return home


@pytest.fixture
def state(home: Path, made: Path) -> Iterator[State]:
    """A server's state with that collection, without its page and its endpoints."""
    shutil.copytree(made, home, dirs_exist_ok=True)
    opened = State.open(load({"home": home, "chat_model": QUOTE}))
    yield opened
    opened.close()


async def ended(ask: Ask) -> Turn:
    """The turn when it is done, with the stages seen on the way."""
    async for _ in ask.changes():
        pass
    return ask.turn


def run(work: Callable[[], Awaitable[Found]]) -> Found:
    async def whole() -> Found:
        return await work()

    return asyncio.run(whole())


def test_an_answer_is_kept_and_recorded(state: State) -> None:
    async def work() -> Turn:
        ask = await state.asks.start(LOCAL, "How many days of leave do staff have?", "notes", QUOTE)
        assert state.asks.running(ask.turn.id) is ask
        return await ended(ask)

    turn = run(work)
    assert state.asks.running(turn.id) is None
    assert turn.state == "done"
    assert turn.answer["text"] == "Staff have 27 days of annual leave. [1]"
    assert state.history.turn("local", turn.id) == turn
    (cited,) = turn.answer["citations"]
    assert (cited["name"], cited["start"], cited["end"]) == ("leave.txt", 0, 35)
    (entry,) = state.audit.entries(action="ask")
    assert (entry.user, entry.collection) == ("local", "notes")
    assert entry.question == "How many days of leave do staff have?"
    assert "leave.txt" in str(entry.documents)


def test_it_stops_with_what_there_is(state: State) -> None:
    async def work() -> Turn:
        model = "fake:say:" + " ".join(["word"] * 4000)
        ask = await state.asks.start(LOCAL, "Tell me.", "", model)
        while not ask.answer.get("text"):
            await asyncio.sleep(0.001)
        ask.stop()
        ask.stop()  # pressed twice
        return await ended(ask)

    turn = run(work)
    assert turn.state == "stopped"
    assert 0 < turn.answer["text"].count("word") < 4000
    assert state.history.turn("local", turn.id).answer["text"] == turn.answer["text"]


def test_one_that_is_stopped_at_once_ends(state: State) -> None:
    async def work() -> Turn:
        ask = await state.asks.start(LOCAL, "Tell me.", "notes", QUOTE)
        ask.stop()
        return await ended(ask)

    assert run(work).state == "stopped"


def test_the_server_ends_while_it_is_written(state: State) -> None:
    async def work() -> Turn:
        model = "fake:say:" + " ".join(["word"] * 4000)
        ask = await state.asks.start(LOCAL, "Tell me.", "", model)
        while not ask.answer.get("text"):
            await asyncio.sleep(0.001)
        await asyncio.get_running_loop().run_in_executor(None, state.asks.close)
        return ask.turn

    assert run(work).state == "stopped"


def test_one_answer_of_a_conversation_at_a_time(state: State) -> None:
    async def work() -> tuple[Turn, Turn]:
        model = "fake:say:" + " ".join(["word"] * 4000)
        ask = await state.asks.start(LOCAL, "Tell me.", "", model)
        conversation = ask.turn.conversation
        with pytest.raises(Conflict, match="still being written"):
            await state.asks.start(LOCAL, "And?", "notes", QUOTE, conversation=conversation)
        ask.stop()
        again = await state.asks.start(LOCAL, "And?", "notes", QUOTE, conversation=conversation)
        return ask.turn, await ended(again)

    first, second = run(work)
    assert (first.state, second.state) == ("stopped", "done")
    turns = state.history.turns("local", first.conversation)
    assert [t.question for t in turns] == ["Tell me.", "And?"]


def test_a_follow_up_is_looked_up_with_the_question_before(state: State) -> None:
    async def work() -> tuple[Turn, Turn]:
        first = await state.asks.start(LOCAL, "When is the alarm tested?", "notes", QUOTE)
        one = await ended(first)
        second = await state.asks.start(
            LOCAL, "And how is it tested?", "notes", QUOTE, conversation=one.conversation
        )
        return one, await ended(second)

    first, second = run(work)
    assert first.answer["looked_up"] == "When is the alarm tested?"
    assert second.answer["looked_up"] == "When is the alarm tested? And how is it tested?"


def test_what_cannot_be_asked(state: State) -> None:
    async def fails(error: type[Exception], question: str, collection: str, **more: str) -> None:
        with pytest.raises(error):
            await state.asks.start(LOCAL, question, collection, QUOTE, **more)  # type: ignore[arg-type]

    async def work() -> Turn:
        await fails(QueryError, "  ", "notes")
        await fails(QueryError, "x" * 32_001, "notes")
        await fails(UnknownCollection, "When?", "law")
        await fails(NotThere, "When?", "notes", conversation="another's")
        return await ended(await state.asks.start(LOCAL, "When?", "notes", "fake:none"))

    turn = run(work)  # a model that there is not fails the answer, with the reason
    assert turn.state == "failed"
    assert "'none'" in turn.error
    assert len(state.history.conversations("local")) == 1
