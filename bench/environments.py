"""The peers that llar is measured beside: an environment of its own for each, made once.

    python bench/environments.py [NAME ...]

Environments lie in bench/.work/peers/NAME. torch is pinned to the build for processors; plain
`torch` would bring gigabytes of CUDA libraries along, for the peers' loss.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ENVIRONMENTS = BENCH / ".work" / "peers"

TORCH = "torch==2.13.0"
PACKAGES: dict[str, tuple[str, ...]] = {
    "sentence-transformers": (TORCH, "sentence-transformers"),
    "accelerate": (TORCH, "accelerate", "transformers"),
    "txtai": (TORCH, "txtai[api]", "chonkie"),  # chonkie is what its Segmentation cuts with
    "langchain": (
        TORCH,
        "langchain-classic",  # where EnsembleRetriever lives since langchain 1.0
        "langchain-community",  # loaders, BM25Retriever
        "langchain-text-splitters",
        "langchain-chroma",
        "langchain-huggingface",
        "sentence-transformers",
        "rank_bm25",
    ),
    "llama-index": (
        TORCH,
        "llama-index-core",
        "llama-index-embeddings-huggingface",
        "llama-index-readers-file",
        "llama-index-retrievers-bm25",
    ),
}


def python(name: str) -> Path:
    """The interpreter of a peer's environment, made and filled where it is not there yet."""
    folder = ENVIRONMENTS / name
    wanted = "\n".join(PACKAGES[name])
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        print(f"making the environment of {name} ...", file=sys.stderr, flush=True)
        fill(folder, PACKAGES[name])
        installed.write_text(wanted)
    return folder / "bin" / "python"


def fill(folder: Path, packages: tuple[str, ...]) -> None:
    """A virtual environment with these packages."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    command = [str(folder / "bin" / "pip"), "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*command, *packages], check=True, stdout=sys.stderr)


def main() -> None:
    """Make the environments named, or all."""
    for name in sys.argv[1:] or PACKAGES:
        print(f"{name}: {python(name)}")


if __name__ == "__main__":
    main()
