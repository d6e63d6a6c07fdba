"""Passages made shorter by leaving out the sentences and rows that do not matter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ...index.lexical import Lexical
from ...models.interface import Embedder
from ...records import Hit
from ...text import sentences
from ...text.words import query_terms, terms
from .. import hybrid
from ..query import Query
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .target import Passage, Span, Target, shown

RATE = 0.5
WORDS = 0.45  # weight of the question's words in a sentence, beside its cosine to the question
WORDS_OTHER = 0.75  # the same where the embedder does not know the passage's language

_DELIMITER = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")


def compress(hits: list[Hit], query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Keep the sentences and table rows that matter for the question: compress[:rate|tokens].

    `rate` is the share of each passage's tokens to keep (0.5 or 50%), met as closely as whole
    sentences allow; `tokens` is the most of each passage. Sentences are chosen by the question's
    words in them and their cosine to it, and stay in their order; at least the best one stays, and
    of a table its header. Code stays whole. Only the passages that a prompt shows (setting
    `passages`) are made shorter. What was kept is on record. Raises QueryError.
    """
    target = Target.read(Arguments("compress[:rate|tokens]", argument, "post"), 0, RATE)
    chat = searcher.chat()
    result = list(hits)
    with searcher.step("sentences kept") as about:
        about["passages"] = rows = []
        for place in shown(hits, searcher):
            passage = Passage(hits[place], chat)
            row: dict[str, Any] = {"chunk_id": hits[place].chunk_id, "tokens": passage.tokens}
            rows.append(row)
            if hits[place].chunk.kind == "code":
                row["kept"], row["why"] = passage.tokens, "code stays whole"
                continue
            pieces, must = _pieces(passage)
            scores = _scores(hits[place], pieces, query, searcher)
            chosen = _chosen(passage, pieces, must, scores, target)
            spans = passage.merged(pieces, chosen)
            result[place] = passage.shortened(spans)
            row.update(kept=passage.count(spans), sentences=len(pieces), sentences_kept=len(chosen))
    return result


def _pieces(passage: Passage) -> tuple[list[Span], set[int]]:
    """The sentences and rows still there, and which of them head a table."""
    text = passage.text
    spans = sentences.split(text, passage.hit.document.language)
    lines: list[Span] = []
    at = 0
    for line in text.splitlines(keepends=True):
        lines.append((at, at + len(line.rstrip("\n"))))
        at += len(line)
    heads: set[Span] = set()
    for above, rule in pairwise(lines):
        header = text[slice(*above)]
        if header.lstrip().startswith("|") and _DELIMITER.fullmatch(text[slice(*rule)]):
            heads |= {above, rule}
    shown = passage.hit.chunk.headings  # stands above the passage anyway
    rest = [
        s
        for s in spans
        if text[slice(*s)] not in shown and not any(a < s[1] and s[0] < b for a, b in heads)
    ]
    pieces = sorted(s for s in [*rest, *heads] if s[0] < s[1] and passage.holds(s))
    return pieces, {i for i, s in enumerate(pieces) if s in heads}


def _scores(hit: Hit, pieces: Sequence[Span], query: Query, searcher: Searcher) -> list[float]:
    """How much each sentence has to do with the question."""
    language = hit.document.language
    embedder = searcher.embedder()
    lexical = Lexical(searcher.index, query_terms(query.text, [language] if language else []))
    vector = hybrid.embed_query(embedder, query.text)
    above = hit.chunk.headings[-1] if hit.chunk.headings else ""
    weight = WORDS if _knows(embedder, language) else WORDS_OTHER
    said = [hit.chunk.text[start:end] for start, end in pieces]
    whole = ["\n".join(x for x in (above, hit.chunk.prefix, text) if x) for text in said]
    cosines = hybrid.embed_spans(embedder, whole) @ vector
    covered = [lexical.covered(frozenset(terms(text, language))) for text in said]
    return [
        weight * words + (1 - weight) * max(float(cosine), 0.0)
        for words, cosine in zip(covered, cosines, strict=True)
    ]


def _knows(embedder: Embedder, language: str | None) -> bool:
    known = embedder.identity.languages
    return "*" in known or language in known


def _chosen(
    passage: Passage,
    pieces: Sequence[Span],
    must: set[int],
    scores: Sequence[float],
    target: Target,
) -> list[int]:
    """The best pieces, in their order: as many as come nearest to a rate, or fit a number."""
    wanted = target.of(passage.tokens)
    ranked = sorted((i for i in range(len(pieces)) if i not in must), key=lambda i: -scores[i])
    chosen = sorted([*must, *ranked[:1]])
    used = passage.count(passage.merged(pieces, chosen))
    for place in ranked[1:]:
        more = sorted([*chosen, place])
        tokens = passage.count(passage.merged(pieces, more))
        nearer = bool(target.rate) and tokens - wanted < wanted - used
        if tokens <= wanted or nearer:
            chosen, used = more, tokens
    return chosen
