"""The MCP server with the SDK's own client: over stdin and stdout, and over HTTP with accounts."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import httpx2
import jsonschema  # type: ignore[import-untyped]
import pytest
from conftest import STORE
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from running import running

from llar.collection import Collection
from llar.config import Config, load
from llar.documents.reading import Limits, read_document
from llar.index.index import Index
from llar.index.ingest import add_documents
from llar.serve.accounts import Accounts
from llar.serve.audit import Audit
from llar.serve.mcp.desk import LocalDesk
from llar.serve.mcp.server import make

MODES = ["legacy", "2026-07-28"]  # with and without the handshake of older clients
LEAVE = "Staff have 27 days of annual leave. Ask Anna Pelham before you take it."
DAYS = "How many days of annual leave do staff have?"
SECRET = "The xyzzy project pays 5000 euros instead of annual leave."
PAPERS = {
    "leave.txt": (LEAVE, {}),
    "secret.txt": (SECRET, {"readers": "group:hr"}),
    "fire.md": ("# Fire\n\nThe alarm is tested on Mondays.\n", {"kind": "manual"}),
}


def filled(home: Path, model: str = "fake:quote") -> Config:
    """A home with the collections town, one document of which is for group:hr, and payroll."""
    (home / "llar.toml").write_text(f'embedder = "fake:hash"\nchat_model = "{model}"\n')
    config = load({"home": home}, env={})
    folder = home / "papers"
    folder.mkdir()
    for name, papers in (("town", PAPERS), ("payroll", {"pay.txt": ("Pay is monthly.", {})})):
        with Collection(name, config=config) as docs:
            chunker = {"name": "structure", "max_tokens": 160}
            Index.create(config, name, docs.embedder.identity, chunker).close()
            for file, (text, metadata) in papers.items():
                (folder / file).write_text(text)
                document = read_document(folder / file, Limits(1 << 20))
                document = replace(document, metadata={**document.metadata, **metadata})
                add_documents(docs.index, [document], docs.embedder)
    return config


def run(work: Callable[[], Awaitable[None]]) -> None:
    """A test's coroutine; one that hangs fails."""
    asyncio.run(asyncio.wait_for(work(), 60))


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that must succeed; its text says the same."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    held: dict[str, Any] | None = result.structured_content
    assert held is not None
    assert json.loads(result.content[0].text) == held  # type: ignore[union-attr]
    return held


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """What a call is refused with."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert result.structured_content is None
    return result.content[0].text  # type: ignore[union-attr]


# -- what the tools say, without a process between ---------------------------------------------


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDesk]:
    desk = LocalDesk(filled(tmp_path_factory.mktemp("desk")))
    yield desk
    desk.close()


@pytest.mark.parametrize("mode", MODES)
def test_tools_and_their_results(desk: LocalDesk, mode: Any) -> None:
    async def work() -> None:
        async with Client(make(lambda _: desk), mode=mode) as client:
            tools = {t.name: t for t in (await client.list_tools()).tools}
            assert list(tools) == [
                "list_collections", "search", "ask", "get_document", "list_documents",
            ]  # fmt: skip
            for tool in tools.values():
                assert tool.annotations is not None
                assert tool.annotations.read_only_hint
                assert tool.input_schema["additionalProperties"] is False
            collections = await call(client, "list_collections")
            assert collections["collections"][1] == {
                "name": "town", "documents": 3, "passages": 3, "languages": {"en": 3},
            }  # fmt: skip
            found = await call(
                client, "search", collection="town", question="days of annual leave of staff", k=2
            )
            assert len(found["passages"]) == 2
            best = found["passages"][0]
            assert best["text"] == LEAVE[best["start"] : best["end"]]
            assert best["name"] == "leave.txt"
            assert best["uri"] == f"llar://town/documents/{best['document_id']}"
            answer = await call(
                client,
                "ask",
                collection="town",
                question="How many days of annual leave do staff have?",
            )
            assert answer["answer"].endswith("[1]")
            (cited,) = answer["citations"]
            assert LEAVE[cited["start"] : cited["end"]] == cited["quote"]
            whole = await call(
                client, "get_document", collection="town", document_id=cited["document_id"]
            )
            assert (whole["text"], whole["next"]) == (LEAVE, None)
            part = await call(client, "get_document", collection="town", start=6, end=10,
                              document_id=cited["document_id"])  # fmt: skip
            assert (part["text"], part["characters"]) == ("have", len(LEAVE))
            listed = await call(client, "list_documents", collection="town", text="FIRE")
            assert [d["name"] for d in listed["documents"]] == ["Fire"]
            for name, given in (("list_collections", collections), ("search", found),
                                ("ask", answer), ("get_document", whole),
                                ("list_documents", listed)):  # fmt: skip
                schema = tools[name].output_schema
                assert schema is not None
                jsonschema.validate(given, schema)

    run(work)


def test_pages_of_a_list(desk: LocalDesk) -> None:
    async def work() -> None:
        async with Client(make(lambda _: desk)) as client:
            names = []
            for start in range(4):
                listed = await call(
                    client, "list_documents", collection="town", start=start, limit=1
                )
                assert listed["total"] == 3
                names += [d["path"].rsplit("/", 1)[-1] for d in listed["documents"]]
            assert names == ["fire.md", "leave.txt", "secret.txt"]

    run(work)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {"collection": "nope", "question": "x"}, "there is no collection 'nope'"),
        ("search", {"collection": "town"}, "question: Field required"),
        ("search", {"collection": "town", "question": ""}, "at least 1 character"),
        ("search", {"collection": "town", "question": "x" * 8001}, "at most 8000 characters"),
        ("search", {"collection": "town", "question": "x", "k": 51}, "less than or equal to 50"),
        ("search", {"collection": "town", "question": "x", "kk": 1}, "kk: Extra inputs"),
        ("search", {"collection": "town", "question": "x", "filters": ["nonsense"]}, "no.* filter"),
        ("search", {"collection": "town", "question": "x", "filters": ["case=1"]}, "has 'case'"),
        ("search", {"collection": "town", "question": " "}, "query is empty"),
        ("search", {"collection": "../town", "question": "x"}, "there is no collection"),
        ("get_document", {"collection": "town", "document_id": 99}, "has no document 99"),
        ("get_document", {"collection": "town", "document_id": 1, "page": 1}, "has no pages"),
        ("get_document", {"collection": "town", "document_id": 1, "start": 9, "end": 3}, "9 to 3"),
        ("get_document", {"collection": "town", "document_id": 1, "page": 1, "end": 3}, "not both"),
    ],
)
def test_what_is_refused(desk: LocalDesk, tool: str, arguments: dict[str, Any], said: str) -> None:
    async def work() -> None:
        async with Client(make(lambda _: desk)) as client:
            message = await refused(client, tool, **arguments)
            assert re.search(said, message), message

    run(work)


def test_errors_of_the_protocol(desk: LocalDesk) -> None:
    async def work() -> None:
        async with Client(make(lambda _: desk)) as client:
            with pytest.raises(MCPError, match="there is no tool 'drop'"):
                await client.call_tool("drop", {})
            for uri in ("llar://town/documents/99", "llar://nope/documents/1", "file:///etc/passwd",
                        "llar://town/documents/1/pages/1"):  # fmt: skip
                with pytest.raises(MCPError):
                    await client.read_resource(uri)

    run(work)


def test_resources(desk: LocalDesk) -> None:
    async def work() -> None:
        async with Client(make(lambda _: desk)) as client:
            templates = (await client.list_resource_templates()).resource_templates
            assert [t.name for t in templates] == ["document", "page"]
            (held,) = (await client.read_resource("llar://town/documents/1")).contents
            assert held.text == LEAVE  # type: ignore[union-attr]

    run(work)


def test_no_traces_are_made(desk: LocalDesk) -> None:
    assert make(lambda _: desk).middleware == []


# -- stdin and stdout -----------------------------------------------------------------------


@pytest.mark.slow
def test_over_stdin_and_stdout(tmp_path: Path) -> None:
    """As a client starts it: with a real embedder and a real model, for somebody with less."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(STORE, target_is_directory=True)
    filled(home)
    heard: list[str | None] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async def work() -> None:
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "llar", "mcp", "--as", "user:eva"],
            env={"LLAR_HOME": str(home), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        async with Client(command, mode="legacy") as client:
            assert "Quote" in str(client.instructions)
            held = await call(client, "list_collections")
            assert [c["documents"] for c in held["collections"]] == [1, 2]
            found = await call(client, "search", collection="town", question="xyzzy euros")
            assert "xyzzy" not in json.dumps(found)
            result = await client.call_tool(
                "ask", {"collection": "town", "question": DAYS},
                progress_callback=progress,
            )  # fmt: skip
            assert result.structured_content is not None
            assert "27 days" in result.structured_content["answer"]
            assert heard[0] == "searching"
            assert "27 days" in str(heard[1])

    run(work)


@pytest.mark.slow
def test_stdout_holds_the_protocol_only(tmp_path: Path) -> None:
    """Errors of the command go to stderr, and every line of stdout is a message."""
    filled(tmp_path)
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                   "clientInfo": {"name": "test", "version": "1"}},
    }  # fmt: skip
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    tool = {"jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": {"name": "list_collections", "arguments": {}}}  # fmt: skip
    sent = "".join(json.dumps(m) + "\n" for m in (hello, ready, tool)) + "this is no JSON\n"
    env = {"LLAR_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "llar", "mcp"], env=env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(sent)
        server.stdin.flush()
        answers: dict[int, Any] = {}
        while len(answers) < 2:
            message = json.loads(server.stdout.readline())
            if message.get("id") is not None:
                answers[message["id"]] = message["result"]
        server.stdin.close()
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in server.stdout)
        assert server.wait(30) == 0
    assert answers[1]["serverInfo"]["name"] == "llar"
    assert len(answers[2]["structuredContent"]["collections"]) == 2
    wrong = subprocess.run(
        [sys.executable, "-m", "llar", "mcp", "--as", "eva"], env=env, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "expected user:NAME" in wrong.stderr


@pytest.mark.slow
def test_it_starts_without_what_it_does_not_need() -> None:
    code = (
        "import sys, llar.cli.mcp, llar.serve.mcp.server, llar.serve.mcp.desk, mcp.server.stdio\n"
        "print([m for m in ('numpy', 'fastapi', 'nicegui', 'ctranslate2', 'xllamacpp',"
        " 'opentelemetry.sdk', 'opentelemetry.exporter') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- HTTP -----------------------------------------------------------------------------------


@dataclass
class Served:
    """A running server with an admin, eva, who may read town, and bob of the group hr."""

    url: str
    config: Config
    keys: dict[str, str]
    log: Path

    @asynccontextmanager
    async def client(self, user: str, mode: Any = "auto") -> AsyncIterator[Client]:
        """An MCP client with that user's key."""
        headers = {"Authorization": f"Bearer {self.keys[user]}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode=mode) as found,
        ):
            yield found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("mcp")
    (home / "models").symlink_to(STORE, target_is_directory=True)
    config = filled(home, "llamacpp:smollm2-135m-instruct")
    accounts = Accounts(config)
    accounts.add_user("ana", role="admin")
    accounts.add_user("eva")
    accounts.add_user("bob", groups=["hr"])
    accounts.grant("town", ["user:eva", "group:hr"])
    keys = {user: accounts.add_key(user)[1] for user in ("ana", "eva", "bob")}
    accounts.close()
    with running(home, env={"LLAR_THREADS": "1"}) as server:
        yield Served(server.url, config, keys, server.log)


@pytest.mark.slow
def test_each_sees_their_own(served: Served) -> None:
    async def work() -> None:
        seen = {}
        legacy, newer = MODES
        for user, mode in (("ana", legacy), ("eva", legacy), ("eva", newer), ("bob", newer)):
            async with served.client(user, mode) as client:
                held = await call(client, "list_collections")
                seen[user] = {c["name"]: c["documents"] for c in held["collections"]}
                found = await call(client, "search", collection="town", question="xyzzy euros")
                assert ("xyzzy" in json.dumps(found)) is (user != "eva")
                assert str(served.config.home) not in json.dumps(found)
                if user == "eva":
                    there = await refused(client, "search", collection="payroll", question="pay")
                    never = await refused(client, "search", collection="nothing", question="pay")
                    assert there.replace("payroll", "nothing") == never
                    hidden = await refused(client, "get_document", collection="town", document_id=2)
                    gone = await refused(client, "get_document", collection="town", document_id=77)
                    assert hidden.replace("document 2", "document 77") == gone
                    with pytest.raises(MCPError, match="has no document 2"):
                        await client.read_resource("llar://town/documents/2")
        assert seen == {
            "ana": {"payroll": 1, "town": 3}, "eva": {"town": 2}, "bob": {"town": 3},
        }  # fmt: skip

    run(work)


@pytest.mark.slow
def test_an_answer_with_progress_is_audited(served: Served) -> None:
    heard: list[str | None] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async def work() -> None:
        async with served.client("eva") as client:
            question = {"collection": "town", "question": DAYS}
            result = await client.call_tool("ask", question, progress_callback=progress)
            assert result.structured_content is not None
            assert "27 days" in result.structured_content["answer"]

    run(work)
    assert heard[0] == "searching"
    assert "27 days" in str(heard[1])
    audit = Audit(served.config)
    (entry,) = audit.entries(user="eva", action="ask")
    audit.close()
    assert (entry.via, entry.collection, entry.detail) == ("key", "town", "mcp")
    assert entry.question == DAYS
    assert [Path(d.path).name for d in entry.documents] == ["leave.txt"]
    assert DAYS not in served.log.read_text()


@pytest.mark.slow
def test_who_may_not(served: Served) -> None:
    """The guard decides before the SDK hears of a request."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    key = {"Authorization": f"Bearer {served.keys['eva']}"}
    base = {"Accept": "application/json, text/event-stream"}

    def post(headers: dict[str, str]) -> int:
        return httpx.post(f"{served.url}/mcp", json=body, headers={**base, **headers}).status_code

    assert post(key) == 200
    assert post({}) == 401
    assert post({"Authorization": "Bearer llar-wrong"}) == 401
    assert post({**key, "Host": "evil.example"}) == 421
    assert post({"Origin": "https://evil.example"}) in (401, 403)
    accounts = Accounts(served.config)
    token = accounts.start_session("eva", "session")
    accounts.close()
    cookie = {"Cookie": f"llar_session={token}"}
    assert post({**cookie, "Origin": "https://evil.example"}) == 403
    assert post({**cookie, "Origin": served.url}) == 200
    assert httpx.get(f"{served.url}/mcp", headers=key).status_code == 405
    assert httpx.delete(f"{served.url}/mcp", headers=key).status_code == 405
    large = {**body, "params": {"filler": "x" * (1 << 20)}}
    assert httpx.post(f"{served.url}/mcp", json=large, headers={**base, **key}).status_code == 413


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_answer(served: Served) -> None:
    body = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "ask", "_meta": {"progressToken": "p"},
                   "arguments": {"collection": "town", "question": DAYS}},
    }  # fmt: skip
    headers = {
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {served.keys['bob']}",
    }
    with httpx.stream(
        "POST", f"{served.url}/mcp", json=body, headers=headers, timeout=60
    ) as response:
        for line in response.iter_lines():
            if "searching" in line:
                break
    audit = Audit(served.config)
    end = time.monotonic() + 60
    while not (entries := audit.entries(user="bob", action="ask")):
        assert time.monotonic() < end
        time.sleep(0.1)
    audit.close()
    assert entries[0].detail == "mcp, broken off"
