"""The definitions in a collection's source code, by name, and the identifiers in a question."""

from __future__ import annotations

import json
import math
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from ...index.passages import Mask, View
from ...text.language import detect_query
from ...text.stopwords import stop_words
from ...text.symbols import subwords
from ...text.words import terms
from ..searcher import Searcher

SPOKEN = ("en", "es", "ca", "hu")

_QUOTED = re.compile(r"`([^`\s][^`]*)`|[\"“']([A-Za-z_$][\w$.:]*(?:\(\))?)[\"”']")
_DOTTED = r"[A-Za-z_$][\w$]*(?:(?:\.|::|->|#)~?[A-Za-z_$][\w$]*)+"
_CALLED = r"[A-Za-z_$][\w$]*(?=\(\))"
_SHAPED = (
    r"[A-Za-z$]*[a-z\d][A-Z][\w$]*|_*[A-Za-z][A-Za-z\d$]*_[\w$]*|__?[a-z]\w*|[A-Z]{2,}[a-z]\w+"
)
_CODE = re.compile(rf"(?<![\w$.])(?:{_DOTTED}|{_CALLED}|{_SHAPED})(?![\w$])")
_KINDS = (
    r"function|class|method|struct|type|interface|trait|module|macro|procedure|constructor|property"
    r"|función|clase|método|funció|classe|mètode|függvény|osztály|metódus"
)
_TOLD = re.compile(  # "the function parse", "parse method": an ordinary word that is a name
    rf"\b(?:{_KINDS})s?\s+([A-Za-z_$][\w$]*)|\b([A-Za-z_$][\w$]*)\s+(?:{_KINDS})\b",
    re.IGNORECASE,
)
_ASKING = re.compile(  # words of questions about code, whatever it is about
    rf"(?:{_KINDS}|code|source|definition|implementation|signature|parameter|argument|caller|call"
    r"|reference|usage|use|return|work|define|implement|declare|do|mean|show|find|explain|example"
    r"|definido|definida|definición|usa|utiliza|llama|llamada|código|ejemplo|hace|funciona"
    r"|definit|definida|definició|fa|crida|codi|exemple|hol|használ|hív|definiál|kód|példa)"
    r"(?:s|d|ed|es|ing|r|rs)?",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"\.|::|->|#")


@dataclass(frozen=True, slots=True)
class Defined:
    """A definition: its names from the outermost in, and the passages it is in, in order."""

    document: int
    file: str
    path: tuple[str, ...]
    chunks: tuple[int, ...]

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]


