"""OpenAI's wire rules, one by one, on models that answer at once."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from llar.collection import Collection
from llar.config import load
from llar.errors import TooLarge
from llar.models.fake import FakeEmbedder
from llar.serve.api.bulk import check_values
from llar.serve.app import create_app
from llar.serve.state import State
from llar.serve.who import LOCAL

ECHO = "fake:echo"  # answers with the last message, so a test says what the model writes
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    home = tmp_path_factory.mktemp("api")
    config = replace(
        load({"home": home}, env={}),
        chat_model=ECHO, embedder="fake:hash", reranker="fake:overlap", query="none",
        text_limit=50_000,
    )  # fmt: skip
    notes = home / "notes"
    notes.mkdir()
    (notes / "leave.txt").write_text("Staff have 27 days of annual leave.")
    (notes / "fire.md").write_text("# Fire\n\nThe fire alarm is tested on Mondays.\n")
    with Collection("notes", config=config) as collection:
        collection.add(notes)
    opened = State.open(config)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(state: State) -> Iterator[TestClient]:
    with TestClient(create_app(state, page=False), base_url="http://127.0.0.1:8080") as found:
        yield found


def post(client: TestClient, path: str, **body: Any) -> Any:
    """The answer to a request that must succeed."""
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def chat(client: TestClient, says: str, **body: Any) -> Any:
    """A chat whose model writes `says`."""
    messages = [{"role": "user", "content": says}]
    return post(client, "/v1/chat/completions", **{"model": ECHO, "messages": messages, **body})


def events(client: TestClient, path: str, **body: Any) -> list[tuple[str, Any]]:
    """Each event of a stream as (name, data), which must end with [DONE]."""
    response = client.post(path, json={"stream": True, **body})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [b for b in response.text.split("\n\n") if b]
    found = []
    for block in blocks:
        name, _, data = block.rpartition("data: ")
        name = name.strip().removeprefix("event: ")
        found.append((name, "[DONE]" if data == "[DONE]" else json.loads(data)))
    return found


def chunks(client: TestClient, says: str, **body: Any) -> list[Any]:
    """The chunks of a streamed chat whose model writes `says`."""
    messages = [{"role": "user", "content": says}]
    found = events(client, "/v1/chat/completions", **{"model": ECHO, "messages": messages, **body})
    assert found[-1] == ("", "[DONE]")
    return [data for _, data in found[:-1]]


def refused(client: TestClient, path: str, status: int, body: Any) -> Any:
    """The error of a request that must be refused, in OpenAI's shape and nothing else."""
    response = client.post(path, json=body)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def ask_of(says: str = "Hi", **fields: Any) -> dict[str, Any]:
    return {"model": ECHO, "messages": [{"role": "user", "content": says}], **fields}


# --- streams


def test_finish_reason_is_null_until_a_last_chunk_with_an_empty_delta(client: TestClient) -> None:
    found = chunks(client, "one two three")
    choices = [c["choices"][0] for c in found]
    assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert choices[-1]["delta"] == {}
    assert choices[0]["delta"]["role"] == "assistant"
    assert "".join(c["delta"].get("content", "") for c in choices) == "one two three"


def test_usage_comes_only_when_asked_for_and_then_last_with_no_choices(client: TestClient) -> None:
    assert all("usage" not in c for c in chunks(client, "one two three"))
    found = chunks(client, "one two three", stream_options={"include_usage": True})
    assert all("usage" not in c for c in found[:-1])
    assert found[-1]["choices"] == []
    # three words, and one token for the role
    assert found[-1]["usage"] == {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}


def test_all_chunks_have_one_id_one_model_and_one_time(client: TestClient) -> None:
    found = chunks(client, "one two three", n=2)
    assert len({(c["id"], c["model"], c["created"], c["object"]) for c in found}) == 1
    assert found[0]["model"] == ECHO
    assert found[0]["object"] == "chat.completion.chunk"


