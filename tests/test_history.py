"""Conversations as they are kept, and taken away as files."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from llar.config import Config, load
from llar.documents.pdf import parse_pdf
from llar.errors import NotThere, ServeError
from llar.serve.export import as_markdown, as_pdf, as_text
from llar.serve.history import History
from llar.serve.page.chat_answer import because
from llar.serve.page.words import words
from llar.serve.turns import Turn


def sentence(text: str, *numbers: int, reason: str = "") -> dict[str, Any]:
    return {
        "text": text, "supported": not reason, "citations": list(numbers), "reason": reason,
        "computed": False,
    }  # fmt: skip


def answer(question: str, text: str, *sentences: dict[str, Any]) -> dict[str, Any]:
    cited = {
        "n": 1, "document": 7, "name": "Kézikönyv", "format": "pdf", "language": "hu", "page": 3,
        "recognised": False, "start": 10, "end": 31, "quote": "Őrség hűvös időben.",
    }  # fmt: skip
    return {
        "looked_up": question, "text": text, "abstained": False, "sentences": list(sentences),
        "citations": [cited], "nearest": [], "headings": [], "seconds": 1.5,
    }  # fmt: skip


@pytest.fixture
def config(home: Path) -> Config:
    return load({"home": home})


@pytest.fixture
def history(config: Config) -> Any:
    opened = History(config)
    yield opened
    opened.close()


def asked(history: History, user: str, question: str, said: str) -> Turn:
    """A conversation with one finished turn."""
    conversation = history.start(user, question, "town", "fake:quote")
    turn = history.begin(user, conversation.id, question, "town", "fake:quote")
    history.keep(turn, answer(question, said, sentence(said, 1)), "done")
    return history.turn(user, turn.id)


def test_nobody_sees_anothers(history: History) -> None:
    turn = asked(history, "eva", "When is the fire drill?", "On Mondays.")
    assert [c.title for c in history.conversations("eva")] == ["When is the fire drill?"]
    assert history.conversations("bob") == []
    for read in (
        lambda: history.conversation("bob", turn.conversation),
        lambda: history.turns("bob", turn.conversation),
        lambda: history.turn("bob", turn.id),
        lambda: history.rename("bob", turn.conversation, "mine"),
        lambda: history.delete("bob", turn.conversation),
        lambda: history.judge("bob", turn.id, "up"),
        lambda: history.begin("bob", turn.conversation, "and?", "town", "m"),
    ):
        with pytest.raises(NotThere):
            read()
    assert history.turns("eva", turn.conversation) == [turn]


def test_search_ignores_case_and_accents_and_needs_every_word(history: History) -> None:
    first = asked(history, "eva", "¿Cuándo cierra la Biblioteca?", "A las ocho.")
    asked(history, "eva", "Mikor van nyitva?", "Hétfőn és kedden.")
    found = history.conversations("eva", search="OCHO biblioteca")
    assert [c.id for c in found] == [first.conversation]
    assert [c.title for c in history.conversations("eva", search="hetfon")] == ["Mikor van nyitva?"]
    assert history.conversations("eva", search="ocho hetfon") == []
    assert history.conversations("eva", search="100%_") == []


def test_a_search_knows_the_turn(history: History) -> None:
    conversation = history.start("eva", "Nyitva?", "town", "m").id
    first, second, third = (
        history.begin("eva", conversation, q, "town", "m").id
        for q in ("Hétfőn nyitva?", "És kedden?", "Hétfőn és kedden?")
    )
    other = asked(history, "eva", "Mikor?", "Kedden.")
    asked(history, "bob", "Kedden?", "Nem.")
    assert history.places("eva", "hetfon NYITVA") == {conversation: first}  # both words
    assert history.places("eva", "kedden") == {conversation: third, other.conversation: other.id}
    assert history.places("eva", "es") == {conversation: third}  # of two, the last
    assert history.places("eva", " ") == history.places("eva", "szerda") == {}
    assert [history.earlier("eva", conversation, n) for n in (first, second, third)] == [0, 1, 2]
    with pytest.raises(NotThere):
        history.earlier("bob", conversation, third)


def test_names(history: History) -> None:
    turn = asked(history, "eva", "a " * 100, "b")
    assert len(history.conversations("eva")[0].title) == 80
    history.rename("eva", turn.conversation, "  Kérdés \n az őrségről ")
    assert history.conversation("eva", turn.conversation).title == "Kérdés az őrségről"
    assert len(history.conversations("eva", search="orseg")) == 1
    for bad in ("", "   ", "x" * 201):
        with pytest.raises(ServeError, match="1 to 200"):
            history.rename("eva", turn.conversation, bad)


def test_asking_anew_forgets_what_followed(history: History) -> None:
    conversation = history.start("eva", "one", "town", "m").id
    turns = [history.begin("eva", conversation, q, "town", "m") for q in ("one", "two", "three")]
    history.begin("eva", conversation, "two!", "law", "n", instead_of=turns[1].id)
    assert [t.question for t in history.turns("eva", conversation)] == ["one", "two!"]
    assert history.conversation("eva", conversation).collection == "law"
    history.keep(turns[2], {"text": "late"}, "done")  # it was still being written: it stays away
    assert [t.question for t in history.turns("eva", conversation)] == ["one", "two!"]


def test_pages_of_a_long_conversation(history: History) -> None:
    conversation = history.start("eva", "0", "town", "m").id
    made = [history.begin("eva", conversation, str(i), "town", "m") for i in range(5)]
    last = history.turns("eva", conversation, limit=2)
    assert [t.question for t in last] == ["3", "4"]
    before = history.turns("eva", conversation, limit=2, before=made[3].id)
    assert [t.question for t in before] == ["1", "2"]


def test_feedback_outlives_the_conversation_and_goes_with_the_user(history: History) -> None:
    turn = asked(history, "eva", "When?", "On Mondays.")
    history.judge("eva", turn.id, "down")
    history.judge("eva", turn.id, "up", "exactly")
    assert history.turn("eva", turn.id).verdict == "up"
    history.delete("eva", turn.conversation)
    (kept,) = history.feedback("town")
    assert (kept.user, kept.question, kept.answer) == ("eva", "When?", "On Mondays.")
    assert (kept.verdict, kept.comment) == ("up", "exactly")
    assert kept.sources[0]["start"] == 10
    assert history.feedback("law") == []
    other = asked(history, "bob", "Who?", "Bob.")
    history.judge("bob", other.id, "up")
    history.judge("bob", other.id, None)
    assert len(history.feedback("town")) == 1
    assert history.forget("eva") == 0  # conversations
    assert history.feedback("town") == []
    assert history.forget("bob") == 1
    with pytest.raises(ServeError, match="4000"):
        history.judge("eva", asked(history, "eva", "a", "b").id, "up", "x" * 4001)


def test_what_is_forgotten_is_gone_from_the_file(home: Path, history: History) -> None:
    asked(history, "eva", "Where is the xylophone?", "In the attic.")
    file = home / "server" / "history.db"
    history.forget("eva")
    assert b"xylophone" not in file.read_bytes()
    assert b"xylophone" not in Path(f"{file}-wal").read_bytes()


def test_old_conversations_go(config: Config, home: Path) -> None:
    history = History(dataclasses.replace(config, history_days=30))
    old, new = (asked(history, "eva", q, "b") for q in ("old", "new"))
    history.judge("eva", old.id, "up")
    history.close()
    with sqlite3.connect(home / "server" / "history.db") as db:
        sql = "UPDATE conversations SET updated = '2020-01-01' WHERE id = ?"
        db.execute(sql, (old.conversation,))
        db.execute("UPDATE feedback SET created = '2020-01-01'")
    db.close()
    again = History(dataclasses.replace(config, history_days=30))
    assert [c.id for c in again.conversations("eva")] == [new.conversation]
    assert again.feedback("town") == []
    again.close()


@pytest.fixture
def talk(history: History) -> tuple[Any, list[Turn]]:
    """Three turns: an answer with a sentence left out, one not found, one that failed."""
    conversation = history.start("eva", "Őrség *mikor*?", "town", "m")
    turn = history.begin("eva", conversation.id, "Őrség *mikor*?", "town", "m")
    left = sentence("Sosem.", reason="it only repeats the question")
    said = sentence("Őrség hűvös időben.", 1)
    history.keep(turn, answer("Őrség *mikor*?", "Őrség hűvös időben. [1]", said, left), "done")
    turn = history.begin("eva", conversation.id, "És 東京?", "town", "m")
    history.keep(turn, {"abstained": True, "sentences": [], "text": "x", "citations": []}, "done")
    turn = history.begin("eva", conversation.id, "Miért?", "", "m")
    history.keep(turn, {"plain": True, "text": "Mert **csak**.", "sentences": []}, "stopped")
    return conversation, history.turns("eva", conversation.id)


def test_markdown(talk: tuple[Any, list[Turn]]) -> None:
    text = as_markdown(*talk, words("chat", "en"), because)
    lines = text.split("\n")
    assert lines[0] == "# Őrség \\*mikor\\*?"
    assert lines[2].startswith("*Exported from llar on 2")
    assert "\n".join(lines[4:]) == (
        "## Őrség \\*mikor\\*?\n\n*Documents: town · Model: m*\n\nŐrség hűvös időben. [1]\n\n"
        "### Sources\n\n- [1] Kézikönyv, p. 3: “Őrség hűvös időben.”\n\n"
        "### 1 sentence was left out\n\n"
        "- ~~Sosem.~~ (Left out because it only repeats the question)\n\n"
        "## És 東京?\n\n*Documents: town · Model: m*\n\n**Not found in these documents**\n\n"
        "## Miért?\n\n*None: the model alone · Model: m*\n\n"
        "**Stopped. What was checked until then stays.**\n\n"
        "**From the model alone. Nothing of it was checked; it may be wrong.**\n\n"
        "Mert **csak**.\n"
    )


def test_pdf_has_every_letter(talk: tuple[Any, list[Turn]], tmp_path: Path) -> None:
    file = tmp_path / "talk.pdf"
    file.write_bytes(as_pdf(*talk, words("chat", "hu"), because))
    text = " ".join(parse_pdf(file).text.split())
    assert "Őrség hűvös időben. [1]" in text
    assert "Kimaradt, mert csak a kérdést ismétli" in text
    assert "U+4EAC, U+6771" in text  # the characters that the font does not have are named


def test_clipboard(talk: tuple[Any, list[Turn]]) -> None:
    assert as_text(talk[1][0], words("chat", "es")) == (
        "Őrség hűvös időben. [1]\n\n[1] Kézikönyv, pág. 3: “Őrség hűvös időben.”"
    )
