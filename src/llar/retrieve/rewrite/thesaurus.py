"""Words that mean the same or something wider, from WordNet or from a customer's own ontology.

What is added weighs less than the question's own words, and only words that the collection has
are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...index.lexical import stands
from ...text.ontology import Ontology, Relation, read_ontology
from ...text.wordnet import Sense, WordNet
from ...text.words import QueryWord, query_words
from ..query import Query, Word
from .arguments import Arguments
from .language import language_of, may_be
from .words import words_of

if TYPE_CHECKING:
    from ..searcher import Searcher

SYNONYMS = "synonyms[:senses of each word]"
HYPERNYMS = "hypernyms[:levels up]"
PHRASE = 4  # words of WordNet's phrases that are looked for
WEIGHT = 0.3  # of a synonym of a word's commonest sense; half of it for each further sense or level
WEIGHTS: dict[Relation, float] = {
    "synonym": 0.8, "narrower": 0.4, "broader": 0.3, "related": 0.2,
}  # fmt: skip


class _Addition(NamedTuple):
    """A term to look for beside one of the question's."""

    of: str
    term: str
    weight: float
    why: str


def synonyms(query: Query, searcher: Searcher, argument: str) -> Query:
    """Add words of the same meaning from WordNet (English).

    `synonyms:2` takes them from the two commonest senses of each word or phrase; the default is
    one. Needs Debian's package wordnet-base; ConfigError where it is not installed. A question
    in another language stays as it is, on record. Raises QueryError for another argument.
    """
    senses = Arguments(SYNONYMS, argument).whole(0, 1, most=50)
    return _from_wordnet(query, searcher, senses=senses, levels=0)


def hypernyms(query: Query, searcher: Searcher, argument: str) -> Query:
    """Add words for what the question's words are a kind of, from WordNet (English).

    `hypernyms:2` goes up two levels from the commonest sense of each word: wing, airfoil,
    device; the default is one. Otherwise as `synonyms`.
    """
    levels = Arguments(HYPERNYMS, argument).whole(0, 1, most=20)
    return _from_wordnet(query, searcher, senses=1, levels=levels)


def _from_wordnet(query: Query, searcher: Searcher, *, senses: int, levels: int) -> Query:
    wordnet = _wordnet(Path(searcher.config.wordnet).expanduser())
    with searcher.step("WordNet") as about:
        if not may_be("en", query, searcher):
            language = language_of(query, searcher)
            about["skipped"] = f"WordNet is English, the question is in {language!r}"
            return query
        found = list(_looked_up(wordnet, query.text, senses, levels))
        return _with(query, searcher, found, about)


def _looked_up(wordnet: WordNet, text: str, senses: int, levels: int) -> Iterator[_Addition]:
    """What WordNet says of the words and phrases of a text, the longest phrase at each place."""
    content = {word.start for word in query_words(text, ["en"])}
    words = query_words(text, ["en"], stop_words_too=True)
    place = 0
    while place < len(words):
        length, found = _phrase(wordnet, words, place, content)
        name = text[words[place].start : words[place + length - 1].end]
        for rank, sense in enumerate(found[:senses]):
            if levels:
                yield from _above(wordnet, name, sense, levels)
            else:
                for term in sense.words:
                    yield _Addition(name, term, WEIGHT / 2**rank, f"{sense.kind}: {sense.gloss}")
        place += length


def _phrase(
    wordnet: WordNet, words: Sequence[QueryWord], place: int, content: set[int]
) -> tuple[int, list[Sense]]:
    """How many words from `place` on are one entry of WordNet, and its senses."""
    for length in range(min(PHRASE, len(words) - place), 0, -1):
        here = words[place : place + length]
        if here[0].start in content and here[-1].start in content and all(w.form for w in here):
            senses = wordnet.senses(" ".join(word.form for word in here))
            if senses:
                return length, senses
    return 1, []


def _above(wordnet: WordNet, name: str, sense: Sense, levels: int) -> Iterator[_Addition]:
    reached = [sense]
    for level in range(levels):
        reached = [higher for each in reached for higher in wordnet.above(each)]
        for each in reached:
            for term in each.words:
                yield _Addition(name, term, WEIGHT / 2**level, f"{each.kind}: {each.gloss}")


def ontology(query: Query, searcher: Searcher, argument: str) -> Query:
    """Add synonyms and wider, narrower and related terms from your own ontology file.

    `ontology:FILE`, a CSV file or SKOS as Turtle or RDF/XML, in any language; llar/text/ontology.py
    describes the formats. Terms of several words are found as a whole, in any form of the words.
    Raises ConfigError for a file that cannot be read, QueryError where none is named.
    """
    arguments = Arguments("ontology:FILE", "")
    if not argument:
        raise arguments.error("there is no file")
    file = Path(argument).expanduser().absolute()
    held = _ontology(file, file.stat().st_mtime_ns if file.exists() else 0)
    with searcher.index.database.read(), searcher.step(f"terms of {file.name}") as about:
        spoken = [x for x in searcher.index.passages.view().spoken if x]
        found = [
            _Addition(match.term, other, WEIGHTS[relation], relation)
            for match in held.find(query.text, spoken)
            for other, relation in match.related
        ]
        return _with(query, searcher, found, about)


def _with(
    query: Query, searcher: Searcher, found: Sequence[_Addition], about: dict[str, object]
) -> Query:
    """The query with the terms that the collection has, each once; `about` tells which and why."""
    index = searcher.index
    added: dict[tuple[str, ...], Word] = {}
    absent: list[str] = []
    with index.database.read() as connection:
        view = index.passages.view()
        words = words_of(query, index, view)
        spoken = [x for x in view.spoken if x]
        held = {stem for word in words for stem in word.stems}
        for addition in found:
            parts = [word.terms for word in query_words(addition.term, spoken)]
            if not any(held.isdisjoint(stems) for stems in parts):
                continue  # the question has it
            known = [tuple(t for t in stems if stands(index, connection, t)) for stems in parts]
            if not all(known):
                absent.append(addition.term)
                continue
            new = [stems for stems in known if held.isdisjoint(stems) and stems not in added]
            for stems in new:
                added[stems] = Word(stems, addition.weight / len(parts))
            if new:
                about.setdefault(addition.of, []).append(  # type: ignore[attr-defined]
                    f"{addition.term} ({addition.weight:g}, {addition.why})"
                )
    if absent:
        about["not in the collection"] = ", ".join(dict.fromkeys(absent))
    return replace(query, words=(*words, *added.values())) if added else query


@lru_cache(maxsize=2)
def _wordnet(folder: Path) -> WordNet:
    return WordNet(folder)


@lru_cache(maxsize=4)
def _ontology(file: Path, _changed: int) -> Ontology:
    return read_ontology(file)
