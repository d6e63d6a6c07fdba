"""Every error as OpenAI's clients expect it: {"error": {message, type, param, code}}.

`TABLE` says for every class of llar's errors which HTTP status, type and code it becomes, on all
of the server's endpoints. What `fix=` says goes to admins only: it is a command for the machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ... import errors
from ...errors import BadRequest, EngineError, LlarError, Overloaded, RemoteError

__all__ = ["STOPPING", "Failures", "Gone", "answer", "as_json", "install", "is_stopping", "methods"]

log = logging.getLogger("llar.serve")

INVALID = "invalid_request_error"
SERVER = "server_error"

# The first row that an error is an instance of: status, type, code.
TABLE: tuple[tuple[type[LlarError], int, str, str | None], ...] = (
    (errors.NotSignedIn, 401, INVALID, "invalid_api_key"),
    (errors.Forbidden, 403, "permission_error", "forbidden"),
    (errors.NotThere, 404, INVALID, "not_found"),
    (errors.Conflict, 409, INVALID, "conflict"),
    (errors.TooLarge, 413, INVALID, "request_too_large"),
    (errors.Overloaded, 429, "rate_limit_error", "overloaded"),
    (errors.BadRequest, 400, INVALID, None),
    (errors.StateUnusable, 503, SERVER, "state_unusable"),
    (errors.ServeError, 400, INVALID, None),
    (errors.UnknownModel, 404, INVALID, "model_not_found"),
    (errors.ModelNotInstalled, 404, INVALID, "model_not_found"),
    (errors.ContextTooLong, 400, INVALID, "context_length_exceeded"),
    (errors.Refused, 400, INVALID, None),
    (errors.EngineError, 503, SERVER, "model_unavailable"),
    (errors.ModelError, 503, SERVER, "model_unavailable"),
    (errors.RemoteError, 502, SERVER, "upstream_error"),
    (errors.UnknownCollection, 404, INVALID, "collection_not_found"),
    (errors.CollectionBusy, 503, SERVER, "collection_busy"),
    (errors.CollectionError, 409, INVALID, "collection_error"),
    (errors.UnsupportedFormat, 415, INVALID, "unsupported_format"),
    (errors.LimitExceeded, 413, INVALID, "limit_exceeded"),
    (errors.DocumentError, 422, INVALID, "unreadable_document"),
    (errors.ConfigError, 400, INVALID, None),
    (errors.LlarError, 400, INVALID, None),  # QueryError, EvaluationError, PlanError ...
)
STOPPING = EngineError("the server stops; ask again in a moment")
OF_STATUS = {400: None, 404: "not_found", 405: "method_not_allowed", 413: "request_too_large",
             415: "unsupported_media_type"}  # fmt: skip


class Gone(Exception):
    """The client left before its answer was there."""


def is_stopping(scope: Scope) -> bool:
    """Is the server on its way down?"""
    stopping: bool = scope["app"].state.llar.stopping.is_set()
    return stopping


def as_json(error: LlarError, *, admin: bool = False) -> dict[str, Any]:
    """The error as the value of "error". `fix` is only for admins."""
    _, kind, code = _row(error)
    param = None
    if isinstance(error, BadRequest):
        param, code = error.param, error.code
    message = str(error) if admin else error.message
    return _shape(message, kind, param, code)


def answer(error: LlarError, scope: Scope) -> JSONResponse:
    """The response for an error, with the headers that belong to its status."""
    status, _, _ = _row(error)
    identity = scope.get("llar.identity")
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="llar"'
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(error.retry_after)
    elif status == 503:
        headers["Retry-After"] = "1"
    body = as_json(error, admin=identity is not None and identity.is_admin)
    return JSONResponse({"error": body}, status, headers)


def install(app: FastAPI) -> None:
    """Answer every error of ours, of validation and of routing in that shape."""

    @app.exception_handler(LlarError)
    async def ours(request: Request, error: LlarError) -> JSONResponse:
        if _row(error)[0] >= 500:
            fields = {"id": request.scope.get("llar.request_id"), "error": type(error).__name__}
            log.warning("failed", extra={"fields": fields})
        return answer(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": _validation(error.errors(), error.body)}, 400)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        code = OF_STATUS.get(error.status_code)
        path = request.url.path
        what = {404: f"there is nothing at {path!r}",
                405: f"{path!r} does not take {request.method}"}  # fmt: skip
        message = what.get(error.status_code, str(error.detail))
        kind = INVALID if error.status_code < 500 else SERVER
        body = {"error": _shape(message, kind, None, code)}
        headers = error.headers
        if error.status_code == 405:
            headers = {"Allow": ", ".join(sorted(methods(request)))}
        return JSONResponse(body, error.status_code, headers)

    @app.exception_handler(Gone)
    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it but the log, which nginx taught to

    app.add_middleware(Failures)


class Failures:
    """ASGI middleware: whatever nobody foresaw becomes a 500 without details, a stop a 503.

    The log gets the lines of code it came through and not its message, which may hold text of
    documents (see observe.py). The client gets the request's id to ask about.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer where that fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if begun or not is_stopping(scope):
                raise
            await answer(STOPPING, scope)(scope, receive, send)
        except Exception as error:
            number = scope.get("llar.request_id", "")
            log.error("failed", exc_info=error, extra={"fields": {"id": number}})
            if begun:  # all that is left is to break the connection off
                raise ConnectionAbortedError(f"request {number} failed; see the log") from None
            message = "the server failed; its administrator finds the request's id in the log"
            body = _shape(f"{message}: {number}" if number else message, SERVER, None, "internal")
            await JSONResponse({"error": body}, 500)(scope, receive, send)