def test_several_choices_stream_under_their_own_index(client: TestClient) -> None:
    found = chunks(client, "a b", n=3, stream_options={"include_usage": True})
    texts, ends = {0: "", 1: "", 2: ""}, []
    for chunk in found[:-1]:
        choice = chunk["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content", "")
        ends += [choice["index"]] if choice["finish_reason"] else []
    assert texts == {0: "a b", 1: "a b", 2: "a b"}
    assert sorted(ends) == [0, 1, 2]
    # one prompt of two words and a role, written to three times
    assert found[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}


def test_an_error_before_the_first_token_has_its_own_status(client: TestClient) -> None:
    body = ask_of("word " * 9000, stream=True)
    error = refused(client, "/v1/chat/completions", 400, body)
    assert error["code"] == "context_length_exceeded"


# --- choices, stops, limits


def test_choices_at_once(client: TestClient) -> None:
    found = chat(client, "a b", n=2)
    assert [c["index"] for c in found["choices"]] == [0, 1]
    assert [c["message"]["content"] for c in found["choices"]] == ["a b", "a b"]
    assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_max_tokens_under_both_names_ends_with_length(client: TestClient) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        choice = chat(client, "one two three", **{name: 2})["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("one two", "length")


def test_stop_is_a_text_or_a_list(client: TestClient) -> None:
    for stop in (" three", ["nine", " three"]):
        choice = chat(client, "one two three", stop=stop)["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("one two", "stop")


def test_logprobs_have_as_many_alternatives_as_asked_for(client: TestClient) -> None:
    rows = chat(client, "one two", logprobs=True)["choices"][0]["logprobs"]["content"]
    assert [(r["token"], r["top_logprobs"]) for r in rows] == [("one", []), (" two", [])]
    rows = chat(client, "one", logprobs=True, top_logprobs=1)["choices"][0]["logprobs"]["content"]
    assert [t["token"] for t in rows[0]["top_logprobs"]] == ["one"]


# --- tools


def calls(*cities: str) -> str:
    return json.dumps([{"name": "weather", "arguments": {"city": c}} for c in cities])


def test_several_calls_at_once(client: TestClient) -> None:
    says = calls("Rome", "Paris")
    found = chat(client, says, tools=[WEATHER], tool_choice="required")["choices"][0]
    assert found["finish_reason"] == "tool_calls"
    assert found["message"]["content"] is None
    made = found["message"]["tool_calls"]
    assert [c["function"]["name"] for c in made] == ["weather", "weather"]
    assert [json.loads(c["function"]["arguments"]) for c in made] == [
        {"city": "Rome"}, {"city": "Paris"}
    ]  # fmt: skip
    assert len({c["id"] for c in made}) == 2


def test_streamed_calls_carry_their_index(client: TestClient) -> None:
    found = chunks(client, calls("Rome", "Paris"), tools=[WEATHER], tool_choice="required")
    deltas = [c["choices"][0]["delta"] for c in found]
    made = [call for d in deltas for call in d.get("tool_calls", ())]
    assert [c["index"] for c in made] == [0, 1]
    assert all(isinstance(c["function"]["arguments"], str) for c in made)
    assert not any(d.get("content") for d in deltas)
    assert found[-1]["choices"][0] == {**found[-1]["choices"][0], "delta": {},
                                       "finish_reason": "tool_calls"}  # fmt: skip


def test_a_model_may_call_or_answer_in_words(client: TestClient) -> None:
    tag = '<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>'
    found = chat(client, f"{tag}\n{tag}", tools=[WEATHER])["choices"][0]
    assert len(found["message"]["tool_calls"]) == 2
    found = chat(client, "It rains.", tools=[WEATHER])["choices"][0]
    assert found["message"]["content"] == "It rains."
    assert found["finish_reason"] == "stop"
    streamed = chunks(client, "It rains.", tools=[WEATHER])
    said = [c["choices"][0]["delta"].get("content") for c in streamed]
    assert [s for s in said if s] == ["It", " rains", "."]  # as it comes, not held back


@pytest.mark.parametrize(
    "says",
    [
        '<tool_call>{"name": "other", "arguments": {}}</tool_call>',  # no such function
        '<tool_call>{"name": "weather", "arguments": {"city": </tool_call>',  # no JSON
        '<tool_call>{"name": "weather", "arguments": "Rome"}</tool_call>',  # no object
        "<tool_calling is fun",
    ],
)
def test_what_is_no_call_stays_text(client: TestClient, says: str) -> None:
    assert chat(client, says, tools=[WEATHER])["choices"][0]["message"]["content"] == says
    streamed = chunks(client, says, tools=[WEATHER])
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in streamed) == says
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"


def test_one_call_alone_where_only_one_may_be(client: TestClient) -> None:
    """With a model that knows no tools, it ends with its first call."""
    tag = '<tool_call>{"name": "weather", "arguments": {"city": "%s"}}</tool_call>'
    says, alone = f"{tag % 'Rome'}\n{tag % 'Oslo'}", {"parallel_tool_calls": False}
    for found in (
        chat(client, says, tools=[WEATHER], **alone)["choices"][0]["message"]["tool_calls"],
        [t for c in chunks(client, says, tools=[WEATHER], **alone)
         for t in c["choices"][0]["delta"].get("tool_calls", ())],
    ):  # fmt: skip
        assert [json.loads(call["function"]["arguments"]) for call in found] == [{"city": "Rome"}]
    assert (
        chat(client, "It rains.", tools=[WEATHER], **alone)["choices"][0]["message"]["content"]
        == "It rains."
    )


def test_no_tool_is_called_where_none_may_be(client: TestClient) -> None:
    tag = '<tool_call>{"name": "weather", "arguments": {}}</tool_call>'
    found = chat(client, tag, tools=[WEATHER], tool_choice="none")["choices"][0]
    assert found["message"]["content"] == tag


def test_what_tools_answered_goes_back_to_the_model(client: TestClient) -> None:
    made = {"id": "c1", "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}  # fmt: skip
    messages = [
        {"role": "user", "content": "Rain in Rome?"},
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "c1", "content": "dry"},
    ]
    found = post(client, "/v1/chat/completions", model=ECHO, messages=messages, tools=[WEATHER])
    text = found["choices"][0]["message"]["content"]  # the echo of the last message
    assert text == "<tool_response>\ndry\n</tool_response>"


# --- what is refused, and how


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"temperature": "warm"}, "temperature", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 17}, "n", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens", None),
        ({"top_logprobs": 3}, "top_logprobs", None),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"tools": []}, "tools", None),
        ({"tools": [WEATHER, WEATHER]}, "tools", None),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice", None,
        ),
        ({"reasoning_effort": "high"}, "reasoning_effort", "invalid_value"),
        ({"modalities": ["audio"]}, "modalities[0]", "invalid_value"),
        ({"web_search_options": {}}, "web_search_options", "unknown_parameter"),
        ({"temprature": 1}, "temprature", "unknown_parameter"),
        ({"llar": {"k": 3}}, "llar", "unsupported_parameter"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0]", "invalid_value"),
        ({"messages": None}, "messages", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema",
         "missing_required_parameter"),
        ({"logit_bias": {"cat": 1}}, "logit_bias.cat", "invalid_value"),
        ({"stop": [""]}, "stop[0]", "invalid_value"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_granted_names_its_field(
    client: TestClient, fields: dict[str, Any], param: str, code: str | None
) -> None:
    error = refused(client, "/v1/chat/completions", 400, {**ask_of(), **fields})
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error", param, code
    )  # fmt: skip


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [str(n) for n in range(501)]},
        {"anyOf": [{"anyOf": [{"anyOf": [{"type": "string"}] * 8}] * 8}] * 8},  # 512 of them
        {"type": "string", "pattern": "^(a?){30}a{30}$"},
        {"type": "string", "pattern": "^" + "a?" * 150 + "$"},
    ],
)
def test_a_schema_that_would_hold_up_everybody(client: TestClient, schema: Any) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    error = refused(client, "/v1/chat/completions", 400, ask_of(response_format=shape))
    assert error["code"] == "schema_too_large"
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": schema}}}
    error = refused(client, "/v1/chat/completions", 400, ask_of(tools=[tool]))
    assert error["param"] == "tools[0].function.parameters"


