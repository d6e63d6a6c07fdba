"""The audit log: what is written, found, exported, kept and forgotten."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llar.config import load
from llar.errors import NotThere, ServeError
from llar.serve.accounts import Accounts
from llar.serve.audit import Audit, AuditDocument, parse_day
from llar.serve.engines import Engines
from llar.serve.forget import forget
from llar.serve.history import History
from llar.serve.library import Library
from llar.serve.who import LOCAL, Identity

EVA = Identity("eva", "reader", via="key", address="192.0.2.7")
IVAN = Identity("ivan", "editor")


@pytest.fixture
def audit(home: Path) -> Iterator[Audit]:
    audit = Audit(load())
    yield audit
    audit.close()


def older(audit: Audit, entry: int, days: float) -> None:
    """Make one entry so many days older."""
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")
    with audit._database.write() as connection:
        connection.execute("UPDATE entries SET at = ? WHERE id = ?", (at, entry))


def test_an_entry_says_who_asked_what_when_and_what_answered(audit: Audit) -> None:
    before = datetime.now(UTC)
    audit.record(
        EVA, "ask", collection="hr", question="How many days?",
        documents=[(3, "/docs/leave.pdf"), "/docs/fire.md"], detail="2 passages",
    )  # fmt: skip
    (entry,) = audit.entries()
    assert before <= entry.at <= datetime.now(UTC)
    assert (entry.user, entry.via, entry.address) == ("eva", "key", "192.0.2.7")
    assert (entry.action, entry.collection) == ("ask", "hr")
    assert (entry.question, entry.detail) == ("How many days?", "2 passages")
    assert entry.documents == (
        AuditDocument(3, "/docs/leave.pdf"), AuditDocument(None, "/docs/fire.md"),
    )  # fmt: skip


def test_filters_and_pages(audit: Audit) -> None:
    for n in range(6):
        audit.record((EVA, IVAN)[n % 2], ("ask", "search")[n % 3 == 0], collection="ab"[n // 3])
    ids = [e.id for e in audit.entries()]
    assert ids == [6, 5, 4, 3, 2, 1]
    assert [e.id for e in audit.entries(user="eva")] == [5, 3, 1]
    assert [e.id for e in audit.entries(collection="a")] == [3, 2, 1]
    assert [e.id for e in audit.entries(action="search")] == [4, 1]
    assert [e.id for e in audit.entries(user="eva", collection="b")] == [5]
    assert [e.id for e in audit.entries(limit=2)] == [6, 5]
    assert [e.id for e in audit.entries(limit=2, before=5)] == [4, 3]
    older(audit, 1, 10)
    older(audit, 2, 5)
    now = datetime.now(UTC)
    assert [e.id for e in audit.entries(until=now - timedelta(days=7))] == [1]
    week = now - timedelta(days=7)
    assert [e.id for e in audit.entries(since=week, until=now - timedelta(days=1))] == [2]


def test_days_are_utc() -> None:
    assert parse_day("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert parse_day("2026-03-01T01:00:00+02:00") == datetime(2026, 2, 28, 23, tzinfo=UTC)
    with pytest.raises(ServeError, match="'yesterday' is no date"):
        parse_day("yesterday")


def test_csv_is_read_back_and_runs_no_formula(audit: Audit) -> None:
    audit.record(
        EVA, "ask", collection="hr", question='=HYPERLINK("http://evil")',
        documents=[(1, "/a,b.txt"), '/"c".txt'],
    )  # fmt: skip
    audit.record(IVAN, "ask", question="two\nlines, and \udcff")
    rows = list(csv.DictReader(io.StringIO("".join(audit.export("csv")), newline="")))
    assert [r["user"] for r in rows] == ["ivan", "eva"]
    assert rows[1]["question"] == '\'=HYPERLINK("http://evil")'
    assert rows[1]["documents"] == '1 /a,b.txt\n/"c".txt'
    assert rows[0]["question"] == "two\nlines, and \\udcff"
    assert datetime.fromisoformat(rows[0]["at"]).utcoffset() == timedelta(0)


def test_jsonl_is_one_entry_a_line_over_many_pages(audit: Audit) -> None:
    with audit._database.write() as connection:
        connection.executemany(
            "INSERT INTO entries (at, user, via, action, collection, question, documents, detail,"
            " address) VALUES (?, 'eva', 'key', 'ask', 'hr', ?, '[[7, \"a.txt\"]]', '', '')",
            [(datetime.now(UTC).isoformat(timespec="microseconds"), str(n)) for n in range(2500)],
        )
    found = [json.loads(line) for line in audit.export("jsonl", user="eva")]
    assert [f["question"] for f in found] == [str(n) for n in reversed(range(2500))]
    assert found[0]["documents"] == [{"id": 7, "path": "a.txt"}]
    assert list(audit.export("jsonl", user="ivan")) == []


def test_what_is_too_old_is_neither_shown_nor_kept(home: Path) -> None:
    audit = Audit(load({"audit_days": 30}))
    for _ in range(3):
        audit.record(EVA, "ask", question="old words")
    older(audit, 1, 31)
    older(audit, 2, 29)
    assert [e.id for e in audit.entries()] == [3, 2]
    audit.close()
    audit = Audit(load({"audit_days": 0}))  # for ever
    assert [e.id for e in audit.entries()] == [3, 2, 1]
    audit.close()
    audit = Audit(load({"audit_days": 30}))  # looks when it is opened, and once a day
    audit.close()
    audit = Audit(load({"audit_days": 0}))
    assert [e.id for e in audit.entries()] == [3, 2]
    assert audit.prune(datetime.now(UTC)) == 2
    audit.close()


def test_forgetting_takes_away_who_and_what(audit: Audit) -> None:
    for question in ("my illness", "my other illness"):
        audit.record(EVA, "ask", collection="hr", question=question, documents=["a.txt"])
    audit.record(IVAN, "ask", question="about the mayor")
    audit.record(LOCAL, "user added", detail="eva as reader")
    audit.record(LOCAL, "user added", detail="evaristo as reader")
    assert audit.forget("eva") == 2
    assert audit.entries(user="eva") == []
    evaristo, eva, ivan, second, first = audit.entries()
    assert first.user == second.user
    assert first.user.startswith("forgotten-")
    assert (first.question, first.address, first.detail) == ("", "", "")
    assert (first.action, first.collection, first.documents[0].path) == ("ask", "hr", "a.txt")
    assert (eva.detail, evaristo.detail) == ("", "evaristo as reader")
    assert ivan.question == "about the mayor"
    held = b"".join(f.read_bytes() for f in (load().home / "server").iterdir() if f.is_file())
    assert b"illness" not in held
    assert b"192.0.2.7" not in held
    audit.record(EVA, "ask")
    audit.forget("eva")
    assert audit.entries(limit=1)[0].user != first.user  # nothing links the two


def test_an_entry_is_there_when_the_process_is_killed(home: Path) -> None:
    code = (
        "import os; from llar.config import load; from llar.serve.audit import Audit;"
        "from llar.serve.who import LOCAL;"
        "Audit(load()).record(LOCAL, 'ask', question='kept'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
    assert done.returncode == -9
    audit = Audit(load())
    assert [e.question for e in audit.entries()] == ["kept"]
    audit.close()


def test_all_of_a_person_is_forgotten(home: Path) -> None:
    config = load()
    accounts, audit, history = Accounts(config), Audit(config), History(config)
    engines = Engines(config)
    library = Library(config, engines, accounts)

    def run(name: str) -> tuple[int, int]:
        return forget(LOCAL, name, accounts=accounts, audit=audit, history=history, library=library)

    accounts.add_user("root", role="admin")
    accounts.add_user("eva")
    _, secret = accounts.add_key("eva")
    talk = history.start("eva", "Am I ill?", "hr", "")
    audit.record(accounts.identity(secret), "ask", question="Am I ill?")
    assert run("Eva") == (1, 1)
    with pytest.raises(NotThere):
        accounts.user("eva")
    with pytest.raises(NotThere):
        history.conversation("eva", talk.id)
    assert audit.entries()[0].action == "user forgotten"
    with pytest.raises(NotThere, match="no user 'eva'"):
        run("eva")
    history.start("left", "Hello?", "hr", "")  # whose account was removed before
    assert run("left") == (1, 0)
    library.close()
    for store in (engines, history, audit, accounts):
        store.close()
