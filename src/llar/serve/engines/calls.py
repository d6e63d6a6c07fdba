"""Calls from the server to a child process: JSON over a Unix socket, vectors as they are in memory.

Both sides prove that they know the child's key (multiprocessing.connection does this). A message
is the length-prefixed JSON of the call or its answer; an answer's arrays follow as their bytes.
Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import numpy as np

from ... import errors
from ...errors import EngineError, LlarError

__all__ = ["Calls", "Method", "answer"]

Method = Callable[[Mapping[str, Any]], tuple[Any, Sequence[np.ndarray[Any, Any]]]]


class Calls:
    """The server's end. Safe to use from several threads; each call has a connection to itself."""

    def __init__(self, name: str, address: str, key: bytes) -> None:
        self._name = name
        self._address = address
        self._key = key
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def call(self, method: str, **body: Any) -> tuple[Any, list[np.ndarray[Any, Any]]]:
        """The answer's value and arrays. Raises what the method raised, EngineError."""
        try:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = Client(self._address, authkey=self._key)
            try:
                connection.send_bytes(json.dumps([method, body]).encode())
                said = json.loads(connection.recv_bytes())
                arrays = [
                    np.frombuffer(connection.recv_bytes(), kind).reshape(shape)
                    for kind, shape in said.get("arrays", ())
                ]
            except BaseException:
                connection.close()
                raise
        except (OSError, EOFError, AuthenticationError) as e:
            raise EngineError(f"{self._name} does not answer: {e!r}") from e
        with self._lock:
            self._idle.append(connection)
        if "error" in said:
            kind, message, fix = said["error"]
            raise getattr(errors, kind)(message, fix=fix)
        return said["value"], arrays

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            while self._idle:
                with contextlib.suppress(OSError):
                    self._idle.pop().close()


def answer(listener: Listener, methods: Mapping[str, Method]) -> None:
    """The child's end: answer every connection in a thread of its own, as long as it lives."""
    while True:
        try:
            connection = listener.accept()
        except (OSError, EOFError, AuthenticationError):  # a stranger, or one that left at once
            continue
        threading.Thread(target=_serve, args=(connection, methods), daemon=True).start()


def _serve(connection: Connection, methods: Mapping[str, Method]) -> None:
    with contextlib.suppress(OSError, EOFError), connection:
        while True:
            method, body = json.loads(connection.recv_bytes())
            arrays: Sequence[np.ndarray[Any, Any]] = ()
            try:
                value, arrays = methods[method](body)
                told = {"value": value, "arrays": [[a.dtype.str, a.shape] for a in arrays]}
            except LlarError as e:
                told = {"error": [type(e).__name__, e.message, e.fix]}
            except Exception as e:  # noqa: BLE001 - the other side of a process must hear of it
                told = {"error": ["EngineError", f"{method} failed: {e!r}", None]}
            connection.send_bytes(json.dumps(told).encode())
            for array in arrays:
                connection.send_bytes(np.ascontiguousarray(array).data.cast("B"))
