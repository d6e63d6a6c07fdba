"""The clients that people have, as they are, against a real server with real models."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from conftest import ROOT, STORE
from pydantic import BaseModel
from running import Running, running
from starlette.testclient import TestClient

from llar.collection import Collection
from llar.config import load
from llar.models import open_chat, open_embedder
from llar.models.interface import Embedder, Options
from llar.models.openai import OpenAIChat
from llar.records import Message
from llar.serve.app import create_app
from llar.serve.state import State

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

CHAT = "llamacpp:smollm2-135m-instruct"
EMBEDDER = "ctranslate2:all-minilm-l6-v2"
QUESTION = "How many days of annual leave do staff have?"
NODE = ROOT / ".llar" / "node"  # OpenAI's package for Node, fetched once
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 12}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with both models and a collection of two notes."""
    home = tmp_path_factory.mktemp("clients")
    (home / "models").symlink_to(STORE, target_is_directory=True)
    notes = home / "notes"
    notes.mkdir()
    (notes / "leave.txt").write_text("Staff have 27 days of annual leave.")
    (notes / "fire.md").write_text("# Fire\n\nThe alarm is tested on Mondays.\n")
    config = replace(load({"home": home}, env={}), threads=1)
    with Collection("notes", config=config) as collection:
        collection.add(notes)
    with running(home, env={"LLAR_THREADS": "1", "LLAR_RERANKER": "fake:overlap"}) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_openai_models(client: openai.OpenAI) -> None:
    names = {m.id for m in client.models.list()}
    assert {CHAT, EMBEDDER, "ask:notes"} <= names
    assert client.models.retrieve(CHAT).model_dump()["max_model_len"] == 8192
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("ask:none")
    assert raised.value.code == "model_not_found"


def test_openai_chat(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model=CHAT, messages=said("Say hello."), max_tokens=4, temperature=0, logprobs=True,
        top_logprobs=2,
    )  # fmt: skip
    choice = found.choices[0]
    assert (choice.message.role, choice.finish_reason) == ("assistant", "length")
    assert found.usage is not None
    assert found.usage.completion_tokens == 4
    rows = choice.logprobs.content if choice.logprobs else None
    assert rows is not None
    assert [len(r.top_logprobs) for r in rows] == [2, 2, 2, 2]
    assert "".join(r.token for r in rows) == choice.message.content


def test_openai_stream(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(
        model=CHAT, messages=said("Say hello."), max_tokens=6, temperature=0
    )
    texts, ends, usage = "", [], None
    for chunk in client.chat.completions.create(
        model=CHAT, messages=said("Say hello."), max_tokens=6, temperature=0, stream=True,
        stream_options={"include_usage": True},
    ):  # fmt: skip
        for choice in chunk.choices:
            texts += choice.delta.content or ""
            ends.append(choice.finish_reason)
        usage = chunk.usage or usage
    assert texts == whole.choices[0].message.content
    assert ends[-1] == "length"
    assert set(ends[:-1]) == {None}
    assert usage == whole.usage or usage.completion_tokens == 6  # type: ignore[union-attr]


def test_openai_seed_and_stop(client: openai.OpenAI) -> None:
    def text(**options: Any) -> str:
        found = client.chat.completions.create(
            model=CHAT, messages=said("Name a colour."), max_tokens=8, temperature=1.5, **options
        )
        return found.choices[0].message.content or ""

    assert text(seed=7) == text(seed=7)
    assert len({text(seed=n) for n in range(3)}) > 1
    first = text(seed=7)
    word = first.split()[1]
    assert text(seed=7, stop=[word]) == first.partition(word)[0]


def test_openai_async_clients_at_once(server: Running) -> None:
    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:

            async def one(n: int) -> str:
                stream = await client.chat.completions.create(
                    model=CHAT, messages=said(f"Count from {n}."), max_tokens=4, stream=True
                )
                text = ""
                async for chunk in stream:
                    text += chunk.choices[0].delta.content or ""
                return text

            return await asyncio.gather(*(one(n) for n in range(6)))

    assert all(asyncio.run(all_of_them()))


def test_openai_tools(client: openai.OpenAI) -> None:
    asked = said("Weather in Paris and Rome?")
    forced: Any = {"type": "function", "function": {"name": "weather"}}
    for choice in ("required", forced):
        found = client.chat.completions.create(
            model=CHAT, messages=asked, tools=[WEATHER], tool_choice=choice, temperature=0  # type: ignore[list-item]
        ).choices[0]  # fmt: skip
        assert found.finish_reason == "tool_calls"
        assert found.message.tool_calls
        for call in found.message.tool_calls:
            assert call.type == "function"
            assert call.function.name == "weather"
            assert isinstance(json.loads(call.function.arguments)["city"], str)
    again = client.chat.completions.create(
        model=CHAT, tools=[WEATHER], max_tokens=8,  # type: ignore[list-item]
        messages=[*asked, found.message,  # type: ignore[list-item]
                  {"role": "tool", "tool_call_id": call.id,
                   "content": "dry"}],
    )  # fmt: skip
    assert again.choices[0].message.content


def test_openai_stream_helper_puts_a_call_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=CHAT, messages=said("Weather in Paris and Rome?"), temperature=0,
        tools=[WEATHER], tool_choice="required", parallel_tool_calls=False,  # type: ignore[list-item]
    ) as stream:  # fmt: skip
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls
    assert [bool(json.loads(c.function.arguments)["city"]) for c in calls] == [True]