def _row(error: LlarError) -> tuple[int, str, str | None]:
    """Status, type and code of an error."""
    status, kind, code = next(row[1:] for row in TABLE if isinstance(error, row[0]))
    if isinstance(error, RemoteError) and error.status in (400, 404, 413, 422):
        return error.status, INVALID, None  # that server found the request wrong
    if isinstance(error, RemoteError) and error.status == 429:
        return 429, "rate_limit_error", "overloaded"
    return status, kind, code


def methods(request: Request) -> set[str]:
    """What a path takes, by all of its routes: Starlette names the methods of the first only."""
    allowed: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path is None or not getattr(route.original_route, "include_in_schema", True):
            continue
        if compile_path(str(route.path))[0].match(request.url.path):
            allowed |= route.methods or set()
    return allowed


def _shape(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"message": message, "type": kind, "param": param, "code": code}


def _validation(found: Sequence[Any], body: Any) -> dict[str, Any]:
    """What pydantic found wrong, as one error. Values are not repeated: they may be long.

    Where a field takes several kinds of values, each kind has an entry of its own; those of the
    first field named are said together.
    """
    placed = [(_param(e["loc"], body, e["type"]), e) for e in found]
    param, first = max(placed, key=lambda p: p[0].count(".") + p[0].count("["))  # the innermost
    said = dict.fromkeys(e["msg"] for at, e in placed if at == param)
    message = " or ".join(list(said)[:4])
    code = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
    if not param and first["type"] in ("model_attributes_type", "dict_type", "model_type"):
        kinds = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
        kind = kinds.get(type(body), "a number")
        return _shape(f"the body is {kind}, expected a JSON object", INVALID, None, None)
    if first["type"] == "json_invalid":
        return _shape(f"the body is not valid JSON: {message}", INVALID, None, None)
    if first["type"] == "missing":
        message = f"Missing required parameter: {param!r}."
    elif first["type"] == "extra_forbidden":
        message = f"Unknown parameter: {param!r}."
    else:
        message = f"Invalid value for {param!r}: {message}"
    return _shape(message, INVALID, param or None, code.get(first["type"], "invalid_value"))


def _param(loc: Sequence[str | int], body: Any, kind: str) -> str:
    """The path to a field, "messages[0].content", without the names of types pydantic adds."""
    if not loc or loc[0] != "body":
        return str(loc[-1]) if loc else ""
    path, here = "", body
    for n, part in enumerate(loc[1:], 2):
        last = kind == "missing" and n == len(loc)
        if isinstance(here, Mapping) and (part in here or last):
            path += f".{part}" if path else str(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path += f"[{part}]"
            here = here[part]
    return path