def test_fields_that_change_nothing_are_taken(client: TestClient) -> None:
    found = chat(
        client, "x", user="u", metadata={"a": "b"}, store=True, service_tier="auto",
        safety_identifier="s", prompt_cache_key="k", modalities=["text"], n=None, tools=None,
    )  # fmt: skip
    assert found["choices"][0]["message"]["content"] == "x"


def test_an_answer_can_be_sent_back_as_it_came(client: TestClient) -> None:
    said = chat(client, "x")["choices"][0]["message"]
    said |= {"annotations": [], "refusal": None, "audio": None, "function_call": None}
    turns = [*ask_of()["messages"], said, *ask_of("y")["messages"]]
    assert chat(client, "", messages=turns)["choices"][0]["message"]["content"] == "y"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.png",
        "file:///etc/passwd",
        "data:image/svg+xml;base64,AAAA",
        "data:image/png;base64,!!!",
    ],
)
def test_pictures_come_with_the_request_or_not_at_all(client: TestClient, url: str) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    body = ask_of(messages=[{"role": "user", "content": parts}])
    error = refused(client, "/v1/chat/completions", 400, body)
    assert error["param"] == "messages[0].content[0].image_url.url"


def test_a_picture_for_a_model_that_reads_none(client: TestClient) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    body = ask_of(messages=[{"role": "user", "content": parts}])
    assert "text only" in refused(client, "/v1/chat/completions", 400, body)["message"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b'{"model": NaN}', "JSON"),
        (b'{"model": "\\ud800"}', "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b"[]", "the body is an array, expected a JSON object"),
        (b"7" * 5000, "JSON"),
        (b'{"model":"fake:echo","messages":[{"role":"user","content":"x"}],"seed":' + b"9" * 60
         + b"}", "seed"),
        (b'{"model":"fake:echo","messages":[{"role":"user","content":"x"}],"tools":[{"type":'
         b'"function","function":{"name":"f","parameters":{"maximum":1e400}}}]}', "too large"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request(client: TestClient, data: bytes, said: str) -> None:
    kind = {"content-type": "application/json"}
    response = client.post("/v1/chat/completions", content=data, headers=kind)
    assert response.status_code == 400, response.text
    assert said in response.json()["error"]["message"]


def test_a_form_of_another_site_is_no_request(client: TestClient) -> None:
    """Browsers let any site send text/plain, JSON only with leave."""
    data = json.dumps(ask_of()).encode()
    response = client.post(
        "/v1/chat/completions", content=data, headers={"content-type": "text/plain"}
    )
    assert response.status_code == 400
    assert "application/json" in response.json()["error"]["message"]


def test_a_body_that_is_too_long(client: TestClient) -> None:
    data = b" " * (33 << 20)
    response = client.post(
        "/v1/chat/completions", content=data, headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"


PIXELS = "data:image/png;base64," + "A" * 60_000


@pytest.mark.parametrize(
    ("path", "body", "found"),
    [
        ("/v1/embeddings", {"model": "fake:hash", "input": ["é" * 24_000, "b" * 26_000]}, 50_009),
        ("/tokenize", {"model": ECHO, "prompt": "a" * 50_001}, 50_010),
        ("/v1/chat/completions", ask_of("a" * 49_988), 50_001),  # 9 of the model, 4 of the role
        ("/v1/responses", {"model": ECHO, "input": "a" * 50_000, "instructions": "bc"}, 50_011),
    ],
)
def test_more_text_than_the_setting_allows(
    client: TestClient, path: str, body: Any, found: int
) -> None:
    error = refused(client, path, 413, body)
    assert error["code"] == "request_too_large"
    assert f"holds {found} characters of text; at most 50000 are taken" in error["message"]
    assert "LLAR_TEXT_LIMIT" in error["message"]


def test_as_much_text_as_the_setting_allows_and_a_picture(client: TestClient) -> None:
    says = "a" * (50_000 - len(ECHO) - len("user"))
    assert chat(client, says)["choices"][0]["message"]["content"] == says
    parts = [{"type": "image_url", "image_url": {"url": PIXELS}}]
    body = ask_of(messages=[{"role": "user", "content": parts}])
    assert "text only" in refused(client, "/v1/chat/completions", 400, body)["message"]


def test_more_values_than_can_be_read_between_two_requests(client: TestClient) -> None:
    error = refused(client, "/detokenize", 413, {"model": ECHO, "tokens": [1] * 200_000})
    # the object, the model, the list and 200,000 numbers
    assert "about 200003 values" in error["message"]
    assert "at most 200000" in error["message"]
    rows = b",".join([rb'["\\", "\",[{"]'] * 50_000)  # signs in texts are no values
    check_values(b"[" + rows + b"]")
    with pytest.raises(TooLarge, match="about 200001 values"):  # 1 + 3 * 50,000 + 50,000
        check_values(b"[" + rows + b",1" * 50_000 + b"]")
    many = [{"role": "user", "content": "a"}] * 2049
    assert refused(client, "/v1/chat/completions", 400, ask_of(messages=many))["param"] == (
        "messages"
    )


def test_models_that_do_not_exist_or_are_for_something_else(client: TestClient) -> None:
    error = refused(client, "/v1/chat/completions", 404, {**ask_of(), "model": "echo"})
    assert error["code"] == "model_not_found"
    assert "did you mean 'fake:echo'" in error["message"]
    error = refused(client, "/v1/chat/completions", 404, {**ask_of(), "model": "fake:hash"})
    assert "is for embedding, not for chat" in error["message"]
    error = refused(client, "/v1/embeddings", 404, {"model": ECHO, "input": "x"})
    assert error["code"] == "model_not_found"
    error = refused(client, "/v1/chat/completions", 404, {**ask_of(), "model": "openai:gpt-4o"})
    assert error["code"] == "model_not_found"  # only what the administrator configured


def test_paths_and_methods_there_are_not(client: TestClient) -> None:
    response = client.get("/v1/nothing")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    response = client.get("/v1/chat/completions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_no_other_site_is_let_in(client: TestClient) -> None:
    """CORS is closed: a preflight grants nothing, whatever headers it asks for."""
    response = client.options(
        "/v1/chat/completions",
        headers={"origin": "https://example.org", "access-control-request-method": "POST",
                 "access-control-request-headers": "x-stainless-lang"},
    )  # fmt: skip
    assert not [h for h in response.headers if h.startswith("access-control-")]


def test_every_answer_has_a_request_id_and_takes_the_clients_headers(client: TestClient) -> None:
    headers = {"x-stainless-lang": "python", "x-stainless-retry-count": "0", "openai-beta": "x"}
    response = client.get("/v1/models", headers=headers)
    assert response.status_code == 200
    assert response.headers["x-request-id"]
    assert client.get("/v1/nothing").headers["x-request-id"]


# --- models


def test_models_and_collections_are_listed(client: TestClient) -> None:
    found = client.get("/v1/models").json()
    assert found["object"] == "list"
    kinds = {m["id"]: m["kind"] for m in found["data"]}
    assert kinds == {ECHO: "chat", "fake:hash": "embedding", "fake:overlap": "reranker",
                     "ask:notes": "ask"}  # fmt: skip
    one = client.get("/v1/models/ask:notes").json()
    assert (one["id"], one["object"], one["owned_by"]) == ("ask:notes", "model", "llar")
    missing = client.get("/v1/models/ask:none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


# --- completions


def test_completions_of_several_prompts(client: TestClient) -> None:
    found = post(client, "/v1/completions", model=ECHO, prompt=["a b", "c"], n=2, max_tokens=9)
    assert [(c["index"], c["text"]) for c in found["choices"]] == [
        (0, "a b"), (1, "a b"), (2, "c"), (3, "c")
    ]  # fmt: skip
    # each prompt counts once, each choice's text does
    assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}
    assert found["object"] == "text_completion"


def test_completions_echo_their_prompt_and_give_logprobs_in_their_own_form(
    client: TestClient,
) -> None:
    found = post(client, "/v1/completions", model=ECHO, prompt="a b", echo=True)
    assert found["choices"][0]["text"] == "a ba b"
    found = post(client, "/v1/completions", model=ECHO, prompt="a b", logprobs=1)
    assert found["choices"][0]["logprobs"] == {
        "tokens": ["a", " b"], "token_logprobs": [0.0, 0.0],
        "top_logprobs": [{"a": 0.0}, {" b": 0.0}], "text_offset": [0, 1],
    }  # fmt: skip


def test_completions_stream(client: TestClient) -> None:
    found = events(client, "/v1/completions", model=ECHO, prompt="a b", echo=True)
    assert found[-1] == ("", "[DONE]")
    choices = [data["choices"][0] for _, data in found[:-1]]
    assert "".join(c["text"] for c in choices) == "a ba b"
    assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + ["stop"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": [-1]}, "prompt[0]"),
    ],
)
def test_completions_refuse_what_they_cannot_do(
    client: TestClient, fields: dict[str, Any], param: str
) -> None:
    body = {"model": ECHO, "prompt": "x", **fields}
    assert refused(client, "/v1/completions", 400, body)["param"] == param


# --- embeddings, rerank, tokens


def test_embeddings_as_numbers_and_as_base64(client: TestClient) -> None:
    body = {"model": "fake:hash", "input": ["red car", "blue"]}
    found = post(client, "/v1/embeddings", **body)
    expected = FakeEmbedder().embed_documents(["red car", "blue"])
    assert [r["index"] for r in found["data"]] == [0, 1]
    assert found["data"][0]["embedding"] == expected[0].tolist()
    assert found["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    coded = post(client, "/v1/embeddings", **body, encoding_format="base64")
    values = struct.unpack("<64f", base64.b64decode(coded["data"][1]["embedding"]))
    assert list(values) == expected[1].tolist()


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"dimensions": 8}, "dimensions", "unsupported_value"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": [1, 2]}, "input", "unsupported_value"),
        ({"input": "word " * 300}, None, "context_length_exceeded"),
        ({"encoding_format": "int8"}, "encoding_format", "invalid_value"),
    ],
)
def test_embeddings_refuse_what_would_be_wrong(
    client: TestClient, fields: dict[str, Any], param: str | None, code: str
) -> None:
    body = {"model": "fake:hash", "input": "x", **fields}
    error = refused(client, "/v1/embeddings", 400, body)
    assert (error["param"], error["code"]) == (param, code)


def test_dimensions_that_are_the_models_own(client: TestClient) -> None:
    found = post(client, "/v1/embeddings", model="fake:hash", input="x", dimensions=64)
    assert len(found["data"][0]["embedding"]) == 64


def test_rerank_in_coheres_shape(client: TestClient) -> None:
    documents = ["a cat", {"text": "a red car"}, "red"]
    found = post(client, "/v1/rerank", model="fake:overlap", query="red car", documents=documents,
                 top_n=2, return_documents=True)  # fmt: skip
    assert found["results"] == [
        {"index": 1, "relevance_score": 1.0, "document": {"text": "a red car"}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "red"}},
    ]


