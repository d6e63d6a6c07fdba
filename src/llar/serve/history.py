"""Each user's conversations, and what they thought of the answers.

Nobody sees another's: every method that reads or changes something is told the user. Feedback is
kept beside the conversation, for evaluation, and goes with the user.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

from ..config import Config
from ..errors import NotThere, ServeError
from .accounts.database import Database
from .turns import Conversation, Feedback, State, Turn, Verdict

_SCHEMA = """
CREATE TABLE conversations (
  id TEXT PRIMARY KEY,
  user TEXT NOT NULL,
  title TEXT NOT NULL,
  collection TEXT NOT NULL,   -- of the latest question; '' is a model without documents
  model TEXT NOT NULL,
  created TEXT NOT NULL,
  updated TEXT NOT NULL,
  folded TEXT NOT NULL        -- the title as it is searched
);
CREATE INDEX conversations_user ON conversations(user, updated);
CREATE TABLE turns (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  conversation TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
  question TEXT NOT NULL,
  collection TEXT NOT NULL,
  model TEXT NOT NULL,
  state TEXT NOT NULL,
  answer TEXT NOT NULL,       -- JSON
  error TEXT NOT NULL,
  created TEXT NOT NULL,
  folded TEXT NOT NULL        -- question and answer as they are searched
);
CREATE INDEX turns_conversation ON turns(conversation, id);
CREATE TABLE feedback (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  turn INTEGER UNIQUE REFERENCES turns(id) ON DELETE SET NULL,
  user TEXT NOT NULL,
  collection TEXT NOT NULL,
  question TEXT NOT NULL,
  answer TEXT NOT NULL,
  verdict TEXT NOT NULL,
  comment TEXT NOT NULL,
  sources TEXT NOT NULL,      -- JSON
  created TEXT NOT NULL
);
CREATE INDEX feedback_collection ON feedback(collection)
"""

_TITLE = 80  # characters of a question that name a conversation
_LONGEST_TITLE = 200
_LONGEST_COMMENT = 4000
_TURN = (
    "SELECT t.*, f.verdict, f.comment FROM turns t JOIN conversations c ON c.id = t.conversation"
    " LEFT JOIN feedback f ON f.turn = t.id WHERE c.user = ?"
)


class History:
    """Conversations and feedback, in LLAR_HOME/server/history.db."""

    def __init__(self, config: Config) -> None:
        self._days = config.history_days
        self._file = Database(config, "history.db", _SCHEMA, 1)
        self._pruned = ""
        self.prune()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def conversations(self, user: str, *, search: str = "", limit: int = 100) -> list[Conversation]:
        """A user's conversations, the latest first; those in which every word of `search` stands.

        Case and accents do not matter.
        """
        sql, values = "SELECT * FROM conversations c WHERE user = ?", [user]
        for word in _folded(search).split():
            sql += (
                " AND (instr(c.folded, ?) OR EXISTS (SELECT 1 FROM turns t"
                " WHERE t.conversation = c.id AND instr(t.folded, ?)))"
            )
            values += [word, word]
        rows = self._file.read(f"{sql} ORDER BY updated DESC, id LIMIT ?", *values, limit)
        return [_conversation(row) for row in rows]

    def places(self, user: str, search: str) -> dict[str, int]:
        """By conversation, the turn in which most words of `search` stand; of several, the last.

        A conversation in whose questions and answers none stands is not in it.
        """
        words = _folded(search).split()
        if not words:
            return {}
        count = " + ".join("(instr(t.folded, ?) > 0)" for _ in words)
        rows = self._file.read(
            f"SELECT t.conversation, t.id, {count} AS found FROM turns t"
            " JOIN conversations c ON c.id = t.conversation"
            " WHERE c.user = ? AND found > 0 ORDER BY found, t.id",
            *words,
            user,
        )
        return {row["conversation"]: row["id"] for row in rows}

    def conversation(self, user: str, conversation: str) -> Conversation:
        """One of them. Raises NotThere for another's as for none."""
        sql = "SELECT * FROM conversations WHERE id = ? AND user = ?"
        rows = self._file.read(sql, conversation, user)
        if not rows:
            raise NotThere(f"there is no conversation {conversation!r}")
        return _conversation(rows[0])

    def start(self, user: str, question: str, collection: str, model: str) -> Conversation:
        """A new conversation, named by its first question."""
        self.prune()
        title, now = " ".join(question.split())[:_TITLE], _now()
        found = Conversation(secrets.token_urlsafe(12), title, collection, model, now, now)
        with self._file.write() as db:
            db.execute(
                "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (found.id, user, title, collection, model, now, now, _folded(title)),
            )
        return found

    def rename(self, user: str, conversation: str, title: str) -> None:
        """Give a conversation another name."""
        title = " ".join(title.split())
        if not 0 < len(title) <= _LONGEST_TITLE:
            raise ServeError(f"a name has 1 to {_LONGEST_TITLE} characters, this has {len(title)}")
        self.conversation(user, conversation)
        with self._file.write() as db:
            sql = "UPDATE conversations SET title = ?, folded = ? WHERE id = ? AND user = ?"
            db.execute(sql, (title, _folded(title), conversation, user))

    def delete(self, user: str, conversation: str) -> None:
        """Forget a conversation; what was said of its answers stays for evaluation."""
        self.conversation(user, conversation)
        with self._file.write() as db:
            sql = "DELETE FROM conversations WHERE id = ? AND user = ?"
            db.execute(sql, (conversation, user))

    def turns(
        self, user: str, conversation: str, *, limit: int = 1_000_000, before: int | None = None
    ) -> list[Turn]:
        """The last `limit` turns of a conversation, or the last before turn `before`, in order."""
        self.conversation(user, conversation)
        sql = f"{_TURN} AND t.conversation = ? AND t.id < ? ORDER BY t.id DESC LIMIT ?"
        largest = 2**63 - 1 if before is None else before
        rows = self._file.read(sql, user, conversation, largest, limit)
        return [_turn(row) for row in reversed(rows)]

    def earlier(self, user: str, conversation: str, turn: int) -> int:
        """How many turns of a conversation come before this one."""
        self.conversation(user, conversation)
        sql = "SELECT count(*) FROM turns WHERE conversation = ? AND id < ?"
        return int(self._file.read(sql, conversation, turn)[0][0])

    def turn(self, user: str, turn: int) -> Turn:
        """One turn. Raises NotThere for another's as for none."""
        rows = self._file.read(f"{_TURN} AND t.id = ?", user, turn)
        if not rows:
            raise NotThere(f"there is no answer {turn!r}")
        return _turn(rows[0])

    def begin(
        self,
        user: str,
        conversation: str,
        question: str,
        collection: str,
        model: str,
        *,
        instead_of: int | None = None,
    ) -> Turn:
        """A new turn, whose answer is being written.

        `instead_of` is an earlier turn that is asked anew: it and all that follows are forgotten.
        """
        self.conversation(user, conversation)
        now = _now()
        with self._file.write() as db:
            if instead_of is not None:
                sql = "DELETE FROM turns WHERE conversation = ? AND id >= ?"
                db.execute(sql, (conversation, instead_of))
            cursor = db.execute(
                "INSERT INTO turns (conversation, question, collection, model, state, answer,"
                " error, created, folded) VALUES (?, ?, ?, ?, 'writing', '{}', '', ?, ?)",
                (conversation, question, collection, model, now, _folded(question)),
            )
            sql = "UPDATE conversations SET updated = ?, collection = ?, model = ? WHERE id = ?"
            db.execute(sql, (now, collection, model, conversation))
            number = int(cursor.lastrowid or 0)
        return Turn(number, conversation, question, collection, model, "writing", created=now)

    def keep(
        self, turn: Turn, answer: dict[str, Any], state: State = "writing", error: str = ""
    ) -> None:
        """What there is of an answer; nothing happens where the turn was forgotten meanwhile."""
        said = " ".join(s["text"] for s in answer.get("sentences", ()))
        folded = _folded(f"{turn.question}\n{answer.get('text', '')}\n{said}")
        with self._file.write() as db:
            db.execute(
                "UPDATE turns SET answer = ?, state = ?, error = ?, folded = ? WHERE id = ?",
                (json.dumps(answer, ensure_ascii=False), state, error, folded, turn.id),
            )

    def judge(self, user: str, turn: int, verdict: Verdict | None, comment: str = "") -> None:
        """What a user thinks of an answer; None takes it back. It becomes evaluation data."""
        found = self.turn(user, turn)
        if len(comment) > _LONGEST_COMMENT:
            raise ServeError(
                f"a comment has up to {_LONGEST_COMMENT} characters, this has {len(comment)}"
            )
        with self._file.write() as db:
            db.execute("DELETE FROM feedback WHERE turn = ?", (turn,))
            if verdict is None:
                return
            fields = ("document", "name", "page", "start", "end", "quote")
            cited = [{k: c[k] for k in fields} for c in found.answer.get("citations", ())]
            db.execute(
                "INSERT INTO feedback (turn, user, collection, question, answer, verdict, comment,"
                " sources, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    turn,
                    user,
                    found.collection,
                    found.answer.get("looked_up") or found.question,
                    found.answer.get("text", ""),
                    verdict,
                    comment,
                    json.dumps(cited, ensure_ascii=False),
                    _now(),
                ),
            )

    def feedback(self, collection: str) -> list[Feedback]:
        """All that was said of answers from a collection, for those who may evaluate it."""
        rows = self._file.read(
            "SELECT * FROM feedback WHERE collection = ? ORDER BY id", collection
        )
        return [_feedback(row) for row in rows]

    def forget(self, user: str) -> int:
        """Delete all of a user's, feedback too; returns the number of conversations."""
        with self._file.write() as db:
            db.execute("DELETE FROM feedback WHERE user = ?", (user,))
            count = db.execute("DELETE FROM conversations WHERE user = ?", (user,)).rowcount
        self._file.shrink()
        return count

    def prune(self) -> int:
        """Delete what is older than history_days; looks once a day. Returns how many."""
        today = _now()[:10]
        if not self._days or self._pruned == today:
            return 0
        self._pruned = today
        limit = (datetime.now(UTC) - timedelta(days=self._days)).isoformat(timespec="milliseconds")
        with self._file.write() as db:
            db.execute("DELETE FROM feedback WHERE created < ?", (limit,))
            return db.execute("DELETE FROM conversations WHERE updated < ?", (limit,)).rowcount


def _conversation(row: sqlite3.Row) -> Conversation:
    names = ("id", "title", "collection", "model", "created", "updated")
    return Conversation(*(row[name] for name in names))


def _turn(row: sqlite3.Row) -> Turn:
    return Turn(
        row["id"],
        row["conversation"],
        row["question"],
        row["collection"],
        row["model"],
        row["state"],
        json.loads(row["answer"]),
        row["error"],
        row["created"],
        row["verdict"],
        row["comment"] or "",
    )


def _feedback(row: sqlite3.Row) -> Feedback:
    return Feedback(
        row["id"],
        row["user"],
        row["collection"],
        row["question"],
        row["answer"],
        row["verdict"],
        row["comment"],
        tuple(json.loads(row["sources"])),
        row["created"],
    )


def _folded(text: str) -> str:
    """Text as it is searched: without case and accents."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in apart if not unicodedata.combining(c))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
