"""llar's own endpoints as programs use them: answers, roles, refusals, what never leaves."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from test_library import pdf

from llar.config import load
from llar.serve.app import create_app
from llar.serve.state import State
from llar.serve.turns import kept
from llar.serve.who import LOCAL

TEXT = b"Staff have 27 days of annual leave. The alarm is tested on Mondays."


@dataclass
class Api:
    """The application with three users, each with a key."""

    client: TestClient
    state: State
    home: Path
    keys: dict[str, dict[str, str]]

    def __call__(self, method: str, path: str, *, by: str = "root", **more: Any) -> Any:
        """A request of one of them."""
        headers = {**self.keys.get(by, {}), **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **more)

    def send(self, name: str, data: bytes) -> dict[str, Any]:
        """Upload a file; the job when it is finished, as its events tell."""
        answer = self("PUT", f"/api/collections/c/files/{name}", content=data)
        assert answer.status_code == 202, answer.text
        return self.finished(answer.json()["job"]["id"])

    def finished(self, job: int, by: str = "root") -> dict[str, Any]:
        """A job's last event."""
        answer = self("GET", f"/api/jobs/{job}/events", by=by)
        assert answer.headers["content-type"].startswith("text/event-stream")
        *_, last = [line for line in answer.text.split("\n") if line.startswith("data: ")]
        found: dict[str, Any] = json.loads(last.removeprefix("data: "))
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("own-api")
    config = load(
        {"home": home, "embedder": "fake:hash", "chat_model": "fake:quote", "parse_workers": 1,
         "upload_mb": 1, "serve_hosts": "testserver"},
        env={},
    )  # fmt: skip
    state = State.open(config)
    keys = {}
    for name, role in (("root", "admin"), ("eva", "editor"), ("pau", "reader")):
        state.accounts.add_user(name, role=role)
        _, secret = state.accounts.add_key(name, "test")
        keys[name] = {"Authorization": f"Bearer {secret}"}
    app = create_app(state, page=False)
    client = TestClient(
        app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000),
        raise_server_exceptions=True,
    )  # fmt: skip
    yield Api(client, state, home, keys)
    client.close()
    state.close()


@pytest.fixture
def api(served: Api) -> Iterator[Api]:
    """The same with an empty collection "c" that eva may edit and pau may read."""
    assert served("POST", "/api/collections", json={"name": "c"}).status_code == 201
    served.state.accounts.grant("c", ["user:eva"], "editor")
    served.state.accounts.grant("c", ["user:pau"])
    yield served
    served("DELETE", "/api/collections/c")


def test_the_schema_is_complete(served: Api) -> None:
    schema = served("GET", "/openapi.json").json()
    text = json.dumps(schema)
    assert "HTTPValidationError" not in text
    for _, _, rest in (part.partition('"$ref": "') for part in text.split("{")):
        if rest:
            name = rest.split('"')[0].rsplit("/", 1)[-1]
            assert name in schema["components"]["schemas"], name
    operations = [
        (path, operation)
        for path, verbs in schema["paths"].items()
        if path.startswith("/api")
        for operation in verbs.values()
    ]
    assert len(operations) > 35
    for path, operation in operations:
        for status in ("400", "401", "403", "404", "409", "413", "429"):
            shape = operation["responses"][status]["content"]["application/json"]["schema"]
            assert shape == {"$ref": "#/components/schemas/Error"}, (path, status)
        assert operation["description"], path


def test_the_page_of_the_api_is_local_and_without_scripts(served: Api) -> None:
    page = served("GET", "/api/docs", by="pau").text
    assert "<script" not in page
    outside = [part for part in page.split("http")[1:] if not part.startswith("://127.0.0.1")]
    assert outside == []
    for path in ("/api/collections/{collection}/upload", "/v1/chat/completions", "/api/me"):
        assert f"<code>{path}</code>" in page
    assert served("GET", "/api/docs", by="nobody").status_code == 401


