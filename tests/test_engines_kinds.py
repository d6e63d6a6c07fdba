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
from test_post_short import write_compressor
from test_rerank import score, write_cross_encoder

from llar.config import load
from llar.errors import ContextTooLong, Refused
from llar.models import open_compressor
from llar.models.pull import pull
from llar.serve.engines import Engines

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
    kept = Engines(load({"threads": 1, "context": 1024, "slots": 1}))
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
def calling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real chat model with a template that shows tools, which its own does not."""
    folder = tmp_path_factory.mktemp("caller")
    file = STORE / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    (folder / "template").write_text(TEMPLATE)
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template-file"]
    made = [str(folder / "template"), str(file), str(folder / "caller.gguf")]
    subprocess.run([*command, *made], check=True, capture_output=True)
    return folder / "caller.gguf"


@pytest.fixture
def caller(home: Path, calling: Path) -> None:
    pull(f"file:{calling}", load(), name="caller")


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


@pytest.mark.usefixtures("caller")
def test_functions_are_called_several_at_once(engines: Engines) -> None:
    async def ask() -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
        must = _body(tool_choice="required", parallel_tool_calls=True)
        whole = await engines.request(CALLER, PATH, must)
        return (
            await engines.template(CALLER, must),
            whole["choices"][0]["message"],
            [chunk async for chunk in engines.stream(CALLER, PATH, must)],
        )

    shown, message, chunks = asyncio.run(ask())
    assert '"name": "weather"' in shown
    calls = message["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["weather", "weather"]
    assert [json.loads(call["function"]["arguments"])["city"] for call in calls] == [
        "Paris",
        "Rome",
    ]
    assert calls[0]["id"] != calls[1]["id"]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    parts = [part for delta in deltas for part in delta.get("tool_calls", ())]
    streamed = [
        "".join(p["function"].get("arguments", "") for p in parts if p["index"] == number)
        for number in range(len(calls))
    ]
    assert streamed == [call["function"]["arguments"] for call in calls]


@pytest.mark.usefixtures("caller")
def test_tools_count_and_pictures_are_refused(engines: Engines) -> None:
    async def ask() -> None:
        used = (await engines.request(CALLER, PATH, _body()))["usage"]["prompt_tokens"]
        over = rf"a prompt of {used} tokens and an answer of up to {1025 - used} "
        with pytest.raises(ContextTooLong, match=over):
            await engines.request(CALLER, PATH, _body(max_tokens=1025 - used))
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        with pytest.raises(Refused, match="image input is not supported"):
            await engines.request(
                CALLER, PATH, {"messages": [{"role": "user", "content": [picture]}]}
            )

    asyncio.run(ask())
