"""Hostile and unlucky files, added with the command line, and what came of them.

    python bench/hostile.py [--case NAME] [--files N] [--pages N] [--keep DIR]

Every case is a folder of bad files with a good one beside them (tests/make_hostile.py). After each
`llar add`: the exit code is right, there is one line for each bad file, every good file is found
by a word of its own, the temporary folder is empty, no process is left, `llar doctor` finds
nothing, and the whole tree of processes stayed below the bound. In the end everything is added
once more in one go. Run by root, the commands get none of its rights. The short form of this is
tests/test_hostile.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import make_hostile
from hostile_check import Place, bound_mb, check_lines
from make_hostile import CASES, Made, make, walk
from watched import Ran

ROOT = Path(__file__).parent.parent
STORE = ROOT / ".llar" / "models"
DATA = ROOT.parent / "shared" / "data" / "hostile"


def main() -> None:
    """Run the cases and print a line of a Markdown table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", action="append", help="Only this one; may be repeated.")
    parser.add_argument("--files", type=int, default=100_000, help="Tiny files.")
    parser.add_argument("--pages", type=int, default=1_600, help="Pages of the long PDF.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as scratch:
        folder = Path(scratch)
        real = _place(folder / "real", "ctranslate2:all-minilm-l6-v2")
        fake = _place(folder / "fake", "fake:hash")
        print(f"bound {bound_mb()} MB\n\n| case | files | indexed | one line each | s | peak MB |")
        print("|---|---|---|---|---|---|")
        everything = Made()
        for case in given.case or [*CASES, "malformed files"]:
            if case in CASES:
                made = make(folder / "docs" / case, case)
                _report(case, *real.add("c", [folder / "docs" / case], made))
                _merge(everything, made)
            elif case == "malformed files":
                made = Made(either=set(walk(DATA)))
                _report(case, *real.add("c", [DATA], made))
                _merge(everything, made)
        wanted = given.case or ["together", "1,600 pages", "tiny files", "changing", "vanishing"]
        if "together" in wanted:
            paths = [folder / "docs", DATA]
            _report("all of these again", *real.add("c", paths, everything))
        if "1,600 pages" in wanted:
            made = _made(folder / "long", lambda at, m: make_hostile.long_pdf(at, m, given.pages))
            _report("one PDF, 1,600 pages", *real.add("long", [folder / "long"], made))
        if "changing" in wanted:
            changing(fake, folder / "changing")
        if "vanishing" in wanted:
            vanishing(fake, folder / "vanishing")
        if "tiny files" in wanted:
            made = _made(folder / "many", lambda at, m: make_hostile.many(at, m, given.files))
            _report(f"{given.files:,} tiny files", *fake.add("many", [folder / "many"], made))
            _report("the same again", *fake.add("many", [folder / "many"], made))
        _open_all(folder / "docs")


def changing(place: Place, folder: Path) -> None:
    """Files that grow, are replaced, and become pipes all the time while they are read."""
    folder.mkdir()
    made = _made(folder / "still", _fifty)
    line = "1,two words\n"
    (folder / "grows.csv").write_text(line * 400_000)
    (folder / "replaced.csv").write_text(line * 400_000)
    (folder / "pipe.txt").write_text("A text, for now.")
    (folder / "new.txt").write_text(line * 400_000)

    def change() -> None:
        with (folder / "grows.csv").open("a") as file:
            file.write(line)
        (folder / "draft").write_text(line * 400_000 + str(time.monotonic()))
        (folder / "draft").replace(folder / "replaced.csv")
        os.mkfifo(folder / "draft")
        (folder / "draft").replace(folder / "pipe.txt")
        (folder / "draft").write_text("A text, for now.")
        (folder / "draft").replace(folder / "pipe.txt")

    ran = _while(change, lambda: place.llar("add", "-c", "moving", "--json", folder))
    report = json.loads(ran.out)
    check_lines(ran, report["failed"])
    assert str(folder / "grows.csv") in report["failed"]
    place.find("moving", made.good)
    place.doctor("moving")
    _report("files that change while read", ran, report)
    settled = place.llar("sync", "-c", "moving", "--json")
    assert settled.code == 0, settled.err
    held = set(json.loads(settled.out)["unchanged"]) | set(json.loads(settled.out)["added"])
    assert held >= set(walk(folder)) - {str(folder / "draft")}
    place.doctor("moving")


def vanishing(place: Place, folder: Path) -> None:
    """Files and folders that are deleted while they are walked, hashed and read."""
    folder.mkdir()
    made = _made(folder / "still", _fifty)
    doomed = []
    for n in range(600):
        doomed.append(folder / f"{n % 20:02}" / f"{n}.txt")
        doomed[-1].parent.mkdir(exist_ok=True)
        doomed[-1].write_text(f"This one, number {n}, goes.")
    left = iter(sorted(doomed, reverse=True))

    def change() -> None:
        path = next(left, None)
        if path is not None and path.exists():
            shutil.rmtree(path.parent) if path.name.endswith("7.txt") else path.unlink()
        time.sleep(0.01)

    ran = _while(change, lambda: place.llar("add", "-c", "going", "--json", folder))
    report = json.loads(ran.out)
    check_lines(ran, report["failed"])
    assert all("does not exist" in error for error in report["failed"].values())
    place.find("going", made.good)
    place.doctor("going")
    _report("files that vanish", ran, report)
    settled = place.llar("sync", "-c", "going", "--json")
    assert settled.code == 0, settled.err
    place.doctor("going")
    place.find("going", made.good)


def _while(change: Callable[[], None], work: Callable[[], Ran]) -> Ran:
    """Do the work while a thread makes changes."""
    done = threading.Event()
    errors: list[Exception] = []

    def keep_changing() -> None:
        try:
            while not done.is_set():
                change()
        except Exception as e:  # noqa: BLE001 - a thread's error must reach the caller
            errors.append(e)

    changer = threading.Thread(target=keep_changing)
    changer.start()
    try:
        return work()
    finally:
        done.set()
        changer.join()
        if errors:
            raise errors[0]


def _place(folder: Path, embedder: str) -> Place:
    return Place(folder, embedder, STORE)


def _made(folder: Path, maker: Callable[[Path, Made], object]) -> Made:
    folder.mkdir(parents=True)
    made = Made()
    maker(folder, made)
    return made


def _fifty(folder: Path, made: Made) -> None:
    for n in range(50):
        made.write(folder / f"{n}.txt")


def _merge(into: Made, made: Made) -> None:
    into.good |= made.good
    into.bad |= made.bad
    into.either |= made.either


def _report(case: str, ran: Ran, report: dict[str, Any]) -> None:
    read = sum(len(report[k]) for k in ("added", "updated", "unchanged", "duplicates"))
    failed = len(report["failed"])
    row = (case, read + failed, read, failed, f"{ran.seconds:.1f}")
    print(f"| {' | '.join(map(str, row))} | {ran.peak_mb:.0f} ({ran.main_mb:.0f}) |", flush=True)


def _open_all(folder: Path) -> None:
    """Give back the rights to what nobody may read, so that it can be deleted."""
    for path in folder.glob("unreadable/*"):
        path.chmod(0o755)


if __name__ == "__main__":
    main()