def test_who_one_is(api: Api) -> None:
    assert api("GET", "/api/me", by="eva").json() == {
        "user": "eva", "role": "editor", "groups": [], "via": "key",
        "collections": [{"name": "c", "may_edit": True}],
    }  # fmt: skip
    assert api("GET", "/api/me", by="pau").json()["collections"] == [
        {"name": "c", "may_edit": False}
    ]
    refused = api("GET", "/api/me", by="nobody")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/collections", {"name": "new"}),
        ("DELETE", "/api/collections/c", None),
        ("POST", "/api/collections/c/reembed", {}),
        ("POST", "/api/models/pull", {"model": "x"}),
    ],
)
def test_what_only_admins_may(api: Api, method: str, path: str, body: Any) -> None:
    for by in ("eva", "pau"):
        refused = api(method, path, by=by, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/collections/c/files/x.txt", None),
        ("POST", "/api/collections/c/reindex", {}),
        ("POST", "/api/collections/c/sync", None),
        ("PATCH", "/api/collections/c/documents/1", {"metadata": {"a": 1}}),
        ("GET", "/api/evaluation/sets/c", None),
        ("GET", "/api/evaluation/feedback/c", None),
        ("POST", "/api/evaluation/runs", {"collection": "c", "questions": "s"}),
    ],
)
def test_what_readers_may_not(api: Api, method: str, path: str, body: Any) -> None:
    assert api(method, path, by="pau", json=body).status_code == 403
    missing = api(method, path.replace("/c", "/nothing", 1).replace("/nothing" + "ollections",
                  "/collections").replace("/collections/c/", "/collections/nothing/"),
                  by="pau", json=body)  # fmt: skip
    assert missing.status_code in (403, 404)


def test_a_hidden_collection_answers_as_one_that_is_not_there(api: Api) -> None:
    api.state.accounts.revoke("c", ["user:pau"])
    paths = (
        "", "/documents", "/documents/1", "/documents/1/chunks", "/documents/1/file",
        "/documents/1/pages/1.png", "/documents/1/boxes?start=0&end=1",
    )  # fmt: skip
    for path in paths:
        said = []
        for name in ("c", "nothing"):
            answer = api("GET", f"/api/collections/{name}{path}", by="pau")
            said.append((answer.status_code, answer.text.replace(f"'{name}'", "NAME")))
        assert said[0] == said[1]
        assert said[0][0] == 404
    for what in ("search", "ask"):
        body = {"question": "leave"}
        assert api("POST", f"/api/collections/c/{what}", by="pau", json=body).status_code == 404


def test_bodies_that_are_wrong_are_refused_with_400(api: Api) -> None:
    search = "/api/collections/c/search"
    for body in ({}, {"question": ""}, {"question": "x", "k": 0}, {"question": "x", "kk": 1},
                 {"question": 5}, {"question": "x", "mode": "magic"}, {"question": "  "},
                 {"question": "x", "query": "nonsense"}, {"question": "x", "filters": ["&&&"]},
                 {"question": "x", "query": "ontology:/etc/passwd"}):  # fmt: skip
        answer = api("POST", search, json=body)
        assert answer.status_code == 400, body
        assert "/etc/passwd" not in answer.text
    unknown = api("POST", search, json={"question": "x", "model": "openai:secret"})
    assert unknown.status_code == 404
    allowed = api("PUT", search)
    assert (allowed.status_code, allowed.headers["allow"]) == (405, "POST")
    both = api("OPTIONS", "/api/collections/c")
    assert (both.status_code, both.headers["allow"]) == (405, "DELETE, GET")


