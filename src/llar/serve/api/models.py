"""GET /v1/models and /v1/models/{id}: what may be named as `model`, and by whom.

Names are llar's own, backend:name, and `ask:COLLECTION` for every collection that one may read.
Beside OpenAI's fields an entry has `kind` (chat, embedding, reranker, ask) and, where it is
known, `max_model_len`, the tokens of its context, as vLLM calls it.
"""

from __future__ import annotations

import contextlib
import difflib
import time
from collections.abc import Iterable
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from ...errors import ModelCorrupt, ModelError, ModelNotInstalled, UnknownModel
from ...models.store import InstalledModel, Store
from ..request import identity_of, state_of
from ..state import State
from ..threads import in_thread
from ..who import Identity
from .body import JsonRoute

__all__ = ["chat_model", "listed", "router", "unknown", "usable"]

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

Kind = Literal["chat", "embedding", "reranker", "ask"]
STARTED = int(time.time())  # what has no file of its own is as old as the server


class ModelCard(BaseModel):
    """One model."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "llar"
    kind: Kind


class ModelList(BaseModel):
    """All models that the caller may name."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


@router.get("/v1/models", response_model_exclude_none=True)
async def models(request: Request) -> ModelList:
    """Every model and every collection that may be named."""
    state, identity = state_of(request), identity_of(request)
    return ModelList(data=await in_thread(listed, state, identity))


@router.get("/v1/models/{model:path}", response_model_exclude_none=True)
async def model(request: Request, model: str) -> ModelCard:
    """One of them. 404 where there is none of that name, or not for the caller."""
    state, identity = state_of(request), identity_of(request)
    for card in await in_thread(listed, state, identity):
        if card.id == model:
            return card
    raise await in_thread(unknown, state, identity, model)


def listed(state: State, identity: Identity) -> list[ModelCard]:
    """What /v1/models shows to somebody."""
    installed = {m.full_name: m for m in _installed(state)}
    lengths = {s.name: s.context for s in state.engines.status() if s.context}
    cards = []
    for kind in ("chat", "embedding", "reranker"):
        for name in usable(state, kind):
            found = installed.get(name)
            card = ModelCard(id=name, created=_age(found), kind=kind)
            length = lengths.get(name) or _length(state, kind, found)
            cards.append(card if not length else
                         ModelCard(**card.model_dump(), max_model_len=length))  # type: ignore[call-arg]  # fmt: skip
    collections = state.library.names(identity)
    return cards + [ModelCard(id=f"ask:{n}", created=STARTED, kind="ask") for n in collections]


def usable(state: State, kind: str) -> list[str]:
    """The models of a kind that may be named: those installed and those configured, sorted."""
    if kind == "chat":
        return list(state.engines.names())
    config = state.config
    named = {"embedding": config.embedder, "reranker": config.reranker}[kind]
    found = {m.full_name for m in _installed(state) if m.kind == kind}
    return sorted(found | ({named} if ":" in named else set()))


def chat_model(state: State, identity: Identity, name: str) -> None:
    """Raises UnknownModel or ModelNotInstalled where it is no chat model that may be named."""
    if name not in state.engines.names():
        raise unknown(state, identity, name, "chat")


def unknown(state: State, identity: Identity, name: str, kind: str = "") -> ModelError:
    """The error for a model that cannot be named, or not where one of that kind is needed."""
    cards = listed(state, identity)
    for card in cards:
        if card.id == name:
            return UnknownModel(f"the model {name!r} is for {card.kind}, not for {kind}")
    with contextlib.suppress(UnknownModel, ModelCorrupt):
        try:
            Store(state.config.models_dir).get(name)
        except ModelNotInstalled as error:
            return error
    names = [c.id for c in cards if not kind or c.kind == kind]
    near = difflib.get_close_matches(name, names, n=1) or _same_end(name, names)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UnknownModel(
        f"the model {name!r} does not exist{hint}", fix="curl SERVER/v1/models   (lists them)"
    )


def _installed(state: State) -> list[InstalledModel]:
    """The models of the store; one that is damaged cannot be named."""
    store, found = Store(state.config.models_dir), []
    for name in store.names():
        with contextlib.suppress(ModelError):
            found.append(store.get(name))
    return found


def _same_end(name: str, names: Iterable[str]) -> list[str]:
    """The names that are this one behind a backend."""
    return [n for n in names if n.partition(":")[2] == name]


def _age(model: InstalledModel | None) -> int:
    return STARTED if model is None else int((model.folder / "model.json").stat().st_mtime)


def _length(state: State, kind: str, model: InstalledModel | None) -> int:
    own = model.context if model else 0
    return (state.config.context or own) if kind == "chat" else own
