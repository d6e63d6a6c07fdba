"""POST /api/collections/NAME/upload and PUT .../files/PATH: files on their way in.

What is answered with 202 is on disk and will be indexed, whatever happens to the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.requests import ClientDisconnect

from ...errors import BadRequest
from ...records import MetadataValue
from ..arriving import Arriving
from ..job_records import Job, JobFile
from ..request import identity_of, state_of
from ..state import State
from ..threads import in_thread
from ..who import Identity
from . import own_shown as shown
from .multipart import Form
from .own_collections import CollectionName
from .own_models import JobFileShown, Refused, Uploaded

__all__ = ["router"]

router = APIRouter(prefix="/api/collections/{collection}", tags=["documents"])

_AT_ONCE = 1 << 20
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "metadata": {
                            "type": "string",
                            "description": "JSON object of what is known of the files after it",
                        },
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "files; their names may have folders",
                        },
                    },
                }
            }
        },
    }
}
_RAW: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class _Sink:
    """One file of a form: queued and written into the audit log when it is finished."""

    def __init__(self, state: State, identity: Identity, collection: str, arriving: Arriving):
        self._state, self._identity, self._collection = state, identity, collection
        self._arriving = arriving
        self.added: tuple[Job, JobFile] | None = None

    def write(self, data: bytes) -> None:
        self._arriving.write(data)

    def finish(self) -> None:
        self.added = self._arriving.finish()
        name = self.added[1].name
        self._state.audit.record(
            self._identity, "upload", collection=self._collection, documents=[name]
        )

    def discard(self) -> None:
        self._arriving.discard()


@router.post("/upload", status_code=202, openapi_extra=_FORM)
async def upload(request: Request, collection: CollectionName) -> Uploaded:
    """Send files, as a form. Those in `files` are taken, those in `refused` are not.

    Where none is taken, the answer is the first one's error. A form has at most `upload_mb` in
    all; large files are better sent one by one.
    """
    state, identity = state_of(request), identity_of(request)
    await in_thread(state.library.check, identity, collection, edit=True)
    sinks: list[_Sink] = []

    def opened(name: str, fields: dict[str, str]) -> _Sink:
        metadata = _metadata(fields.get("metadata", ""))
        arriving = state.library.incoming(identity, collection, name, metadata=metadata)
        sinks.append(_Sink(state, identity, collection, arriving))
        return sinks[-1]

    form = Form(opened)
    await form.read(request, most_refused=state.config.upload_mb << 20)
    added = [sink.added for sink in sinks if sink.added is not None]
    if not added:
        raise form.refused[0][1] if form.refused else BadRequest("there is no file in the form")
    refused = [Refused(name=_clean(name), error=error.message) for name, error in form.refused]
    return _uploaded(added, refused)


@router.put("/files/{path:path}", status_code=202, openapi_extra=_RAW)
async def put(
    request: Request,
    collection: CollectionName,
    path: Annotated[str, Path(min_length=1, max_length=2000)],
    metadata: Annotated[str, Query(max_length=100_000, description="a JSON object")] = "",
) -> Uploaded:
    """Send one file under this path, the body being its bytes: `curl -T FILE URL`."""
    state, identity = state_of(request), identity_of(request)
    known = _metadata(metadata)
    arriving = await in_thread(state.library.incoming, identity, collection, path, metadata=known)
    sink = _Sink(state, identity, collection, arriving)
    try:
        held = bytearray()
        async for piece in request.stream():
            held += piece
            if len(held) >= _AT_ONCE:
                await in_thread(sink.write, bytes(held))
                held.clear()
        await in_thread(sink.write, bytes(held))
        await in_thread(sink.finish)
    except ClientDisconnect:
        raise BadRequest("the file broke off before its end") from None
    finally:
        await in_thread(sink.discard)
    assert sink.added is not None
    return _uploaded([sink.added], [])


def _uploaded(added: list[tuple[Job, JobFile]], refused: list[Refused]) -> Uploaded:
    return Uploaded(
        job=shown.job(added[-1][0]),
        files=[JobFileShown.model_validate(file) for _, file in added],
        refused=refused,
    )


def _metadata(text: str) -> Mapping[str, MetadataValue]:
    """The object in a field of the form."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as e:
        raise BadRequest(f"metadata is not valid JSON: {e}", param="metadata") from None
    if not isinstance(found, dict) or len(found) > 100:
        raise BadRequest("metadata must be an object of at most 100 keys", param="metadata")
    for key, value in found.items():
        if not isinstance(value, str | int | float | bool) or len(str(value)) > 10_000:
            raise BadRequest(f"metadata {key!r} must be text, number or boolean", param="metadata")
    return found


def _clean(name: str) -> str:
    """A name that may be of bytes that are no UTF-8."""
    return name.encode("utf-8", "replace").decode()[:1000]
