"""The server as a process: starting, refusing to start, watching, logging, ending."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from running import free_port, running, started

from llar.config import load
from llar.errors import ServeError, StateUnusable
from llar.serve.run import run

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def refused(home: Path, *options: str, env: dict[str, str] | None = None) -> str:
    """What `llar serve` says when it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "llar", "serve", *options],
        env={**os.environ, "LLAR_HOME": str(home), **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_is_alive_and_ready_and_ends_on_sigterm(home: Path) -> None:
    with running(home) as server:
        assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}
        assert httpx.get(f"{server.url}/ready").json() == {"status": "ready"}
    assert server.process.returncode == 0
    said = server.log.read_text()
    assert "warning: chat_model: model 'llamacpp:smollm2-135m-instruct' is not installed" in said
    assert "llar stops" in said
    assert said.endswith("llar stopped\n")


def test_an_open_page_does_not_keep_it_from_ending(home: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        with running(home) as server:
            page = chromium.new_page()
            page.goto(server.url)
            page.wait_for_selector("main")
        assert server.process.returncode == 0
        chromium.close()


def test_a_second_server_on_the_same_home_is_refused(home: Path) -> None:
    with running(home):
        assert "another llar server already runs" in refused(home, "--port", str(free_port()))


def test_after_a_kill_it_starts_again(home: Path) -> None:
    server = started(home)
    server.process.kill()
    server.process.wait()
    with running(home) as again:
        assert httpx.get(f"{again.url}/ready").status_code == 200


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused(home, "--port", str(port))
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in said
    assert "fix: llar serve --port" in said


def test_off_loopback_without_accounts_is_refused(home: Path) -> None:
    said = refused(home, "--host", "0.0.0.0", "--port", "0")
    assert "llar users add" in said


def test_the_log_is_json_without_what_was_asked(home: Path) -> None:
    with running(home) as server:
        httpx.get(f"{server.url}/api/me?secretword=1", headers={"X-Request-ID": "my-id-12345"})
        httpx.get(f"{server.url}/nowhere/secretword")
        httpx.post(f"{server.url}/v1/chat/completions", json={"model": "secretword"})
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert "secretword" not in text
    asked = next(line for line in lines if line.get("id") == "my-id-12345")
    assert asked["route"] == "/api/me"
    assert asked["method"] == "GET"
    assert asked["status"] == 200
    datetime.datetime.fromisoformat(asked["time"])
    assert any(line.get("route") == "none" and line["status"] == 404 for line in lines)


def test_metrics_count_requests(home: Path) -> None:
    with running(home) as server:
        for _ in range(3):
            httpx.get(f"{server.url}/ready")
        answer = httpx.get(f"{server.url}/metrics")
        families = {f.name: f for f in text_string_to_metric_families(answer.text)}
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


def test_systemd_is_told_when_it_is_there(home: Path, tmp_path: Path) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(place))
        systemd.settimeout(60)
        with running(home, env={"NOTIFY_SOCKET": str(place)}):
            assert systemd.recv(100) == b"READY=1"


