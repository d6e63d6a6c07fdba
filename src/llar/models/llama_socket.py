"""Requests to the llama.cpp server in this process, over its Unix socket (Windows: loopback)."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ContextTooLong, EngineError, Refused

__all__ = ["LlamaSocket", "host", "refusal"]


class LlamaSocket:
    """The way to one server. Safe to use from several threads."""

    def __init__(self, name: str, address: str, key: str) -> None:
        self._name = name
        self.address = address
        self.key = key
        self._lock = threading.Lock()
        self._open: set[http.client.HTTPConnection] = set()
        self._closed = False

    def get(self, path: str) -> Any:
        """The JSON at `path`. Raises EngineError."""
        with self._request("GET", path, None) as response:
            return json.loads(response.read())

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer. Raises ContextTooLong and EngineError."""
        with self._request("POST", path, body) as response:
            return json.loads(response.read())

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Any]:
        """The JSON of each event as it comes; closing the iterator stops the generation."""
        with self._request("POST", path, {**body, "stream": True}) as response:
            for line in response:
                kind, _, text = line.partition(b":")
                if kind not in (b"data", b"error"):
                    continue
                if text.strip() == b"[DONE]":
                    return
                event = json.loads(text)
                if kind == b"error" or "error" in event:
                    raise refusal(self._name, event.get("error", event))
                yield event
        broke = "was closed before it had answered" if self._closed else "broke off its answer"
        raise EngineError(f"{self._name} {broke}")

    def hang_up(self, path: str, body: Mapping[str, Any]) -> None:
        """Refuse new requests, break off those that run, and return when the server is idle.

        The server notices that its caller has gone within a second, and must before it is ended:
        a request that waits for an ended model waits forever. It answers in turn, so the answer
        to `body`, which should be a small request, shows that none before it is left.
        """
        with self._lock:
            self._closed = True
            running = list(self._open)
        for connection in running:
            with contextlib.suppress(OSError, AttributeError):  # it has just ended by itself
                connection.sock.shutdown(socket.SHUT_RDWR)
        if running:
            with contextlib.closing(_connection(self.address)) as last:
                self._send(last, "POST", path, body)
                last.getresponse().read()

    @contextlib.contextmanager
    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _connection(self.address)
        try:
            with self._lock:
                if self._closed:
                    raise EngineError(f"{self._name} is closed")
                connection.connect()
                self._open.add(connection)
            self._send(connection, method, path, body)
            with connection.getresponse() as response:
                if response.status != 200:
                    raise refusal(self._name, json.loads(response.read()).get("error", {}))
                yield response
        except (OSError, http.client.HTTPException, ValueError) as e:
            if self._closed:
                raise EngineError(f"{self._name} was closed before it had answered") from e
            raise EngineError(f"{self._name}: llama.cpp does not answer: {e!r}") from e
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
    ) -> None:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket at `path`."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def host(folder: str) -> str:
    """What a server listens on: a socket in `folder`, where the system has such."""
    return f"{folder}/llama.sock" if hasattr(socket, "AF_UNIX") else "127.0.0.1"


def _connection(address: str) -> http.client.HTTPConnection:
    return _UnixConnection(address) if "/" in address else http.client.HTTPConnection(address)


def refusal(name: str, error: Mapping[str, Any]) -> EngineError | ContextTooLong:
    """One of our errors for what the server answered."""
    if error.get("type") == "exceed_context_size_error":
        return ContextTooLong(
            f"{name}: a prompt of {error.get('n_prompt_tokens')} tokens does not fit the context "
            f"of {error.get('n_ctx')}"
        )
    asked = error.get("code") in (400, 404, 501) or "not supported" in str(error.get("message"))
    kind = Refused if asked else EngineError
    return kind(f"{name}: llama.cpp refused: {error.get('message', error)}")
