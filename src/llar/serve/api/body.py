"""The bodies of requests: their JSON, and what all request models share."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ...errors import BadRequest
from ..request import state_of
from ..threads import in_thread
from .bulk import check_text, check_values
from .errors import Gone

__all__ = ["Ask", "Ids", "JsonObject", "JsonRoute", "Text"]

Text = Annotated[str, Field(min_length=1)]
Ids = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]  # a model's own

LONG = 1 << 18  # bytes from which parsing would hold up other requests


class JsonRoute(APIRoute):
    """A route whose body, where it has one, is strict JSON. How long it may be, the guard says.

    Refused before anything is validated: another content type (a browser sends JSON to other
    sites only with leave, forms without), NaN, half surrogate pairs, nesting deeper than 200, and
    more values or text than would let other requests pass (bulk.py).
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler over a request that is read already."""
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        async def read(request: Request) -> Response:
            try:
                data = await request.body()
            except ClientDisconnect:
                raise Gone from None
            most = state_of(request).config.text_limit
            if len(data) > min(LONG, most):
                parsed = await in_thread(_parse_long, request, data, most)
            else:
                parsed = _parse(request, data)
            return await handler(_ReadRequest(request, data, parsed))

        return read


class _ReadRequest(Request):
    """A request whose body was read and parsed."""

    def __init__(self, request: Request, data: bytes, parsed: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._data = data
        self._parsed = parsed

    async def body(self) -> bytes:
        return self._data

    async def json(self) -> Any:
        return self._parsed


class Ask(BaseModel):
    """What every request model is: strict about kinds of values, closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _is_json(value: Any) -> Any:
    """Free JSON may hold no infinite number: nothing could be sent on."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError("a number in it is too large") from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_is_json)]


def _parse_long(request: Request, data: bytes, most: int) -> Any:
    check_values(data)
    parsed = _parse(request, data)
    if len(data) > most:  # a character takes a byte at least
        check_text(parsed, most)
    return parsed


def _parse(request: Request, data: bytes) -> Any:
    if not data.strip():
        raise BadRequest("the body is empty, expected a JSON object")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind[-5:] == "+json"
    ):
        raise BadRequest(f"the content type is {kind!r}, expected 'application/json'")
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as e:
        raise BadRequest(f"the body is not valid JSON: {e}") from None
