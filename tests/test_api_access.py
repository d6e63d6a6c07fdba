"""Who may use which model over the API, and how errors become answers."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message

from llar import errors
from llar.collection import Collection
from llar.config import load
from llar.serve.api import errors as shapes
from llar.serve.app import create_app
from llar.serve.observe import log_to
from llar.serve.state import State
from llar.serve.who import LOCAL, Identity


@dataclass
class Served:
    client: TestClient
    keys: dict[str, dict[str, str]]  # user -> headers
    state: State


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two collections; ann may read one of them, the administrator both."""
    home = tmp_path_factory.mktemp("access")
    config = replace(
        load({"home": home}, env={}), chat_model="fake:echo", embedder="fake:hash", query="none"
    )
    for name, text in (("open", "The library is open."), ("secret", "The budget is cut.")):
        (home / f"{name}.txt").write_text(text)
        with Collection(name, config=config) as collection:
            collection.add(home / f"{name}.txt")
    state = State.open(config)
    state.accounts.add_user("boss", role="admin")
    state.accounts.add_user("ann", role="reader")
    state.accounts.grant("open", ["user:ann"])
    keys = {user: {"Authorization": f"Bearer {state.accounts.add_key(user)[1]}"}
            for user in ("boss", "ann")}  # fmt: skip
    app = create_app(state, page=False)
    with TestClient(app, base_url="http://127.0.0.1:8080") as client:
        yield Served(client, keys, state)
    state.close()


def ask(served: Served, model: str, user: str, path: str = "/v1/chat/completions") -> Any:
    body: dict[str, Any] = {"model": model}
    asked = "What is cut?"
    body |= {"input": asked} if "responses" in path else {
        "messages": [{"role": "user", "content": asked}]
    }  # fmt: skip
    return served.client.post(path, json=body, headers=served.keys[user])


def test_without_a_valid_key_nothing_is_answered(served: Served) -> None:
    for headers in ({}, {"Authorization": "Bearer sk-wrong"}, {"Authorization": "Bearer llar-no"}):
        for path in ("/v1/models", "/v1/nothing", "/tokenize", "/rerank"):
            response = served.client.get(path, headers=headers)
            assert response.status_code == 401, path
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.json()["error"]["code"] == "invalid_api_key"


def test_models_are_those_one_may_read(served: Served) -> None:
    def names(user: str) -> set[str]:
        found = served.client.get("/v1/models", headers=served.keys[user]).json()["data"]
        return {m["id"] for m in found if m["kind"] == "ask"}

    assert names("boss") == {"ask:open", "ask:secret"}
    assert names("ann") == {"ask:open"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_forbidden_collection_is_one_that_does_not_exist(served: Served, path: str) -> None:
    assert "budget" in ask(served, "ask:secret", "boss", path).text
    forbidden = ask(served, "ask:secret", "ann", path)
    missing = ask(served, "ask:nosuch", "ann", path)
    assert forbidden.status_code == missing.status_code == 404
    said = [r.text.replace(n, "X") for r, n in ((forbidden, "secret"), (missing, "nosuch"))]
    assert said[0] == said[1]
    card = served.client.get("/v1/models/ask:secret", headers=served.keys["ann"])
    none = served.client.get("/v1/models/ask:nosuch", headers=served.keys["ann"])
    assert card.status_code == 404
    assert card.text.replace("secret", "X") == none.text.replace("nosuch", "X")


def test_questions_are_recorded_under_their_askers_name(served: Served) -> None:
    ask(served, "ask:open", "ann")
    entry = next(iter(served.state.audit.entries()))
    assert (entry.user, entry.via, entry.collection) == ("ann", "key", "open")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotSignedIn("x"), 401, "invalid_api_key"),
        (errors.Forbidden("x"), 403, "forbidden"),
        (errors.NotThere("x"), 404, "not_found"),
        (errors.UnknownModel("x"), 404, "model_not_found"),
        (errors.ModelNotInstalled("x"), 404, "model_not_found"),
        (errors.UnknownCollection("x"), 404, "collection_not_found"),
        (errors.Conflict("x"), 409, "conflict"),
        (errors.EmbedderMismatch("x"), 409, "collection_error"),
        (errors.TooLarge("x"), 413, "request_too_large"),
        (errors.ContextTooLong("x"), 400, "context_length_exceeded"),
        (errors.Refused("x"), 400, None),
        (errors.QueryError("x"), 400, None),
        (errors.Overloaded("x"), 429, "overloaded"),
        (errors.EngineError("x"), 503, "model_unavailable"),
        (errors.ModelCorrupt("x"), 503, "model_unavailable"),
        (errors.CollectionBusy("x"), 503, "collection_busy"),
        (errors.RemoteError("x"), 502, "upstream_error"),
        (errors.RemoteError("x", status=500), 502, "upstream_error"),
        (errors.RemoteError("x", status=401), 502, "upstream_error"),
        (errors.RemoteError("x", status=400), 400, None),
        (errors.RemoteError("x", status=429), 429, "overloaded"),
    ],
)
def test_every_error_has_its_status(error: errors.LlarError, status: int, code: str | None) -> None:
    response = shapes.answer(error, {"type": "http", "llar.identity": LOCAL})
    assert (response.status_code, shapes.as_json(error)["code"]) == (status, code)
    retries = "retry-after" in response.headers
    assert retries == (status == 503 or isinstance(error, errors.Overloaded))


