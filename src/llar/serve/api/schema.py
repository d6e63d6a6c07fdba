"""/openapi.json, true and complete: every answer that an endpoint can give is declared in it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

__all__ = ["install"]

ERRORS = {  # answers that any endpoint may give, in the shape of errors.py
    "400": "The request cannot be understood.",
    "401": "Nobody signed in: send `Authorization: Bearer KEY`.",
    "403": "The role or access does not allow it.",
    "404": "There is no such thing, or not for the caller.",
    "409": "It exists already, or was changed meanwhile.",
    "413": "More was sent than the server takes.",
    "415": "The format is not one that can be read.",
    "422": "The document cannot be read.",
    "429": "Too much waits already; see Retry-After.",
    "502": "A server that was called failed.",
    "503": "A model or collection cannot be used just now; see Retry-After.",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ABOUT = """Two APIs on one server. **OpenAI** (`/v1`): what OpenAI's clients send; every collection
is a model, `ask:NAME`. **llar** (`/api`): collections, documents, uploads, searches, jobs,
evaluation. Both take an API key as `Authorization: Bearer KEY`, and a browser's session."""


def install(app: FastAPI) -> None:
    """Give the application such a schema, made when first asked for."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=_ABOUT, routes=app.routes
            )
            app.openapi_schema = _complete(made)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]  # FastAPI's way to change it


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    shapes = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # errors.py answers otherwise
        shapes.pop(name, None)
    shapes["Error"] = _ERROR
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"key": []}]
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    for path, operations in schema["paths"].items():
        if not path.startswith(("/api", "/v1", "/tokenize", "/detokenize")):
            continue
        for operation in operations.values():
            operation["summary"] = operation["description"].partition("\n")[0]
            declared = operation["responses"]
            if "HTTPValidationError" in str(declared.get("422")):
                del declared["422"]
            for status, about in ERRORS.items():
                declared.setdefault(status, {"description": about, **answer})
    return schema
