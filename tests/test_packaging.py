"""The unit and the container file: what they promise, tried as far as a test can.

What was tried by hand beyond this (a booted systemd, an image that was built and run) stands in
docs/serving.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from running import free_port

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make such a system here")


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


_CONTAINER = """
set -e
mount --bind "$1" "$1"
mount -t tmpfs tmpfs /tmp
mount -t tmpfs -o size=64m tmpfs /dev/shm
mkdir -p /tmp/keep && mount --bind "$1" /tmp/keep
case "$2" in /root/*)  # a Python of pyenv lies where nobody else may go
    mkdir /tmp/python && mount --bind "$2" /tmp/python
    mount -t tmpfs -o mode=755 tmpfs /root
    mkdir -p "$2" && mount --move /tmp/python "$2" ;;
esac
mount -o remount,ro,bind /
if touch /usr/llar-was-here 2>/dev/null; then echo "the system is not read-only" >&2; exit 9; fi
shift 2
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all "$@"
"""


@as_root
def test_it_needs_no_root_and_writes_nothing_but_its_home(tmp_path: Path) -> None:
    """As in a container: another user, a read-only root, 64 MB of shared memory, /data."""
    data = Path("/var/tmp") / f"llar-test-{os.getpid()}"
    data.mkdir(mode=0o700)
    os.chown(data, 10001, 10001)
    port = str(free_port())
    log = tmp_path / "serve.log"
    try:
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", _CONTAINER, "sh", str(data), sys.base_prefix,
                 sys.executable, "-m", "llar", "serve"],
                env={**os.environ, "LLAR_HOME": "/tmp/keep", "HOME": "/nowhere",
                     "PYTHONDONTWRITEBYTECODE": "1", "LLAR_SERVE_PORT": port,
                     "LLAR_EMBEDDER": "fake:hash", "OMP_NUM_THREADS": "1"},
                stdout=out, stderr=out,
            )  # fmt: skip
        try:
            with httpx.Client(
                transport=httpx.HTTPTransport(retries=40), base_url=f"http://127.0.0.1:{port}"
            ) as client:
                assert client.get("/ready", timeout=60).status_code == 200
                assert healthy(data, port)
                read_a_file(client)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        assert process.returncode == 0, log.read_text()
        assert not healthy(data, port)
        assert (data / "server" / "accounts.db").stat().st_uid == 10001
        assert not [p for p in data.rglob("*") if p.stat().st_mode & 0o077]  # and shows nobody else
    finally:
        shutil.rmtree(data)


def read_a_file(client: httpx.Client) -> None:
    """Its language is told with a model that unpacks to more than that shared memory."""
    assert client.post("/api/collections", json={"name": "house"}).status_code == 201
    text = b"The town hall opens at nine. Staff have thirty days of leave in every year."
    sent = client.put("/api/collections/house/files/hours.txt", content=text)
    assert sent.status_code == 202, sent.text
    job = f"/api/jobs/{sent.json()['job']['id']}"
    while (state := client.get(job).json())["finished"] is None:
        time.sleep(0.05)
    files = client.get(f"{job}/files").json()
    assert (state["state"], state["error"]) == ("done", "")
    assert client.get("/api/collections/house").json()["languages"] == {"en": 1}, files


def healthy(home: Path, port: str) -> bool:
    """What the HEALTHCHECK of the container file says."""
    file = (ROOT / "packaging" / "Containerfile").read_text().replace("\\\n", "")
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", file, re.MULTILINE)
    assert found
    command = json.loads(found[1])
    assert command[0] == "python"
    done = subprocess.run(
        [sys.executable, *command[1:]], env={"LLAR_HOME": str(home), "LLAR_SERVE_PORT": port},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 or "Connection refused" in done.stderr, done.stderr
    return done.returncode == 0


@as_root
def test_a_library_of_the_system_that_is_missing_is_named() -> None:
    """Debian's smallest system, and the usual base images, have no libgomp."""
    found = subprocess.run(
        "/sbin/ldconfig -p | sed -n 's/^.*libgomp.so.1 .*=> //p' | head -n 1",
        shell=True, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert found, "libgomp1 is not installed; llama.cpp needs it"
    hidden = 'mount --bind /dev/null "$(readlink -f "$1")"; exec "$2" -c "$3"'
    load = "from llar.models.llama_library import binding; binding()"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", hidden, "sh", found, sys.executable, load],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert re.search(r"EngineError: llama.cpp cannot be loaded: .*libgomp.so.1", done.stderr)
    assert done.stderr.endswith("fix: apt-get install libgomp1\n")
