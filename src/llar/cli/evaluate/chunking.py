"""`llar evaluate chunking`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...config import Config
from ..output import json_option, print_json

if TYPE_CHECKING:
    from ...evaluate.chunking import ChunkerResult, Set

DATA = "../shared/data/chunking"


@click.command()
@click.option(
    "--data",
    default=DATA,
    show_default=True,
    metavar="DIR",
    help="Folder with questions.csv and its texts.",
)
@click.option(
    "--chunker",
    "chunkers",
    multiple=True,
    metavar="NAME[:K=V,...]",
    help="Repeatable; every chunker where none is given.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=click.IntRange(min=16),
    help="Longest chunk in tokens; repeatable (default: chunk_tokens).",
)
@click.option("-k", type=click.IntRange(min=1), default=5, show_default=True, help="Passages read.")
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    help="Read so many characters of the best passages instead.",
)
@click.option(
    "--mode", type=click.Choice(["hybrid", "dense", "lexical"]), help="As of llar search."
)
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
@click.pass_obj
def chunking(
    config: Config,
    data: str,
    chunkers: Sequence[str],
    sizes: Sequence[int],
    k: int,
    budget: int | None,
    mode: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure chunkers: how much of what answers a question they bring back.

    The texts are indexed by each chunker in turn, and the same search answers every question.
    Counted in characters: recall is the share of the reference spans that was read, precision the
    share of what was read that is in them, IoU both in one, and precision omega the precision of
    reading exactly the passages that hold something of them. In brackets, 95 % intervals.

    questions.csv has the columns question, references (JSON: a list of objects with start_index
    and end_index) and corpus_id; the spans are of the text CORPUS_ID.md. A star marks what differs
    from the first row (p < 0.05, paired).
    """
    from ...evaluate.chunking import evaluate_chunking, read_set

    found = read_set(Path(data), config)

    def told(what: str) -> None:
        if not quiet:
            click.echo(what, err=True)

    results = evaluate_chunking(
        found, config, chunkers, sizes=sizes, k=k, budget=budget or 0, mode=mode, told=told
    )
    if as_json:
        print_json(
            {
                "data": str(found.folder),
                "questions": len(found.questions),
                "embedder": config.embedder,
                "mode": mode or config.mode,
                "k": None if budget else k,
                "budget": budget,
                "notes": list(found.notes),
                "chunkers": [result.as_json() for result in results],
            }
        )
        return
    _show(found, results, f"{budget} characters" if budget else f"{k} passages")


def _show(found: Set, results: Sequence[ChunkerResult], read: str) -> None:
    click.echo(f"{len(found.questions)} questions, {read} read for each")
    for note in found.notes:
        click.echo(f"note: {note}")
    width = max(len(str(result.spec)) for result in results)
    names = f"{'recall':<22}{'precision':<22}{'IoU':<22}{'precision omega':<22}"
    click.echo(f"{'chunker':<{width}}  size  chunks  tokens  {names}seconds")
    for result in results:
        cells = "".join(f"{_cell(result, name):<22}" for name in result.measures)
        seconds = result.split_seconds + result.embed_seconds
        click.echo(
            f"{result.spec!s:<{width}}  {result.spec.max_tokens:>4}  {result.chunks:>6}  "
            f"{result.tokens:>6.0f}  {cells}{seconds:>7.1f}"
        )


def _cell(result: ChunkerResult, name: str) -> str:
    found, against = result.measures[name], result.against_first.get(name)
    star = "*" if against and against.p < 0.05 else ""
    return f"{found.mean:.3f}{star} [{found.low:.3f}-{found.high:.3f}]"