def test_fixes_are_for_administrators() -> None:
    error = errors.ModelNotInstalled("it is not here", fix="llar models pull it")
    reader = {"type": "http", "llar.identity": Identity("ann", "reader")}
    assert b"llar models pull" not in shapes.answer(error, reader).body
    assert b"llar models pull" in shapes.answer(error, {"llar.identity": LOCAL}).body


def test_what_nobody_foresaw_is_told_to_nobody() -> None:
    app = FastAPI()
    shapes.install(app)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the patient's name")

    log, out = logging.getLogger(), io.StringIO()
    before = log.handlers[:], log.level, logging.getLogger("llar.serve").level
    try:
        log_to(out)
        with TestClient(app) as client:
            response = client.get("/broken")
    finally:
        log.handlers[:] = before[0]
        log.setLevel(before[1])
        logging.getLogger("llar.serve").setLevel(before[2])
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert "patient" not in response.text
    assert "RuntimeError" in out.getvalue()
    assert "patient" not in out.getvalue()


def test_filters_tell_no_folder_of_the_server(served: Served) -> None:
    """A filter that is true of the whole path would tell it, letter by letter."""

    def found(condition: str) -> int:
        body = {"question": "library", "filters": [condition]}
        url = "/api/collections/open/search"
        return len(served.client.post(url, json=body, headers=served.keys["ann"]).json()["hits"])

    assert found(f"path~{served.state.config.home}") == 0
    assert found("path~/") == 0
    assert found("path=open.txt") == 1


def test_what_is_too_long_is_refused_before_it_is_worked_on(served: Served) -> None:
    long = {"messages": [{"role": "user", "content": "open " * 10_000}], "model": "ask:open"}
    for url, body in (
        ("/v1/chat/completions", long),
        ("/v1/chat/completions", {**long, "model": "x" * 501}),
        ("/api/collections/open/search", {"question": "open", "filters": ["a=" + "x" * 500]}),
        ("/api/collections/open/search", {"question": "open", "filters": [f"year={'9' * 450}"]}),
    ):
        answer = served.client.post(url, json=body, headers=served.keys["ann"])
        assert answer.status_code == 400, (url, answer.text[:200])
    assert max(len(e.question) for e in served.state.audit.entries()) <= 32_000


def test_jobs_on_a_collection_go_with_the_access_to_it(served: Served) -> None:
    """They tell the names of its documents."""
    state, headers = served.state, served.keys["ann"]
    ann = Identity("ann", "editor")
    state.accounts.change_user("ann", role="editor")
    state.accounts.grant("secret", ["user:ann"], role="editor")
    job = state.library.upload(ann, "secret", "salaries.txt", io.BytesIO(b"The pay is high."))
    assert served.client.get(f"/api/jobs/{job.id}", headers=headers).status_code == 200
    state.accounts.revoke("secret", ["user:ann"])
    state.accounts.change_user("ann", role="reader")
    assert served.client.get("/api/jobs", headers=headers).json() == {"jobs": []}
    for end in ("", "/files", "/events"):
        answer = served.client.get(f"/api/jobs/{job.id}{end}", headers=headers)
        assert answer.json()["error"]["message"] == f"there is no job {job.id}"


def test_a_body_that_breaks_off_is_no_fault_of_the_server(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise anybody could fill the log, without an account."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    headers = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080", "content-length": "9",
               "content-type": "application/x-www-form-urlencoded"}  # fmt: skip
    scope = {"type": "http", "method": "POST", "path": "/login", "scheme": "http",
             "query_string": b"", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
             "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}  # fmt: skip

    async def run() -> None:
        await served.client.app(scope, receive, send)

    asyncio.run(run())
    assert sent[0]["status"] == 499
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