def test_tokenize_counts_and_says_which_model(client: TestClient) -> None:
    found = post(client, "/tokenize", prompt="one two, three")
    assert (found["count"], found["model"]) == (4, ECHO)
    both = {"prompt": "x", "content": "y"}
    assert refused(client, "/tokenize", 400, both)["param"] == "prompt"


# --- answers from documents

QUESTION = "How many days of annual leave do staff have?"


def test_a_collection_answers_with_marks_sources_and_annotations(
    client: TestClient, state: State
) -> None:
    found = post(client, "/v1/chat/completions", model="ask:notes",
                 messages=[{"role": "user", "content": QUESTION}])  # fmt: skip
    message = found["choices"][0]["message"]
    assert message["content"] == (
        "Staff have 27 days of annual leave. [1]\n\nSources:\n[1] leave.txt"
    )
    (note,) = message["annotations"]
    at = note["url_citation"]
    assert message["content"][at["start_index"] : at["end_index"]] == "[1]"
    assert at["url"].startswith("http://127.0.0.1:8080/document/notes/")
    assert note["type"] == "url_citation"
    assert note["llar"]["quote"] == "Staff have 27 days of annual leave."
    assert (note["llar"]["start"], note["llar"]["end"], note["llar"]["page"]) == (0, 35, None)
    assert note["llar"]["path"] == "notes/leave.txt"  # without the server's folders
    assert message["llar"]["abstained"] is False
    entry = next(iter(state.audit.entries()))
    assert (entry.action, entry.collection, entry.question) == ("ask", "notes", QUESTION)
    assert [Path(d.path).name for d in entry.documents] == ["leave.txt"]