@dataclass(slots=True)
class Symbols:
    """Every definition of one state of a collection, by name and by the words in its name."""

    state: tuple[int, int] = (-1, -1)
    named: dict[str, list[Defined]] = field(default_factory=dict)  # case-folded name
    of_chunk: dict[int, Defined] = field(default_factory=dict)
    _weights: dict[str, float] = field(default_factory=dict)
    _words: dict[Defined, frozenset[str]] = field(default_factory=dict)
    _now: Symbols | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Nothing is held open; asked of all that a collection keeps for its searches."""

    def at(self, searcher: Searcher, view: View) -> Symbols:
        """The symbols of this state of the collection, which are never changed again."""
        with self._guard:
            if self._now is None or self._now.state != view.state:
                made = Symbols(view.state)
                made._read(searcher)
                self._now = made
            return self._now

    def _read(self, searcher: Searcher) -> None:
        """Take definitions from the heading paths of the code's passages: file > class > method."""
        held: dict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(list)
        files: dict[int, str] = {}
        for chunk_id, document, headings in searcher.index.database.connection.execute(
            "SELECT chunks.id, document_id, headings FROM chunks JOIN documents"
            " ON documents.id = document_id WHERE format = 'code' ORDER BY document_id, start"
        ):
            path = tuple(json.loads(headings))
            if len(path) > 1:
                held[document, path[1:]].append(chunk_id)
                files[document] = path[0]
        counts: dict[str, int] = defaultdict(int)
        for (document, path), chunks in held.items():
            made = Defined(document, files[document], path, tuple(chunks))
            self.named.setdefault(made.name.casefold(), []).append(made)
            self.of_chunk.update(dict.fromkeys(chunks, made))
            words = frozenset(_stems(subwords(made.name)))
            self._words[made] = words
            for word in words:
                counts[word] += 1
        total = max(len(held), 1)
        self._weights = {w: math.log(1 + total / n) for w, n in counts.items()}

    def agreement(self, definition: Defined, asked: frozenset[str]) -> float:
        """How well a name and a question's words agree, 0 to 1: the product of their shares.

        Words are weighed by how few names have them.
        """
        words = self._words[definition]
        shared = sum(self._weights[w] for w in words & asked)
        if not shared:
            return 0.0
        rarest = math.log(1 + max(len(self._words), 1))
        of_question = sum(self._weights.get(w, rarest) for w in asked)
        return shared / sum(self._weights[w] for w in words) * shared / of_question

    def definitions(self, identifier: str) -> list[Defined]:
        """What an identifier may stand for; one such as `Class.method` must agree in both parts."""
        *outer, name = [p for p in _SEPARATOR.split(identifier.rstrip("()")) if p] or [""]
        found = self.named.get(name.casefold(), [])
        exact = [d for d in found if d.name == name]
        found = exact or found
        around = [o.casefold() for o in outer]
        return [d for d in found if self._inside(d, around[-1])] if around else found

    def _inside(self, definition: Defined, outer: str) -> bool:
        """Is a definition in a class, module or file of that name?"""
        names = [p.casefold() for p in definition.path[:-1]]
        return outer in [*names, PurePath(definition.file).stem.casefold()]


def identifiers(question: str, known: Symbols) -> list[str]:
    """The identifiers in a question, in order: marked as code, shaped like it, or told to be.

    A capitalised word inside the question counts where something is defined under that very name.
    """
    found: list[tuple[int, str]] = []
    found += [(m.start(), m[1] or m[2]) for m in _QUOTED.finditer(question)]
    found += [(m.start(), m[0]) for m in _CODE.finditer(question)]
    for match in _TOLD.finditer(question):
        name = match[1] or match[2]
        if known.definitions(name) and name.casefold() not in stop_words("en"):
            found.append((match.start(), name))
    for match in re.finditer(r"(?<=[\w,;:]\s)[A-Z]\w+", question):
        if any(d.name == match[0] for d in known.definitions(match[0])):
            found.append((match.start(), match[0]))
    names = [name.removesuffix("()").strip() for _, name in sorted(found)]
    return list(dict.fromkeys(n for n in names if re.search(r"[A-Za-z_$]", n)))


def is_about(question: str, names: Sequence[str]) -> bool:
    """Is a question about these identifiers, or does it only mention them in passing?

    They must be half of its words, those aside that ask about code ("where is ... called?").
    """
    said = {part.casefold() for name in names for part in re.findall(r"\w+", name)}
    stops = stop_words("en") | stop_words(detect_query(question, SPOKEN))
    words = [w.casefold() for w in re.findall(r"\w+", question)]
    content = [w for w in words if w in said or (w not in stops and not _ASKING.fullmatch(w))]
    return 2 * sum(w in said for w in content) >= len(content)


def words_of(question: str) -> frozenset[str]:
    """The words of a question as they are compared with those in names."""
    words = [w for token in re.findall(r"[^\W\d]\w*", question) for w in (subwords(token) or [])]
    stops = stop_words("en")
    return frozenset(_stems([w for w in words if w not in stops]))


def _stems(words: Iterable[str]) -> list[str]:
    return [t for w in words if len(w) > 1 for t in terms(w, "en")[:1]]


def code_passages(searcher: Searcher, view: View) -> Mask:
    """The passages of documents that are source code."""
    held = view.kept.get("code")
    if held is None:
        rows = searcher.index.database.connection.execute(
            "SELECT id FROM documents WHERE format = 'code'"
        )
        held = view.of_documents({row[0] for row in rows})
        view.kept["code"] = held
    return held
