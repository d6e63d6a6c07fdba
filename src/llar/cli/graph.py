"""`llar graph`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .output import as_option, as_seen, clean, collection_option, counted, json_option, print_json

if TYPE_CHECKING:
    from ..collection import Collection
    from ..index.graph import Edge
    from ..retrieve.strategy.graph_network import Network
    from ..retrieve.strategy.graph_picture import Picture

QUOTED = 160  # characters of a quote on a terminal
FARTHEST = 4  # relations between two entities that are shown as a path


@click.command()
@collection_option
@click.option(
    "--entity",
    "names",
    multiple=True,
    metavar="NAME",
    help="Show what it is related to; of several, also the paths between them. Repeatable.",
)
@click.option(
    "--depth",
    type=click.IntRange(1, 4),
    default=1,
    show_default=True,
    help="How many relations away from the entities to look.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 200),
    default=30,
    show_default=True,
    help="How many entities to show.",
)
@click.option("--dot", is_flag=True, help="Print it in Graphviz's language.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a drawing.")
@click.option(
    "--with-model",
    metavar="BACKEND:NAME",
    help="First read relations with this chat model, too; takes seconds for each page.",
)
@as_option
@json_option
@click.pass_context
def graph(
    ctx: click.Context,
    collection: str | None,
    names: Sequence[str],
    depth: int,
    limit: int,
    dot: bool,
    html: Path | None,
    with_model: str | None,
    seen_as: str | None,
    as_json: bool,
) -> None:
    """Show the entities of the documents and how they are related, as text or as a drawing.

    The graph is made from the documents at first use and kept beside them.
    """
    from ..collection import Collection
    from ..errors import QueryError
    from ..retrieve.strategy import graph_picture
    from ..retrieve.strategy.graph_network import Network

    held = Network()
    with Collection(collection, config=ctx.obj) as whole:
        try:
            if with_model:
                _read_with(whole, with_model)
            opened = as_seen(whole, seen_as)
            index = opened.index
            with index.database.read():
                view = index.passages.view()
                network = held.at(index, view)
                spoken = [x for x in view.spoken if x]
            asked = [network.named(name, spoken) for name in names]
            for name, found in zip(names, asked, strict=True):
                if found is None:
                    near = ", ".join(repr(n) for n in network.near(name, spoken)) or "none"
                    raise QueryError(
                        f"{name!r} is no entity of {opened.name!r}; near it are: {near}"
                    )
            ids = [found for found in asked if found is not None]
            paths = [network.path(a, b, FARTHEST) for a, b in combinations(ids, 2)]
            if any(paths):
                every = [*ids, *(e for path in paths for e in path)]
                picture = graph_picture.way(network, every, tuple(ids))
            elif ids:
                picture = graph_picture.around(network, ids, depth, limit)
            else:
                picture = graph_picture.overview(network, limit)
            shown = _Shown(opened, network, picture, paths)
            if as_json:
                print_json(shown.as_json())
            elif dot:
                click.echo(graph_picture.as_dot(picture), nl=False)
            else:
                shown.show()
            if html:
                title = f"{opened.name}: {', '.join(names) or 'the most connected entities'}"
                page = graph_picture.as_html(picture, title, shown.rows())
                _write(html, page)
        finally:
            held.close()


def _read_with(opened: Collection, model: str) -> None:
    from ..index.graph import Graph
    from ..retrieve.strategy.graph_model import extractor

    held = Graph(opened.index)
    try:
        chat = opened.chat_model(model)
        found = held.update(
            how=chat.name,
            extractor=extractor(chat, opened.config),
            progress=lambda done, total: click.echo(f"read {done} of {total}", err=True),
        )
        click.echo(f"read {counted(found.read, 'document')} with {chat.name}", err=True)
    finally:
        held.close()


def _write(file: Path, page: str) -> None:
    from ..errors import ConfigError

    try:
        file.write_text(page, encoding="utf-8")
    except OSError as e:
        raise ConfigError(f"{str(file)!r} cannot be written: {e.strerror or e}") from e
    click.echo(f"wrote {file}", err=True)


class _Shown:
    """A picture with the words of its documents."""

    def __init__(
        self, opened: Collection, network: Network, picture: Picture, paths: list[list[int]]
    ) -> None:
        self._index = opened.index
        self._network = network
        self._picture = picture
        self._paths = paths
        self._texts: dict[int, tuple[str, str]] = {}  # name and text of documents

    def _document(self, document_id: int) -> tuple[str, str]:
        if document_id not in self._texts:
            found = self._index.document(document_id)
            self._texts[document_id] = (found.title or found.source, found.text)
        return self._texts[document_id]

    def _quote(self, edge: Edge) -> str:
        _, text = self._document(edge.document)
        return " ".join(text[edge.start : edge.end].split())

    def _name(self, entity: int) -> str:
        found = self._picture.entities.get(entity)
        return found.name if found else str(entity)

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """The strongest relation of each link: (entity, relation, entity, document, quote)."""
        return [
            (
                self._name(edge.subject),
                edge.label or edge.kind,
                self._name(edge.object),
                self._document(edge.document)[0],
                self._quote(edge),
            )
            for link in self._picture.links
            for edge in link.edges[:1]
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything that is shown, with every relation and its span."""
        assert self._network.graph is not None
        entities = list(self._picture.entities.values())
        relations = [
            {
                "subject": edge.subject,
                "object": edge.object,
                "kind": edge.kind,
                "label": edge.label,
                "document": edge.document,
                "name": self._document(edge.document)[0],
                "start": edge.start,
                "end": edge.end,
                "quote": self._document(edge.document)[1][edge.start : edge.end],
            }
            for link in self._picture.links
            for edge in link.edges
        ]
        return {
            "counts": self._network.graph.counts(),
            "entities": entities,
            "relations": relations,
            "paths": self._paths,
            "left_out": self._picture.left_out,
        }

    def show(self) -> None:
        """The same for people."""
        assert self._network.graph is not None
        counts = self._network.graph.counts()
        click.echo(", ".join(f"{number} {what}" for what, number in counts.items()))
        asked = self._picture.asked
        for path in self._paths:
            self._show_path(path)
        for entity in self._picture.entities.values():
            if asked and entity.id not in asked:
                continue
            click.secho(f"\n{clean(entity.name)}", bold=True, nl=False)
            click.echo(f"  {entity.kind}, {counted(entity.mentions, 'time')}")
            if asked:
                self._show_links(entity.id)
        if self._picture.left_out:
            more = counted(self._picture.left_out, "more related entity")
            click.echo(f"\n{more.replace('entitys', 'entities')}; see --limit", err=True)

    def _show_path(self, path: list[int]) -> None:
        if not path:
            return
        click.echo()
        click.secho(" – ".join(clean(self._name(e)) for e in path), bold=True)
        for first, second in pairwise(path):
            for link in self._picture.links:
                if {link.first, link.second} == {first, second}:
                    self._show_edge(link.edges[0])

    def _show_links(self, entity: int) -> None:
        for link in self._picture.links:
            if entity in (link.first, link.second):
                self._show_edge(link.edges[0], len(link.edges) - 1)

    def _show_edge(self, edge: Edge, more: int = 0) -> None:
        label = edge.label or edge.kind
        line = f"  {self._name(edge.subject)} –{label}→ {self._name(edge.object)}"
        click.echo(clean(line) + (f"  (and {more} more)" if more else ""))
        quote = self._quote(edge)
        quote = quote if len(quote) <= QUOTED else quote[: QUOTED - 1] + "…"
        click.echo(clean(f"      {self._document(edge.document)[0]}: “{quote}”"))
