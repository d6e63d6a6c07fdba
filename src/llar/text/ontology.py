"""A customer's own vocabulary: which words mean the same, something wider or something narrower.

A CSV file, separated by commas or semicolons, holds either one relation per row,

    term,relation,term        with the relation `synonym`, `broader`, `narrower` or `related`:
    aspirin,broader,analgesic      (an analgesic is the broader term of aspirin)

or one concept per row, the preferred term first:

    aspirin;acetylsalicylic acid;ASA

A line that begins with `#` is a comment, and so is a first row `term,relation,term`. SKOS
(https://www.w3.org/TR/skos-reference) is read as Turtle (.ttl) or RDF/XML (.rdf, .xml, .owl):
prefLabel, altLabel and hiddenLabel in any language, broader, narrower and related.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, get_args
from xml.parsers import expat
from xml.sax import SAXException

from ..errors import ConfigError
from .words import query_words

__all__ = ["Match", "Ontology", "Relation", "read_ontology"]

Relation = Literal["synonym", "broader", "narrower", "related"]
_OPPOSITE: dict[Relation, Relation] = {
    "synonym": "synonym", "broader": "narrower", "narrower": "broader", "related": "related",
}  # fmt: skip
_FORMATS = {".ttl": "turtle", ".rdf": "xml", ".xml": "xml", ".owl": "xml"}
# What rdflib's parsers raise, beside its ParserError, for text that is none of theirs.
_PARSE_ERRORS = (SyntaxError, ValueError, LookupError, AssertionError, RecursionError, SAXException)
_TABLES = (".csv", ".tsv", ".txt")


class Match(NamedTuple):
    """A term that stands in a text, and the terms it has relations with."""

    start: int
    end: int
    term: str
    related: tuple[tuple[str, Relation], ...]


@dataclass(slots=True)
class Ontology:
    """Terms as they are written, and what each has to do with which others."""

    relations: dict[str, dict[str, Relation]] = field(default_factory=lambda: defaultdict(dict))
    _terms: dict[tuple[str, ...], dict[str, list[_Term]]] = field(default_factory=dict)

    def add(self, term: str, relation: Relation, other: str) -> None:
        """Note that `other` is a synonym, or the broader ... term, of `term`."""
        if term != other:
            self.relations[term].setdefault(other, relation)
            self.relations[other].setdefault(term, _OPPOSITE[relation])

    def find(self, text: str, languages: Iterable[str]) -> list[Match]:
        """The terms that stand in `text`, in any form of their words, the longest at each place."""
        spoken = tuple(languages)
        words = query_words(text, spoken, stop_words_too=True)
        terms = self._by_first_stem(spoken)
        found, place = [], 0
        while place < len(words):
            here = [
                term for stem in words[place].terms for term in terms.get(stem, ())
                if len(term.words) <= len(words) - place
                and all(not stems.isdisjoint(words[place + i].terms)
                        for i, stems in enumerate(term.words))
            ]  # fmt: skip
            longest = max((len(term.words) for term in here), default=0)
            best = dict.fromkeys(term.name for term in here if len(term.words) == longest)
            if best:
                end = words[place + longest - 1].end
                related = {o: r for name in best for o, r in self.relations[name].items()}
                match = tuple((o, r) for o, r in related.items() if o not in best)
                found.append(Match(words[place].start, end, " / ".join(best), match))
            place += max(longest, 1)
        return found

    def _by_first_stem(self, languages: tuple[str, ...]) -> dict[str, list[_Term]]:
        held = self._terms.get(languages)
        if held is None:
            held = defaultdict(list)
            for name in self.relations:
                words = query_words(name, languages, stop_words_too=True)
                term = _Term(name, tuple(frozenset(word.terms) for word in words))
                for stem in term.words[0] if term.words else ():
                    held[stem].append(term)
            self._terms[languages] = held
        return held


class _Term(NamedTuple):
    name: str
    words: tuple[frozenset[str], ...]  # the stems of each


def read_ontology(file: Path) -> Ontology:
    """The ontology in a file. Raises ConfigError, naming the line or what stands in the way."""
    kind = file.suffix.lower()
    if kind not in _FORMATS and kind not in _TABLES:
        known = ", ".join((*_TABLES, *_FORMATS))
        raise ConfigError(f"{str(file)!r} is no ontology: expected a file that ends in {known}")
    try:
        data = file.read_bytes()
    except OSError as e:
        raise ConfigError(f"the ontology {str(file)!r} cannot be read: {e.strerror}") from e
    found = Ontology()
    triples = _skos(file, data, _FORMATS[kind]) if kind in _FORMATS else _table(file, data)
    for term, relation, other in triples:
        found.add(term, relation, other)
    if not found.relations:
        raise ConfigError(f"the ontology {str(file)!r} relates no terms")
    return found


Relations = Iterator[tuple[str, Relation, str]]


def _table(file: Path, data: bytes) -> Relations:
    """What the rows of a table say."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise ConfigError(f"the ontology {str(file)!r} is not UTF-8: {e}") from e
    numbered = [(n, line) for n, line in enumerate(lines, 1)
                if line.strip() and not line.startswith("#")]  # fmt: skip
    text = "".join(line for _, line in numbered)
    mark = max(";,\t", key=text.count)
    try:
        rows = list(csv.reader([line for _, line in numbered], delimiter=mark, strict=True))
    except csv.Error as e:
        raise ConfigError(f"the ontology {str(file)!r} is no table: {e}") from e
    if len(rows) != len(numbered):
        raise ConfigError(f"the ontology {str(file)!r}: a quoted term goes over several lines")
    relational = bool(rows) and len(rows[0]) == 3 and rows[0][1].strip().lower() in (
        *get_args(Relation), "relation",
    )  # fmt: skip
    for (number, line), row in zip(numbered, rows, strict=True):
        terms = [term.strip() for term in row]
        if relational:
            if row is rows[0] and terms[1].lower() == "relation":
                continue
            if len(terms) != 3 or not terms[0] or not terms[2] or (
                terms[1].lower() not in get_args(Relation)
            ):  # fmt: skip
                known = ", ".join(get_args(Relation))
                raise _bad_row(file, number, line, f"term{mark}relation{mark}term with {known}")
            # "a broader b" says that b is a's broader term
            yield terms[0], terms[1].lower(), terms[2]  # type: ignore[misc]  # checked above
        else:
            kept = [term for term in terms if term]
            if len(kept) < 2 or not terms[0]:
                raise _bad_row(file, number, line, f"preferred term{mark}synonym{mark}...")
            yield from _synonyms(kept)


