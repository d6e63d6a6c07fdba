"""The child process that goes on with a model step by step: `python -m llar.serve.steps_child`.

llama.cpp's library is called through ctypes there, so that whatever goes wrong in it ends this
process and not the server. It answers one request after the other until the parent is gone.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..errors import LlarError

CALLS = ("tokens", "piece", "ends", "next", "states")


def main() -> None:
    """Open the model that the first message names, then answer calls."""
    pipe = Connection(int(sys.argv[1]))
    try:
        from ..inside.local_steps import LocalSteps
        from ..models.llama_steps import LlamaSteps

        opening: dict[str, Any] = pipe.recv()
        model = LocalSteps(LlamaSteps(Path(opening.pop("file")), **opening))
        pipe.send(("done", (model.context, model.size)))
    except LlarError as e:
        pipe.send(_told(e))
        return
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(model, name, arguments))


def _answer(model: Any, name: str, arguments: dict[str, Any]) -> tuple[Any, ...]:
    if name not in CALLS:
        raise AssertionError(f"the parent asked for {name!r}")
    try:
        return ("done", getattr(model, name)(**arguments))
    except LlarError as e:
        return _told(e)


def _told(error: LlarError) -> tuple[str, str, str, str | None]:
    return ("error", type(error).__name__, error.message, error.fix)


if __name__ == "__main__":
    main()