def test_a_collection_streams_the_same_answer(client: TestClient) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    found = chunks(client, "", model="ask:notes", messages=messages)
    deltas = [c["choices"][0]["delta"] for c in found]
    text = "".join(d.get("content", "") for d in deltas)
    assert text == "Staff have 27 days of annual leave. [1]\n\nSources:\n[1] leave.txt"
    assert deltas[0] == {"role": "assistant", "content": "Staff have 27 days of annual leave. [1]"}
    assert deltas[-2]["annotations"][0]["llar"]["n"] == 1
    assert deltas[-2]["llar"]["abstained"] is False
    assert deltas[-1] == {}


def test_abstention_is_told_apart(client: TestClient, state: State) -> None:
    asked = [{"role": "user", "content": "Who won the football match in Lisbon yesterday?"}]
    message = post(client, "/v1/chat/completions", model="ask:notes", messages=asked)["choices"][0][
        "message"
    ]
    assert message["content"] == "Not found in these documents."
    assert message["annotations"] == []
    assert message["llar"]["abstained"] is True
    assert next(iter(state.audit.entries())).detail == "abstained"
    found = chunks(client, "", model="ask:notes", messages=asked)
    deltas = [c["choices"][0]["delta"] for c in found]
    assert [d.get("content") for d in deltas] == ["Not found in these documents.", None]
    assert deltas[0]["llar"]["abstained"] is True


