"""A model hub, its file server and a package index on 127.0.0.1, with tiny models to serve."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import struct
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from safetensors.numpy import save

COMMIT = "c0ffee" * 6 + "cafe"
BLOCK = 4096


def gguf(
    values: Mapping[str, str | int | list[str]] | None = None,
    *,
    arch: str = "llama",
    floats: int = 64,
    tensors: tuple[str, ...] = ("token_embd.weight",),
    seed: int = 0,
) -> bytes:
    """A whole GGUF file, version 3, written by hand from its specification."""

    def text(s: str) -> bytes:
        raw = s.encode()
        return struct.pack("<Q", len(raw)) + raw

    def value(v: str | int | list[str]) -> bytes:
        if isinstance(v, str):
            return struct.pack("<I", 8) + text(v)
        if isinstance(v, int):
            return struct.pack("<II", 4, v)
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(text, v))

    pairs = {"general.architecture": arch, f"{arch}.context_length": 2048, **(values or {})}
    body = b"".join(text(k) + value(v) for k, v in pairs.items())
    for i, name in enumerate(tensors):
        body += text(name) + struct.pack("<IQIQ", 1, floats, 0, i * floats * 4)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + body
    head += b"\0" * (-len(head) % 32)
    weights = np.random.default_rng(seed).random(floats * len(tensors), dtype=np.float32)
    return head + weights.tobytes()


def encoder(seed: int = 0, **config: Any) -> dict[str, bytes]:
    """The files of a tiny embedding model's repository."""
    rng = np.random.default_rng(seed)
    about = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": 8,
        "max_position_embeddings": 64,
    }
    tokenizer = {"version": "1.0", "model": {"type": "WordPiece", "vocab": {"[UNK]": 0}}}
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    modules = [{"type": f"sentence_transformers.models.{m}"} for m in ("Transformer", "Pooling")]
    return {
        "config.json": json.dumps(about | config).encode(),
        "model.safetensors": save({"w": rng.random((8, 8), dtype=np.float32)}),
        "tokenizer.json": json.dumps(tokenizer).encode(),
        "modules.json": json.dumps(modules).encode(),
        "sentence_bert_config.json": b'{"max_seq_length": 32}',
        "1_Pooling/config.json": json.dumps(pooling).encode(),
        "README.md": b"# not wanted",
        "onnx/model.onnx": b"not wanted either",
    }


