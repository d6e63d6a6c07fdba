"""llar users, keys, access and audit as somebody at a terminal meets them."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from llar.cli import main
from llar.config import load
from llar.errors import NotSignedIn
from llar.serve.accounts import Accounts
from llar.serve.audit import Audit
from llar.serve.who import Identity

pytestmark = pytest.mark.slow

PASSWORD = "seven quiet harbours"


class Run(Protocol):
    def __call__(self, *args: str | Path, code: int = 0, stdin: str = "") -> Done: ...


@dataclass(frozen=True)
class Done:
    """What a command said."""

    stdout: str
    stderr: str


@pytest.fixture
def llar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `llar ARGS` in this process, as its entry point does, and expect this exit code."""

    def run(*args: str | Path, code: int = 0, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["llar", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        done = Done(*capsys.readouterr())
        assert (ended.value.code or 0) == code, done
        return done

    return run


def test_users(llar: Run) -> None:
    assert "no users yet" in llar("users", "list").stdout
    assert "no password came" in llar("users", "add", "root", code=1).stderr
    assert "at least 15" in llar("users", "add", "root", code=1, stdin="short\n").stderr
    done = llar("users", "add", "Root", "--role", "admin", stdin=PASSWORD + "\n")
    assert done.stdout == "added root (admin)\n"
    llar("users", "add", "eva", "--no-password", "--group", "hr", "--group", "tax")
    assert "'eva' already" in llar("users", "add", "eva", "--no-password", code=1).stderr
    lines = llar("users", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "ROLE", "GROUPS", "SIGNS", "IN", "BY", "LAST", "SIGN-IN"]
    assert lines[1].split() == ["eva", "reader", "hr", "tax", "-", "never"]
    assert lines[2].split() == ["root", "admin", "password", "never"]
    accounts = Accounts(load())
    token = accounts.sign_in("root", PASSWORD)
    llar("users", "password", "root", stdin="another " + PASSWORD)
    with pytest.raises(NotSignedIn):
        accounts.identity(token)
    assert "eva is editor, in no group" in llar(
        "users", "change", "eva", "--role", "editor", "--no-groups"
    ).stdout  # fmt: skip
    assert "say what to change" in llar("users", "change", "eva", code=2).stderr
    llar("users", "change", "eva", "--disable")
    assert accounts.user("eva").disabled
    assert "only admin" in llar("users", "remove", "root", "--yes", code=1).stderr
    llar("users", "remove", "eva", code=130, stdin="n\n")
    assert llar("users", "remove", "eva", "--yes").stdout == "removed eva\n"
    assert "nobody has to sign in" in llar("users", "remove", "root", "--yes").stderr
    accounts.close()
    actions = [
        json.loads(line)["action"]
        for line in llar("audit", "export", "-", "--format", "jsonl").stdout.splitlines()
    ]
    assert actions == ["user removed", "user removed", "user changed", "user changed",
                       "password set", "user added", "user added"]  # fmt: skip
    assert PASSWORD not in llar("audit", "show").stdout


def test_a_password_is_typed_twice_and_not_shown(home: Path) -> None:
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "llar", "users", "add", "root", "--role", "admin"],
        stdin=side, stdout=side, stderr=side, start_new_session=True,
    )  # fmt: skip
    os.close(side)
    shown = b""

    def until(text: bytes) -> None:
        nonlocal shown
        while text not in shown:
            shown += os.read(main, 1024)

    until(b"Password:")
    os.write(main, PASSWORD.encode() + b"\n")
    until(b"Repeat")
    os.write(main, PASSWORD.encode() + b"\n")
    until(b"added root (admin)")
    assert process.wait(20) == 0
    os.close(main)
    assert PASSWORD.encode() not in shown


