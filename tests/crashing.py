"""Kills llar at random moments and compares what is left with what may be left."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hub import Hub, gguf

import llar
from llar import Collection
from llar.index.doctor import check, check_folders, check_models
from llar.index.index import delete_collection
from llar.models.pull import pull
from llar.models.store import Store

FILES = 24
REPO = "own/tiny-GGUF"
SOURCE = f"hf:{REPO}#tiny.gguf"

# What the child says is done was committed before: it reads it from the file between transactions.
CHILD = """
import os, sys, llar
from llar.models.pull import pull
what, *rest = sys.argv[1:]
docs = llar.Collection("c")
seen = set()
def tell(_):
    now = {(f.path, f.sha256) for f in docs.index.files()}
    for path, sha256 in sorted(now - seen):
        print(path, sha256, flush=True)
    seen.update(now)
    if what == "reembed":
        print("step", flush=True)
if what == "pull":
    print("ready", flush=True)
    pull(rest[0], docs.config)
else:
    docs.index.counts(), docs.embedder
    print("ready", flush=True)
    if what == "add":
        docs.add(rest, progress=tell)
    elif what == "sync":
        docs.sync(progress=tell)
    elif what == "remove":
        for path in rest:
            docs.remove(path)
            print(path, "gone", flush=True)
    elif what == "reembed":
        docs.reembed(rest[0], progress=tell)
"""


# A wall clock of its own for a process: years off, and jumping back and forth as it is read.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
int clock_gettime(clockid_t clock, struct timespec *now) {
    static long calls, shift;
    if (!real) {
        shift = atol(getenv("CLOCK_SHIFT"));
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += calls++ / 7 % 2 ? shift : -shift / 2;
    return result;
}
"""


def jumping_clock(folder: Path) -> Path | None:
    """A library that gives the processes it is loaded into another clock; None without cc."""
    if shutil.which("cc") is None:
        return None
    made = folder / "clock.so"
    source = folder / "clock.c"
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


