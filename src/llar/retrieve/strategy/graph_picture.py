"""A part of the graph to look at: which entities and relations, and as a drawing.

The drawing is one HTML page with an SVG in it, without scripts and without anything from outside.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ...index.graph import Edge, Entity
from ...text.relations import WEIGHTS
from .graph_network import Network

WIDTH, HEIGHT, MARGIN = 1400, 900, 90
ROUNDS = 300
LONGEST_NAME = 28  # characters of a name in the drawing
LONGEST_LABEL = 34

COLOURS = {
    "name": "#2563a8", "acronym": "#7a3fa0", "code": "#19764f", "term": "#8a5a12",
    "heading": "#5c6670", "date": "#b03060", "amount": "#b03060",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Link:
    """All relations of two entities: the strongest first."""

    first: int
    second: int
    edges: tuple[Edge, ...]

    @property
    def strength(self) -> float:
        """What they count together."""
        return math.log1p(sum(WEIGHTS[e.kind] for e in self.edges))


@dataclass(frozen=True, slots=True)
class Picture:
    """Entities and what links them. `asked` are those it is about; `left_out` how many links more
    there are within the depth that was looked at."""

    entities: dict[int, Entity]
    links: tuple[Link, ...]
    asked: tuple[int, ...] = ()
    left_out: int = 0


def around(network: Network, asked: Sequence[int], depth: int, limit: int) -> Picture:
    """The entities within `depth` relations of those asked, at most `limit` of them besides.

    The strongest neighbours come first, and each step outwards is taken from the nearest.
    """
    assert network.graph is not None
    held = dict.fromkeys(asked)
    edge = list(asked)
    more: set[int] = set()
    for _ in range(depth):
        reached = []
        for entity in edge:
            for other in network.neighbours(entity, limit * 4):
                if other in held:
                    continue
                if len(held) - len(asked) < limit:
                    held[other] = None
                    reached.append(other)
                else:
                    more.add(other)
        edge = reached
    return _picture(network, list(held), tuple(asked), len(more - held.keys()))


def overview(network: Network, limit: int) -> Picture:
    """The entities that most others are related to, and what links them."""
    assert network.graph is not None
    return _picture(network, [e.id for e in network.graph.top(limit)], (), 0)


def way(network: Network, entities: Sequence[int], asked: tuple[int, ...]) -> Picture:
    """The entities of a path and their links."""
    return _picture(network, list(dict.fromkeys(entities)), asked, 0)


def _picture(
    network: Network, ids: Sequence[int], asked: tuple[int, ...], left_out: int
) -> Picture:
    assert network.graph is not None
    entities = network.graph.entities(ids)
    related = {i: set(network.neighbours(i, 1 << 30)) for i in entities}
    links = []
    for first, second in combinations(entities, 2):
        if second in related[first]:
            edges = network.graph.between(first, second)
            edges.sort(key=lambda e: (-WEIGHTS[e.kind], -bool(e.label), e.document, e.start))
            links.append(Link(first, second, tuple(edges)))
    links.sort(key=lambda x: (-x.strength, entities[x.first].key, entities[x.second].key))
    return Picture(entities, tuple(links), asked, left_out)


def as_dot(picture: Picture) -> str:
    """The picture in Graphviz's language."""
    lines = ["graph llar {", "  overlap=false;"]
    for entity in picture.entities.values():
        shape = "box" if entity.id in picture.asked else "ellipse"
        lines.append(f"  n{entity.id} [label={_quoted(entity.name)}, shape={shape}];")
    for link in picture.links:
        label = _label(link)
        lines.append(f"  n{link.first} -- n{link.second} [label={_quoted(label)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _label(link: Link) -> str:
    """What the strongest relation with words says."""
    return next((e.label for e in link.edges if e.label), link.edges[0].kind if link.edges else "")


def as_html(picture: Picture, title: str, rows: Iterable[tuple[str, str, str, str, str]]) -> str:
    """The picture as a page; `rows` are (entity, relation, entity, document, quote)."""
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    kinds = Counter(e.kind for e in picture.entities.values())
    legend = " ".join(
        f'<span style="color:{COLOURS[kind]}">● {html.escape(kind)}</span>' for kind in kinds
    )
    more = f"<p>{picture.left_out} more entities are related.</p>" if picture.left_out else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'">
<title>{html.escape(title)}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 24px; color: #1c2430; background: #fff }}
h1 {{ font-size: 20px }} svg {{ width: 100%; height: auto; border: 1px solid #d8dde4 }}
svg text {{ font: 13px system-ui, sans-serif; paint-order: stroke }}
svg text {{ stroke: #fff; stroke-width: 4px }}
svg .said {{ font-size: 10px; fill: #5c6670; stroke-width: 3px }}
svg .asked {{ font-weight: 700; font-size: 15px }}
table {{ border-collapse: collapse; margin-top: 16px; font-size: 13px }}
td, th {{ border-bottom: 1px solid #e3e7ec; padding: 4px 10px }}
td, th {{ text-align: left; vertical-align: top; overflow-wrap: anywhere }}
</style></head><body>
<h1>{html.escape(title)}</h1>
<p>{legend}</p>
{_svg(picture)}
{more}
<table><thead><tr><th>Entity</th><th>Relation</th><th>Entity</th><th>Document</th>
<th>Where it says so</th></tr></thead>
<tbody>
{body}
</tbody></table>
</body></html>
"""


def _svg(picture: Picture) -> str:
    order = list(picture.entities)
    places = layout(len(order), [(order.index(x.first), order.index(x.second), x.strength)
                                 for x in picture.links])  # fmt: skip
    at = {entity: places[i] for i, entity in enumerate(order)}
    few = len(picture.links) <= 40
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">']
    for link in picture.links:
        (x1, y1), (x2, y2) = at[link.first], at[link.second]
        said = html.escape(_label(link))
        wide = 0.6 + 0.7 * min(link.strength, 4)
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#b6c0cc" '
            f'stroke-width="{wide:.1f}"><title>{said}</title></line>'
        )
        if few and any(e.label for e in link.edges):
            short = html.escape(_short(_label(link), LONGEST_LABEL))
            parts.append(
                f'<text class="said" x="{(x1 + x2) / 2:.1f}" y="{(y1 + y2) / 2:.1f}" '
                f'text-anchor="middle">{short}</text>'
            )
    for i, entity in enumerate(picture.entities.values()):
        x, y = places[i]
        asked = entity.id in picture.asked
        size = 5 + 3 * math.log1p(entity.mentions) / 2 + 4 * asked
        name = html.escape(_short(entity.name, LONGEST_NAME))
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="{COLOURS[entity.kind]}">'
            f"<title>{html.escape(entity.name)}: {entity.kind}, {entity.mentions} times</title>"
            f'</circle><text x="{x:.1f}" y="{y - size - 4:.1f}" text-anchor="middle"'
            f"{' class=asked' if asked else ''}>{name}</text>"
        )
    return "\n".join([*parts, "</svg>"])


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def layout(many: int, links: Sequence[tuple[int, int, float]]) -> list[tuple[float, float]]:
    """Places on the page: linked entities near each other, all others apart, always the same.

    Forces as in Fruchterman and Reingold, "Graph Drawing by Force-directed Placement" (1991), from
    a spiral, so that nothing depends on chance.
    """
    if many == 0:
        return []
    turn = np.arange(many) * (math.pi * (3 - math.sqrt(5)))
    radius = np.sqrt((np.arange(many) + 0.5) / many)
    at: NDArray[np.float64] = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    ideal = 1.6 / math.sqrt(many)
    first = np.array([a for a, _, _ in links], np.int64)
    second = np.array([b for _, b, _ in links], np.int64)
    pull = np.array([w for _, _, w in links]) / max((w for _, _, w in links), default=1.0)
    for step in range(ROUNDS):
        apart = at[:, None] - at[None]
        apart[..., 1] *= 1.6  # names are wide: more room sideways
        distance = np.maximum(np.hypot(apart[..., 0], apart[..., 1]), 1e-4)
        force = (apart * (ideal**2 / distance**2)[..., None]).sum(axis=1)
        if len(links):
            along = at[first] - at[second]
            length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-4)
            drawn = along * (length / ideal * (0.3 + 0.7 * pull))[:, None]
            np.add.at(force, first, -drawn)
            np.add.at(force, second, drawn)
        force -= 0.3 * at  # loose parts stay on the page
        size = np.maximum(np.hypot(force[:, 0], force[:, 1]), 1e-9)
        most = 0.12 * (1 - step / ROUNDS) + 0.002
        at += force / size[:, None] * np.minimum(size, most)[:, None]
    low, high = at.min(axis=0), at.max(axis=0)
    span = np.where(high - low > 1e-9, high - low, 1.0)
    page = np.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN])
    placed = (at - low) / span * page + MARGIN
    if many == 1:
        placed[:] = (WIDTH / 2, HEIGHT / 2)
    return [(float(x), float(y)) for x, y in placed]