def test_what_was_said_before_is_read_with_the_question(client: TestClient) -> None:
    turns = [
        {"role": "system", "content": "Answer as a pirate."},
        {"role": "user", "content": "When is the fire alarm tested?"},
        {"role": "assistant",
         "content": "The fire alarm is tested on Mondays. [1]\n\nSources:\n[1] Fire"},
        {"role": "user", "content": "And where is it?"},
    ]  # fmt: skip
    message = post(client, "/v1/chat/completions", model="ask:notes", messages=turns)["choices"][0][
        "message"
    ]
    assert "fire alarm" in message["llar"]["question"].lower()
    assert "Sources" not in message["llar"]["question"]
    assert message["llar"]["ignored"] == ["messages with the role system"]


def test_the_search_can_be_chosen(client: TestClient) -> None:
    body = {"model": "ask:notes", "messages": [{"role": "user", "content": QUESTION}]}
    found = post(client, "/v1/chat/completions", **body, llar={"filters": ["path~fire"]})
    assert found["choices"][0]["message"]["llar"]["abstained"] is True
    error = refused(client, "/v1/chat/completions", 400, {**body, "llar": {"kk": 1}})
    assert (error["param"], error["code"]) == ("llar.kk", "unknown_parameter")
    error = refused(
        client, "/v1/chat/completions", 400, {**body, "llar": {"query": "ontology:/etc/passwd"}}
    )
    assert error["param"] == "llar.query"
    error = refused(client, "/v1/chat/completions", 400, {**body, "llar": {"post": "nothing"}})
    assert "there is no step" in error["message"]


