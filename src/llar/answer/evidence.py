"""The sentences and table rows of the passages found, ranked by how well they answer a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..index.lexical import Lexical
from ..models.interface import Embedder, TokenEmbedder
from ..records import Hit
from ..retrieve import embed_query, embed_spans
from ..retrieve.late import closeness
from ..text import sentences
from ..text.words import query_terms, terms
from .orders import is_order, speaks_of_question

CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Scale:
    """How evidence is scored, and from where on a question is worth answering.

    Ranking: score = words * covered + cosine * cosine to the question + passage * its score.
    Answering: covered + closeness * (closeness of the passage) >= least; `bare` is the least
    score where the embedder gives no vectors of tokens. Chosen on one half of the questions of
    bench/answers.py, which reports on the other half.
    """

    words: float
    cosine: float
    passage: float
    closeness: float
    least: float
    bare: float


KNOWN = Scale(0.35, 0.45, 0.35, 4.7, 2.87, 0.54)  # the embedder knows the passage's language
OTHER = Scale(0.5, 0.15, 0.35, 2.8, 1.86, 0.38)
PASSAGE_COVERS = 0.5  # with `bare`: share of the question's words that a passage must hold
HEAVY = 0.4  # share of the question's weight from which one word may not be missing

_UNDERLINE = re.compile(r"([=\-~^\"'`*+#:.])\1{2,}\s*")
_ASKING = re.compile(  # words that say what kind of answer is wanted, not what it is about
    r"\b(?:how (?:many|much)|number of|amount of|(?:what|which) (?:kinds?|sorts?|types?) of"
    r"|(?:name|names) of|qué (?:cantidad|número|tipos?) (?:de )?|quina quantitat|mennyi|hány)\b",
    re.IGNORECASE,
)
_DELIMITER = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One quotable span: `text` is the document's text from `start` to `end`, verbatim."""

    hit: Hit
    passage: int  # number of the passage in the prompt, from 1
    start: int
    end: int
    text: str
    header: str = ""  # of a table row: the row that names its columns
    score: float = 0.0  # how well it answers the question, about 0..1
    covered: float = 0.0  # share of the question's words, by weight, that it holds
    words: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def page(self) -> int | None:
        """The page the span is on, where its passage lies on one page or starts on it."""
        return self.hit.chunk.first_page

    @property
    def shown(self) -> bool:
        """Whether a model is shown any of it: compression may have left it out."""
        kept = self.hit.kept
        return kept is None or any(a < self.end and self.start < b for a, b in kept)

    @property
    def embedded(self) -> str:
        """What its meaning is taken from: the span under its nearest heading or header."""
        above = self.header or (self.hit.chunk.headings[-1] if self.hit.chunk.headings else "")
        return f"{above}\n{self.text}" if above else self.text

    @property
    def context(self) -> str:
        """What helps to understand the span: where it stands in its document."""
        path = " > ".join(self.hit.chunk.headings)
        return "\n".join(x for x in (self.hit.document.title or "", path, self.header) if x)


def collect(hits: Sequence[Hit]) -> list[Evidence]:
    """Every sentence and table row of the passages, in their order."""
    found = []
    for number, hit in enumerate(hits, 1):
        whole = (0, len(hit.chunk.text))
        spans = _rows(hit) if hit.chunk.kind == "table" else _sentences(hit, *whole)
        for start, end, header in spans:
            text = hit.chunk.text[start:end]
            words = frozenset(terms(f"{text}\n{header}", hit.document.language))
            place = hit.chunk.place(start), hit.chunk.place(end)
            found.append(Evidence(hit, number, *place, text, header, words=words))
    return found


def rank(
    question: str, evidence: Sequence[Evidence], lexical: Lexical, embedder: Embedder
) -> list[Evidence]:
    """The same evidence with its scores, best first.

    Left out is what says no more than the question does, such as a title, what does not speak of
    what is asked (`_speaks_of`), and what tells how to answer the question (orders.py). A score
    joins three things: how many of the question's words the span holds (half of it by itself, half
    together with its headings and header), its cosine to the question, and the score of its
    passage. Where the embedder does not know the language the cosine counts little.
    """
    if not evidence:
        return []
    vector = embed_query(embedder, question)
    cosines = embed_spans(embedder, [e.embedded for e in evidence]) @ vector
    asked = {x: frozenset(terms(question, x)) for x in {e.hit.document.language for e in evidence}}
    scored = []
    for e, cosine in zip(evidence, cosines, strict=True):
        language = e.hit.document.language
        around = e.words | frozenset(terms(e.context, language))
        if e.words <= asked[language] or not _speaks_of(e, around, lexical, embedder):
            continue
        if not e.header and speaks_of_question(e.text, question):
            continue
        covered = (lexical.covered(e.words) + lexical.covered(around)) / 2
        scale = _scale(e, embedder)
        score = scale.words * covered + scale.cosine * max(float(cosine), 0.0)
        score += scale.passage * e.hit.score
        scored.append(replace(e, score=score, covered=covered))
    return sorted(scored, key=lambda e: -e.score)


