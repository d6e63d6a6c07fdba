"""The server as a process: starting, refusing to start, watching, logging, ending."""

from __future__ import annotations

import datetime
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from running import free_port, running, started

from llar.config import load
from llar.errors import ConfigError, ServeError, StateUnusable
from llar.serve.run import run

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Life:
    """What was seen of a server that started where another was killed, until it was ended."""

    imported: set[str]  # modules, by the one that was killed
    notified: bytes
    health: Any
    ready: httpx.Response
    metrics: str
    ended: int | None
    said: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.said.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    from playwright.sync_api import sync_playwright

    home = tmp_path_factory.mktemp("life")
    before = started(home, env={"PYTHONPROFILEIMPORTTIME": "1"})
    before.process.kill()
    before.process.wait()
    imported = {line.rpartition("|")[2].strip() for line in before.log.read_text().splitlines()}
    before.log.unlink()
    with sync_playwright() as play, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        chromium = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        systemd.bind(str(home / "notify"))
        systemd.settimeout(60)
        with running(home, env={"NOTIFY_SOCKET": str(home / "notify")}) as server:
            notified = systemd.recv(100)
            page = chromium.new_page()
            page.goto(server.url)
            page.wait_for_selector("main")
            httpx.get(f"{server.url}/api/me?secretword=1", headers={"X-Request-ID": "my-id-12345"})
            httpx.get(f"{server.url}/nowhere/secretword")
            httpx.post(f"{server.url}/v1/chat/completions", json={"model": "secretword"})
            ready = [httpx.get(f"{server.url}/ready") for _ in range(3)]
            health = httpx.get(f"{server.url}/health").json()
            metrics = httpx.get(f"{server.url}/metrics").text
            with pytest.raises(ServeError, match="another llar server already runs"):
                run(load({"home": home, "serve_port": 0}, env={}))
        chromium.close()
    said = server.log.read_text()
    return Life(imported, notified, health, ready[0], metrics, server.process.returncode, said)


def test_after_a_kill_it_starts_again_alive_and_ready(life: Life) -> None:
    assert life.health == {"status": "ok"}
    assert (life.ready.status_code, life.ready.json()) == (200, {"status": "ready"})
    missing = "warning: chat_model: model 'llamacpp:smollm2-135m-instruct' is not installed"
    assert missing in life.said


def test_it_ends_on_sigterm_while_a_page_is_open(life: Life) -> None:
    assert life.ended == 0
    assert "llar stops" in life.said
    assert life.said.endswith("llar stopped\n")


def test_systemd_is_told_when_it_is_there(life: Life) -> None:
    assert life.notified == b"READY=1"


def test_the_log_is_json_without_what_was_asked(life: Life) -> None:
    assert "secretword" not in life.said
    asked = next(line for line in life.lines if line.get("id") == "my-id-12345")
    assert asked["route"] == "/api/me"
    assert asked["method"] == "GET"
    assert asked["status"] == 200
    datetime.datetime.fromisoformat(asked["time"])
    assert any(line.get("route") == "none" and line["status"] == 404 for line in life.lines)


def test_metrics_count_requests(life: Life) -> None:
    families = {f.name: f for f in text_string_to_metric_families(life.metrics)}
    (ready,) = [
        s for s in families["llar_requests"].samples
        if s.labels.get("route") == "/ready" and s.name.endswith("_total")
    ]  # fmt: skip
    assert ready.value == 3
    assert ready.labels == {"route": "/ready", "method": "GET", "status": "200"}
    counts = [
        s.value for s in families["llar_request_seconds"].samples
        if s.labels.get("route") == "/ready" and s.name.endswith("_count")
    ]  # fmt: skip
    assert counts == [3]
    assert families["process_resident_memory_bytes"].samples[0].value > 10e6


def test_the_sdk_of_mcp_is_loaded_when_it_is_asked(life: Life) -> None:
    assert "llar.serve.mcp.http" in life.imported
    assert not {"mcp", "jwt"} & life.imported


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        taken = rf"cannot listen on 127\.0\.0\.1 port {port}: Address already in use"
        with pytest.raises(ServeError, match=taken) as refused:
            run(load({"serve_port": port}))
    assert str(refused.value.fix).startswith("llar serve --port")