class Person(BaseModel):
    name: str
    age: int


def test_openai_parse(client: openai.OpenAI) -> None:
    found = client.chat.completions.parse(
        model=CHAT, messages=said("Ann is 30 years old. Who is it?"), temperature=0,
        max_tokens=60, response_format=Person,
    )  # fmt: skip
    assert isinstance(found.choices[0].message.parsed, Person)
    made = client.chat.completions.create(
        model=CHAT, messages=said("A JSON object of one pair."), temperature=0, max_tokens=100,
        response_format={"type": "json_object"}, stop=["}"],
    )  # fmt: skip
    assert (made.choices[0].message.content or "").startswith("{")


def test_openai_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=CHAT, messages=said("word " * 9000))
    assert raised.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=CHAT, messages=said("word " * 9000), stream=True)
    assert raised.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(
            model=CHAT, messages=said("x"),
            response_format={"type": "json_schema",
                             "json_schema": {"name": "x", "schema": {"type": "nonsense"}}},
        )  # fmt: skip
    assert "nonsense" in raised.value.message
    picture = "data:image/png;base64,iVBORw0KGgo="
    content: Any = [{"type": "image_url", "image_url": {"url": picture}}]
    with pytest.raises(openai.BadRequestError, match="reads no pictures"):
        client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": content}])
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4o", messages=said("x"))


def test_openai_completions(client: openai.OpenAI) -> None:
    found = client.completions.create(
        model=CHAT, prompt=["Once upon", "The sea"], n=2, max_tokens=3, logprobs=1, seed=1
    )
    assert [c.index for c in found.choices] == [0, 1, 2, 3]
    logprobs = found.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or ()) == found.choices[0].text
    text = "".join(
        chunk.choices[0].text
        for chunk in client.completions.create(
            model=CHAT, prompt=[19556, 905], max_tokens=3, temperature=0, stream=True
        )
    )
    whole = client.completions.create(
        model=CHAT, prompt="Hello world", max_tokens=3, temperature=0, stream=False
    )
    assert text == whole.choices[0].text  # these are the tokens of that text


