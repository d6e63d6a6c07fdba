"""Requests made from the OpenAPI file: whatever comes, the server never fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from llar.collection import Collection
from llar.config import load
from llar.serve.app import create_app
from llar.serve.state import State

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

MODELS = {"/v1/embeddings": ["fake:hash"], "/v1/rerank": ["fake:overlap"]}
CHATS = ["fake:echo", "ask:notes", "ask:notes@fake:echo", "nothing"]
PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank",
         "/v1/responses", "/tokenize", "/detokenize"]  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    home = tmp_path_factory.mktemp("fuzz")
    config = replace(
        load({"home": home}, env={}), chat_model="fake:echo", embedder="fake:hash",
        reranker="fake:overlap",
    )  # fmt: skip
    note = home / "note.txt"
    note.write_text("Staff have 27 days of annual leave.")
    with Collection("notes", config=config) as collection:
        collection.add(note)
    state = State.open(config)
    with TestClient(create_app(state, page=False), base_url="http://127.0.0.1:8080") as found:
        yield found
    state.close()


def sent(client: TestClient, path: str, data: bytes) -> None:
    """Send it as JSON and check that the answer is one that clients understand."""
    response = client.post(path, content=data, headers={"content-type": "application/json"})
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.fixture(scope="module")
def schema(client: TestClient) -> Any:
    """What the server says of itself, read once."""
    return schemathesis.openapi.from_dict(client.get("/openapi.json").json())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("wrong", [False, True])
def test_no_request_makes_the_server_fail(
    client: TestClient, schema: Any, path: str, wrong: bool
) -> None:
    mode = schemathesis.GenerationMode
    made = schema[path]["POST"].as_strategy(
        generation_mode=mode.NEGATIVE if wrong else mode.POSITIVE
    )
    models = st.sampled_from(MODELS.get(path, CHATS))

    @settings(
        max_examples=10, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(made, models)
    def each(case: Any, model: str) -> None:
        body = case.body
        if isinstance(body, dict) and "model" in body and isinstance(body["model"], str):
            body = {**body, "model": model}  # a name that exists, so that the rest is read
        data = body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
        sent(client, path, data)

    each()


@pytest.mark.parametrize("path", PATHS)
def test_no_bytes_make_the_server_fail(client: TestClient, path: str) -> None:
    @settings(max_examples=10, deadline=None, derandomize=True, database=None,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.binary(max_size=200))
    def each(data: bytes) -> None:
        sent(client, path, data)

    each()