def test_https(home: Path, tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    said = refused(home, "--port", "0", env={"LLAR_TLS_CERT": str(cert)})
    assert "needs both tls_cert and tls_key" in said
    said = refused(home, "--port", "0", env={"LLAR_TLS_CERT": str(key), "LLAR_TLS_KEY": str(cert)})
    assert "cannot be used" in said
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "llar", "serve", "--port", str(port)],
        env={**os.environ, "LLAR_HOME": str(home), "LLAR_TLS_CERT": str(cert),
             "LLAR_TLS_KEY": str(key), "LLAR_SERVE_HOSTS": "llar.test"},
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        first = next(line for line in process.stderr if not line.startswith(b"warning: "))
        assert f"https://127.0.0.1:{port}" in first.decode()
        trusting = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(transport=httpx.HTTPTransport(verify=trusting, retries=20)) as client:
            answer = client.get(f"https://localhost:{port}/health")
            assert answer.json() == {"status": "ok"}
            named = client.get(
                f"https://127.0.0.1:{port}/health",
                headers={"Host": "llar.test"}, extensions={"sni_hostname": "localhost"},
            )  # fmt: skip
            assert "max-age" in named.headers["strict-transport-security"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_the_unit_is_valid_and_tight(tmp_path: Path) -> None:
    unit = (ROOT / "packaging" / "llar.service").read_text()
    file = tmp_path / "llar.service"
    file.write_text(unit.replace("/opt/llar/bin/llar", shutil.which("true") or "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "llar.service" not in done.stderr  # no warning about it
    subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip


_READ_ONLY = """
set -e
mount --bind "$1" "$1"
mount -t tmpfs tmpfs /tmp
mkdir -p /tmp/keep && mount --bind "$1" /tmp/keep
mount -o remount,ro,bind /
if touch /usr/llar-was-here 2>/dev/null; then echo "the system is not read-only" >&2; exit 9; fi
shift
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a read-only system here")
def test_it_needs_no_root_and_writes_nothing_but_its_home(tmp_path: Path) -> None:
    """As in the container of packaging/Containerfile: another user, a read-only root, /data."""
    data = Path("/var/tmp") / f"llar-test-{os.getpid()}"
    data.mkdir(mode=0o700)
    os.chown(data, 10001, 10001)
    port = free_port()
    log = tmp_path / "serve.log"
    try:
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", _READ_ONLY, "sh", str(data), sys.executable, "-m",
                 "llar", "serve", "--port", str(port)],
                env={**os.environ, "LLAR_HOME": "/tmp/keep", "HOME": "/nowhere",
                     "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=out, stderr=out,
            )  # fmt: skip
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=40)) as client:
                assert client.get(f"http://127.0.0.1:{port}/ready", timeout=60).status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        assert process.returncode == 0, log.read_text()
        assert (data / "server" / "accounts.db").stat().st_uid == 10001
        assert not [p for p in data.rglob("*") if p.stat().st_mode & 0o077]  # and shows nobody else
    finally:
        shutil.rmtree(data)


@pytest.mark.data
def test_a_stream_is_told_that_the_server_stops(installed: Path) -> None:
    """It ends with an error and [DONE], not in the middle, and the log shows no fault of ours."""
    body = {
        "model": "llamacpp:smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Tell a long story."}],
        "stream": True,
        "logit_bias": {"2": -100, "0": -100},  # no end of the turn, no end of the text
    }
    with running(installed) as server:
        url = f"{server.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGINT)
            while "llar stops" not in server.log.read_text():
                next(lines)  # still written: the first signal lets answers end
            server.process.send_signal(signal.SIGINT)
            told = [line for line in lines if line]
    said = server.log.read_text()
    event, data, end = told[-3:]
    assert event == "event: error"
    error = json.loads(data.removeprefix("data: "))["error"]
    assert error["message"] == "the server stops; ask again in a moment"
    assert end == "data: [DONE]"
    assert '"event": "broken off", "requests": 1' in said
    assert '"level": "error"' not in said


def test_a_damaged_file_of_its_own_is_named(home: Path) -> None:
    (home / "server").mkdir(parents=True)
    (home / "server" / "jobs.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StateUnusable, match=r"server/jobs\.db cannot be used: file is not a data"):
        run(load({"serve_port": 0}))


def test_where_it_could_listen_instead(home: Path) -> None:
    with pytest.raises(ServeError, match=r"cannot listen on 192\.0\.2\.1") as refused_address:
        run(load({"serve_host": "192.0.2.1"}))
    assert str(refused_address.value.fix).startswith("llar serve --host 0.0.0.0")


def test_the_sdk_of_mcp_is_loaded_when_it_is_asked(home: Path) -> None:
    seen = (
        "import sys; from llar.config import load; from llar.serve.run import State, create_app;"
        "s = State.open(load()); create_app(s); s.close(); print({'mcp', 'jwt'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", seen], env={**os.environ, "LLAR_HOME": str(home)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "set()\n"