def test_the_model_that_writes_can_be_chosen(client: TestClient) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    found = post(client, "/v1/chat/completions", model=f"ask:notes@{ECHO}", messages=messages)
    assert found["choices"][0]["message"]["llar"]["model"] == ECHO
    body = {"model": "ask:notes@fake:quote", "messages": messages}
    assert refused(client, "/v1/chat/completions", 404, body)["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [WEATHER]}, "tools"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"stop": "x"}, "stop"),
        ({"seed": 1}, "seed"),
        ({"top_p": 0.5}, "top_p"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
    ],
)
def test_a_collection_refuses_what_could_have_no_effect(
    client: TestClient, fields: dict[str, Any], param: str
) -> None:
    body = {"model": "ask:notes", "messages": [{"role": "user", "content": QUESTION}], **fields}
    assert refused(client, "/v1/chat/completions", 400, body)["param"] == param


def test_a_collection_there_is_not(client: TestClient) -> None:
    body = {**ask_of(), "model": "ask:secret"}
    error = refused(client, "/v1/chat/completions", 404, body)
    assert error["code"] == "model_not_found"
    assert error["message"].startswith("the model 'ask:secret' does not exist")


def test_the_question_is_recorded_as_the_askers(client: TestClient, state: State) -> None:
    chunks(
        client,
        "",
        model="ask:notes",
        messages=[{"role": "user", "content": "When is the fire alarm tested?"}],
    )
    entry = next(iter(state.audit.entries()))
    assert (entry.user, entry.via, entry.question) == (
        LOCAL.user,
        "local",
        "When is the fire alarm tested?",
    )


