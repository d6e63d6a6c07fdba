"""Kills llar 200 times and lets two writers and four readers at a collection for ten minutes.

Where there is a C compiler, every process that is killed has a wall clock that is years off and
jumps while it is read.

    python bench/crash.py [--kills N] [--seconds N] [--seed N]

The short form of this is tests/test_crash.py. Fails with a traceback at the first thing lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from crashing import Crashes, crowd, jumping_clock
from hub import serve, use

from llar.config import load


def main() -> None:
    """Run both parts in a home of their own and print the seeds and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        home = Path(scratch) / "home"
        home.mkdir()
        (home / "llar.toml").write_text('embedder = "fake:hash"\nparse_workers = 1\n')
        for name in [n for n in os.environ if n.startswith(("LLAR_", "HF_"))]:
            patch.delenv(name)
        patch.setenv("LLAR_HOME", str(home))
        config = load()
        with serve() as hub:
            use(hub, patch)
            clock = jumping_clock(Path(scratch))
            print(f"clocks that jump: {'yes' if clock else 'no, there is no cc'}", flush=True)
            done = midway = 0
            while done < given.kills:
                seed = given.seed + done
                print(f"seed {seed}", flush=True)
                crashes = Crashes(config, Path(scratch) / f"docs{done}", seed, clock)
                for what in ("add", "sync", "remove", "reembed") * 2:
                    crashes.round(what)
                    done += 1
                for _ in range(2):
                    crashes.pull_round(hub)
                    done += 1
                midway += crashes.midway
                print(f"{done} kills, {midway} with some of the files done", flush=True)
                crashes.clear()
        did = crowd(config, Path(scratch) / "crowd", given.seconds)
        print(f"{given.seconds:g} s: {did['writes']} writes, {did['searches']} searches, none lost")


if __name__ == "__main__":
    main()