def test_openai_embeddings(client: openai.OpenAI, minilm: Embedder) -> None:
    texts = ["Staff have 27 days of annual leave.", "unaffable"]
    expected = minilm.embed_documents(texts)
    coded = client.embeddings.create(model=EMBEDDER, input=texts)  # base64, the client's default
    plain = client.embeddings.create(model=EMBEDDER, input=texts, encoding_format="float")
    for found in (coded, plain):
        np.testing.assert_allclose([r.embedding for r in found.data], expected, atol=1e-2)
    assert [r.embedding for r in coded.data] == [r.embedding for r in plain.data]
    raw = client.embeddings.with_raw_response.create(model=EMBEDDER, input=texts[0])
    data = json.loads(raw.text)["data"][0]["embedding"]
    assert len(base64.b64decode(data)) == 384 * 4
    # [CLS] una ##ffa ##ble [SEP], and the same without what opens and closes a text
    of_tokens = client.embeddings.create(
        model=EMBEDDER, input=[[101, 14477, 20961, 3468, 102], [14477, 20961, 3468]]
    )
    np.testing.assert_allclose(of_tokens.data[0].embedding, plain.data[1].embedding, atol=1e-2)
    assert of_tokens.data[0].embedding == of_tokens.data[1].embedding
    with pytest.raises(openai.BadRequestError, match="tiktoken"):
        client.embeddings.create(model=EMBEDDER, input=[30000, 1, 2])
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(model=EMBEDDER, input="word " * 400)
    assert raised.value.code == "context_length_exceeded"


def test_openai_responses(client: openai.OpenAI) -> None:
    found = client.responses.create(model=CHAT, input="Say hello.", temperature=0)
    assert found.output_text
    kinds, text = [], ""
    for event in client.responses.create(
        model=CHAT, input="Say hello.", temperature=0, stream=True
    ):
        kinds.append(event.type)
        text += event.delta if event.type == "response.output_text.delta" else ""
    assert text == found.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    tool: Any = {"type": "function", "strict": True, **WEATHER["function"]}
    called = client.responses.create(
        model=CHAT, input="Weather in Rome?", tools=[tool], tool_choice="required", temperature=0,
        parallel_tool_calls=False,
    )  # fmt: skip
    assert [item.type for item in called.output] == ["function_call"]
    parsed = client.responses.parse(
        model=CHAT, input="Ann is 30 years old.", text_format=Person, temperature=0
    )
    assert isinstance(parsed.output_parsed, Person)
    with pytest.raises(openai.BadRequestError, match="nothing is stored"):
        client.responses.create(model=CHAT, input="x", previous_response_id=found.id)


def test_openai_answers_from_documents(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model="ask:notes", messages=said(QUESTION), extra_body={"llar": {"k": 2}}
    )
    message = found.choices[0].message
    assert message.content is not None
    assert message.content.startswith("Staff have 27 days of annual leave. [1]")
    assert message.annotations
    at = message.annotations[0].url_citation
    assert message.content[at.start_index : at.end_index] == "[1]"
    told = message.model_dump()
    assert told["llar"]["abstained"] is False
    assert told["annotations"][0]["llar"]["quote"] == "Staff have 27 days of annual leave."
    with client.chat.completions.stream(model="ask:notes", messages=said(QUESTION)) as stream:
        assert stream.get_final_completion().choices[0].message.content == message.content
    response = client.responses.create(model="ask:notes", input=QUESTION)
    assert response.output_text == message.content


def test_langchain(server: Running) -> None:
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    chat = ChatOpenAI(
        model=CHAT, base_url=f"{server.url}/v1", api_key="none", temperature=0,  # type: ignore[arg-type]
        max_completion_tokens=100, stream_usage=True,
    )  # fmt: skip
    whole = chat.invoke("Say hello.")
    assert whole.content
    assert "".join(str(c.content) for c in chat.stream("Say hello.")) == whole.content
    called = chat.bind_tools([WEATHER], tool_choice="weather").invoke("Weather in Rome?")
    assert [c["name"] for c in called.tool_calls] == ["weather"]
    shaped = chat.with_structured_output(Person).invoke("Ann is 30 years old.")
    assert isinstance(shaped, Person)
    asked = ChatOpenAI(model="ask:notes", base_url=f"{server.url}/v1", api_key="none")  # type: ignore[arg-type]
    assert "27 days" in str(asked.invoke(QUESTION).content)
    # The check would have tiktoken count OpenAI's tokens, which it fetches from the internet.
    embeddings = OpenAIEmbeddings(
        model=EMBEDDER, base_url=f"{server.url}/v1", api_key="none",  # type: ignore[arg-type]
        check_embedding_ctx_length=False,
    )  # fmt: skip
    assert len(embeddings.embed_query("leave")) == 384
    assert [len(v) for v in embeddings.embed_documents(["a", "b"])] == [384, 384]