# --- responses


def test_a_response(client: TestClient) -> None:
    found = post(client, "/v1/responses", model=ECHO, input="one two", store=True)
    assert (found["object"], found["status"], found["store"]) == ("response", "completed", False)
    (item,) = found["output"]
    assert item["content"][0] == {"type": "output_text", "text": "one two", "annotations": [],
                                  "logprobs": []}  # fmt: skip
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (3, 2)
    found = post(client, "/v1/responses", model=ECHO, input="one two", max_output_tokens=1)
    assert found["status"] == found["output"][0]["status"] == "incomplete"
    assert found["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_events_of_a_response(client: TestClient) -> None:
    found = events(client, "/v1/responses", model=ECHO, input="one two")
    assert [name for name, _ in found] == [
        "response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", "response.output_text.delta", "response.output_text.delta",
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    assert [data["sequence_number"] for _, data in found] == list(range(10))
    assert all(name == data["type"] for name, data in found)
    assert found[-1][1]["response"]["output"][0]["content"][0]["text"] == "one two"


def test_a_response_of_calls(client: TestClient) -> None:
    tool = {"type": "function", **WEATHER["function"]}  # type: ignore[dict-item]
    found = events(client, "/v1/responses", model=ECHO, input=calls("Rome", "Oslo"), tools=[tool],
                   tool_choice="required")  # fmt: skip
    names = [name.removeprefix("response.") for name, _ in found]
    one = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
           "output_item.done"]  # fmt: skip
    assert names == ["created", "in_progress", *one, *one, "completed"]
    output = found[-1][1]["response"]["output"]
    assert [json.loads(c["arguments"])["city"] for c in output] == ["Rome", "Oslo"]
    back = [
        {"role": "user", "content": "Rain?"},
        *output,
        {"type": "function_call_output", "call_id": output[0]["call_id"], "output": "dry"},
    ]
    again = post(client, "/v1/responses", model=ECHO, input=back, tools=[tool])
    text = again["output"][0]["content"][0]["text"]
    assert text == "<tool_response>\ndry\n</tool_response>"


def test_a_collection_responds(client: TestClient) -> None:
    found = events(client, "/v1/responses", model="ask:notes", input=QUESTION)
    response = found[-1][1]["response"]
    content = response["output"][0]["content"][0]
    note = content["annotations"][0]
    assert content["text"][note["start_index"] : note["end_index"]] == "[1]"
    assert (note["type"], note["llar"]["page"]) == ("url_citation", None)
    assert response["llar"]["abstained"] is False
    assert [n for n, _ in found].count("response.output_text.annotation.added") == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
    ],
)
def test_responses_refuse_what_needs_a_store(
    client: TestClient, fields: dict[str, Any], param: str
) -> None:
    body = {"model": ECHO, "input": "x", **fields}
    assert refused(client, "/v1/responses", 400, body)["param"] == param
