"""`llar map`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..output import clean, counted, json_option, print_json
from .shared import plot_option, theme_option, wrote

if TYPE_CHECKING:
    from ...config import Config
    from ...inside.map import Line, Map, Vectors

_LISTED = 60  # points that are listed on a terminal; --json has all
_MATRIX = 12  # texts whose cosines are printed


@click.command()
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Read the texts from a file, one a line, or - for stdin.",
)
@click.option("-c", "--collection", metavar="NAME", help="Draw the passages of a collection.")
@click.option(
    "--labelled",
    is_flag=True,
    help="Each text is 'label: text'; 'label<TAB>text' is understood without.",
)
@click.option(
    "--groups",
    type=int,
    metavar="N",
    help="Find this many groups (default: those of the labels, or as many as stand out).",
)
@click.option("--find-groups", is_flag=True, help="Find groups even where there are labels.")
@click.option(
    "--method",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="How to lay meaning out on the plane.",
)
@click.option("--matrix", is_flag=True, help="The cosine of each pair, instead of the map.")
@click.option(
    "--points",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Passages of a collection to draw; of more, a random sample.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Of all that is random.")
@click.option("--title", metavar="TEXT", help="Title of the picture.")
@plot_option
@theme_option
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it as a page to explore, in one file.",
)
@json_option
@click.pass_context
def map(  # noqa: A001 - the command's name
    ctx: click.Context,
    texts: Sequence[str],
    file: Path | None,
    collection: str | None,
    labelled: bool,
    groups: int | None,
    find_groups: bool,
    method: str,
    matrix: bool,
    points: int,
    seed: int,
    title: str | None,
    plot: Path | None,
    theme: str,
    html: Path | None,
    as_json: bool,
) -> None:
    """Draw texts, or a collection's passages, by meaning: near each other is alike.

    \b
    llar map "a cat" "a kitten" "a bus" --plot map.png
    llar map --file products.tsv --html map.html
    llar map -c reports --html reports.html
    """  # fmt: skip
    from ...errors import InsideError
    from ...inside import map as inside
    from ...inside import map_html, projection
    from ...pictures import style

    if sum((bool(texts), file is not None, collection is not None)) != 1:
        raise InsideError("expected texts, or --file, or -c COLLECTION; one of them",
                          fix='llar map "a cat" "a kitten" "a bus"')  # fmt: skip
    if matrix and html:
        raise InsideError("--html draws the map; --matrix goes with --plot or --json")
    if collection is not None and labelled:
        raise InsideError("a collection's passages are labelled by their documents")
    projection.check(method)
    if plot:
        style.check(plot)
    if html:
        map_html.check(html)
    notes: tuple[str, ...] = ()
    if collection is not None:
        lines, vectors, embedder, notes = _of_collection(ctx.obj, collection, points, seed)
        name = collection
    else:
        lines = inside.read_lines(texts or _read(file), labelled=labelled)
        vectors, embedder = _embedded(ctx.obj, lines)
        name = file.name if file and str(file) != "-" else counted(len(lines), "text")
    drawn = inside.arrange(
        lines, vectors, title=title or name, embedder=embedder, method=method, groups=groups,
        find_groups=find_groups, seed=seed, notes=notes,
    )  # fmt: skip
    _files(drawn, vectors, plot, theme, html, matrix=matrix)  # first: a reader may stop listening
    _output(drawn, vectors, matrix=matrix, as_json=as_json)


def _of_collection(
    config: Config, name: str, points: int, seed: int
) -> tuple[list[Line], Vectors, str, tuple[str, ...]]:
    from ...collection import Collection
    from ...inside.map import passages

    with Collection(name, config=config) as opened:
        lines, vectors, notes = passages(opened, points, seed)
        return lines, vectors, opened.index.embedder.name, notes


def _read(file: Path | None) -> list[str]:
    from ...errors import InsideError

    try:
        if str(file) == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig").splitlines()
        assert file is not None
        return file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as e:
        raise InsideError(f"{str(file)!r} cannot be read: {e.strerror or e}") from e
    except UnicodeDecodeError as e:
        raise InsideError(
            f"{str(file)!r} is no UTF-8 text: {e.reason} at byte {e.start}",
            fix="index documents of other kinds: llar add FILE -c NAME && llar map -c NAME",
        ) from e


def _embedded(config: Config, lines: Sequence[Line]) -> tuple[Vectors, str]:
    from ...inside.map import embed
    from ...models import open_embedder

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty() and total > 500:
            click.echo(f"\r{done:,} of {total:,} texts", nl=done == total, err=True)

    model = open_embedder(config)
    try:
        return embed(lines, model, progress), model.identity.name
    finally:
        model.close()


def _output(drawn: Map, vectors: Vectors, *, matrix: bool, as_json: bool) -> None:
    from ...inside.map import cosine_matrix

    if as_json:
        from ...records import to_json

        record = to_json(drawn)
        if matrix:
            record["cosines"] = cosine_matrix(vectors).round(6).tolist()
        print_json(record)
    elif matrix:
        _show_matrix(drawn, vectors)
    else:
        _show(drawn)


def _show(drawn: Map) -> None:
    from ...inside.map_picture import subtitle

    click.secho(clean(drawn.title), bold=True)
    click.echo(clean(subtitle(drawn)))
    several = len(drawn.groups) > 1
    if several:
        within = "" if drawn.within is None else f"within groups {drawn.within:.2f}, "
        score = "" if drawn.silhouette is None else f"; silhouette {drawn.silhouette:.2f}"
        click.echo(f"mean cosine {within}between groups {drawn.between:.2f}{score}")
    for note in drawn.notes:
        click.echo(f"note: {note}")
    listed = len(drawn.points) <= _LISTED
    for group in drawn.groups[: None if listed else _LISTED]:
        click.secho(f"\n{clean(group.name)}", bold=True, nl=False)
        click.echo(f"  {group.size}" + ("" if listed else f", such as: {_line(group.typical)}"))
        if listed:
            for point in drawn.points:
                if point.group == group.name:
                    click.echo(f"  {point.x:>7.3f} {point.y:>7.3f}  {_line(point.text)}")
    if not listed:
        more = len(drawn.groups) - _LISTED
        left = f"{more} more groups and " if more > 0 else ""
        click.echo(f"\n{left}the {len(drawn.points):,} points themselves: --json, --plot or --html",
                   err=True)  # fmt: skip


def _line(text: str) -> str:
    from ...pictures.style import short

    return clean(short(text, 100))


def _show_matrix(drawn: Map, vectors: Vectors) -> None:
    from ...errors import InsideError
    from ...inside.map import by_group, cosine_matrix

    drawn, vectors = by_group(drawn, vectors)
    if len(drawn.points) > _MATRIX:
        click.echo(f"the {len(drawn.points):,} x {len(drawn.points):,} cosines: --json or --plot",
                   err=True)  # fmt: skip
        return
    found = cosine_matrix(vectors)
    if not found.size:
        raise InsideError("there is no text to compare")
    click.echo("     " + "".join(f"{n:>7}" for n in range(1, len(found) + 1)))
    for n, (row, point) in enumerate(zip(found.tolist(), drawn.points, strict=True), 1):
        cells = "".join(f"{value:>7.2f}" for value in row)
        click.echo(f"{n:>5}{cells}   {_line(point.text)}")


def _files(
    drawn: Map, vectors: Vectors, plot: Path | None, theme: str, html: Path | None, *, matrix: bool
) -> None:
    from ...inside import map_html
    from ...inside.map_picture import draw_map, draw_matrix, subtitle

    if plot:
        lost = draw_matrix(plot, drawn, vectors, theme) if matrix else draw_map(plot, drawn, theme)
        for note in lost:
            click.echo(f"note: on the picture, {note}", err=True)
        wrote(plot)
    if html:
        map_html.write(html, drawn, ". ".join((subtitle(drawn), *drawn.notes)))
        wrote(html)
