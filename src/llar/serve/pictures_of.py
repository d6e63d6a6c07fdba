"""Pages of documents as pictures, with the places of quotes on them.

`Library.page_image` and `Library.boxes` check first that the reader may see the document and that
its file is still the one that was indexed; the page and the API ask them, not this.

Files are drawn in one child process with limits of memory and time (documents/show_worker.py),
which is started when first needed and again after it died.
"""

from __future__ import annotations

import base64
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from .. import errors
from ..config import Config
from ..documents.detect import PICTURES
from ..documents.frames import send, take
from ..errors import DocumentError, LimitExceeded
from ..records import Document

Box = tuple[int, float, float, float, float]

DPI = (30, 300)  # what a picture may be asked for
_SECONDS = 30.0  # that one page may take
_KEPT = 64 << 20  # bytes of pictures held in memory
_LARGEST = 256 << 20  # bytes of one answer
_GRACE = 5.0  # seconds beyond the child's own limit until it is ended


class Pictures:
    """Draws pages and finds quotes on them; pictures drawn lately are held in memory."""

    def __init__(self, config: Config) -> None:
        self._memory = config.parse_memory_mb
        self._lock = threading.Lock()  # one request at a time goes to the child
        self._child: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._size = 0

    def page_image(self, document: Document, page: int, dpi: int = 110) -> bytes:
        """A page (from 1) of a PDF or picture as PNG.

        The file is `document.source`. Raises DocumentError where the document is of a format whose
        pages cannot be shown, has no such page, or the file cannot be read.
        """
        if not can_show(document):
            raise DocumentError(f"pages of a {document.format} file cannot be shown")
        dpi = max(DPI[0], min(DPI[1], dpi))
        key = (document.sha256, page, dpi)
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        asked = {"path": document.source, "kind": document.format, "page": page, "dpi": dpi}
        picture = base64.b64decode(self._ask(asked)["png"])
        self._keep(key, picture)
        return picture

    def boxes(self, document: Document, start: int, end: int) -> list[Box]:
        """Where the characters from `start` to `end` of a PDF's text stand.

        One (page, x0, y0, x1, y1) for each line, as fractions of the page picture's width and
        height, from the top left. Empty for other formats, and for pages whose text was recognised
        from a picture: show the whole page then.
        """
        found: list[Box] = []
        if document.format != "pdf":
            return found
        for page in document.pages:
            quote = document.text[max(start, page.start) : min(end, page.end)]
            if quote.strip():
                asked = {"path": document.source, "page": page.number, "quote": quote}
                found += [(page.number, *box) for box in self._ask(asked)["boxes"]]
        return found

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _keep(self, key: tuple[str, int, int], picture: bytes) -> None:
        with self._guard:
            if key not in self._kept:
                self._kept[key] = picture
                self._size += len(picture)
            while self._size > _KEPT and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._end()
                self._child = self._start()
            try:
                reply = _exchange(self._child, request)
            except DocumentError:
                self._end()
                raise
        if "error" in reply:
            kind = getattr(errors, str(reply["error"]), DocumentError)
            fits = isinstance(kind, type) and issubclass(kind, DocumentError)
            raise (kind if fits else DocumentError)(str(reply.get("message")))
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        limits = [str(self._memory), str(_SECONDS)]
        child = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "llar.documents.show_worker", *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.sep,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
            bufsize=0,
        )
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        return child

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for stream in (self._child.stdin, self._child.stdout):
                if stream is not None:
                    stream.close()
            self._child = None


def can_show(document: Document) -> bool:
    """Whether the pages of a document have pictures."""
    return document.format == "pdf" or document.format in PICTURES


def _exchange(child: subprocess.Popen[bytes], request: dict[str, Any]) -> dict[str, Any]:
    """Send a request and wait for its reply."""
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError):  # it is gone; reading from it says so
        send(child.stdin, request)
    until = time.monotonic() + _SECONDS + _GRACE
    received = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, until - time.monotonic())):
                raise LimitExceeded(f"the page took longer than {_SECONDS:g} s to draw")
            data = os.read(child.stdout.fileno(), 1 << 20)
            if not data:
                raise DocumentError("the page could not be drawn: what draws it crashed")
            received += data
            try:
                reply = take(received, _LARGEST)
            except ValueError as e:
                raise DocumentError(f"the page could not be drawn ({e})") from e
            if reply is not None:
                return reply
