"""Runs that were made: their settings, what came of each question, and going on with one.

A run is a folder LLAR_HOME/runs/ID: `run.json` says what was run with what, and `results.jsonl`
gets one line for each question as it is finished, so a run that was killed loses nothing. What is
run again with nothing changed is taken from there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from ..config import Config
from ..errors import EvaluationError
from . import about

__all__ = ["Plan", "Result", "Run", "begin", "delete", "find", "known", "runs"]

SCHEMA = 1
RECORD = "run.json"
RESULTS = "results.jsonl"
SYNC_SECONDS = 5.0  # results are on disk after that at the latest, should the power fail
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be: everything it depends on, as plain data.

    `source` is what an answer to one question depends on besides the question: two runs with the
    same source may take over each other's outputs. `measured` is what the figures depend on beyond
    that: the questions and how they are judged. `shown` is more to be kept for reading.
    """

    kind: str
    source: Mapping[str, Any]
    measured: Mapping[str, Any]
    shown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source_key(self) -> str:
        """The source as a hash."""
        return about.digest([self.kind, self.source])

    @property
    def key(self) -> str:
        """All of it as a hash: a run of the same key would find the same."""
        return about.digest([self.source_key, self.measured])


@dataclass(slots=True)
class Result:
    """What came of one question.

    `output` is what was found or answered, as plain data; `measures` are the figures that apply to
    it; `seconds` is what search and model took when it was made, `tokens` what a model read and
    wrote. `reused` is true where the output was taken from an earlier run.
    """

    id: str
    question: str
    key: str  # Question.key
    output: dict[str, Any]
    measures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    tokens: tuple[int, int] = (0, 0)
    reused: bool = False
    about: dict[str, Any] = field(default_factory=dict)  # what else to keep: kind, notes


class Run:
    """One run on disk. Only the process that `begin` gave it to may add to it."""

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.folder = folder
        self.record = record
        self.results: dict[str, Result] = {}
        self.resumed = 0  # results there were when it was taken up again
        self.found_finished = False  # it was done before, with nothing changed since
        self._lock: filelock.BaseFileLock | None = None
        self._file: Any = None
        self._synced = time.monotonic()

    @property
    def id(self) -> str:
        """Its name, which is its folder's."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether every question was done."""
        return self.record["finished"] is not None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, result: Result) -> None:
        """Keep one result, in the place of one of the same question; on disk within 5 seconds."""
        self.results[result.id] = result
        self._file.write(_line(result))
        self._file.flush()
        if time.monotonic() - self._synced > SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def replace(self, results: Iterable[Result]) -> None:
        """Keep these results in the place of all there were, say with more measures."""
        self.results = {r.id: r for r in results}
        self._file.close()
        _write(self.folder / RESULTS, b"".join(map(_line, self.results.values())))
        self._file = (self.folder / RESULTS).open("ab")

    def finish(self, **figures: Any) -> None:
        """Note that all is done, with the figures that came out."""
        os.fsync(self._file.fileno())
        self.record |= {**figures, "finished": _now()}
        _write(self.folder / RECORD, _json(self.record))

    def close(self) -> None:
        """Let go of it; what is there stays."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def begin(
    config: Config,
    plan: Plan,
    *,
    name: str | None = None,
    fresh: bool = False,
    flags: Sequence[str] = (),
    seed: int = 0,
    folder: Path | None = None,
) -> Run:
    """The run of this plan: a new one, or one of the same plan to go on with or already finished.

    `name` is what to call a new one. With `fresh` it is always new. `folder` is where runs are
    kept, LLAR_HOME/runs if not given. Raises EvaluationError where the name is taken by another
    plan, or another process is making this run.
    """
    folder = folder or config.home / "runs"
    same = None if fresh else _same(folder, plan, name)
    if same is None:
        run = Run(_new_folder(folder, plan, name), _record(config, plan, flags, seed))
    else:
        run = same
    _hold(run)
    try:
        if same is None:
            _write(run.folder / RECORD, _json(run.record))
        else:
            run.record = _read_record(run.folder)
            _mend(run.folder / RESULTS)
            run.results = {r.id: r for r in _read_results(run.folder)}
            run.resumed, run.found_finished = len(run.results), run.finished
        run._file = (run.folder / RESULTS).open("ab")
    except BaseException:
        run.close()
        raise
    return run


def known(run: Run) -> dict[str, Result]:
    """Outputs of the runs beside this one that have the same source, by the question's key; of
    several the newest."""
    found: dict[str, Result] = {}
    for other in _runs(run.folder.parent):
        if other.id != run.id and other.record["source_key"] == run.record["source_key"]:
            found |= {r.key: r for r in _read_results(other.folder)}
    return found


def runs(config: Config) -> list[Run]:
    """Every run, the oldest first, without results. Raises EvaluationError for a damaged one."""
    return _runs(config.home / "runs")


def _runs(folder: Path) -> list[Run]:
    folders = sorted(p.parent for p in folder.glob(f"*/{RECORD}")) if folder.is_dir() else []
    found = [Run(f, _read_record(f)) for f in folders]
    return sorted(found, key=lambda r: (str(r.record["started"]), r.id))


def find(config: Config, name: str) -> Run:
    """A run with its results, by its id or the beginning of it. Raises EvaluationError."""
    everything = runs(config)
    matching = [r for r in everything if r.id == name] or [
        r for r in everything if r.id.startswith(name)
    ]
    if len(matching) != 1:
        have = ", ".join(r.id for r in matching or everything[-10:]) or "none yet"
        what = "several runs begin" if matching else "no run begins"
        raise EvaluationError(
            f"{what} with {name!r} (there are: {have})", fix="llar evaluate runs list"
        )
    run = matching[0]
    run.results = {r.id: r for r in _read_results(run.folder)}
    return run


def delete(config: Config, name: str) -> str:
    """Delete a run with its results; returns its id. Raises as `find`."""
    run = find(config, name)
    _hold(run)
    try:
        shutil.rmtree(run.folder)
    finally:
        run.close()
    return run.id


# -- on disk -------------------------------------------------------------------------------


def _same(folder: Path, plan: Plan, name: str | None) -> Run | None:
    """The newest run of the same plan (of the same name, where one is given)."""
    for run in reversed(_runs(folder)):
        if run.record["key"] == plan.key and name in (None, run.id):
            return run
    return None


def _new_folder(folder: Path, plan: Plan, name: str | None) -> Path:
    """A folder for a new run. Raises EvaluationError for a name that cannot be used."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    if name is not None and not _NAME.fullmatch(name):
        raise EvaluationError(
            f"{name!r} cannot name a run: use letters, digits, '.', '_' and '-', at most 100"
        )
    made = folder / (name or f"{plan.kind}-{stamp}-{plan.key[:6]}")
    with _disk(made):
        for n in range(2, 1000):
            try:
                made.mkdir(parents=True)
            except FileExistsError:
                if name:
                    raise EvaluationError(
                        f"there is another run called {name!r}, made with other settings, "
                        "questions or documents",
                        fix=f"llar evaluate runs delete {name}   (or choose another name)",
                    ) from None
                made = folder / f"{plan.kind}-{stamp}-{plan.key[:6]}-{n}"
            else:
                break
    return made