def _bad_row(file: Path, number: int, line: str, expected: str) -> ConfigError:
    return ConfigError(f"{file}: line {number} is {line!r}, expected {expected}")


def _synonyms(labels: list[str]) -> Relations:
    for i, label in enumerate(labels):
        for other in labels[i + 1 :]:
            yield label, "synonym", other


def _skos(file: Path, data: bytes, form: str) -> Relations:
    """What a SKOS graph says of its concepts, on each of their labels."""
    try:
        from rdflib import Graph
        from rdflib.exceptions import ParserError
        from rdflib.namespace import SKOS
        from rdflib.term import Literal as Label
    except ImportError as e:
        raise ConfigError(
            f"the ontology {str(file)!r} needs the package rdflib, which is not installed",
            fix='pip install "llar[skos]"   (or save it as CSV)',
        ) from e
    if form == "xml":
        _check_xml(file, data)
    graph = Graph()
    try:
        graph.parse(data=data, format=form, publicID="file:///ontology")
    except (ParserError, *_PARSE_ERRORS) as e:
        raise ConfigError(f"the ontology {str(file)!r} is no valid {form}: {e}") from e
    labels: dict[object, list[str]] = defaultdict(list)
    for kind in (SKOS.prefLabel, SKOS.altLabel, SKOS.hiddenLabel):
        for concept, label in graph.subject_objects(kind):
            if isinstance(label, Label) and str(label).strip():
                labels[concept].append(str(label).strip())
    for names in labels.values():
        yield from _synonyms(sorted(dict.fromkeys(names)))
    relations: tuple[tuple[Relation, object], ...] = (
        ("synonym", SKOS.exactMatch), ("broader", SKOS.broader),
        ("narrower", SKOS.narrower), ("related", SKOS.related),
    )  # fmt: skip
    for relation, name in relations:
        for concept, other in sorted(graph.subject_objects(name)):  # type: ignore[arg-type]
            for one in labels.get(concept, ()):
                for another in labels.get(other, ()):
                    yield one, relation, another


def _check_xml(file: Path, data: bytes) -> None:
    """Refuse what can blow up or reach out: entities of the file's own, and text that is no XML."""
    declared = []

    def note(name: str, *_: object) -> None:
        declared.append(name)

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = note
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as e:  # the others: of its encoding
        if not declared:
            raise ConfigError(f"the ontology {str(file)!r} is no valid XML: {e}") from e
    if declared:
        raise ConfigError(
            f"the ontology {str(file)!r} declares the XML entity {declared[0]!r}; files with"
            " entities are not read",
            fix="save it as Turtle (.ttl)",
        )
