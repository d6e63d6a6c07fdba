"""Filters read from the question itself: "invoices from 2023", "in the Catalan documents".

After the self-querying retrievers of the field, but by rule: a filter is only read where the
question names a value that documents of the collection have, with a word that makes it one about
documents; so it needs no model and cannot invent a key. Where nothing passes the filters, the
search goes on without them and says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from ...errors import QueryError
from ...index.filters import Filter, document_fields, matching_documents
from ...records import Hit
from ...text.words import terms
from ..query import Query
from ..searcher import Searcher

MOST_VALUES = 1_000  # of one key; a key with more tells documents apart and is no category
SHORTEST = 3  # letters of a value that is looked for in a question
OWN = frozenset(("path", "title", "created", "modified", "added", "date", "year", "size"))

_DOCUMENT = (
    r"(?:documents?|files?|papers?|reports?|polic(?:y|ies)|invoices?|contracts?|letters?|e-?mails?"
    r"|pages?|notes?|minutes|manuals?|versions?|editions?|articles?|books?|slides?|presentations?"
    r"|spreadsheets?|published|written|dated|issued|created|modified"
    r"|documentos?|archivos?|ficheros?|informes?|facturas?|contratos?|cartas?|correos?|manual(?:es)?"
    r"|publicad[oa]s?|escrit[oa]s?|fechad[oa]s?"
    r"|arxius?|fitxers?|factur(?:a|es)|contractes?|cart(?:a|es)|correus?|publicad?[ats]*"
    r"|escrits?|datats?"
    r"|dokumentum\w*|fájl\w*|jelentés\w*|számlá\w*|szerződés\w*|levél\w*|levelek\w*|kiadott|írt)"
)
_YEAR = r"((?:19|20)\d\d)"
_TO = r"(?:and|to|until|till|y|e|a|al|hasta|i|fins(?: a)?)"
_BETWEEN = re.compile(
    rf"\b(?:between|from|entre|de|del|desde)\s+{_YEAR}\s+{_TO}\s+{_YEAR}"
    rf"|{_YEAR}\s*[-–]\s*{_YEAR}",
    re.IGNORECASE,
)
_SINCE = re.compile(
    rf"\b(?:since|desde|des de(?:l)?|a partir de(?:l)?)\s+{_YEAR}|\bfrom\s+{_YEAR}\s+on",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"\b(?:after|later than|newer than|después de|más recientes que|després de)\s+{_YEAR}"
    rf"|{_YEAR}\s+(?:után|óta)",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    rf"\b(?:before|earlier than|older than|antes de|abans de(?:l)?)\s+{_YEAR}|{_YEAR}\s+előtt",
    re.IGNORECASE,
)
_IN = re.compile(
    rf"\b(?:in|from|of|dated|en|de|del|el)\s+{_YEAR}\b|{_YEAR}[-]?(?:ban|ben|as|es|os|i)\b",
    re.IGNORECASE,
)
_ABOUT = re.compile(rf"\b{_DOCUMENT}\b", re.IGNORECASE)

_LANGUAGES = {
    "en": r"english|inglés|inglesa|ingleses|anglès|anglesos|angol",
    "es": r"spanish|castilian|español(?:es|a|as)?|castellano|castellà|espanyol\w*|spanyol",
    "ca": r"catalan|catalán|catalan[ae]s|català|catalans?|katalán",
    "hu": r"hungarian|húngaro|húngaros|hongarès|hongaresos|magyar",
    "fr": r"french|francés|franceses|francès|francesos|francia",
    "de": r"german|alemán|alemanes|alemany|alemanys|német",
}
_FORMATS = {
    "pdf": r"pdfs?|pdf-\w+",
    "docx": r"docx|word (?:documents?|files?)|documentos? de word|documents? de word",
    "xlsx": r"xlsx|excel(?: (?:files?|sheets?))?|spreadsheets?|hojas? de cálculo|fulls? de càlcul",
    "pptx": r"pptx|powerpoints?|slides?|presentations?|presentaciones|presentacions",
    "html": r"html|web ?pages?|páginas? web|pàgin(?:a|es) web|weboldal\w*",
    "eml": r"e-?mails?|correos?(?: electrónicos?)?|correus?(?: electrònics?)?",
    "md": r"markdown",
    "csv": r"csv",
}


def self_query(query: Query, searcher: Searcher, argument: str) -> list[Hit]:
    """Search only documents that the question names: their year, language, format, metadata."""
    narrowed = read_filters(query, searcher, argument)
    hits = searcher.find(narrowed)
    if hits or narrowed.filters == query.filters:
        return hits
    with searcher.step("without the filters read") as about:
        about["why"] = "no passage of those documents fits"
    return searcher.find(query)


def read_filters(query: Query, searcher: Searcher, _argument: str) -> Query:
    """Add the filters that the question names: year, language, format, metadata."""
    with searcher.step("filters read from the question") as about:
        found = list(dict.fromkeys(_read(query.text, searcher)))
        about["filters"] = [f"{f.key}{f.operator}{f.value}" for f in found]
        if found and not matching_documents(searcher.index, [*query.filters, *found]):
            about["left out"] = "no document of the collection passes them"
            found = []
    return replace(query, filters=(*query.filters, *found))


def _read(text: str, searcher: Searcher) -> Iterator[Filter]:
    values = _values(searcher)
    if _ABOUT.search(text):
        yield from _years(text)
        for language, names in _LANGUAGES.items():
            if language in values["language"] and re.search(rf"\b(?:{names})\b", text, re.I):
                yield Filter("language", "=", language)
    for form, names in _FORMATS.items():
        if form in values["format"] and re.search(rf"\b(?:{names})\b", text, re.IGNORECASE):
            yield Filter("format", "=", form)
    said = f" {' '.join(terms(text, None))} "
    for key, known in values.items():
        if key in ("language", "format") or len(known) > MOST_VALUES:
            continue
        named = f" {' '.join(terms(key, None))} " in said
        for value in sorted(known):
            words = " ".join(terms(value, None))
            long_enough = len(words) >= SHORTEST and not words.isdigit()
            if words and f" {words} " in said and (named or long_enough):
                yield Filter(key, "=", value)


def _years(text: str) -> Iterator[Filter]:
    for pattern, compare in ((_BETWEEN, (">=", "<=")), (_AFTER, (">",)), (_BEFORE, ("<",)),
                             (_SINCE, (">=",)), (_IN, ("=",))):  # fmt: skip
        found = pattern.search(text)
        years = [y for y in found.groups() if y] if found else []
        if years:
            for sign, year in zip(compare, years, strict=False):
                yield Filter("year", sign, year)
            return


def _values(searcher: Searcher) -> dict[str, set[str]]:
    """The values that documents have of each key by which they can be told apart."""
    values: dict[str, set[str]] = defaultdict(set)
    documents = 0
    for _, fields in document_fields(searcher.index):
        documents += 1
        for key, value in fields.items():
            if key not in OWN and value is not None and not isinstance(value, bool):
                values[key].add(str(value))
    if documents == 0:
        raise QueryError("the collection holds no documents")
    return values
