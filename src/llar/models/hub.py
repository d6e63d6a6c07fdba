"""Fetch files from a Hugging Face hub, or a mirror that speaks its protocol.

Two requests are all it takes: the repository's listing, which states each file's size and hash,
and the file itself from an offset. HF_ENDPOINT and HF_TOKEN are honoured. This is done here and
not with huggingface_hub, whose 2.x throws a killed download away and writes to ~/.cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from ..errors import PullError
from . import sources
from .progress import Progress, Watch
from .sources import Source
from .store import sha256, sync

TRIES = 4  # without one new byte
BACKOFF = 0.5  # seconds, doubled at each try
BUSY = (408, 429, 500, 502, 503, 504)
_HOPELESS = (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.ProxyError,
             httpx.UnsupportedProtocol)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository. `hash` is a SHA-256 (LFS) or git's SHA-1 of a small file."""

    name: str
    size: int  # bytes
    hash: str


class _Transient(Exception):  # never leaves this module
    """Worth another try, after `wait` seconds where the server said how long."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def fetch(source: Source, work: Path, target: Path, pins: Mapping[str, str], watch: Watch) -> None:
    """Put the files of `source` into `target`; parts in `work` are continued, not fetched again.

    `pins` are the hashes that files must have, whatever the hub says. Raises PullError with the
    hub's reason; what had arrived stays in `work`.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise PullError("HF_HUB_OFFLINE is set, so the hub must not be asked")
    with _client() as client:
        repo = _Repository(client, source)
        names = (
            {Path(n).name: n for n in sources.pick(source.path, repo.names, repo.place)}
            if source.path
            else {n: n for n in sources.pick_encoder(repo.names, repo.place)}
        )
        files = {local: repo.file(name) for local, name in names.items()}
        for local, file in files.items():
            if len(file.hash) == 64 and pins.get(local, file.hash) != file.hash:
                raise PullError(
                    f"{file.name} has the wrong SHA-256: expected {pins[local]}, the hub has "
                    f"{file.hash}"
                )
        for path in target.rglob("*"):  # of an earlier try, when the repository was another
            if path.is_file() and path.relative_to(target).as_posix() not in files:
                path.unlink()
        _check_space(files, work, target)
        for local, file in files.items():
            out = target / local
            if not out.is_file() or _digest(out, file) != file.hash:
                out.parent.mkdir(parents=True, exist_ok=True)
                _download(client, repo.url(file.name), file, work / f"{file.hash}.part", watch)
                (work / f"{file.hash}.part").replace(out)


def _client() -> httpx.Client:
    """Both certifi's and the machine's own certificates count: closed networks add theirs."""
    try:
        context = httpx.create_ssl_context()
        context.load_default_certs()
        return _configured(context)
    except (ImportError, OSError, ValueError) as e:  # from *_PROXY and SSL_CERT_* variables
        raise PullError(f"the proxy or certificate settings cannot be used: {e}") from e


def _configured(context: ssl.SSLContext) -> httpx.Client:
    token = os.environ.get("HF_TOKEN", "").strip()
    headers = {"User-Agent": "llar", "Accept-Encoding": "identity"}  # bytes as they are, to resume
    if token:  # httpx drops it where the hub redirects to another host
        headers["Authorization"] = f"Bearer {token}"
    return httpx.Client(
        timeout=httpx.Timeout(30, connect=10),
        follow_redirects=True,
        headers=headers,
        verify=context,
    )


class _Repository:
    """The listing of one repository at one commit."""

    def __init__(self, client: httpx.Client, source: Source) -> None:
        self.client = client
        self.endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
        self.repo = source.place
        self.place = f"{self.endpoint}/{source.place}"
        revision = quote(source.version or "main", safe="")
        url = f"{self.endpoint}/api/models/{source.place}/revision/{revision}"
        listing = self._ask("GET", url, params={"blobs": "true"})
        try:
            table = listing.json()
            self.commit = str(table["sha"])
            self.files: dict[str, dict[str, Any]] = {f["rfilename"]: f for f in table["siblings"]}
        except (ValueError, KeyError, TypeError) as e:
            raise PullError(
                f"{url} answered something that is no hub's listing ({e!r}); is HF_ENDPOINT right, "
                "and no proxy in the way?"
            ) from e
        self.names = list(self.files)

    def url(self, name: str) -> str:
        return f"{self.place}/resolve/{quote(self.commit, safe='')}/{quote(name)}"

    def file(self, name: str) -> RemoteFile:
        """Size and hash of one file, from the listing or, on a mirror without, from its headers."""
        if not sources.is_inside(name):
            raise PullError(f"{self.place}: {name!r} is not a plain relative file name")
        entry = self.files[name]
        large = entry.get("lfs") or {}
        size, code = large.get("size", entry.get("size")), large.get("sha256", entry.get("blobId"))
        if not isinstance(size, int) or not code:
            head = self._ask("HEAD", self.url(name), follow_redirects=False).headers
            code = head.get("x-linked-etag") or head.get("etag") or ""
            code = code.removeprefix("W/").strip('"')
            length = head.get("x-linked-size") or head.get("content-length") or ""
            size = int(length) if length.isdigit() else -1
        if size < 0 or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", str(code)):
            raise PullError(
                f"{self.place} states no size and hash for {name}; it cannot be checked"
            )
        return RemoteFile(name, size, str(code))

    def _ask(
        self,
        method: str,
        url: str,
        *,
        params: dict[str, str] | None = None,
        follow_redirects: bool = True,
    ) -> httpx.Response:
        for attempt in range(TRIES):
            try:
                answer = self.client.request(
                    method, url, params=params, follow_redirects=follow_redirects
                )
                _check(answer)
            except _HOPELESS as e:  # the first contact: trying again would only delay
                raise PullError(f"cannot reach {self.endpoint}: {e}") from e
            except httpx.TransportError as e:
                problem = _Transient(f"{type(e).__name__} {e}".strip())
            except httpx.HTTPError as e:
                raise PullError(f"{url}: {e}") from e
            except _Transient as e:
                problem = e
            else:
                return answer
            _pause(problem, attempt, url)
        raise AssertionError("the last pause raises")


