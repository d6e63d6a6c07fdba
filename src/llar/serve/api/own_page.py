"""GET /api/docs: the API as a page, written from /openapi.json without any script."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from ..request import identity_of

__all__ = ["router"]

router = APIRouter(prefix="/api")

_CODE, _STRONG = re.compile("`([^`]+)`"), re.compile(r"\*\*([^*]+)\*\*")
_DEEP = 6  # levels of fields that are shown
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --link: #1457a8; }
@media (prefers-color-scheme: dark) { :root { --link: #8cb8f5; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { margin: 0 0 .5rem; } h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
a { color: var(--link); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; }
summary { cursor: pointer; padding: .5rem .75rem; overflow-wrap: anywhere; }
summary:focus-visible, a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
details > div { padding: 0 .75rem .75rem; }
code, pre { font: .9rem/1.45 ui-monospace, monospace; }
pre { background: var(--soft); overflow-x: auto; padding: .6rem; white-space: pre-wrap; }
.verb { display: inline-block; font-weight: 700; min-width: 4.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: .3rem .5rem .3rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
"""


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The page."""
    identity_of(request)
    schema = request.app.openapi()
    return HTMLResponse("".join(_page(schema, str(request.base_url).rstrip("/"))))


def _page(schema: Mapping[str, Any], base: str) -> Iterator[str]:
    title = f"llar {schema['info']['version']}: API"
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_said(title)}</title><style>{_STYLE}</style></head><body><main>"
    yield f"<h1>{_said(title)}</h1><p>{_prose(schema['info']['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
    groups: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, operations in schema["paths"].items():
        for verb, operation in operations.items():
            tag = (operation.get("tags") or ["server"])[-1]
            groups.setdefault(tag, []).append((verb, path, operation))
    for tag, rows in groups.items():
        yield f"<section><h2>{_said(tag)}</h2>"
        for verb, path, operation in rows:
            yield from _operation(schema, base, verb, path, operation)
        yield "</section>"
    yield "</main></body></html>"


def _operation(
    schema: Mapping[str, Any], base: str, verb: str, path: str, operation: Mapping[str, Any]
) -> Iterator[str]:
    about = operation.get("description", "").partition("\n\n")
    yield f'<details id="{_said(operation["operationId"])}"><summary>'
    yield f'<span class="verb">{_said(verb.upper())}</span> <code>{_said(path)}</code>'
    yield f" {_prose(about[0])}</summary><div>"
    if about[2]:
        yield f"<p>{_prose(about[2])}</p>"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<h3>Parameters</h3><table>"
        for one in parameters:
            told = one.get("description") or one["schema"].get("description", "")
            must = ", required" if one.get("required") else ""
            yield f"<tr><th scope=row><code>{_said(one['name'])}</code></th>"
            yield f"<td>{_said(_kind(one['schema']))} in {_said(one['in'])}{must}</td>"
            yield f"<td>{_said(told)}</td></tr>"
        yield "</table>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<h3>Body: {_said(kind)}</h3>"
        yield f"<pre>{_said(_example(schema, content.get('schema', {})))}</pre>"
    yield "<h3>Answers</h3><table>"
    for status, answer in operation["responses"].items():
        told = answer.get("description", "")
        yield f"<tr><th scope=row>{_said(status)}</th><td>{_said(told)}"
        for kind, content in answer.get("content", {}).items():
            if status.startswith("2") and content.get("schema"):
                yield f"<br>{_said(kind)}<pre>{_said(_example(schema, content['schema']))}</pre>"
        yield "</td></tr>"
    yield "</table>"
    send = f"curl -X {verb.upper()} '{base}{path}' -H 'Authorization: Bearer KEY'"
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        send += " -H 'Content-Type: application/json' -d '{...}'"
    yield f"<h3>Try it</h3><pre>{_said(send)}</pre></div></details>"


def _example(schema: Mapping[str, Any], shape: Mapping[str, Any]) -> str:
    """What a value of this shape looks like: its fields with what they hold."""
    return json.dumps(_shape(schema, shape, 0), indent=2, ensure_ascii=False)


def _shape(schema: Mapping[str, Any], shape: Mapping[str, Any], deep: int) -> Any:
    if "$ref" in shape:
        name = shape["$ref"].rsplit("/", 1)[-1]
        return _shape(schema, schema["components"]["schemas"][name], deep)
    if "properties" in shape and deep < _DEEP:
        required = shape.get("required", [])
        return {
            (key if key in required else f"{key}?"): _shape(schema, inner, deep + 1)
            for key, inner in shape["properties"].items()
        }
    if shape.get("type") == "array" and deep < _DEEP:
        return [_shape(schema, shape.get("items", {}), deep + 1)]
    for several in ("anyOf", "oneOf"):
        inner = [s for s in shape.get(several, ()) if s.get("type") != "null"]
        if len(inner) == 1:
            return _shape(schema, inner[0], deep)
    return _kind(shape)


def _kind(shape: Mapping[str, Any]) -> str:
    """What a value is, in a few words."""
    if "enum" in shape:
        return " | ".join(str(value) for value in shape["enum"])
    if "const" in shape:
        return str(shape["const"])
    for several in ("anyOf", "oneOf"):
        if several in shape:
            return " or ".join(dict.fromkeys(_kind(inner) for inner in shape[several]))
    if "$ref" in shape:
        return str(shape["$ref"]).rsplit("/", 1)[-1]
    kind = str(shape.get("format") or shape.get("type") or "any")
    limits = [
        f"{sign} {shape[key]:g}"
        for key, sign in (("minimum", "from"), ("maximum", "to"), ("maxLength", "at most"))
        if key in shape
    ]
    return " ".join([kind, *limits])


def _said(text: object) -> str:
    return html.escape(str(text), quote=True)


def _prose(text: str) -> str:
    """A description, with what stands in backticks or asterisks set off."""
    return _STRONG.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", _said(text)))