def _speaks_of(e: Evidence, around: frozenset[str], lexical: Lexical, embedder: Embedder) -> bool:
    """Does a span speak of what is asked, and not of another drug, person or product?

    The span with its headings must hold every word that alone carries much of the question's
    weight, and a table row must hold one word in a cell. A question in another language than the
    passage shares no words with it; there a multilingual embedder decides.
    """
    language = e.hit.document.language
    if not lexical.covered(_of_passage(e)) and "*" in embedder.identity.languages:
        return True
    if lexical.heaviest_missing(around) >= HEAVY:
        return False
    cells_only = frozenset(terms(e.text, language)) - frozenset(terms(e.header, language))
    return not e.header or lexical.covered(cells_only) > 0


def _of_passage(e: Evidence) -> frozenset[str]:
    """The words of a span's passage, headings and headers included."""
    return frozenset(terms(f"{e.context}\n{e.hit.chunk.content}", e.hit.document.language))


def answerable(
    question: str, ranked: Sequence[Evidence], lexical: Lexical, embedder: Embedder
) -> bool:
    """Is the best evidence good enough for an answer?

    Judged by how many of the question's words it holds and how close its passage comes to the
    question, word by word (`closeness`).
    """
    if not ranked:
        return False
    best = ranked[0]
    scale = _scale(best, embedder)
    if isinstance(embedder, TokenEmbedder):
        close = closeness(embedder, question, best.hit.chunk.content)
        return best.covered + scale.closeness * close >= scale.least
    return best.score >= scale.bare and lexical.covered(_of_passage(best)) >= PASSAGE_COVERS


def _scale(e: Evidence, embedder: Embedder) -> Scale:
    known = embedder.identity.languages
    return KNOWN if "*" in known or e.hit.document.language in known else OTHER


def _sentences(hit: Hit, start: int, end: int) -> list[tuple[int, int, str]]:
    """The sentences between two places of a passage that state something.

    No headings, no questions, and no orders to the model.
    """
    text = hit.chunk.text
    found = []
    for a, b in sentences.split(text[start:end], hit.document.language):
        first, last = start + a, start + b
        line = text[text.rfind("\n", 0, first) + 1 : first]
        below = text[last:].lstrip("\n").partition("\n")[0]
        said = text[first:last]
        heading = "#" in line or _UNDERLINE.fullmatch(below)
        if heading or said.endswith("?") or is_order(said):
            continue
        if re.search(r"\w", said):
            found.append((first, last, ""))
    return found


def _rows(hit: Hit) -> list[tuple[int, int, str]]:
    """The data rows of a table passage, each with the header that names its columns, and the
    sentences of the prose beside it."""
    lines, at = [], 0
    for line in hit.chunk.text.splitlines(keepends=True):
        lines.append((at, at + len(line.rstrip("\n")), line.rstrip("\n")))
        at += len(line)
    prefix = [x for x in hit.chunk.prefix.splitlines() if x.lstrip().startswith("|")]
    header = next((x for x in prefix if not _DELIMITER.fullmatch(x)), "")
    rows = []
    for i, (start, end, line) in enumerate(lines):
        following = lines[i + 1][2] if i + 1 < len(lines) else ""
        if not line.lstrip().startswith("|"):
            rows += _sentences(hit, start, end)
        elif following.strip() and _DELIMITER.fullmatch(following):
            header = line
        elif header and cells(line)[0] and cells(line)[0] == cells(header)[0]:
            header = _joined(header, line)  # a second header row
        elif not _DELIMITER.fullmatch(line):
            rows.append((start, end, header))
    return rows


def cells(row: str) -> list[str]:
    """The cells of a Markdown table's row."""
    return [c.strip() for c in CELL.split(row.strip().removeprefix("|").removesuffix("|"))]


def _joined(header: str, below: str) -> str:
    """Two header rows as one: "Allowance" over "Meals" is "Allowance Meals"."""
    pairs = zip(cells(header), cells(below), strict=False)
    return "| " + " | ".join(a if a == b else f"{a} {b}".strip() for a, b in pairs) + " |"


def question_groups(question: str, hits: Sequence[Hit]) -> list[list[str]]:
    """The question's content words, each with its stems in the languages of the passages.

    Words that only say what kind of answer is asked for ("how many", "qué cantidad") count
    where there are no others.
    """
    languages = sorted({h.document.language for h in hits if h.document.language})
    return query_terms(_ASKING.sub(" ", question), languages) or query_terms(question, languages)
