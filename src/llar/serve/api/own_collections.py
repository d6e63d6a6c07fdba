"""/api/me and /api/collections: what there is, made and deleted; searches and answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from ...collection import Collection as Documents
from ...records import Answer, Message
from ..request import identity_of, state_of
from ..state import State
from ..threads import in_thread
from ..who import Identity
from . import own_shown as shown
from .ask import AskOptions, check_options, recorded
from .ask import Question as AskedOf
from .body import JsonRoute
from .models import chat_model
from .own_models import (
    AnswerShown,
    Collection,
    Collections,
    Me,
    Mine,
    NewCollection,
    Question,
    Search,
    SearchResult,
)
from .sse import Events, event, failure, streamed, while_connected

__all__ = ["CollectionName", "router"]

router = APIRouter(route_class=JsonRoute, prefix="/api", tags=["collections"])

CollectionName = Annotated[str, Path(pattern=r"^\w[\w.-]{0,63}$")]


@router.get("/me", tags=["who"])
async def me(request: Request) -> Me:
    """Who is asking, and which collections they may read or change."""
    state, identity = state_of(request), identity_of(request)
    library = state.library

    def found() -> list[Mine]:
        names = library.names(identity)
        return [Mine(name=n, may_edit=library.may_edit(identity, n)) for n in names]

    return Me(
        user=identity.user,
        role=identity.role,
        groups=sorted(identity.groups),
        via=identity.via,
        collections=await in_thread(found),
    )


@router.get("/collections")
async def collections(request: Request) -> Collections:
    """The collections that the caller may read."""
    library, identity = state_of(request).library, identity_of(request)

    def found() -> list[Collection]:
        names = library.names(identity)
        return [Collection.model_validate(library.about(name, identity)) for name in names]

    return Collections(collections=await in_thread(found))


@router.post("/collections", status_code=201)
async def create(request: Request, body: NewCollection) -> Collection:
    """Make an empty collection. For admins."""
    state, identity = state_of(request), identity_of(request)

    def made() -> Collection:
        library = state.library
        library.create(identity, body.name, embedder=body.embedder, chunker=body.chunker)
        state.audit.record(identity, "create", collection=body.name)
        return Collection.model_validate(library.about(body.name, identity))

    return await in_thread(made)


@router.get("/collections/{collection}")
async def about(request: Request, collection: CollectionName) -> Collection:
    """One collection."""
    library, identity = state_of(request).library, identity_of(request)
    return Collection.model_validate(await in_thread(library.about, collection, identity))


@router.delete("/collections/{collection}", status_code=204)
async def delete(request: Request, collection: CollectionName) -> None:
    """Delete a collection with everything that was sent to it. For admins."""
    state, identity = state_of(request), identity_of(request)

    def gone() -> None:
        state.library.delete(identity, collection)
        state.audit.record(identity, "delete", collection=collection)

    await in_thread(gone)


@router.post("/collections/{collection}/search", tags=["search"], response_model=SearchResult)
async def search(request: Request, collection: CollectionName, body: Search) -> Response:
    """The passages that fit a question best. With `explain`, every step of the search."""
    state, identity = state_of(request), identity_of(request)

    def found() -> str:
        docs = _opened(state, identity, collection, body)
        result = docs.explain(
            body.question,
            k=body.k,
            mode=body.mode,
            filters=body.filters,
            query=body.query,
            strategy=body.strategy,
            post=body.post,
            model=body.model,
        )
        documents = {h.document.id: h.document.path for h in result.hits}
        state.audit.record(
            identity, "search", collection=collection, question=body.question,
            documents=list(documents.items()),
        )  # fmt: skip
        names = state.library.shown(collection)
        return shown.search(result, names, explain=body.explain).model_dump_json()

    # Whole here: FastAPI would check it again and write its JSON in the event loop.
    answer = await while_connected(request, in_thread(found))
    return Response(answer, media_type="application/json")


@router.post(
    "/collections/{collection}/ask",
    tags=["search"],
    response_model=AnswerShown,
    responses={
        200: {
            "content": {
                "text/event-stream": {"schema": {"type": "string"}},
            },
            "description": "The answer; with `stream`, events `sentence` and a last one `answer`.",
        }
    },
)
async def ask(request: Request, collection: CollectionName, body: Question) -> Any:
    """Answer a question from the documents with verbatim citations, or say that they do not."""
    state, identity = state_of(request), identity_of(request)
    docs = await in_thread(_opened, state, identity, collection, body)
    names = await in_thread(state.library.shown, collection)
    o = AskOptions(
        k=body.k, mode=body.mode, filters=body.filters, query=body.query,
        strategy=body.strategy, post=body.post,
    )  # fmt: skip
    history = tuple(Message(t.role, t.content) for t in body.history)
    question = AskedOf(docs.name, body.model, body.question, history, o, None, None)
    answers = recorded(state, identity, docs, question)
    if body.stream:

        async def events() -> Events:
            async for found in answers:
                if isinstance(found, Answer):
                    told = shown.answer(found, names, explain=body.explain)
                    yield event(told.model_dump(), "answer")
                else:
                    told_sentence = {
                        "text": found.text,
                        "supported": found.supported,
                        "citations": list(found.citations),
                        "reason": found.reason,
                        "computed": found.computed,
                    }
                    yield event(told_sentence, "sentence")

        return await streamed(request, events(), failed=failure(request), end=b"")

    async def whole() -> Answer:
        found = None
        async for item in answers:
            if isinstance(item, Answer):
                found = item
        assert found is not None
        return found

    return shown.answer(await while_connected(request, whole()), names, explain=body.explain)


def _opened(
    state: State, identity: Identity, collection: str, body: Search | Question
) -> Documents:
    """The collection, once what is asked of it is allowed."""
    docs = state.library.open(collection, identity)
    check_options(AskOptions(query=body.query, strategy=body.strategy, post=body.post), state)
    if body.model is not None:
        chat_model(state, identity, body.model)
    return docs
