"""Children of other kinds: a reranker, a compressor, and a chat model that calls functions."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import STORE
from starlette.testclient import TestClient
from test_post_short import write_compressor
from test_rerank import score, write_cross_encoder

from llar.config import load
from llar.errors import ContextTooLong, Refused
from llar.models import open_compressor
from llar.models.pull import pull
from llar.serve.app import create_app
from llar.serve.engines import Engines
from llar.serve.state import State

pytestmark = pytest.mark.slow

PATH = "/v1/chat/completions"
CALLER = "llamacpp:caller"
TEMPLATE = r"""{%- if tools %}
    {{- '<|im_start|>system\nTools:' }}
    {%- for tool in tools %}
        {{- '\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '\nTo call some, write for each of them\n' }}
    {{- '<tool_call>\n{"name": NAME, "arguments": OBJECT}\n</tool_call><|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role }}
    {%- if message.content %}
        {{- '\n' + message.content }}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- (call.function.arguments | tojson) + '}\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}"""
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of one city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def engines(home: Path) -> Iterator[Engines]:
    kept = Engines(load({"threads": 1}))
    yield kept
    kept.close()


def test_a_reranker_in_a_child(home: Path, engines: Engines, tmp_path: Path) -> None:
    tensors = write_cross_encoder(tmp_path / "tiny.gguf")
    pull(f"file:{tmp_path / 'tiny.gguf'}", load(), name="tiny")
    reranker = engines.reranker("llamacpp:tiny")
    found = reranker.rerank("what dose", ["adult water", "dose"])
    expected = [score(tensors, "what dose", text) for text in ("adult water", "dose")]
    assert found == pytest.approx(expected, abs=0.01)
    assert reranker.name == "llamacpp:tiny"
    with pytest.raises(ContextTooLong):
        reranker.rerank("what dose", ["dose " * 4000])


def test_a_compressor_in_a_child(home: Path, engines: Engines, tmp_path: Path) -> None:
    write_compressor(tmp_path / "m")
    pull(f"file:{tmp_path / 'm'}", load(), name="tiny")
    here = open_compressor(load({"threads": 1}), "ctranslate2:tiny")
    text = "the dose is one"
    assert engines.compressor("ctranslate2:tiny").worths(text) == here.worths(text)
    assert len(here.worths(text)) > 0
    here.close()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A server with the real chat model and a template that shows tools: its own does not."""
    folder = tmp_path_factory.mktemp("caller")
    file = STORE / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    (folder / "template").write_text(TEMPLATE)
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template-file"]
    made = [str(folder / "template"), str(file), str(folder / "caller.gguf")]
    subprocess.run([*command, *made], check=True, capture_output=True)
    own = {"home": folder, "threads": 1, "context": 1024, "slots": 1, "chat_model": CALLER}
    config = load(own, env={})
    pull(f"file:{folder / 'caller.gguf'}", config, name="caller")
    opened = State.open(config)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(state: State) -> Iterator[TestClient]:
    with TestClient(create_app(state, page=False), base_url="http://127.0.0.1:8080") as found:
        yield found


def _call(number: str, city: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {"id": number, "type": "function", "function": function}


TURNS = [  # so small a model has to be shown once how it is done
    {"role": "user", "content": "Weather in Rome and Paris?"},
    {"role": "assistant", "tool_calls": [_call("a", "Rome"), _call("b", "Paris")]},
    {"role": "tool", "tool_call_id": "a", "content": "sunny"},
    {"role": "tool", "tool_call_id": "b", "content": "rain"},
    {"role": "user", "content": "Weather in Paris and Rome?"},
]


def _body(**extra: Any) -> dict[str, Any]:
    own = {"messages": TURNS, "tools": [WEATHER], "max_tokens": 80, "temperature": 0}
    return {**own, **extra}


def _cities(calls: list[dict[str, Any]]) -> list[str]:
    assert {call["function"]["name"] for call in calls} == {"weather"}
    return [json.loads(call["function"]["arguments"])["city"] for call in calls]


def _put_together(text: str) -> tuple[list[dict[str, Any]], list[str], dict[str, Any]]:
    """The calls of a stream, how its choice ended each time, and the tokens in the end."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks[:-1]:
        for part in chunk["choices"][0]["delta"].get("tool_calls", ()):
            call = calls.setdefault(part["index"], {"function": {"name": "", "arguments": ""}})
            for key, value in part["function"].items():
                call["function"][key] += value
    ends = [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]]
    return list(calls.values()), [end for end in ends if end], chunks[-1]["usage"]


def test_functions_are_called_several_at_once_or_one_alone(
    client: TestClient, state: State
) -> None:
    """llama.cpp takes parallel_tool_calls and ignores it: the second call is ours to prevent."""
    body = _body(model=CALLER, tool_choice="required")
    whole = client.post(PATH, json=body).json()
    (choice,) = whole["choices"]
    assert choice["finish_reason"] == "tool_calls"
    calls = choice["message"]["tool_calls"]
    assert _cities(calls) == ["Paris", "Rome"]
    assert calls[0]["id"] != calls[1]["id"]
    streams = {"stream": True, "stream_options": {"include_usage": True}}
    told, ends, usage = _put_together(client.post(PATH, json={**body, **streams}).text)
    assert (_cities(told), ends) == (["Paris", "Rome"], ["tool_calls"])
    assert usage["completion_tokens"] == whole["usage"]["completion_tokens"]

    alone = {**body, "parallel_tool_calls": False}
    (before,) = state.engines.status()
    one = client.post(PATH, json=alone).json()
    (choice,) = one["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert _cities(choice["message"]["tool_calls"]) == ["Paris"]
    assert one["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"]
    assert 0 < one["usage"]["completion_tokens"] < whole["usage"]["completion_tokens"]
    (after,) = state.engines.status()
    assert after.written - before.written == one["usage"]["completion_tokens"]
    told, ends, usage = _put_together(client.post(PATH, json={**alone, **streams}).text)
    assert (_cities(told), ends) == (["Paris"], ["tool_calls"])
    assert usage == one["usage"]


def test_tools_count_and_pictures_are_refused(state: State) -> None:
    async def ask() -> None:
        engines = state.engines
        shown = await engines.template(CALLER, _body())
        assert '"name": "weather"' in shown
        used = len(await engines.tokenize(CALLER, shown, special=True))
        over = rf"a prompt of {used} tokens and an answer of up to {1025 - used} "
        with pytest.raises(ContextTooLong, match=over):
            await engines.request(CALLER, PATH, _body(max_tokens=1025 - used))
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        with pytest.raises(Refused, match="image input is not supported"):
            await engines.request(
                CALLER, PATH, {"messages": [{"role": "user", "content": [picture]}]}
            )

    asyncio.run(ask())