class Crashes:
    """A folder and its collection `c`, worked on by processes that are killed.

    With `clock`, from `jumping_clock`, every one of them has a wall clock of its own.
    """

    def __init__(
        self, config: llar.Config, folder: Path, seed: int, clock: Path | None = None
    ) -> None:
        self.config, self.folder, self.clock = config, folder, clock
        self.chance = random.Random(seed)
        self.made = 0
        self.texts: dict[str, str] = {}  # SHA-256 -> text of every version there ever was
        self.midway = 0  # kills that met an operation neither not begun nor complete
        folder.mkdir()
        for _ in range(FILES):
            self._write(self._new())
        with Collection("c", config=config) as docs:
            docs.add(folder)

    def clear(self) -> None:
        """Delete the collection, so that another can begin."""
        delete_collection(self.config, "c")

    def _new(self) -> Path:
        return self.folder / f"{self.made:05}.txt"

    def _write(self, path: Path) -> None:
        """Give a file new content, of which every version has a word of its own."""
        word = _word(self.made)
        self.made += 1
        size = self.chance.randrange(1, 8)
        text = "\n\n".join(f"Paragraph {p} is about {word}, as it says." for p in range(size))
        path.write_text(text)
        self.texts[hashlib.sha256(text.encode()).hexdigest()] = text

    def _files(self) -> dict[str, str]:
        """Path to SHA-256, as the folder is now."""
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in self.folder.iterdir()}

    def round(self, what: str, *, told: int = 0) -> None:
        """Change the folder, run `what`, kill it, look at what is left, and let it complete.

        The kill comes when `told` changed files are done; without, at a random moment, which in
        half of the rounds is the one after some of the files are done.
        """
        before = self._held()
        arguments = self._change(what, before)
        if not told and self.chance.random() < 0.5:
            told = self.chance.randrange(1, 11)
        # What was there already is reported first.
        first = len(before) if told and what != "remove" else 0
        acknowledged = self._kill(what, arguments, told + first)
        held = self._held()
        half_embedded = self._is_half_embedded()
        self._compare(what, before, held, acknowledged, arguments)
        self._look()
        self._complete(what, arguments)
        after = self._held()
        expected = before
        if what in ("add", "sync"):
            expected = {**(before if what == "add" else {}), **self._files()}
        elif what == "remove":
            expected = {p: s for p, s in before.items() if p not in arguments}
        assert after == expected
        self.midway += held not in (before, after) or half_embedded
        assert check(self.config, "c") == []
        self._look()
        if what == "remove":
            with Collection("c", config=self.config) as docs:
                docs.add(self.folder)
        elif what == "add":
            with Collection("c", config=self.config) as docs:
                docs.sync()

    def _change(self, what: str, before: dict[str, str]) -> list[str]:
        """Change the folder where `what` is about files; returns the child's arguments."""
        if what == "remove":
            return self.chance.sample(sorted(before), 10)
        if what == "reembed":
            with Collection("c", config=self.config) as docs:
                now = docs.index.embedder.name
            return ["fake:hash-32" if now == "fake:hash" else "fake:hash"]
        paths = sorted(self.folder.iterdir())
        self.chance.shuffle(paths)
        for path in paths[:8]:
            self._write(path)
        for path in paths[8:11]:
            path.unlink()
        for _ in range(3):
            self._write(self._new())
        return [str(self.folder)]

    def _compare(
        self,
        what: str,
        before: dict[str, str],
        held: dict[str, str],
        acknowledged: dict[str, str],
        arguments: list[str],
    ) -> None:
        """Nothing acknowledged is lost, nothing is there that neither was before nor is to be."""
        target = {**before, **self._files()} if what in ("add", "sync") else before
        assert set(held) <= set(target)
        for path, sha256 in held.items():
            assert sha256 in (before.get(path), target[path])
        final = target if what != "sync" else self._files()
        for path, sha256 in acknowledged.items():
            # What was told may have been followed by the next step, which was not told any more.
            may_be = {None} if sha256 == "gone" else {sha256, final.get(path)}
            assert held.get(path) in may_be, (what, path)
        kept = set(before)
        if what == "sync":
            kept &= set(self._files())
        if what == "remove":
            kept -= set(arguments)
        # A file whose content moved elsewhere would leave its path; no content does here.
        assert kept <= set(held)

    def _kill(self, what: str, arguments: list[str], told: int = 0) -> dict[str, str]:
        """Run the child and kill it; returns what it said was done."""
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, what, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LLAR_HOME": str(self.config.home), **self._other_clock()},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        longest = {"add": 1.2, "sync": 1.2, "remove": 0.06, "reembed": 0.12, "pull": 0.4}
        heard = [child.stdout.readline() for _ in range(told)]
        time.sleep(self.chance.uniform(0.0, 0.004 if told else longest[what]))
        child.kill()
        lines = [line.split() for line in (*heard, *child.stdout.read().splitlines())]
        child.wait()
        child.stdout.close()
        return {line[0]: line[1] for line in lines if len(line) == 2}

    def _other_clock(self) -> dict[str, str]:
        if self.clock is None:
            return {}
        shift = self.chance.randrange(-20, 21) * 365 * 86_400
        return {"LD_PRELOAD": str(self.clock), "CLOCK_SHIFT": str(shift)}

    def _complete(self, what: str, arguments: list[str]) -> None:
        with Collection("c", config=self.config) as docs:
            if what == "add":
                docs.add(arguments)
            elif what == "sync":
                docs.sync()
            elif what == "remove":
                left = {f.path for f in docs.index.files()}
                docs.remove([p for p in arguments if p in left])
            elif what == "reembed":
                docs.reembed(arguments[0])
                assert docs.index.embedder.name == arguments[0]

    def _held(self) -> dict[str, str]:
        with Collection("c", config=self.config) as docs:
            files = list(docs.index.files())
        assert len({f.path for f in files}) == len(files)
        return {f.path: f.sha256 for f in files}

    def _is_half_embedded(self) -> bool:
        with Collection("c", config=self.config) as docs, docs.index.database.read() as database:
            found = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'chunks_next'")
            return found.fetchone() is not None

    def _look(self) -> None:
        """Every document is whole and found by its own word, and by that word alone."""
        assert [p for p in check(self.config, "c") if not p.harmless] == []
        assert check_folders(self.config) == []
        with Collection("c", config=self.config) as docs:
            documents = docs.documents()
            assert len({d.sha256 for d in documents}) == len(documents)
            for document in documents:
                assert document.text == self.texts[document.sha256]
                word = document.text.split("about ")[1].split(",")[0]
                hits = docs.search(word, mode="lexical", k=3)
                assert {h.document.path for h in hits} == {document.source}
                assert docs.search(f"Paragraph 0 is about {word}, as it says.", k=1)

    def pull_round(self, hub: Hub) -> None:
        """Kill a pull; the store is whole, and the next pull completes it."""
        data = gguf(floats=50_000, seed=self.made)
        hub.repos[REPO] = {"tiny.gguf": data}
        hub.pause = 0.004
        self._kill("pull", [SOURCE])
        assert [p for p in check_models(self.config) if not p.harmless] == []
        hub.pause = 0.0
        model = pull(SOURCE, self.config)
        assert model.files == {"tiny.gguf": hashlib.sha256(data).hexdigest()}
        assert check_models(self.config) == []
        Store(self.config.models_dir).remove("tiny")