def form(*files: tuple[str, bytes], metadata: str = "") -> dict[str, Any]:
    """The arguments of a request that sends these files."""
    boundary = "8f3c"
    body = b""
    if metadata:
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{metadata}\r\n'
        ).encode()
    for name, data in files:
        shown = name.encode("utf-8", "surrogateescape")
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '.encode()
        body += b'filename="' + shown + b'"\r\n\r\n' + data + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return {
        "content": body,
        "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    }


@pytest.mark.slow
def test_a_form_with_files_good_and_bad(api: Api) -> None:
    answer = api(
        "POST", "/api/collections/c/upload", by="eva",
        **form(("dir/één.txt", TEXT), ("../x.txt", b"x"), ("big.txt", b"x" * (1 << 20) + b"x"),
               ("empty.txt", b""), ("b.txt", b"Doors stay closed."),
               metadata='{"year": 2024}'),
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    taken = answer.json()
    assert [f["name"] for f in taken["files"]] == ["dir/één.txt", "b.txt"]
    assert [(r["name"], r["error"].split()[-1]) for r in taken["refused"]] == [
        ("../x.txt", "it"), ("big.txt", "MiB"), ("empty.txt", "empty"),
    ]  # fmt: skip
    job = api.finished(taken["job"]["id"], by="eva")
    assert (job["state"], job["done"], job["total"], job["failed"]) == ("done", 2, 2, 0)
    listed = api("GET", "/api/collections/c/documents", by="pau").json()
    assert [(d["path"], d["metadata"]["year"]) for d in listed["documents"]] == [
        ("b.txt", 2024), ("dir/één.txt", 2024),
    ]  # fmt: skip
    assert api("GET", f"/api/jobs/{job['id']}", by="pau").status_code == 404
    entries = [e for e in api.state.audit.entries(user="eva") if e.action == "upload"]
    assert [e.documents[0].path for e in entries][:2] == ["b.txt", "dir/één.txt"]


def test_forms_that_are_none(api: Api) -> None:
    upload = "/api/collections/c/upload"
    whole = form(("x.txt", b"x"))
    broken = {**whole, "content": whole["content"][:-20]}
    for more, status in (
        ({"content": b"x"}, 400),
        ({"json": {}}, 400),
        (broken, 400),
        (form(), 400),
        (form(("../x", b"x")), 400),
        (form(("\udcff.txt", b"x")), 400),
        (form(("x.txt", b"x"), metadata="{"), 400),
        (form(("x.txt", b"x"), metadata='{"title": "x"}'), 400),
        (form(("x.txt", b"x" * (1 << 20) + b"x")), 413),
        (form(("x.txt", b"x" * (2 << 20) + b"xx")), 413),
    ):
        answer = api("POST", upload, **more)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"]
    assert api("PUT", "/api/collections/c/files/x.txt", content=b"").status_code == 400
    assert api("PUT", "/api/collections/c/files/a%00b", content=b"x").status_code == 400
    big = api("PUT", "/api/collections/c/files/x.txt", content=b"x" * (1 << 20) + b"x")
    assert (big.status_code, big.json()["error"]["code"]) == (413, "request_too_large")
    assert os.listdir(api.home / "server" / "uploads" / ".staged") == []
    assert api("GET", "/api/jobs?collection=c").json() == {"jobs": []}


@pytest.mark.slow
def test_a_document_from_upload_to_removal(api: Api) -> None:
    api.send("rules/fire.pdf", pdf("The alarm is tested on Mondays", "Doors stay closed"))
    collection = "/api/collections/c"
    [row] = api("GET", f"{collection}/documents", by="pau").json()["documents"]
    place = f"{collection}/documents/{row['id']}"
    whole = api("GET", place, by="pau").json()
    assert (whole["path"], whole["pages"], whole["pictures"]) == ("rules/fire.pdf", 1, True)
    start = whole["text"].index("tested")
    chunks = api("GET", f"{place}/chunks", by="pau").json()["chunks"]
    assert [whole["text"][c["start"] : c["end"]] for c in chunks] == [c["text"] for c in chunks]
    picture = api("GET", f"{place}/pages/1.png?dpi=72", by="pau")
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).size == (400, 600)
    boxes = api("GET", f"{place}/boxes?start={start}&end={start + 9}", by="pau").json()["boxes"]
    assert [b["page"] for b in boxes] == [1]
    assert 0 < boxes[0]["x0"] < boxes[0]["x1"] < 1
    assert api("GET", f"{place}/pages/2.png", by="pau").status_code == 422
    assert api("GET", f"{place}/pages/1.png?dpi=1000", by="pau").status_code == 400
    file = api("GET", f"{place}/file", by="pau")
    assert file.content == pdf("The alarm is tested on Mondays", "Doors stay closed")
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''fire.pdf"
    changed = api("PATCH", place, by="eva", json={"metadata": {"area": "fire", "x": None}})
    assert changed.json()["metadata"]["area"] == "fire"
    assert api("DELETE", place, by="pau").status_code == 403
    job = api("DELETE", place, by="eva").json()
    assert api.finished(job["id"], by="eva")["result"] == {"removed": 1}
    assert api("GET", place, by="pau").status_code == 404
    assert api("DELETE", f"/api/jobs/{job['id']}", by="eva").status_code == 204
    actions = [e.action for e in api.state.audit.entries(collection="c")]
    assert actions[:4] == ["remove", "metadata", "download", "upload"]


@pytest.mark.slow
def test_searches_and_answers(api: Api) -> None:
    api.send("leave.txt", TEXT)
    search = {"question": "annual leave", "k": 3, "explain": True}
    found = api("POST", "/api/collections/c/search", by="pau", json=search).json()
    [hit] = found["hits"]
    assert hit["text"] == TEXT.decode()
    assert hit["document"]["path"] == "leave.txt"
    assert [TEXT.decode()[a:b].lower() for a, b in hit["highlights"]] == ["annual", "leave"]
    assert found["steps"][0]["name"] == "prf-dense"
    plain = api("POST", "/api/collections/c/search", by="pau", json={"question": "leave"})
    assert plain.json()["steps"] is None
    ask = {"question": "How many days of annual leave have staff?"}
    answer = api("POST", "/api/collections/c/ask", by="pau", json=ask).json()
    assert "27 days" in answer["answer"]
    [citation] = answer["citations"]
    assert TEXT.decode()[citation["start"] : citation["end"]] == citation["quote"]
    assert (answer["steps"], answer["prompt"]) == (None, None)
    streamed = api("POST", "/api/collections/c/ask", by="pau", json={**ask, "stream": True})
    events = [part.split("\n") for part in streamed.text.strip().split("\n\n")]
    assert [e[0] for e in events] == ["event: sentence"] * (len(events) - 1) + ["event: answer"]
    last = json.loads(events[-1][1].removeprefix("data: "))
    assert {**last, "timings": {}} == {**answer, "timings": {}}
    told = [json.loads(e[1].removeprefix("data: ")) for e in events[:-1]]
    assert told == answer["sentences"]
    entries = api.state.audit.entries(user="pau")
    assert [(e.action, e.question) for e in entries][:2] == [("ask", ask["question"])] * 2
    assert entries[0].documents[0].path.endswith("leave.txt")
    asked = [entry.question for entry in entries if entry.action == "search"]
    assert asked[:2] == ["leave", "annual leave"]


@pytest.mark.slow
def test_no_path_of_the_server_is_shown(api: Api, notes: Path) -> None:
    """Neither of uploads nor of files that the command line indexed."""
    api.state.library.whole("c").add(notes)
    api.send("x/leave.txt", TEXT)
    failed = api.send("x/bad.pdf", b"%PDF-1.4 no")
    [job] = [j for j in api("GET", "/api/jobs").json()["jobs"] if j["id"] == failed["id"]]
    (notes / "fire.md").unlink()
    again = api("POST", "/api/collections/c/reindex", by="eva", json={}).json()
    api.finished(again["id"], by="eva")
    documents = api("GET", "/api/collections/c/documents", by="eva").json()["documents"]
    assert [d["path"] for d in documents] == ["notes/fire.md", "notes/leave.txt", "x/leave.txt"]
    asked: list[tuple[str, str, Any]] = [
        ("GET", f"/api/jobs/{job['id']}/files", None),
        ("GET", f"/api/jobs/{again['id']}/files", None),
        ("GET", "/api/jobs", None),
        ("GET", "/api/collections/c", None),
        ("POST", "/api/collections/c/search", {"question": "leave alarm", "explain": True}),
        ("POST", "/api/collections/c/ask", {"question": "days of leave?", "explain": True}),
        ("PUT", "/api/collections/c/files/x", None),
    ]
    for document in documents:
        place = f"/api/collections/c/documents/{document['id']}"
        asked += [("GET", place + end, None) for end in ("", "/chunks", "/file", "/pages/1.png")]
    for method, path, body in asked:
        by = "root" if path.startswith(f"/api/jobs/{job['id']}") else "eva"
        answer = api(method, path, by=by, json=body)
        for secret in (str(api.home), str(notes), "/tmp"):
            assert secret not in answer.text, (path, answer.text)


@pytest.mark.slow
def test_an_evaluation_from_questions_to_a_comparison(api: Api) -> None:
    api.send("leave.txt", TEXT)
    api.send("doors.txt", b"Doors stay closed at night. The guard has the key.")
    sets = "/api/evaluation/sets/c"
    rows: list[dict[str, Any]] = [
        {"id": "q1", "question": "How many days of annual leave?", "answers": ["27"],
         "spans": [{"path": "leave.txt", "quote": "27 days of annual leave"}]},
        {"id": "q2", "question": "Who has the key?", "answers": ["The guard"],
         "spans": [{"path": "doors.txt", "quote": "The guard has the key"}]},
    ]  # fmt: skip
    saved = api("PUT", f"{sets}/first", by="eva", json={"questions": rows, "version": None})
    version = saved.json()["version"]
    assert api("GET", f"{sets}/first", by="eva").json()["version"] == version
    for body, status in (
        ({"questions": rows, "version": None}, 409),  # it is there already
        ({"questions": rows, "version": "old"}, 409),
        ({"questions": [rows[0], rows[0]], "version": version}, 400),
        ({"questions": [{"id": "x"}], "version": version}, 400),
    ):
        assert api("PUT", f"{sets}/first", by="eva", json=body).status_code == status
    rows[0]["reviewed"] = True
    changed = api("PUT", f"{sets}/first", by="eva", json={"questions": rows, "version": version})
    assert changed.json()["version"] != version
    [listed] = api("GET", sets, by="eva").json()["sets"]
    assert (listed["questions"], listed["reviewed"]) == (2, 1)
    body = {"count": 1, "kinds": ["number"]}
    job = api("POST", f"{sets}/made/make", by="eva", json=body)
    assert (job.status_code, job.json()["kind"]) == (202, "make")
    assert api.finished(job.json()["id"], by="eva")["result"]["questions"] == 1
    assert api("GET", f"{sets}/made", by="eva").json()["questions"][0]["kind"] == "number"
    assert api("POST", f"{sets}/made/make", by="eva", json=body).status_code == 409
    assert api("POST", f"{sets}/x/make", by="eva", json={"kinds": ["y"]}).status_code == 400
    assert api("POST", f"{sets}/x/make", by="pau", json=body).status_code == 403

    runs = []
    for settings in ({}, {"mode": "lexical"}):
        body = {"collection": "c", "questions": "first", "settings": settings}
        started = api("POST", "/api/evaluation/runs", by="eva", json=body)
        assert started.status_code == 202, started.text
        job = api.finished(started.json()["id"], by="eva")
        assert (job["state"], job["done"], job["total"]) == ("done", 2, 2)
        runs.append(job["result"]["run"])
    whole = api("GET", f"/api/evaluation/runs/{runs[1]}", by="eva").json()
    assert (whole["user"], whole["changed"]) == ("eva", {"mode": "lexical"})
    # Two documents of one passage each, two questions whose words stand in one of them only.
    assert whole["measures"]["mrr@10"] == [1.0, 1.0, 1.0]
    assert [r["measures"]["hit@1"] for r in whole["results"]] == [1.0, 1.0]
    assert "home" not in whole["settings"]
    listed = api("GET", "/api/evaluation/runs?collection=c", by="eva").json()["runs"]
    assert [r["id"] for r in listed] == runs[::-1]
    compared = api("GET", f"/api/evaluation/compare?a={runs[0]}&b={runs[1]}", by="eva").json()
    assert (compared["questions"], compared["measure"]) == (2, "ndcg@10")
    assert {"what": "settings.mode", "a": "hybrid", "b": "lexical"} in compared["made_with"]
    assert compared["differences"]["ndcg@10"]["low"] <= compared["differences"]["ndcg@10"]["high"]

    answers = {"collection": "c", "questions": "first", "kind": "answers", "measures": ["overlap"]}
    job = api("POST", "/api/evaluation/runs", by="eva", json=answers).json()
    done = api.finished(job["id"], by="eva")
    assert "f1" in api("GET", f"/api/evaluation/runs/{done['result']['run']}").json()["measures"]
    for wrong in ({"settings": {"home": "/"}}, {"settings": {"query": "ontology:/etc/passwd"}},
                  {"measures": ["rubrics"]}, {"settings": {"mode": "magic"}}):  # fmt: skip
        body = {"collection": "c", "questions": "first", **wrong}
        assert api("POST", "/api/evaluation/runs", by="eva", json=body).status_code == 400, wrong
    assert api("GET", f"/api/evaluation/runs/{runs[0]}", by="pau").status_code == 404
    assert api("DELETE", f"/api/evaluation/runs/{runs[0]}", by="eva").status_code == 204
    assert api("DELETE", f"{sets}/first", by="eva").status_code == 204


@pytest.mark.slow
def test_feedback_becomes_questions(api: Api) -> None:
    api.send("leave.txt", TEXT)
    history = api.state.history
    answer = api.state.library.open("c", LOCAL).ask("How many days of annual leave?")
    asked = "How many days of annual leave?"
    conversation = history.start("pau", asked, "c", "fake:quote")
    for verdict, comment in (("up", ""), ("down", "too short")):
        turn = history.begin("pau", conversation.id, asked, "c", "fake:quote")
        history.keep(turn, kept(answer), "done")
        history.judge("pau", turn.id, verdict, comment)  # type: ignore[arg-type]
    found = api("GET", "/api/evaluation/feedback/c", by="eva").json()["questions"]
    liked, disliked = found
    assert liked["answers"] == ["Staff have 27 days of annual leave."]
    span = liked["spans"][0]
    assert span["path"] == "c/leave.txt"
    assert TEXT.decode()[span["start"] : span["end"]] == span["quote"]
    assert disliked["answers"] == []
    assert disliked["about"]["comment"] == "too short"
    saved = api("PUT", "/api/evaluation/sets/c/said", by="eva",
                json={"questions": found, "version": None})  # fmt: skip
    assert saved.status_code == 200, saved.text
    body = {"collection": "c", "questions": "said"}
    job = api.finished(api("POST", "/api/evaluation/runs", by="eva", json=body).json()["id"])
    run = api("GET", f"/api/evaluation/runs/{job['result']['run']}", by="eva").json()
    assert run["measures"]["recall@1"] == [1.0, 1.0, 1.0]  # its place was found in the document


CHECKS = (  # without content_type_conformance: to paths of 64 KiB uvicorn itself says 400 as text
    "not_a_server_error", "status_code_conformance", "response_schema_conformance",
    "unsupported_method", "allow_header_conformance",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_its_schema_allows_and_forbids(api: Api) -> None:
    """Whatever is sent: no 500, and only answers that the schema declares.

    For each request, values at and beyond every limit of every parameter and field, one after the
    other, and values from earlier answers; more than a thousand in all.
    """
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

    api.send("leave.txt", TEXT)
    off = {"enabled": False}
    limits = {"enabled": True, "unexpected-methods": ["options", "trace"]}
    config = SchemathesisConfig.from_dict(
        {
            "seed": 6,
            "headers": api.keys["root"],
            "phases": {"examples": off, "fuzzing": off, "stateful": off, "coverage": limits},
            "checks": {**off, **{name: {"enabled": True} for name in CHECKS}},
        }
    )
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", api.client.app, config=config, headers=api.keys["root"]
    )
    chosen = schema.include(path_regex="^/api/").exclude(path_regex="events|models/pull")
    wrong: list[str] = []
    answered: Counter[int] = Counter()
    for event in from_schema(chosen).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(str(event))
        if not isinstance(event, events.ScenarioFinished):
            continue
        for sent in event.recorder.interactions.values():
            assert sent.response is not None
            answered[sent.response.status_code] += 1
        for checks in event.recorder.checks.values():
            wrong += [f"{event.recorder.label}: {c}" for c in checks if c.failure_info]
    assert wrong == []
    assert answered.total() > 1000
    assert answered[200] > 50
