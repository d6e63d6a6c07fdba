"""One line of log and one measurement per request, neither with anything that was said in it.

A line names the route (`/api/documents/{id}`), never the path or the query as they were typed:
they may hold names of files and questions.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from typing import Any, TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics

__all__ = ["Observed", "log_to"]

LOG = logging.getLogger("llar.serve")
_LEAST_ID, _LONGEST_ID = 8, 64


class Observed:
    """ASGI middleware around everything else; gives each request its id.

    The id is in scope["llar.request_id"] and in the answer's `x-request-id`; a caller may bring
    its own of 8 to 64 letters, digits, dots, dashes and underscores.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["llar.request_id"] = _request_id(scope)
        status, sent, start = 499, 0, time.perf_counter()  # 499: the caller left first (nginx)

        async def answer(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *(h for h in message.get("headers", ()) if h[0] != b"x-request-id"),
                    (b"x-request-id", request_id.encode()),
                ]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        self._metrics.open_requests.inc()
        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - start
            self._metrics.open_requests.dec()
            route, method = route_of(scope), scope["method"]
            self._metrics.requests.labels(route, _method(method), str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            identity = scope.get("llar.identity")
            LOG.info(
                "request",
                extra={
                    "fields": {
                        "id": request_id,
                        "method": _method(method),
                        "route": route,
                        "status": status,
                        "seconds": round(seconds, 4),
                        "bytes": sent,
                        "user": identity.user if identity else None,
                        "client": (scope.get("client") or ("",))[0],
                    }
                },
            )


def route_of(scope: Scope) -> str:
    """The pattern of the route that answered: "page" for the web page's own, "none" for none."""
    path = getattr(scope.get("route"), "path", None)
    if isinstance(path, str) and path:
        return path
    return "page" if scope["path"].startswith("/_nicegui") else "none"


def log_to(stream: TextIO = sys.stderr) -> None:
    """Write the server's log to `stream`: JSON lines, or for a person where it is a terminal.

    What libraries warn of is told by where it happened: their messages may hold addresses and text.
    """
    out = logging.StreamHandler(stream)
    out.setFormatter(_ForPeople() if stream.isatty() else _Json())
    logging.getLogger().handlers[:] = [out]
    logging.getLogger().setLevel(logging.WARNING)
    LOG.setLevel(logging.INFO)


def _event(record: logging.LogRecord) -> str:
    """What happened: our message, or the place where a library warned."""
    if record.name.startswith(LOG.name):
        return record.getMessage()
    return f"{record.name} at {record.filename}:{record.lineno}"


class _Json(logging.Formatter):
    """One JSON object per line: time (UTC), level, event, and what belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": _event(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["where"] = _places(record)
        return json.dumps(line, ensure_ascii=True)


class _ForPeople(logging.Formatter):
    """The same on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        told = " ".join(f"{k}={v}" for k, v in fields.items() if v is not None)
        where = "\n  " + "\n  ".join(_places(record)) if record.exc_info else ""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        return f"{clock} {_event(record)} {told}{where}"


def _places(record: logging.LogRecord) -> list[str]:
    """Where an exception came from: type, files and lines. Its message may hold text, so not it."""
    if not record.exc_info or record.exc_info[1] is None:
        return []
    error = record.exc_info[1]
    lines, trace = [type(error).__name__], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return lines


def _request_id(scope: Scope) -> str:
    given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"").decode("latin-1")
    plain = given.isascii() and given.replace("-", "").replace("_", "").replace(".", "").isalnum()
    if plain and _LEAST_ID <= len(given) <= _LONGEST_ID:
        return given
    return f"req-{uuid.uuid4().hex}"


def _method(method: str) -> str:
    """HTTP's methods as they are, anything else as one: a label must have few values."""
    known = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
    return method if method in known else "OTHER"
