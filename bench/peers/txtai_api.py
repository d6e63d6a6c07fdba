"""txtai's own HTTP API over given passages and vectors: `txtai_api.py FOLDER COUNT PORT`.

The index is made with the vectors of bench/search.py, which takes seconds instead of an hour;
questions are embedded by its own model, as with_txtai.py does it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import uvicorn
from with_txtai import _open, fill


def main() -> None:
    """Fill, and serve."""
    folder, count, port = sys.argv[1:]
    fill({"folder": folder, "count": int(count)})
    settings = Path(tempfile.mkdtemp()) / "config.yml"
    settings.write_text("writable: false\nembeddings:\n  content: true\n", encoding="utf-8")
    os.environ["CONFIG"] = str(settings)
    from txtai.api import application

    application.start()
    application.get().embeddings = _open["hybrid"]
    uvicorn.run(
        application.app, host="127.0.0.1", port=int(port), log_level="warning", lifespan="off"
    )


if __name__ == "__main__":
    main()
