"""A form with files, each written to disk as it arrives: nothing is held in memory or twice.

Starlette's own form parsing keeps whole files in a temporary folder first, which a server with a
read-only disk has not, and knows no limit for one file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from ...errors import BadRequest, LlarError, TooLarge
from ..threads import in_thread

MOST_FILES = 1_000  # of one request
_MOST_FIELD = 1 << 20  # bytes of what is no file
_MOST_HEADER = 16_384  # bytes before a part
_AT_ONCE = 1 << 20  # bytes given to a thread


class Sink(Protocol):
    """Where the bytes of one file go."""

    def write(self, data: bytes) -> None: ...

    def finish(self) -> object: ...

    def discard(self) -> None: ...


class Form:
    """Takes a form apart. `opened` is told each file's name and the fields before it.

    A file that is refused (`opened`, `write` or `finish` raise LlarError) is noted in `refused`;
    the others go on. `taken` are the names of the files that are finished.
    """

    def __init__(self, opened: Callable[[str, dict[str, str]], Sink]) -> None:
        self._opened = opened
        self.taken: list[str] = []
        self.refused: list[tuple[str, LlarError]] = []
        self._fields: dict[str, str] = {}
        self._headers: dict[bytes, bytes] = {}
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._field: str | None = None
        self._value = bytearray()
        self._name = ""
        self._sink: Sink | None = None
        self._is_file = False
        self._size = 0
        self._ended = False

    async def read(self, request: Request, *, most_refused: int) -> None:
        """Read the whole body. `most_refused` bytes of refused files are read and thrown away.

        Raises BadRequest for a body that is no form, and TooLarge.
        """
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
            raise BadRequest("expected a form with files: multipart/form-data with a boundary")
        self._left = most_refused
        callbacks = {
            "on_part_begin": self._part_begin,
            "on_header_field": lambda data, a, b: self._header_part(0, data[a:b]),
            "on_header_value": lambda data, a, b: self._header_part(1, data[a:b]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": lambda data, a, b: self._data(data[a:b]),
            "on_part_end": self._part_end,
            "on_end": self._end,
        }
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        try:
            held = bytearray()
            async for piece in request.stream():
                held += piece
                if len(held) >= _AT_ONCE:
                    await in_thread(parser.write, bytes(held))
                    held.clear()
            if held:
                await in_thread(parser.write, bytes(held))
            if not self._ended:
                raise BadRequest("the form broke off before its end")
        except ClientDisconnect:
            raise BadRequest("the form broke off before its end") from None
        except FormParserError as e:
            raise BadRequest(f"the body is no form that can be read: {e}") from None
        finally:
            if self._sink is not None:
                self._sink.discard()

    def _part_begin(self) -> None:
        self._headers, self._header = {}, (bytearray(), bytearray())
        self._field, self._name, self._sink = None, "", None
        self._value.clear()
        self._size = 0

    def _header_part(self, which: int, data: bytes) -> None:
        self._header[which].extend(data)
        self._size += len(data)
        if self._size > _MOST_HEADER:
            raise BadRequest("the headers of a part of the form are too long")

    def _header_end(self) -> None:
        self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])
        self._header = (bytearray(), bytearray())

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._is_file = b"filename" in options
        if not self._is_file:
            self._field = options.get(b"name", b"").decode("utf-8", "replace")
            return
        self._name = options[b"filename"].decode("utf-8", "surrogateescape")
        if len(self.taken) + len(self.refused) >= MOST_FILES:
            raise TooLarge(f"at most {MOST_FILES} files are taken in one request")
        try:
            self._sink = self._opened(self._name, self._fields)
        except LlarError as e:
            self.refused.append((self._name, e))

    def _data(self, data: bytes) -> None:
        if self._sink is not None:
            try:
                self._sink.write(data)
            except LlarError as e:
                self.refused.append((self._name, e))
                self._sink.discard()
                self._sink = None
        elif self._is_file:
            self._left -= len(data)
            if self._left < 0:
                raise TooLarge("files that were refused are too large to be read to their end")
        else:
            self._value += data
            if len(self._value) > _MOST_FIELD:
                raise TooLarge("a field of the form is too long")

    def _part_end(self) -> None:
        if self._sink is not None:
            sink, self._sink = self._sink, None
            try:
                sink.finish()
                self.taken.append(self._name)
            except LlarError as e:
                self.refused.append((self._name, e))
                sink.discard()
        elif self._field is not None:
            self._fields[self._field] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True
