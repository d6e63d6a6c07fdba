"""The options that every command which searches takes, and how the steps of a search look."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .output import clean

if TYPE_CHECKING:
    from ..records import Step

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--mode",
        type=click.Choice(["hybrid", "dense", "lexical"]),
        help="By words and meaning, by meaning, or by words.  [default: hybrid]",
    ),
    click.option(
        "--query",
        "query",
        multiple=True,
        metavar="STEP",
        help="Rewrite the question first: see llar search --steps. Repeatable, in order.",
    ),
    click.option("--strategy", metavar="STEP", help="How to retrieve: see llar search --steps."),
    click.option(
        "--post",
        multiple=True,
        metavar="STEP",
        help="Refine what was found: see llar search --steps. Repeatable, in order.",
    ),
)


def retrieval_options(command: Command) -> Command:
    """--mode, --query, --strategy and --post."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def steps_of(given: Sequence[str]) -> Sequence[str] | None:
    """The steps given on the command line; None, which takes the configured ones, for none."""
    return given or None


def show_steps(steps: Sequence[Step]) -> None:
    """Each step with its time and what it did, for people."""
    for step in steps:
        click.secho(f"{step.name}  {step.seconds * 1000:.1f} ms", bold=True)
        for name, value in step.about.items():
            if name == "hits":
                _show_hits(value)
            else:
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                click.echo(f"  {name}: {clean(text)}")
    click.echo()


def _show_hits(hits: Sequence[dict[str, Any]]) -> None:
    for n, hit in enumerate(hits[:10], 1):
        parts = ", ".join(f"{name} {value:.3f}" for name, value in hit["parts"].items())
        place = f"{clean(hit['document'])}, characters {hit['start']}-{hit['end']}"
        click.echo(f"  {n}. {hit['score']:.3f} ({parts})  {place}")
    if len(hits) > 10:
        click.echo(f"  and {len(hits) - 10} more")
