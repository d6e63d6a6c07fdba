"""The child process that opens files: `python -m llar.documents.worker`, started by the sandbox.

It reads one JSON frame per file from its standard input and answers with one. Before it opens
anything it gives up what a parser does not need: memory and time beyond a limit, core dumps,
sockets, other programs, and writing to any file.
"""

from __future__ import annotations

import gc
import math
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

from ..errors import DocumentError, LimitExceeded
from ..records import to_json
from .frames import receive, send
from .ocr import Recogniser
from .reading import Limits, Unpacking, read_document

_OPEN_FILES = 128
_WRITTEN = 512 << 20  # bytes; standard error, files in memory and the unpacked language model
_PR_SET_PDEATHSIG = 1
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - only for files without a name
_ROOM = 1 << 30  # bytes free there: the model unpacks to 66 MB, maybe in every child at once
_TOO_LARGE = "needs more memory than parse_memory_mb allows"
_NO_ROOM = re.compile("map segment|allocate memory")
_MORE_MEMORY = "set parse_memory_mb higher in llar.toml or LLAR_PARSE_MEMORY_MB"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FORBIDDEN = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr", "os.kill", "shutil.",
    "tempfile.", "pty.", "webbrowser.", "ftplib.", "smtplib.", "urllib.",
)  # fmt: skip


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    parent, memory_mb, timeout = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # What a library prints must not reach the protocol, nor may it wait for input.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    _die_with(parent)
    set_limits(memory_mb)
    _prepare_scratch()
    # What a parser makes lives until its file is done: looking through all of it again and again
    # for cycles would be a third of the time of a large file.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    sys.addaudithook(audit)
    send(replies, {})
    while (request := receive(requests, 1 << 20)) is not None:
        allow_time(timeout)
        reply = _answer(request, partial(_take_time, replies, timeout))
        signal.setitimer(signal.ITIMER_REAL, 0)  # sending may wait for a slow reader
        send(replies, reply)
        if reply.get("last"):
            break


def _answer(request: dict[str, Any], take_time: Callable[[float], None]) -> dict[str, Any]:
    asked = request["recognition"]
    recogniser = Recogniser(
        asked["languages"],
        Path(asked["tessdata"]),
        asked["seconds"],
        partial(take_time, asked["seconds"]),
    )
    limits = Limits(
        request["max_bytes"], request["password"], recogniser, Unpacking(*request["unpacking"])
    )
    try:
        document = read_document(Path(request["path"]), limits)
        return {"document": to_json(document)}
    except DocumentError as e:
        return failure(e)
    except (MemoryError, ImportError) as e:
        # A library that finds no room to load says so as an ImportError.
        if isinstance(e, ImportError) and not _NO_ROOM.search(str(e)):
            raise
        # What is left of the address space is in pieces: a fresh process takes the next file.
        return failure(LimitExceeded(_TOO_LARGE, fix=_MORE_MEMORY)) | {"last": True}
    except RecursionError:
        return failure(LimitExceeded("is nested too deeply"))
    except Exception as e:  # noqa: BLE001 - the edge of the process: libraries raise anything here
        told = " ".join(str(e).split())[:200]
        return failure(DocumentError(f"could not be read ({type(e).__name__}: {told})"))


def _take_time(replies: IO[bytes], timeout: float, seconds: float) -> None:
    """Tell the parent that pictures are being read, and allow that file `seconds` more."""
    send(replies, {"recognises": True})
    allow_time(timeout + seconds)


def failure(error: DocumentError) -> dict[str, Any]:
    """The reply that stands for an error."""
    return {"error": type(error).__name__, "message": error.message, "fix": error.fix}


def _die_with(parent: int) -> None:
    """On Linux the kernel ends this process when the thread that started it ends."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(0)


def set_limits(memory_mb: int) -> None:
    """Bound this process: memory, open files, what it writes; no core dump."""
    import resource

    def limit(kind: int, amount: int) -> None:
        hard = resource.getrlimit(kind)[1]
        amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(kind, (amount, amount))

    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    limit(resource.RLIMIT_FSIZE, _WRITTEN)
    if sys.platform != "darwin":  # macOS refuses a limit on address space
        limit(resource.RLIMIT_AS, memory_mb << 20)


def _prepare_scratch() -> None:
    """Find the language model, the only thing that needs a scratch file, a place for it.

    A file without a name in memory cannot outlive the process, so that kind stays allowed. Where
    there is none, or little room (a container has 64 MB), the model is loaded now, before writing
    is given up.
    """
    if hasattr(os, "O_TMPFILE"):
        try:
            os.close(os.open(_SHARED_MEMORY, os.O_TMPFILE | os.O_RDWR, 0o600))
            there = os.statvfs(_SHARED_MEMORY)
        except OSError:
            pass  # no such file system here; loading at once works everywhere
        else:
            if there.f_bavail * there.f_frsize >= _ROOM:
                tempfile.tempdir = _SHARED_MEMORY
                return
    from ..text.language import detect

    detect("What language is this sentence written in?")


def allow_time(seconds: float) -> None:
    """Let the kernel end this process after `seconds` of wall or processor time from now."""
    import resource

    signal.setitimer(signal.ITIMER_REAL, seconds)
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what no parser needs."""
    if event == "open":
        path, mode, flags = arguments
        writes = flags & _WRITING if flags is not None else set(mode or "") & set("wax+")
        # Opening a folder itself "for writing" makes a file without a name, or fails.
        if writes and not isinstance(path, int) and path not in (os.devnull, _SHARED_MEMORY):
            raise PermissionError(f"a parser may not write files; it tried {path!r}")
    elif event.startswith(_FORBIDDEN):
        raise PermissionError(f"a parser may not do this: {event}")


if __name__ == "__main__":
    main()
