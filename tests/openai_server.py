"""A real local HTTP server that speaks the OpenAI protocol, and fails in every way when told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from llar.models.fake import FakeChat, FakeEmbedder
from llar.models.interface import Options
from llar.records import Message

Failure = Callable[["Handler"], None]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    at: float  # seconds, monotonic


class OpenAIServer:
    """Answers with the fakes. `kind` is the /tokenize it has: "vllm", "llama.cpp" or "plain".

    `failures[path]` are used up before a request to that path succeeds. `requests` keeps all.
    """

    def __init__(
        self, kind: str = "vllm", *, models: Mapping[str, int | None] | None = None, key: str = ""
    ) -> None:
        self.kind = kind
        self.models = models if models is not None else {"echo": 1000, "hash": 100}
        self.key = key
        self.requests: list[Request] = []
        self.failures: dict[str, list[Failure]] = {}
        self.sent_events = 0
        self.gone = threading.Event()  # a client left in the middle of a stream
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def last(self, path: str) -> Any:
        return next(r.body for r in reversed(self.requests) if r.path == path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def owner(self) -> OpenAIServer:
        owner: OpenAIServer = self.server.owner  # type: ignore[attr-defined]
        return owner

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def _serve(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, time.monotonic())
        self.owner.requests.append(request)
        failures = self.owner.failures.get(self.path)
        if failures:
            failures.pop(0)(self)
        elif self.owner.key and headers.get("authorization") != f"Bearer {self.owner.key}":
            self.error(401, "Incorrect API key provided")
        else:
            {
                "/v1/models": self._models,
                "/v1/chat/completions": self._chat,
                "/v1/completions": self._complete,
                "/v1/embeddings": self._embeddings,
                "/tokenize": self._tokenize,
                "/apply-template": self._template,
            }.get(self.path, lambda _: self.error(404, "no such path"))(body)

    # --- what can be sent

    def send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def json(self, answer: Any, status: int = 200, **headers: str) -> None:
        self.send(status, json.dumps(answer).encode(), "application/json", **headers)

    def error(self, status: int, message: str, **headers: str) -> None:
        error = {"message": message, "type": "error", "param": None, "code": None}
        self.json({"error": error}, status, **headers)

    def events(self, events: Iterable[Any], *, whole: bool = True) -> None:
        """Server-sent events in chunks; a stream that is not whole just stops."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for event in events:
                text = event if isinstance(event, str) else json.dumps(event)
                self._chunk(f"data: {text}\n\n".encode())
                self.owner.sent_events += 1
            if whole:
                self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")
            else:
                self.close_connection = True
        except OSError:
            self.close_connection = True
            self.owner.gone.set()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    # --- the protocol

    def _models(self, _: Any) -> None:
        rows = [{"id": name, "object": "model"} | ({"max_model_len": length} if length else {})
                for name, length in self.owner.models.items()]  # fmt: skip
        self.json({"object": "list", "data": rows})

    def _chat(self, body: Any) -> None:
        model, options = FakeChat(), _options(body)
        messages = [Message(m["role"], m["content"]) for m in body["messages"]]
        pieces = list(model.stream(messages, options))
        ends, usage = pieces[-1].finish_reason, _usage(pieces[-1].usage)
        if not body.get("stream"):
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": "".join(p.text for p in pieces)},
                "finish_reason": ends,
                "logprobs": _logprobs([p.text for p in pieces[:-1]], body),
            }
            self.json({"choices": [choice], "usage": usage, "model": body["model"]})
            return

        def chunks() -> Iterable[Any]:
            yield {"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]}
            for piece in pieces[:-1]:
                yield {"choices": [{"index": 0, "delta": {"content": piece.text},
                                    "finish_reason": None,
                                    "logprobs": _logprobs([piece.text], body)}]}  # fmt: skip
            yield {"choices": [{"index": 0, "delta": {}, "finish_reason": ends}]}
            if body.get("stream_options", {}).get("include_usage"):
                yield {"choices": [], "usage": usage}

        self.events(chunks())

    def _complete(self, body: Any) -> None:
        answer = FakeChat().complete(body["prompt"], _options(body))
        logprobs = None
        if body.get("logprobs"):  # the older form of plain completions
            logprobs = {
                "tokens": [t.token for t in answer.tokens],
                "token_logprobs": [t.logprob for t in answer.tokens],
                "top_logprobs": [dict(t.top) for t in answer.tokens],
            }
        choice = {"text": answer.text, "finish_reason": answer.finish_reason, "logprobs": logprobs}
        self.json({"choices": [choice], "usage": _usage(answer.usage)})

    def _embeddings(self, body: Any) -> None:
        vectors = 3 * FakeEmbedder(16).embed_documents(body["input"])  # not of length 1
        rows = [{"index": i, "embedding": v.tolist()} for i, v in enumerate(vectors)]
        self.json({"data": rows[::-1]})  # in any order: the index tells

    def _tokenize(self, body: Any) -> None:
        if self.owner.kind == "plain":
            self.error(404, "no such path")
        elif self.owner.kind == "vllm":
            messages = [Message(m["role"], m["content"]) for m in body.get("messages", ())]
            model = FakeChat()
            count = model.count_prompt(messages) if messages else model.count_tokens(body["prompt"])
            self.json({"count": count, "max_model_len": 1000, "tokens": list(range(count))})
        else:
            count = FakeChat().count_tokens(body["content"])
            self.json({"tokens": list(range(count))})

    def _template(self, body: Any) -> None:
        self.json({"prompt": "".join(f"<{m['role']}>{m['content']}" for m in body["messages"])})


# --- failures


def status(code: int, message: str = "out of order", **headers: str) -> Failure:
    return lambda handler: handler.error(code, message, **headers)


def text(body: str, kind: str = "text/html", code: int = 200) -> Failure:
    return lambda handler: handler.send(code, body.encode(), kind)


def answer(body: Any) -> Failure:
    return lambda handler: handler.json(body)


def events(*items: Any, whole: bool = True) -> Failure:
    return lambda handler: handler.events(items, whole=whole)


def redirect(target: str) -> Failure:
    return lambda handler: handler.send(307, b"", "text/plain", Location=target)


def hang(seconds: float) -> Failure:
    return lambda _: time.sleep(seconds)


def drop(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True


def half(handler: Handler) -> None:
    """Promise more than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def endless(handler: Handler) -> None:
    """Stream for ten seconds or until the client leaves."""

    def chunks() -> Iterable[Any]:
        for _ in range(1000):
            yield {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
            time.sleep(0.01)

    handler.events(chunks())


def _options(body: Any) -> Options:
    wants = body.get("logprobs")
    top = body.get("top_logprobs", wants if isinstance(wants, int) else 0) if wants else None
    return Options(body.get("max_tokens"), stop=tuple(body.get("stop", ())), top_logprobs=top)


def _usage(usage: Any) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
            "total_tokens": total}  # fmt: skip


def _logprobs(tokens: list[str], body: Any) -> Any:
    if not body.get("logprobs"):
        return None
    top = body.get("top_logprobs", 0)
    others = [{"token": "other", "logprob": -2.0}] if top else []
    return {"content": [{"token": t, "logprob": -0.5, "top_logprobs": others} for t in tokens]}