def wheel(package: str, version: str, files: Mapping[str, bytes], lie: str = "") -> bytes:
    """A wheel of `files`; the RECORD states a wrong hash for the file `lie`."""
    info = f"{package.replace('-', '_')}-{version}.dist-info"
    every = dict(files)
    every[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode()
    )
    every[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rows = []
    for name, data in every.items():
        digest = hashlib.sha256(data + (b"!" if name == lie else b"")).digest()
        code = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        rows.append(f"{name},sha256={code},{len(data)}")
    rows.append(f"{info}/RECORD,,")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in every.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/RECORD", "\n".join(rows))
    return out.getvalue()


@dataclass
class Request:
    """What was asked and how much of the body was given."""

    method: str
    path: str
    start: int  # of the range, 0 without
    authorization: str
    sent: int = 0


@dataclass
class Hub:
    """What the servers serve and how they misbehave; change it at any time."""

    url: str = ""
    files_url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    wheels: dict[str, dict[str, bytes]] = field(default_factory=dict)  # package -> file -> bytes
    status: dict[str, int] = field(default_factory=dict)  # a path's ending -> status answered
    damaged: set[str] = field(default_factory=set)  # paths' endings whose last byte is wrong
    cut: list[int] = field(default_factory=list)  # bytes after which the next large bodies end
    pause: float = 0.0  # seconds after each block of a large body
    ranges: bool = True
    hashes: bool = True  # whether the listing states sizes and hashes
    token: str = ""  # needed when set
    page: bytes = b""  # answered to everything when set, as a captive portal does
    log: list[Request] = field(default_factory=list)

    def asked(self, ending: str, method: str = "GET") -> list[Request]:
        """The requests for paths that end so."""
        return [r for r in self.log if r.method == method and r.path.endswith(ending)]


def is_lfs(name: str) -> bool:
    """Large files are kept by their SHA-256, as on the real hub."""
    return name.endswith((".gguf", ".safetensors"))


def blob_id(data: bytes) -> str:
    """git's name for a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serve() -> Iterator[Hub]:
    """Run the hub with its index on one port and its file server on another."""
    hub = Hub()
    servers = [_server(hub, _HubPages), _server(hub, _FilePages)]
    hub.url, hub.files_url = (f"http://127.0.0.1:{s.server_address[1]}" for s in servers)
    threads = [threading.Thread(target=s.serve_forever, args=(0.02,)) for s in servers]
    for t in threads:
        t.start()
    try:
        yield hub
    finally:
        hub.pause = 0.0
        for s in servers:
            s.shutdown()
            s.server_close()
        for t in threads:
            t.join()


def use(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which pip and llar know this hub and index, and no others."""
    for name in [n for n in os.environ if n.startswith("PIP_") or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{hub.url}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")


def _server(hub: Hub, pages: type[_Pages]) -> ThreadingHTTPServer:
    handler = type("Handler", (pages,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


class _Pages(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing; `Hub.log` keeps what tests ask for."""

    def do_GET(self) -> None:
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.asked = Request(
            self.command,
            unquote(urlsplit(self.path).path),
            int(found[1]) if found else 0,
            self.headers.get("Authorization", ""),
        )
        self.hub.log.append(self.asked)
        for ending, status in self.hub.status.items():
            if self.asked.path.endswith(ending):
                self.give(status, b"no", {"X-Error-Message": "so it is", "Retry-After": "0"})
                return
        if self.hub.page:
            self.give(200, self.hub.page, {"Content-Type": "text/html"})
            return
        self.answer()

    do_HEAD = do_GET  # noqa: N815  # the base's name

    def answer(self) -> None:
        raise NotImplementedError

    def give(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for k, v in (headers or {}).items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            self.asked.sent += len(body)

    def give_slowly(self, data: bytes) -> None:
        """A large body: by range, in blocks, and cut off where the test wants it."""
        if any(self.asked.path.endswith(d) for d in self.hub.damaged):
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = self.asked.start if self.hub.ranges else 0
        if start >= len(data) > 0:
            self.give(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Cache-Control", "max-age=600")  # as PyPI says, so that pip would keep it
        self.end_headers()
        end = min(len(data), start + self.hub.cut.pop(0)) if self.hub.cut else len(data)
        try:
            for at in range(start, end, BLOCK):
                block = data[at : min(at + BLOCK, end)]
                self.wfile.write(block)
                self.asked.sent += len(block)
                time.sleep(self.hub.pause)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        if end < len(data):
            self.close_connection = True


class _HubPages(_Pages):
    """The listing, the redirect to the file server, and the package index."""

    def answer(self) -> None:
        path = self.asked.path
        if found := re.fullmatch(r"/simple/([^/]+)/", path):
            self.index(found[1])
            return
        if found := re.fullmatch(r"/wheels/([^/]+)/([^/]+)", path):
            self.give_slowly(self.hub.wheels[found[1]][found[2]])
            return
        if self.hub.token and self.asked.authorization != f"Bearer {self.hub.token}":
            self.give(401, b"", {"X-Error-Message": "Invalid username or password."})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/main", path):
            self.listing(found[1])
        elif found := re.fullmatch(rf"/([^/]+/[^/]+)/resolve/{COMMIT}/(.+)", path):
            self.resolve(found[1], found[2])
        else:
            self.give(404, b"")

    def index(self, package: str) -> None:
        if package not in self.hub.wheels:
            self.give(404, b"")
            return
        links = "".join(
            f'<a href="/wheels/{package}/{f}#sha256={hashlib.sha256(d).hexdigest()}">{f}</a>'
            for f, d in self.hub.wheels[package].items()
        )
        page = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        self.give(200, page, {"Content-Type": "text/html"})

    def listing(self, repo: str) -> None:
        if repo not in self.hub.repos:
            self.give(404, b"", {"X-Error-Message": "Repository not found"})
            return
        siblings: list[dict[str, Any]] = []
        for name, data in self.hub.repos[repo].items():
            entry: dict[str, Any] = {"rfilename": name}
            if self.hub.hashes:
                entry |= {"size": len(data), "blobId": blob_id(data)}
                if is_lfs(name):
                    sha = hashlib.sha256(data).hexdigest()
                    entry["lfs"] = {"sha256": sha, "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        table = {"id": repo, "sha": COMMIT, "siblings": siblings}
        self.give(200, json.dumps(table).encode(), {"Content-Type": "application/json"})

    def resolve(self, repo: str, name: str) -> None:
        data = self.hub.repos.get(repo, {}).get(name)
        if data is None:
            self.give(404, b"", {"X-Error-Message": "Entry not found"})
        elif is_lfs(name):
            headers = {
                "X-Linked-Size": str(len(data)),
                "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Repo-Commit": COMMIT,
                "Location": f"{self.hub.files_url}/{repo}/{name}",
            }
            self.give(302, b"", headers)
        else:
            self.give(200, data, {"ETag": f'"{blob_id(data)}"', "X-Repo-Commit": COMMIT})


class _FilePages(_Pages):
    """The other host that large files come from."""

    def answer(self) -> None:
        owner, repo, name = self.asked.path.lstrip("/").split("/", 2)
        self.give_slowly(self.hub.repos[f"{owner}/{repo}"][name])