def _word(number: int) -> str:
    """A word without meaning or ending, another for each number."""
    letters = string.ascii_lowercase[:16]
    return "zq" + "".join(letters[(number >> shift) & 15] for shift in (12, 8, 4, 0)) + "x"


def crowd(config: llar.Config, folder: Path, seconds: float) -> dict[str, int]:
    """Two writers and four readers for some seconds; returns how much each kind did.

    The writers are processes that add files of their own and read what the other wrote; the
    readers are threads with collections of their own. Raises what a reader raised, and
    AssertionError where anything is lost, twice or half.
    """
    folders = [folder / "a", folder / "b"]
    for f in folders:
        f.mkdir(parents=True)
    with Collection("c", config=config) as docs:
        (folder / "first.txt").write_text("The first ship.")
        docs.add(folder / "first.txt")
    stop = time.monotonic() + seconds
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(f), str(seconds)],
            env={**os.environ, "LLAR_HOME": str(config.home)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for f in folders
    ]
    errors: list[BaseException] = []
    searches = [0] * 4
    readers = [
        threading.Thread(target=_read, args=(config, stop, errors, searches, n)) for n in range(4)
    ]
    for reader in readers:
        reader.start()
    told = [writer.communicate()[0] for writer in writers]
    for reader in readers:
        reader.join()
    assert [writer.returncode for writer in writers] == [0, 0]
    if errors:
        raise errors[0]
    expected = {line.split()[0]: line.split()[1] for out in told for line in out.splitlines()}
    with Collection("c", config=config) as docs:
        held = {f.path: f.sha256 for f in docs.index.files()}
        assert {p: s for p, s in held.items() if not p.endswith("first.txt")} == {
            p: s for p, s in expected.items() if s != "gone"
        }
        found = docs.search("ship", mode="lexical", k=10 * len(held))
        assert {h.document.path for h in found} == set(held)
    assert check(config, "c") == []
    return {"searches": sum(searches), "writes": sum(len(out.splitlines()) for out in told)}


WRITER = """
import hashlib, random, sys, time, llar
from pathlib import Path
folder, stop = Path(sys.argv[1]), time.monotonic() + float(sys.argv[2])
chance = random.Random(folder.name)
n = 0
with llar.Collection("c") as docs:
    while time.monotonic() < stop or n < 3:
        n += 1
        path = folder / f"{chance.randrange(40)}.txt"
        if path.exists() and chance.random() < 0.3:
            docs.remove(path)
            path.unlink()
            print(path, "gone", flush=True)
            continue
        text = f"The ship number {n} of {folder.name} sails."
        path.write_text(text)
        report = docs.add(path)
        assert not report.failed, report
        print(path, hashlib.sha256(text.encode()).hexdigest(), flush=True)
"""


def _read(
    config: llar.Config, stop: float, errors: list[BaseException], searches: list[int], n: int
) -> None:
    try:
        _search(config, lambda: time.monotonic() < stop, searches, n)
    except BaseException as e:  # noqa: BLE001 - a thread's error must reach the caller
        errors.append(e)


def _search(config: llar.Config, more: Callable[[], bool], searches: list[int], n: int) -> None:
    with Collection("c", config=config) as docs:
        while more():
            mode = ("hybrid", "lexical", "dense")[searches[n] % 3]
            hits = docs.search("ship", mode=mode, k=100)
            assert len({h.chunk_id for h in hits}) == len(hits) > 0
            assert len({h.document.path for h in hits}) == len(hits)
            for hit in hits:
                assert "ship" in hit.chunk.text
            searches[n] += 1
            time.sleep(0.01)
