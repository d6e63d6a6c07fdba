"""The child process that draws pages: `python -m llar.documents.show_worker`.

It gives up what worker.py gives up before it opens a file, and ends when its parent does, as its
standard input ends then.
"""

from __future__ import annotations

import base64
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ..errors import DocumentError
from .folders import unreadable
from .frames import receive, send
from .show import page_picture, quote_boxes
from .worker import allow_time, audit, failure, set_limits


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    memory_mb, timeout = int(sys.argv[1]), float(sys.argv[2])
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # What a library prints must not reach the protocol, nor may it wait for input.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    set_limits(memory_mb)
    sys.addaudithook(audit)
    while (request := receive(requests, 1 << 24)) is not None:
        allow_time(timeout)
        reply = _answer(request)
        signal.setitimer(signal.ITIMER_REAL, 0)  # sending may wait for a slow reader
        send(replies, reply)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    path, page = Path(request["path"]), request["page"]
    try:
        if "quote" in request:
            return {"boxes": quote_boxes(path, page, request["quote"])}
        picture = page_picture(path, request["kind"], page, request["dpi"])
        return {"png": base64.b64encode(picture).decode()}
    except DocumentError as e:
        return failure(e)
    except OSError as e:
        return failure(unreadable(path, e))
    except Exception as e:  # noqa: BLE001 - the edge of the process: libraries raise anything here
        told = " ".join(str(e).split())[:200]
        return failure(DocumentError(f"could not be drawn ({type(e).__name__}: {told})"))


if __name__ == "__main__":
    main()