def test_keys_and_access(home: Path, llar: Run) -> None:
    (home / "llar.toml").write_text('embedder = "fake:hash"\nchat_model = "fake:quote"\n')
    text = home / "leave.txt"
    text.write_text("Staff have 27 days of annual leave.")
    llar("add", text, "-c", "hr")
    llar("users", "add", "root", "--role", "admin", "--no-password")
    llar("users", "add", "eva", "--no-password")
    made = llar("keys", "add", "eva", "--name", "intranet", "--days", "30", "-c", "hr")
    secret = made.stdout.strip()
    assert secret.startswith("llar-")
    assert secret not in made.stderr
    assert "not shown again" in made.stderr
    listed = llar("keys", "list").stdout
    assert secret[:13] in listed
    assert secret not in listed
    accounts = Accounts(load())
    eva = accounts.identity(secret)
    assert not accounts.may_read(eva, "hr")
    assert (
        "no collection 'nowhere'" in llar("access", "grant", "nowhere", "user:eva", code=1).stderr
    )
    done = llar("access", "grant", "hr", "user:eva", "user:pere", "--role", "editor")
    assert "there is no user:pere yet" in done.stderr
    assert "user:eva is a reader" in done.stderr
    assert accounts.may_read(eva, "hr")
    assert json.loads(llar("access", "show", "--json").stdout) == [
        {"collection": "hr", "name": "user:eva", "role": "editor"},
        {"collection": "hr", "name": "user:pere", "role": "editor"},
    ]
    llar("access", "revoke", "hr", "user:pere")
    assert "user:pere" not in llar("access", "show", "hr").stdout
    llar("remove", "-c", "hr", "--all", "--yes")  # its grants are not those of the next "hr"
    assert not accounts.may_read(eva, "hr")
    assert llar("keys", "revoke", secret[:13] + "...").stdout.startswith("revoked")
    with pytest.raises(NotSignedIn):
        accounts.identity(secret)
    assert "no key 'llar-nothing'" in llar("keys", "revoke", "llar-nothing", code=1).stderr
    accounts.close()


def test_audit_and_forgetting(home: Path, llar: Run) -> None:
    audit = Audit(load())
    eva = Identity("eva", "reader", address="192.0.2.7")
    audit.record(eva, "ask", collection="hr", question="May\x1b[2J I?", documents=[(1, "a.txt")])
    audit.record(Identity("ivan", "reader"), "search", collection="tax", question="When?")
    audit.close()
    shown = llar("audit", "show", "--user", "eva").stdout
    assert "eva  ask  hr  192.0.2.7" in shown
    assert "\x1b" not in shown
    assert "ivan" not in shown
    assert "When?" in llar("audit", "show", "-c", "tax", "--since", "2020-01-01").stdout
    assert llar("audit", "show", "--until", "2020-01-01").stdout == ""
    assert "is no date" in llar("audit", "show", "--since", "monday", code=2).stderr
    out = home / "log.csv"
    assert llar("audit", "export", out).stdout == f"wrote 2 entries to {out}\n"
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [(r["user"], r["question"]) for r in rows] == [
        ("ivan", "When?"),
        ("eva", "May\x1b[2J I?"),
    ]
    assert "is there already" in llar("audit", "export", out, code=1).stderr
    llar("users", "add", "root", "--role", "admin", "--no-password")
    llar("users", "add", "eva", "--no-password")
    assert "1 in the audit log made nameless" in llar("users", "forget", "eva", "--yes").stdout
    assert "no user 'eva'" in llar("users", "forget", "eva", "--yes", code=1).stderr
    left = llar("audit", "export", "-", "--format", "jsonl").stdout
    assert "May" not in left
    assert '"eva"' not in left
    assert "forgotten-" in left
    assert "deleted" in llar("audit", "prune", "--before", "2999-01-01", "--yes").stdout
    assert "audit pruned" in llar("audit", "show").stdout


def test_off_loopback_it_refuses_to_start_without_accounts(llar: Run) -> None:
    refused = llar("serve", "--host", "0.0.0.0", "--port", "0", code=1)
    assert "others could reach the server at 0.0.0.0" in refused.stderr
    assert "fix: llar users add NAME --role admin" in refused.stderr