def _record(config: Config, plan: Plan, flags: Sequence[str], seed: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": plan.kind,
        "key": plan.key,
        "source_key": plan.source_key,
        "started": _now(),
        "finished": None,
        "flags": list(flags),
        "seed": seed,
        "settings": about.settings(config),
        "source": dict(plan.source),
        "measured": dict(plan.measured),
        **plan.shown,
        "versions": about.versions(),
        "machine": about.machine(),
    }


def _hold(run: Run) -> None:
    lock = filelock.FileLock(run.folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise EvaluationError(
            f"another process is making the run {run.id!r}; wait for it, or use --fresh"
        ) from None
    run._lock = lock


def _mend(file: Path) -> None:
    """Cut off a last line that a killed process left unfinished."""
    if not file.exists():
        return
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(file, whole)


def _read_results(folder: Path) -> Iterator[Result]:
    file = folder / RESULTS
    if not file.exists():
        return
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]  # another process may be in the middle of a line
    for number, line in enumerate(whole.split(b"\n"), 1):
        if line:
            try:
                row = json.loads(line)
                yield Result(**{**row, "tokens": tuple(row["tokens"])})
            except (ValueError, TypeError, KeyError) as e:
                raise _damaged(folder, f"line {number} of {RESULTS} cannot be read ({e})") from e


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        schema, _ = record["schema"], (record["key"], record["source_key"], record["started"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise _damaged(folder, f"{RECORD} cannot be read ({e!r})") from e
    if schema != SCHEMA:
        raise EvaluationError(
            f"run {folder.name!r} was kept by another version of llar: schema {schema!r}, this one "
            f"reads {SCHEMA}"
        )
    return dict(record)


def _damaged(folder: Path, why: str) -> EvaluationError:
    return EvaluationError(f"run {folder.name!r} is damaged: {why}", fix=f"rm -r {folder}")


def _write(file: Path, data: bytes) -> None:
    """A file whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with _disk(file):
        with draft.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)


@contextlib.contextmanager
def _disk(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise EvaluationError(f"{str(file)!r} cannot be written: {e.strerror or e}") from e


def _line(result: Result) -> bytes:
    row = {f: getattr(result, f) for f in Result.__slots__}  # asdict copies all that is in it
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _json(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, indent=2).encode() + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
