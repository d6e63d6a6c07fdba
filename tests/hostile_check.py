"""Adds hostile folders with the command line and checks what must hold afterwards."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from make_hostile import Made
from watched import Ran, run_llar

from llar import Collection, load_config

WORKERS = 2
MEMORY_MB = 2_048  # of addresses, for each parser
BESIDE_MB = 1_024  # what the command itself may hold: the model, one batch, what is made of it
SEARCHED = 2_000  # good files looked up by their word, of more a sample


def bound_mb(memory_mb: int = MEMORY_MB) -> int:
    """What a command and its parsers may take together."""
    return WORKERS * memory_mb + BESIDE_MB


class Place:
    """A home and a temporary folder of their own; each parser may take `memory_mb` of addresses."""

    def __init__(
        self, folder: Path, embedder: str, store: Path | None = None, memory_mb: int = MEMORY_MB
    ) -> None:
        self.home, self.scratch = folder / "home", folder / "tmp"
        self.bound_mb = bound_mb(memory_mb)
        self.home.mkdir(parents=True)
        self.scratch.mkdir()
        (self.home / "llar.toml").write_text(
            f'embedder = "{embedder}"\nparse_workers = {WORKERS}\nparse_memory_mb = {memory_mb}\n'
        )
        if store is not None:
            (self.home / "models").symlink_to(store, target_is_directory=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LLAR_", "HF_"))}
        self.env = kept | {
            "LLAR_HOME": str(self.home),
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "OMP_NUM_THREADS": "1",
        }

    def llar(self, *arguments: str | Path) -> Ran:
        """Run a command and check what holds for every one."""
        ran = run_llar(*arguments, env=self.env)
        assert "Traceback" not in ran.err, ran.err[-3000:]
        assert list(self.scratch.iterdir()) == [], "something was left in the temporary folder"
        assert ran.left == (), f"processes were left: {ran.left}"
        assert ran.peak_mb < self.bound_mb, f"{ran.peak_mb:.0f} MB; the bound is {self.bound_mb}"
        return ran

    def add(self, collection: str, paths: Sequence[Path], made: Made) -> tuple[Ran, dict[str, Any]]:
        """Add, check the report against what was made, and look for every good file.

        Returns what the command cost, and the report.
        """
        ran = self.llar("add", "-c", collection, "--json", *paths)
        report = json.loads(ran.out)
        failed: dict[str, str] = report["failed"]
        check_lines(ran, failed)
        there = report["added"] + report["unchanged"] + report["duplicates"] + report["updated"]
        assert len(set(there)) == len(there)
        assert not set(there) & set(failed)
        missing = (set(made.good) | made.bad | made.either) - set(there) - set(failed)
        assert not missing, f"neither added nor failed: {sorted(missing)[:5]}"
        unknown = (set(there) | set(failed)) - set(made.good) - made.bad - made.either
        assert not unknown, f"from nowhere: {sorted(unknown)[:5]}"
        for path in made.good:
            assert path not in failed, failed[path]
        assert made.bad <= set(failed), f"taken for good: {sorted(made.bad - set(failed))[:5]}"
        self.find(collection, made.good)
        self.doctor(collection)
        return ran, report

    def find(self, collection: str, good: dict[str, str]) -> None:
        """Every good file is in the collection, and is found by its word and alone."""
        config = load_config({"home": self.home})
        with Collection(collection, config=config) as docs:
            held = {f.path for f in docs.index.files()}
            assert set(good) <= held, sorted(set(good) - held)[:5]
            sample = sorted(good)
            if len(sample) > SEARCHED:
                sample = random.Random(5).sample(sample, SEARCHED)
            for path in sample:
                hits = docs.search(good[path], mode="lexical", k=3)
                assert {h.document.path for h in hits} == {path}, (path, good[path], hits)

    def doctor(self, collection: str) -> None:
        """The doctor finds nothing, not even something harmless."""
        ran = self.llar("doctor", "-c", collection)
        assert (ran.code, ran.out) == (0, f"checked {collection}: 0 problems\n"), ran.out + ran.err


def check_lines(ran: Ran, failed: dict[str, str]) -> None:
    """The exit code is right, and there is one line for each failure, which names the file."""
    assert ran.code == (3 if failed else 0), (ran.code, ran.err[-3000:])
    lines = ran.err.split("\n")[:-1]
    told = [line for line in lines if line.startswith("failed: ")]
    assert len(told) == len(failed), (len(told), len(failed))
    strange = [line for line in lines if not line.startswith(("failed: ", "note: "))]
    assert not strange, strange
    for path, error in failed.items():
        assert error.startswith(repr(path)), (path, error)
        assert "\n" not in error
    assert not any(c < " " or c == "\x7f" for line in lines for c in line), "a control character"