def _check(answer: httpx.Response) -> None:
    """Turn the hub's refusals into words."""
    if answer.is_success or answer.has_redirect_location:
        return
    status, url = answer.status_code, str(answer.request.url)
    said = answer.headers.get("x-error-message", "")
    said = f": {said}" if said else ""
    if status in BUSY:
        wait = answer.headers.get("retry-after", "")
        raise _Transient(
            f"the hub answered {status}{said}", min(float(wait), 60) if wait.isdigit() else None
        )
    if status in (401, 403):
        raise PullError(
            f"the hub answered {status} for {url}{said}; the repository does not exist, is "
            "private, or wants its licence accepted first",
            fix="accept the licence on the model's page, then set HF_TOKEN and pull again",
        )
    if status == 404:
        raise PullError(f"the hub answered 404, there is no {url}{said}")
    raise PullError(f"the hub answered {status} for {url}{said}")


def _pause(problem: _Transient, attempt: int, url: str) -> None:
    if attempt + 1 >= TRIES:
        raise PullError(f"{url}: {problem}, {TRIES} times") from problem
    time.sleep(BACKOFF * 2**attempt if problem.wait is None else problem.wait)


def _check_space(files: Mapping[str, RemoteFile], work: Path, target: Path) -> None:
    """Refuse before the first byte what the disk cannot hold."""
    needed = sum(f.size for f in files.values())
    needed -= sum((target / n).stat().st_size for n in files if (target / n).is_file())
    needed -= sum(p.stat().st_size for p in work.glob("*.part"))
    free = shutil.disk_usage(work).free
    if needed > free:
        raise PullError(
            f"the disk is too full: {needed} more bytes are needed, {free} are free at {work}",
            fix="free some and run the same command again",
        )


def _download(client: httpx.Client, url: str, file: RemoteFile, part: Path, watch: Watch) -> None:
    """Make `part` the whole, verified file; what an earlier try left there is continued."""
    part.touch()
    attempt = 0
    while (have := part.stat().st_size) != file.size:
        if have > file.size:
            part.unlink()
            raise PullError(f"{url} gave more than the {file.size} bytes that the hub states")
        problem = _Transient("the answer ended early")
        try:
            _append(client, url, file, part, watch)
        except httpx.TransportError as e:
            problem = _Transient(f"{type(e).__name__} {e}".strip())
        except httpx.HTTPError as e:
            raise PullError(f"{url}: {e}") from e
        except _Transient as e:
            problem = e
        if part.stat().st_size > have:
            attempt = 0
        else:
            _pause(problem, attempt, url)
            attempt += 1
    actual = _digest(part, file)
    if actual != file.hash:
        part.unlink()
        raise PullError(f"{file.name} has the wrong hash: expected {file.hash}, got {actual}")
    sync(part)


def _append(client: httpx.Client, url: str, file: RemoteFile, part: Path, watch: Watch) -> None:
    """Add to `part` what one answer gives, from where `part` ends."""
    have = part.stat().st_size
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:  # it has fewer bytes now than we have
            part.unlink()
            part.touch()
            raise _Transient("the hub refused to continue")
        _check(answer)
        start = re.match(r"bytes (\d+)-", answer.headers.get("content-range", ""))
        if answer.status_code == 206 and (start is None or int(start[1]) != have):
            raise _Transient(f"the hub gave another range than from {have} on")
        with part.open("ab") as out:
            if answer.status_code != 206:  # it gives everything, whatever was asked
                out.truncate(0)
            for block in answer.iter_bytes():
                out.write(block)
                watch(Progress(file.name, out.tell(), file.size))
                if out.tell() > file.size:
                    return


def _digest(path: Path, file: RemoteFile) -> str:
    """The hash of `path` in the kind that the hub states for `file`."""
    if len(file.hash) == 64:
        return sha256(path)
    blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            blob.update(block)
    return blob.hexdigest()
