"""Questions about source code: definitions first, then where they are used, then the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ...errors import QueryError
from ...index.passages import View
from ...records import Hit
from ...text import symbols
from .. import hybrid
from ..query import Query
from ..searcher import Searcher
from .code_symbols import Defined, Symbols, code_passages, identifiers, is_about, words_of
from .passages import mask_of

NAME = 0.1  # what a name that agrees with the question counts beside a passage's score
DEEP = 50  # passages whose names are looked at, at least
MOST_USES = 50  # passages that may use an identifier and are parsed
UNTIL = 0.9  # score of the last reference, from 1 of the first definition down


def code(query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Finds what identifiers stand for and where they are used; else code by names and words.

    A question about `Foo.bar`, snake_case, camelCase or "the function parse" gets its definition,
    then passages that use it. Other questions find code whose name agrees with them. Passages that
    are no code come behind.
    """
    if argument:
        raise QueryError(f"code takes no argument, got {argument!r}")
    with searcher.index.database.read():
        view = searcher.index.passages.view()
        held: Symbols = searcher.kept("symbols", Symbols)
        known = held.at(searcher, view)
        names = identifiers(query.text, known)
        hits: list[Hit] = []
        with searcher.step("symbols") as about:
            about["identifiers"] = names
            if is_about(query.text, names):
                hits = _named(query, searcher, view, known, names, about)
        hits += _agreeing(query, searcher, view, known)
    hits += searcher.find(query)
    first: dict[int, Hit] = {}
    for hit in hits:
        first.setdefault(hit.chunk_id, hit)
    return list(first.values())[: searcher.options.depth]


def _named(
    query: Query,
    searcher: Searcher,
    view: View,
    known: Symbols,
    names: Sequence[str],
    about: dict[str, Any],
) -> list[Hit]:
    """The passages of the definitions of these identifiers, and those that use them."""
    about["definitions"], about["references"] = {}, {}
    hits: list[Hit] = []
    used: list[Hit] = []
    for name in names:
        found = known.definitions(name)
        chunks = [c for d in found for c in d.chunks] or _inside_others(name, query, searcher, view)
        defined = _ranked(query, searcher, view, chunks)
        about["definitions"][name] = [_said(d) for d in found] or [
            f"{h.document.name}, characters {h.chunk.start}-{h.chunk.end}" for h in defined
        ]
        hits += _in_order(defined, known)
        uses = _uses(name, query, searcher, view, set(chunks))
        about["references"][name] = len(uses)
        used += uses
    parts = [("definition", hits), ("reference", used)]
    scored: list[Hit] = []
    every = len(hits) + len(used)
    for kind, group in parts:
        for hit in group:
            score = 1 - (1 - UNTIL) * len(scored) / max(every, 1)
            scored.append(replace(hit, score=score, parts={**hit.parts, kind: 1.0}))
    return scored


def _ranked(query: Query, searcher: Searcher, view: View, chunks: Sequence[int]) -> list[Hit]:
    """These passages, those that fit the question best first."""
    if not chunks:
        return []
    options = replace(searcher.options, mode="hybrid")
    return hybrid.find(searcher, query, len(chunks), options, mask_of(view, chunks))


def _in_order(hits: Sequence[Hit], known: Symbols) -> list[Hit]:
    """The passages of each definition in their order, the definition that fits best first."""
    order: dict[Defined | None, list[Hit]] = {}
    for hit in hits:
        order.setdefault(known.of_chunk.get(hit.chunk_id), []).append(hit)
    return [h for group in order.values() for h in sorted(group, key=lambda h: h.chunk.start)]


def _said(definition: Defined) -> str:
    return f"{definition.file}: {'.'.join(definition.path)}"


def _inside_others(name: str, query: Query, searcher: Searcher, view: View) -> list[int]:
    """Passages of whole classes or files that define this name among others."""
    *outer, last = re.split(r"\.|::|->|#", name)
    found = []
    for hit in _with(last, query, searcher, view):
        language = _language(searcher, hit)
        source = symbols.parse(hit.chunk.text, language) if language else None
        if source is None:
            continue
        paths = [d.path for top in source.definitions for d in (top, *_below(top))]
        around = (*hit.chunk.headings, *(p for path in paths for p in path))
        fits = not outer or outer[-1].casefold() in [a.casefold() for a in around]
        if fits and any(path[-1] == last for path in paths):
            found.append(hit.chunk_id)
    return found


def _below(definition: symbols.Definition) -> Iterable[symbols.Definition]:
    for inner in definition.inner:
        yield inner
        yield from _below(inner)


def _uses(name: str, query: Query, searcher: Searcher, view: View, defining: set[int]) -> list[Hit]:
    """Passages where an identifier stands in the code, not in a comment or a string alone."""
    last = re.split(r"\.|::|->|#", name)[-1]
    found = []
    for hit in _with(last, query, searcher, view):
        if hit.chunk_id in defining:
            continue
        language = _language(searcher, hit)
        if language is None:
            places = [(m.start(), m.end()) for m in _word(last).finditer(hit.chunk.text)]
        else:
            references = symbols.references(hit.chunk.text, language, [last])
            places = [(r.start, r.end) for r in references]
        if places:
            marks = tuple((hit.chunk.place(a), hit.chunk.place(b)) for a, b in places)
            found.append(replace(hit, highlights=marks))
    return found


def _with(name: str, query: Query, searcher: Searcher, view: View) -> list[Hit]:
    """Passages of code that hold a word, the best first."""
    options = replace(searcher.options, mode="lexical")
    among = code_passages(searcher, view)
    hits = hybrid.find(searcher, query.asking(name), MOST_USES, options, among)
    return [hit for hit in hits if _word(name).search(hit.chunk.text)]


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")


def _language(searcher: Searcher, hit: Hit) -> str | None:
    """The grammar of the document that a passage is of."""
    (row,) = searcher.index.database.connection.execute(
        "SELECT coalesce(max(json_extract(metadata, '$.programming_language')), '') FROM files"
        " WHERE document_id = ?",
        (hit.document.id,),
    ).fetchone()
    return symbols.language_of(str(row), hit.document.path)


def _agreeing(query: Query, searcher: Searcher, view: View, known: Symbols) -> list[Hit]:
    """Passages of code by their score and by how well their definition's name agrees."""
    among = code_passages(searcher, view)
    if not among.any():
        return []
    asked = words_of(query.text)
    depth = max(DEEP, searcher.options.depth)
    hits = hybrid.find(searcher, query, depth, searcher.options, among)
    scored = []
    for hit in hits:
        definition = known.of_chunk.get(hit.chunk_id)
        agrees = known.agreement(definition, asked) if definition else 0.0
        parts = {**hit.parts, "name": agrees}
        scored.append(replace(hit, score=hit.score + NAME * agrees, parts=parts))
    scored.sort(key=lambda h: -h.score)
    return scored
