"""`llar evaluate runs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..output import clean, json_option, print_json, size
from .shared import table

if TYPE_CHECKING:
    from ...evaluate.diff import RunsDiffer
    from ...evaluate.runs import Run

MAIN = ("ndcg@10", "recall@10", "f1", "semscore")


@click.group(invoke_without_command=True)
@click.pass_context
def runs(ctx: click.Context) -> None:
    """List, show and compare runs made before."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_runs, as_json=False)


@runs.command("list")
@json_option
@click.pass_context
def list_runs(ctx: click.Context, as_json: bool) -> None:
    """List the runs, the oldest first, with their main figures."""
    from ...evaluate.runs import runs as all_runs

    found = all_runs(ctx.obj)
    if as_json:
        print_json([_row(run) for run in found])
        return
    if not found:
        click.echo("no runs yet", err=True)
        return
    rows = []
    for run in found:
        record = run.record
        measures = record.get("measures") or {}
        main = [f"{n} {measures[n][0]:.4f}" for n in MAIN if n in measures]
        state = ", ".join(main) or ("done" if run.finished else "not finished")
        data = (record.get("data") or {}).get("name") or ""
        asked = str(record.get("questions") or "")
        started = record["started"][:16].replace("T", " ")
        rows.append([run.id, started, str(data), asked, state])
    click.echo(table(["run", "started", "data", "questions", ""], rows))


@runs.command("show")
@click.argument("name", metavar="ID")
@click.option("--questions", "with_questions", is_flag=True, help="Each question, too.")
@json_option
@click.pass_context
def show(ctx: click.Context, name: str, with_questions: bool, as_json: bool) -> None:
    """Show one run: what it was made with and what came out.

    ID may be the beginning of one.
    """
    from ...evaluate.runs import find

    run = find(ctx.obj, name)
    if as_json:
        row = _row(run)
        if with_questions:
            row["results"] = list(run.results.values())
        print_json(row)
        return
    _show_record(run.record)
    if with_questions:
        for result in run.results.values():
            figures = ", ".join(
                f"{n} {result.measures[n]:.4f}" for n in MAIN if n in result.measures
            )
            click.echo(f"{clean(result.id)}  {figures}  {clean(result.question)}")


@runs.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--measure", metavar="NAME", help="Measure to look at questions by.")
@click.option(
    "--differences",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many questions.",
)
@json_option
@click.pass_context
def diff(
    ctx: click.Context, a: str, b: str, measure: str | None, differences: int, as_json: bool
) -> None:
    """Compare two runs: what they were made with, paired differences, questions that changed."""
    from ...evaluate.diff import diff as differ
    from ...evaluate.runs import find

    found = differ(find(ctx.obj, a), find(ctx.obj, b), measure=measure, most=differences)
    if as_json:
        print_json(found.as_json())
        return
    click.echo(_shown(found))


@runs.command("delete")
@click.argument("names", nargs=-1, metavar="[ID...]")
@click.option("--all", "everything", is_flag=True, help="Every run.")
@click.option("--cache", "cached", is_flag=True, help="The collections made for measuring, too.")
@click.pass_context
def delete(ctx: click.Context, names: Sequence[str], everything: bool, cached: bool) -> None:
    """Delete runs; their answers are no longer taken over by others."""
    from ...evaluate import indexed
    from ...evaluate.runs import delete as delete_run
    from ...evaluate.runs import runs as all_runs

    if not (names or everything or cached):
        raise click.UsageError("name the runs, or use --all or --cache")
    ids = [run.id for run in all_runs(ctx.obj)] if everything else names
    for name in ids:
        click.echo(f"deleted run {delete_run(ctx.obj, name)}")
    if cached:
        folder = indexed.cache(ctx.obj)
        files = [p for p in folder.rglob("*") if p.is_file()] if folder.is_dir() else []
        freed = sum(p.stat().st_size for p in files)
        for name in indexed.clear(ctx.obj):
            click.echo(f"deleted collection {name}")
        click.echo(f"{size(freed)} freed")


def _row(run: Run) -> dict[str, Any]:
    return {"id": run.id, "folder": str(run.folder), **run.record}


def _show_record(record: dict[str, Any], indent: str = "") -> None:
    """A record as lines of `key: value`, nested ones below."""
    for key, value in record.items():
        if isinstance(value, dict) and value:
            click.echo(f"{indent}{key}:")
            _show_record(value, indent + "  ")
        elif key in ("key", "source_key"):
            continue
        elif isinstance(value, list):
            click.echo(f"{indent}{key}: {clean(', '.join(map(_brief, value)))}")
        else:
            click.echo(f"{indent}{key}: {clean(_brief(value))}")


def _brief(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _shown(found: RunsDiffer) -> str:
    a, b = found.a.id, found.b.id
    parts = [f"{a} (A) and {b} (B), {found.questions} questions in both"]
    if found.made:
        rows = [f"  {clean(w)}: {clean(str(x))} -> {clean(str(y))}" for w, x, y in found.made]
        parts.append("\n".join(["made with:", *rows]))
    else:
        parts.append("made with the same")
    if found.differences:
        rows_of = [
            [name, f"{d.mean:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}", f"{d.p:.4f}"]
            for name, d in found.differences.items()
        ]
        parts.append(table(["B less A", "mean", "95 % interval", "p"], rows_of))
    if found.moved:
        lines = [f"{found.main} differs most at:"]
        lines += [
            f"  {m.before:.4f} -> {m.after:.4f}  {clean(m.id)}  {clean(m.question)}"
            for m in found.moved
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
