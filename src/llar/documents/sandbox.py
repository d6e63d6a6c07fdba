"""Parses files in child processes that are limited, watched and replaced when they fail."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from .. import errors
from ..config import Config
from ..errors import DocumentError, LimitExceeded, LlarError
from ..records import Block, Document, Page
from .folders import about
from .frames import send, take

_GRACE = 30.0  # seconds beyond the child's own limit until the parent ends it
_NEXT_CHILD = 0.5  # seconds of work that justify one more child
_TESSDATA = "/usr/share/tesseract-ocr/5/tessdata"  # where Debian's packages put it
_BLOCK_KINDS = frozenset({"heading", "text", "list", "table", "code"})
_OUT_OF_MEMORY = (b"memory allocation of", b"bad_alloc", b"MemoryError", b"out of memory")

Outcome = tuple[Path, Document | DocumentError]


@dataclass(slots=True, eq=False)
class _Child:
    process: subprocess.Popen[bytes]
    complaints: IO[bytes]
    starter: threading.Thread
    received: bytearray = field(default_factory=bytearray)
    path: Path | None = None  # what it is working on
    began: float = 0.0
    deadline: float = 0.0
    ready: bool = False


class Parsers:
    """Child processes that turn files into documents; a context manager that ends them.

    Children start when there is work for them: one at once, more as the work goes on, up to
    `config.parse_workers`. `password` is tried on locked files. One thread may parse at a time.
    """

    def __init__(self, config: Config, *, password: str | None = None) -> None:
        self._config = config
        self._password = password
        self._most = config.parse_workers or _free_cores()
        self._children: list[_Child] = []
        self._busy_since: float | None = None

    def __enter__(self) -> Parsers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every child."""
        for child in list(self._children):
            self._end(child)

    def interrupt(self) -> None:
        """Kill every child, from any thread: the thread that parses is told that they crashed."""
        for child in list(self._children):
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)

    def parse(self, paths: Iterable[Path]) -> Generator[Outcome]:
        """Each path once with its document or the error that explains why there is none.

        The order is that of completion. At most one document per child is held here or there, so
        memory is bounded however many paths there are; errors carry the path in their message.
        Raises LlarError where no child can be started at all.
        """
        if self._busy_since is not None:
            raise LlarError("these Parsers are already at work; use one Parsers per thread")
        self._busy_since = time.monotonic()
        todo = iter(paths)
        waiting: list[Path] = []  # what a child lost for no fault of the file's
        try:
            while True:
                more = self._hand_out(todo, waiting)
                busy = [c for c in self._children if c.path is not None]
                if not busy and not more:
                    return
                for child in self._wait(busy, more):
                    yield from self._collect(child, waiting)
        finally:
            self._busy_since = None
            for child in [c for c in self._children if c.path is not None]:
                self._end(child)

    def _hand_out(self, todo: Iterator[Path], waiting: list[Path]) -> bool:
        """Give every free child a path; whether there may be more paths than children."""
        while True:
            child = self._free_child()
            if child is None and not self._may_start():
                return True
            path = waiting.pop() if waiting else next(todo, None)
            if path is None:
                return False
            self._ask(child or self._start(), Path(os.path.abspath(path)))

    def _free_child(self) -> _Child | None:
        for child in [c for c in self._children if c.path is None]:
            # The kernel ends a child together with the thread that started it.
            if child.starter.is_alive() and child.process.poll() is None:
                return child
            self._end(child)
        return None

    def _may_start(self) -> bool:
        worked = time.monotonic() - (self._busy_since or 0.0)
        return len(self._children) < min(self._most, 1 + int(worked / _NEXT_CHILD))

    def _start(self) -> _Child:
        config = self._config
        limits = [os.getpid(), config.parse_memory_mb, config.parse_timeout or 10**6]
        complaints = _scratch()
        try:
            process = subprocess.Popen(
                # -P: a module in the working folder must not shadow one of ours.
                [sys.executable, "-P", "-W", "ignore", "-m", "llar.documents.worker"]
                + [str(limit) for limit in limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd=os.sep,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as e:
            complaints.close()
            raise LlarError(f"a parser process could not be started: {e}") from e
        child = _Child(process, complaints, threading.current_thread())
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._children.append(child)
        return child

    def _ask(self, child: _Child, path: Path) -> None:
        child.path = path
        child.began = time.monotonic()
        child.deadline = child.began + (self._config.parse_timeout or 10**6) + _GRACE
        request = {
            "path": str(path),
            "password": self._password,
            "max_bytes": self._config.max_file_mb << 20,
            "recognition": _recognition(self._config),
            "unpacking": [
                self._config.archive_members,
                self._config.archive_mb << 20,
                self._config.archive_depth,
            ],
        }
        assert child.process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone; reading from it says why
            send(child.process.stdin, request)

    def _wait(self, busy: list[_Child], more: bool) -> list[_Child]:
        """The children that said something or ran out of time."""
        now = time.monotonic()
        until = min(c.deadline for c in busy)
        if more and len(self._children) < self._most:
            until = min(until, now + _NEXT_CHILD)
        with selectors.DefaultSelector() as selector:
            for child in busy:
                assert child.process.stdout is not None
                selector.register(child.process.stdout, selectors.EVENT_READ, child)
            found: list[_Child] = [key.data for key, _ in selector.select(max(0.0, until - now))]
        late = [c for c in busy if c not in found and c.deadline <= time.monotonic()]
        return found + late

    def _collect(self, child: _Child, waiting: list[Path]) -> Iterator[Outcome]:
        """Take in what a child sent; yields its file's outcome once that is complete."""
        path = child.path
        assert path is not None
        reply = None
        try:
            self._receive(child)
            while child.path is not None and (reply := self._next_frame(child)) is not None:
                if reply.get("recognises"):  # as long as any file may take, however often it asks
                    child.deadline = child.began + self._longest() + _GRACE
                    continue
                if child.ready:
                    child.path = None
                child.ready = True  # the first frame only says that it is up
        except DocumentError as e:
            orphaned = not child.starter.is_alive()
            self._end(child)
            if orphaned:
                waiting.append(path)
                return
            if not child.ready:
                raise LlarError(f"a parser process could not be started: {e.message}") from e
            yield path, about(path, e)
            return
        if child.path is not None or reply is None:
            return
        if reply.get("last"):
            self._end(child)
        try:
            outcome: Document | DocumentError = _document(reply, path)
        except DocumentError as e:
            outcome = about(path, e)
        yield path, outcome

    def _receive(self, child: _Child) -> None:
        assert child.process.stdout is not None
        try:  # what it said counts, however long we were busy with something else meanwhile
            data = os.read(child.process.stdout.fileno(), 1 << 20)
        except BlockingIOError:
            if time.monotonic() > child.deadline:
                raise self._too_slow() from None
            return
        if not data:
            raise self._cause_of_death(child)
        child.received += data
        child.deadline = max(child.deadline, time.monotonic() + _GRACE)

    def _next_frame(self, child: _Child) -> dict[str, Any] | None:
        try:
            return take(child.received, self._config.parse_memory_mb << 20)
        except ValueError as e:
            raise DocumentError(f"its parser gave an answer of the wrong shape ({e})") from e

    def _longest(self) -> float:
        """Seconds a file with pictures of text may take."""
        return (self._config.parse_timeout or 10**6) + self._config.ocr_seconds

    def _too_slow(self) -> LimitExceeded:
        seconds = self._config.parse_timeout
        return LimitExceeded(f"took longer than {seconds:g} s to read", fix=_raise("parse_timeout"))

    def _cause_of_death(self, child: _Child) -> DocumentError:
        code = child.process.wait()
        child.complaints.seek(0, os.SEEK_END)
        child.complaints.seek(max(0, child.complaints.tell() - 4096))
        told = child.complaints.read()
        if code in (-signal.SIGALRM, -signal.SIGXCPU):
            return self._too_slow()
        if any(mark in told for mark in _OUT_OF_MEMORY):
            memory = self._config.parse_memory_mb
            return LimitExceeded(f"needs more than {memory} MiB", fix=_raise("parse_memory_mb"))
        if code < 0:
            return DocumentError(f"its parser crashed ({signal.Signals(-code).name})")
        last = told.decode("utf-8", "replace").strip().split("\n")[-1]
        return DocumentError(f"its parser stopped with status {code} ({last})")

    def _end(self, child: _Child) -> None:
        if child in self._children:
            self._children.remove(child)
        with suppress(ProcessLookupError):  # it is gone already
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        for stream in (child.process.stdin, child.process.stdout, child.complaints):
            if stream is not None:
                stream.close()


def load(path: Path, config: Config, *, password: str | None = None) -> Document:
    """One file as a document, parsed in a child process of its own.

    Raises DocumentError, or the child of it that fits, naming the file.
    """
    with Parsers(config, password=password) as parsers:
        for _, outcome in parsers.parse([path]):
            if isinstance(outcome, DocumentError):
                raise outcome
            return outcome
    raise LlarError(f"{str(path)!r}: no parser answered")  # parse() yields each path once


def _recognition(config: Config) -> dict[str, Any]:
    """The settings of text recognition as a child gets them."""
    folder = config.tessdata or os.environ.get("TESSDATA_PREFIX") or _TESSDATA
    return {
        "languages": config.ocr_languages,
        "tessdata": os.path.abspath(os.path.expanduser(folder)),
        "seconds": config.ocr_seconds,
    }


def _raise(setting: str) -> str:
    return f"set {setting} higher in llar.toml or LLAR_{setting.upper()}"


def _free_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _scratch() -> IO[bytes]:
    """A file without a name for a child's complaints, in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("llar-parser"), "w+b")
    return tempfile.TemporaryFile()


def _document(reply: dict[str, Any], path: Path) -> Document:
    """The document in a reply, or its error raised.

    A file may have taken its parser over, so nothing here is trusted to have the right shape.
    """
    if "error" in reply:
        kind = getattr(errors, str(reply["error"]), DocumentError)
        if not (isinstance(kind, type) and issubclass(kind, DocumentError)):
            kind = DocumentError
        fix = reply.get("fix")
        raise kind(str(reply.get("message")), fix=None if fix is None else str(fix))
    try:
        sent = reply["document"]
        text = _is(sent["text"], str)
        return Document(
            text=text,
            source=str(path),
            format=_is(sent["format"], str),
            size=_is(sent["size"], int),
            sha256=_is(sent["sha256"], str),
            title=_is(sent["title"], str, None),
            author=_is(sent["author"], str, None),
            created=_is(sent["created"], str, None),
            modified=_is(sent["modified"], str, None),
            language=_is(sent["language"], str, None),
            pages=tuple(_page(page, len(text)) for page in _is(sent["pages"], list)),
            blocks=_blocks(_is(sent["blocks"], list), len(text)),
            metadata={
                _is(k, str): _is(v, str, int, float, bool)
                for k, v in _is(sent["metadata"], dict).items()
            },
            notes=tuple(_is(note, str) for note in _is(sent["notes"], list)),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise DocumentError(f"its parser gave an answer of the wrong shape ({e})") from e


def _is(value: Any, *kinds: type | None) -> Any:
    if (value is None and None in kinds) or isinstance(value, tuple(k for k in kinds if k)):
        return value
    raise ValueError(f"{value!r:.50} is not of {kinds}")


def _page(sent: Any, length: int) -> Page:
    page = Page(
        _is(sent["number"], int),
        _is(sent["start"], int),
        _is(sent["end"], int),
        _is(sent["label"], str, None),
    )
    if not 0 <= page.start <= page.end <= length:
        raise ValueError(f"page {page.number} is outside the text")
    return page


def _blocks(sent: list[Any], length: int) -> tuple[Block, ...]:
    blocks: list[Block] = []
    position = 0
    for item in sent:
        if item["kind"] not in _BLOCK_KINDS:
            raise ValueError(f"block kind {item['kind']!r:.50}")
        block = Block(
            item["kind"],
            _is(item["start"], int),
            _is(item["end"], int),
            _is(item["level"], int),
            _is(item["caption"], str, None),
        )
        if not position <= block.start <= block.end <= length:
            raise ValueError("blocks overlap or are outside the text")
        position = block.end
        blocks.append(block)
    return tuple(blocks)