def test_llama_index(server: Running) -> None:
    from llama_index.core.llms import ChatMessage
    from llama_index.embeddings.openai import OpenAIEmbedding
    from llama_index.llms.openai_like import OpenAILike

    def model(name: str) -> OpenAILike:
        return OpenAILike(model=name, api_base=f"{server.url}/v1", api_key="none",
                          is_chat_model=True, max_tokens=16, context_window=8192)  # fmt: skip

    hello = [ChatMessage(role="user", content="Say hello.")]
    assert model(CHAT).chat(hello).message.content
    assert "".join(r.delta or "" for r in model(CHAT).stream_chat(hello))
    assert "27 days" in str(model("ask:notes").complete(QUESTION))
    embedder = OpenAIEmbedding(model_name=EMBEDDER, api_base=f"{server.url}/v1", api_key="none")
    assert len(embedder.get_text_embedding("leave")) == 384


def test_litellm(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks GitHub for prices
    import litellm

    to: dict[str, Any] = {"api_base": f"{server.url}/v1", "api_key": "none"}
    found = litellm.completion(
        model=f"openai/{CHAT}", messages=said("Say hello."), max_tokens=4, **to
    )
    assert found.usage.completion_tokens == 4
    texts = [
        chunk.choices[0].delta.content or ""
        for chunk in litellm.completion(
            model="openai/ask:notes", messages=said(QUESTION), stream=True, **to
        )
    ]
    assert "27 days" in "".join(texts)
    vectors = litellm.embedding(model=f"openai/{EMBEDDER}", input=["leave"], **to)
    assert len(vectors.data[0]["embedding"]) == 384
    ranked = litellm.rerank(
        model="hosted_vllm/fake:overlap", query="red car", documents=["a", "red car"],
        api_base=server.url, api_key="none",
    )  # fmt: skip
    assert [r["index"] for r in ranked.results] == [1, 0]


def test_curl(server: Running) -> None:
    body = json.dumps({"model": CHAT, "messages": said("Say hello."), "max_tokens": 3,
                       "stream": True})  # fmt: skip
    done = subprocess.run(
        ["curl", "-sS", "-N", f"{server.url}/v1/chat/completions", "-H",
         "content-type: application/json", "-d", body],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


SCRIPT = """
const OpenAI = require("openai");
const client = new OpenAI({ baseURL: process.env.URL + "/v1", apiKey: "none", maxRetries: 0 });
const say = (content) => [{ role: "user", content }];
(async () => {
  const out = {};
  const stream = await client.chat.completions.create({
    model: process.env.CHAT, messages: say("Say hello."), max_tokens: 4, stream: true,
    stream_options: { include_usage: true } });
  out.text = "";
  for await (const chunk of stream) {
    out.text += chunk.choices[0]?.delta?.content ?? "";
    out.usage = chunk.usage ?? out.usage;
  }
  const tools = [JSON.parse(process.env.TOOL)];
  const called = await client.chat.completions.create({
    model: process.env.CHAT, messages: say("Weather in Rome?"), tools, tool_choice: "required",
    temperature: 0, parallel_tool_calls: false });
  out.calls = called.choices[0].message.tool_calls.map((c) => JSON.parse(c.function.arguments));
  const vectors = await client.embeddings.create({ model: process.env.EMBEDDER, input: ["a"] });
  out.size = vectors.data[0].embedding.length;
  const asked = await client.chat.completions.create({
    model: "ask:notes", messages: say(process.env.QUESTION), llar: { k: 2 } });
  out.answer = asked.choices[0].message.content;
  out.quote = asked.choices[0].message.annotations[0].llar.quote;
  out.response = (await client.responses.create({
    model: "ask:notes", input: process.env.QUESTION })).output_text;
  out.events = [];
  for await (const e of await client.responses.create({
    model: process.env.CHAT, input: "Hi", max_output_tokens: 3, stream: true }))
    out.events.push(e.type);
  try { await client.models.retrieve("ask:none"); } catch (e) { out.error = [e.status, e.code]; }
  console.log(JSON.stringify(out));
})();
"""


def node_package() -> Path:
    """The folder with OpenAI's package for Node; skips where there is no npm to fetch it with."""
    if not (NODE / "node_modules" / "openai").is_dir():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed: apt-get install nodejs npm")
        NODE.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "install", "--prefix", str(NODE), "--no-audit", "--no-fund",
             "--ignore-scripts", "openai@6"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"npm cannot fetch the package 'openai': {done.stderr[-300:]}")
    return NODE


def test_openai_for_node(server: Running) -> None:
    folder = node_package()
    done = subprocess.run(
        ["node", "-e", SCRIPT],
        cwd=folder,
        env={**os.environ, "URL": server.url, "CHAT": CHAT, "EMBEDDER": EMBEDDER,
             "QUESTION": QUESTION, "TOOL": json.dumps(WEATHER)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["text"]
    assert out["usage"]["completion_tokens"] == 4
    assert [isinstance(c["city"], str) for c in out["calls"]] == [True]
    assert out["size"] == 384
    assert out["answer"].startswith("Staff have 27 days of annual leave. [1]")
    assert out["quote"] == "Staff have 27 days of annual leave."
    assert out["response"] == out["answer"]
    assert out["events"][0] == "response.created"
    assert out["events"][-1] == "response.incomplete"  # three tokens were too few
    assert out["error"] == [404, "model_not_found"]


def test_llar_itself(server: Running, minilm: Embedder) -> None:
    env = {"LLAR_OPENAI_BASE_URL": f"{server.url}/v1"}
    config = load({"home": STORE.parent}, env=env)
    chat = open_chat(config, f"openai:{CHAT}")
    assert isinstance(chat, OpenAIChat)
    assert (chat.context, chat.counts_exactly) == (8192, True)
    assert chat.count_tokens("Hello world") == 2
    done = chat.chat([Message("user", "Say hello.")], Options(max_tokens=4))
    assert done.usage.completion_tokens == 4
    embedder = open_embedder(config, f"openai:{EMBEDDER}")
    vector = embedder.embed_query("annual leave")
    np.testing.assert_allclose(vector, minilm.embed_query("annual leave"), atol=1e-2)
    chat.close()
    embedder.close()


def test_a_server_behind_the_server(server: Running, tmp_path: Path) -> None:
    """A remote model's stream is brought into the same form as a local one's."""
    config = replace(
        load({"home": tmp_path}, env={}), chat_model=f"openai:{CHAT}", embedder="fake:hash",
        openai_base_url=f"{server.url}/v1",
    )  # fmt: skip
    state = State.open(config)
    app = create_app(state, page=False)
    body = {"model": f"openai:{CHAT}", "messages": said("Weather in Rome?"), "stream": True}
    body |= {"tools": [WEATHER], "tool_choice": "required", "temperature": 0}
    body |= {"parallel_tool_calls": False}
    with TestClient(app, base_url="http://127.0.0.1:8080") as front:
        response = front.post("/v1/chat/completions", json=body)
        missing = front.post("/v1/chat/completions", json={**body, "model": "openai:other"})
    state.close()
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert {c["model"] for c in chunks} == {f"openai:{CHAT}"}
    calls = [t for c in chunks for t in c["choices"][0]["delta"].get("tool_calls", ())]
    assert json.loads(calls[0]["function"]["arguments"])["city"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert missing.status_code == 404
