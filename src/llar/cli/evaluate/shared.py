"""What the commands of `llar evaluate` share: options, reading of what is given, and tables."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..output import Bar, clean
from ..retrieval import retrieval_options

if TYPE_CHECKING:
    from ...collection import Collection
    from ...config import Config
    from ...evaluate.clock import Clock
    from ...evaluate.questions import QuestionSet
    from ...evaluate.report import Report

Command = TypeVar("Command", bound=Callable[..., Any])

_SET = (
    click.option(
        "--questions",
        "questions_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Questions: JSON lines (see docs/evaluation.md) or SQuAD.",
    ),
    click.option(
        "--data",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Documents and queries in BEIR's layout, in place of --questions.",
    ),
    click.option(
        "--qrels",
        metavar="FILE",
        help="Judgements, a file in DIR/qrels or a path.  [default: test.tsv]",
    ),
    click.option(
        "-c",
        "--collection",
        metavar="NAME",
        help="Collection to ask; documents that come with the questions are indexed by themselves.",
    ),
)
_RUN = (
    click.option("--model", metavar="BACKEND:NAME", help="Model that writes."),
    click.option("--save", metavar="NAME", help="What to call the run."),
    click.option("--fresh", is_flag=True, help="Take nothing from earlier runs."),
    click.option(
        "--keep/--no-keep",
        default=True,
        help="Keep collections made for this, for the next time.  [default: keep]",
    ),
)


def set_options(command: Command) -> Command:
    """--questions, --data, --qrels and -c."""
    return _with(_SET, command)


def run_options(command: Command) -> Command:
    """How to search, --model, --save, --fresh and --keep."""
    return retrieval_options(_with(_RUN, command))


def _with(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def read_set(questions_file: Path | None, data: Path | None, qrels: str | None) -> QuestionSet:
    """The questions given by --questions or --data."""
    if (questions_file is None) == (data is None):
        raise click.UsageError("give either --questions FILE or --data DIR")
    if data is not None:
        from ...evaluate.beir import read_beir

        return read_beir(data, qrels or "test.tsv")
    if qrels:
        raise click.UsageError("--qrels belongs to --data")
    from ...evaluate.questions import read

    assert questions_file is not None
    return read(questions_file)


def configured(
    config: Config,
    mode: str | None,
    query: Sequence[str],
    strategy: str | None,
    post: Sequence[str],
    model: str | None,
) -> Config:
    """The configuration with what the command line says in its place."""
    given: dict[str, Any] = {"mode": mode, "strategy": strategy, "chat_model": model}
    if query:
        given["query"] = ",".join(query)
    if post:
        given["post"] = ",".join(post)
    from ...retrieve import options

    found = replace(config, **{k: v for k, v in given.items() if v is not None})
    options(found)  # a step that there is not is told before anything is read
    return found


@contextmanager
def opened(
    config: Config, found: QuestionSet, collection: str | None, clock: Clock, *, keep: bool
) -> Iterator[Collection]:
    """The collection to ask: the one named, or one of the documents that came along."""
    from ...collection import Collection
    from ...evaluate.indexed import clear, of_texts

    if collection or found.texts is None:
        with Collection(collection, config=config) as docs:
            yield docs
        return
    bar = Bar(quiet=False)
    with clock.aside():
        try:
            docs = of_texts(config, found, progress=bar)
        finally:
            bar.close()
    with docs:
        yield docs
    if not keep:
        clear(config, docs.name)


def told_form(found: QuestionSet) -> None:
    """Say on stderr what the input was taken for."""
    brought = f" with {found.texts_count} documents" if found.texts is not None else ""
    click.echo(
        f"{found.name}: {found.form} file, {len(found.questions)} questions{brought}"
        if found.form != "BEIR"
        else f"{found.name}: BEIR folder, {len(found.questions)} judged queries{brought}",
        err=True,
    )


def told_run(report: Report) -> None:
    """Say on stderr where the figures come from, and what else is to be known."""
    run = report.run
    if run.found_finished:
        click.echo(
            f"taken from run {run.id} of {run.record['finished'][:19]}: nothing has changed since"
            " (--fresh measures again)",
            err=True,
        )
    elif run.resumed:
        click.echo(f"went on with run {run.id}, which had {run.resumed} questions done", err=True)
    for note in report.notes:
        click.echo(f"note: {clean(note)}", err=True)
    for why, ids in report.left_out.items():
        some = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        click.echo(f"left out: {len(ids)} questions, {why} ({clean(some)})", err=True)


def kinds(report: Report, *names: str) -> list[str]:
    """The main measures by kind of question, as a table; none where no kinds are known."""
    by_kind = report.by_kind
    shown = [n for n in names if any(n in of for of in by_kind.values())]
    if not shown:
        return []
    rows = [
        [clean(kind), *(f"{of[n]:.4f}" if n in of else "" for n in shown)]
        for kind, of in by_kind.items()
    ]
    return [table(["kind", *shown], rows)]


def foot(report: Report) -> str:
    """One line on time and tokens, one on the run."""
    count = len(report.results)
    read, written = report.tokens
    parts = [f"{count} questions", f"{1000 * report.seconds / max(count, 1):.1f} ms each"]
    if read or written:
        parts.append(f"{read:,} tokens read and {written:,} written")
    share = report.overhead.get("share")
    if share is not None:
        parts.append(f"measuring took {100 * share:.1f} % of that time besides")
    return f"{', '.join(parts)}\nrun {report.run.id}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns side by side: the first to the left, the others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def flags(ctx: click.Context) -> list[str]:
    """What was typed, for the record: options that differ from their defaults."""
    said: Mapping[str, Any] = ctx.params
    return [f"{k}={v}" for k, v in said.items() if v not in (None, (), False, "")]


class Count:
    """Questions done, on a terminal's last line; prints nothing where stderr is none."""

    def __init__(self, what: str = "questions") -> None:
        self._on = sys.stderr.isatty()
        self._what = what
        self._last = 0.0
        self._started = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show where it stands, at most ten times a second."""
        now = time.monotonic()
        if not self._on or (now - self._last < 0.1 and done < total):
            return
        self._last = now
        left = (now - self._started) / done * (total - done) if done else 0.0
        line = f"{done}/{total} {self._what}, {left:.0f} s left"
        width = shutil.get_terminal_size().columns
        click.echo("\r" + line[: width - 1].ljust(width - 1), nl=False, err=True)

    def close(self) -> None:
        """Leave the terminal's line clean."""
        if self._last:
            width = shutil.get_terminal_size().columns
            click.echo("\r" + " " * (width - 1) + "\r", nl=False, err=True)