# --- HTTPS, and an end in the middle of an answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a certificate of it, for this machine."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


def test_https_needs_a_certificate_and_its_key(home: Path, certificate: tuple[Path, Path]) -> None:
    key, cert = map(str, certificate)
    locked = home / "locked.pem"
    subprocess.run(["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", key, "-out", locked],
                   check=True, capture_output=True)  # fmt: skip
    with pytest.raises(ConfigError, match="needs both tls_cert and tls_key"):
        run(load({"tls_cert": cert}))
    for wrong in ({"tls_cert": key, "tls_key": cert}, {"tls_cert": cert, "tls_key": str(locked)}):
        with pytest.raises(ConfigError, match="cannot be used"):
            run(load(wrong))
    with pytest.raises(ConfigError, match="tls_key '/nowhere' cannot be read"):
        run(load({"tls_cert": cert, "tls_key": "/nowhere"}))


def test_https_and_a_stream_that_is_told_that_the_server_stops(
    installed: Path, certificate: tuple[Path, Path]
) -> None:
    """It ends with an error and [DONE], not in the middle, and the log shows no fault of ours."""
    key, cert = certificate
    port, log = free_port(), installed / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "llar", "serve", "--port", str(port)],
            env={**os.environ, "LLAR_HOME": str(installed), "LLAR_TLS_CERT": str(cert),
                 "LLAR_TLS_KEY": str(key), "LLAR_SERVE_HOSTS": "llar.test", "LLAR_THREADS": "1"},
            stderr=out,
        )  # fmt: skip
    try:
        trusting = ssl.create_default_context(cafile=str(cert))
        transport = httpx.HTTPTransport(verify=trusting, retries=20)
        with httpx.Client(transport=transport, timeout=60) as client:
            answer = client.get(f"https://localhost:{port}/health")
            assert answer.json() == {"status": "ok"}
            assert f"https://127.0.0.1:{port}" in log.read_text()
            named = client.get(
                f"https://127.0.0.1:{port}/health",
                headers={"Host": "llar.test"}, extensions={"sni_hostname": "localhost"},
            )  # fmt: skip
            assert "max-age" in named.headers["strict-transport-security"]
            told = _ended_in_the_middle(client, f"https://localhost:{port}", process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    event, data, end = told[-3:]
    assert event == "event: error"
    error = json.loads(data.removeprefix("data: "))["error"]
    assert error["message"] == "the server stops; ask again in a moment"
    assert end == "data: [DONE]"
    said = log.read_text()
    assert '"event": "broken off", "requests": 1' in said
    assert '"level": "error"' not in said


def _ended_in_the_middle(
    client: httpx.Client, url: str, process: subprocess.Popen[bytes], log: Path
) -> list[str]:
    """What comes of a stream after the second of two signals to end."""
    body = {
        "model": "llamacpp:smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Tell a long story."}],
        "stream": True,
        "logit_bias": {"2": -100, "0": -100},  # no end of the turn, no end of the text
    }
    with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        process.send_signal(signal.SIGINT)
        while "llar stops" not in log.read_text():
            next(lines)  # still written: the first signal lets answers end
        process.send_signal(signal.SIGINT)
        return [line for line in lines if line]


# --- packaging


def test_a_damaged_file_of_its_own_is_named(home: Path) -> None:
    (home / "server").mkdir(parents=True)
    (home / "server" / "jobs.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StateUnusable, match=r"server/jobs\.db cannot be used: file is not a data"):
        run(load({"serve_port": 0}))


def test_where_it_could_listen_instead(home: Path) -> None:
    with pytest.raises(ServeError, match=r"cannot listen on 192\.0\.2\.1") as refused_address:
        run(load({"serve_host": "192.0.2.1"}))
    assert str(refused_address.value.fix).startswith("llar serve --host 0.0.0.0")
