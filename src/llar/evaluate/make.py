"""A question set made from a collection's own documents.

Rules find answers and their places in sentences, tables, headings and comments; a model, where one
is named, words the questions anew. Every question is checked (make_checks.py) before it is kept,
and what was not kept is counted by the reason. Kinds take their share of the questions; within one,
documents and their sections take turns, in an order drawn by the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TypeVar

from ..collection import Collection
from ..errors import EvaluationError
from ..models.interface import ChatModel
from ..records import Document, MetadataValue
from . import about, make_code, make_model, make_tables, make_text
from .draw import drawn
from .make_checks import Checks
from .make_text import Candidate, Quoted
from .make_words import wording
from .questions import KINDS, UNANSWERABLE, Question, Span

__all__ = ["Made", "make"]

MOST_DOCUMENTS = 400  # looked at, drawn by the seed where there are more
LABELS = (2, 20)  # distinct values that make a metadata key a classification
LABEL = 60  # characters of the longest
WORDED = ("fact", "number")  # kinds that a model words

T = TypeVar("T")
Told = Callable[[int, int], None]  # questions made, questions wanted; called after each try


@dataclass(slots=True)
class Made:
    """The questions, and for each kind how many candidates were not kept, by the reason.

    `rejected` maps (kind, "rule" or "model") to reasons with their counts. `notes` tell what else
    must be known, such as kinds of which there was nothing to make.
    """

    questions: list[Question] = field(default_factory=list)
    rejected: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def reject(self, candidate: Candidate, why: str) -> None:
        """Count one that was not kept."""
        by = candidate.how.partition(":")[0]
        self.rejected.setdefault((candidate.kind, by), Counter())[why] += 1

    @property
    def counts(self) -> Counter[str]:
        """How many questions there are of each kind."""
        return Counter(q.kind for q in self.questions)


def make(
    docs: Collection,
    *,
    kinds: Sequence[str] = KINDS,
    count: int = 50,
    chat: ChatModel | None = None,
    seed: int = 0,
    told: Told | None = None,
) -> Made:
    """`count` questions of these kinds, fewer where the documents give no more.

    Raises EvaluationError for an unknown kind and where not one question could be made.
    """
    wanted = list(dict.fromkeys(kinds))
    for kind in wanted:
        if kind not in KINDS:
            raise EvaluationError(f"there is no kind {kind!r}; expected {', '.join(KINDS)}")
    if count < 1:
        raise EvaluationError(f"at least one question must be wanted, got {count!r}")
    made = Made()
    shelf = _Shelf(docs, seed)
    made.notes += shelf.notes
    checks = Checks(docs)
    share, rest = divmod(count, len(wanted))
    for place, kind in enumerate(wanted):
        quota = share + (place < rest)
        _fill(made, docs, shelf, checks, kind, quota, chat, seed, told, count)
        got = made.counts[kind]
        if got < quota:
            made.notes.append(
                f"{got} of {quota} questions of kind {kind!r}: the documents gave no more"
            )
    if not made.questions:
        raise EvaluationError(
            f"no question of kind {', '.join(wanted)} could be made from {docs.name!r}: "
            f"{_reasons(made) or 'there is nothing to make them of'}"
        )
    return made


def _reasons(made: Made) -> str:
    total: Counter[str] = Counter()
    for counted in made.rejected.values():
        total += counted
    return "; ".join(f"{why}: {n}" for why, n in total.most_common(3))


def _fill(
    made: Made,
    docs: Collection,
    shelf: _Shelf,
    checks: Checks,
    kind: str,
    quota: int,
    chat: ChatModel | None,
    seed: int,
    told: Told | None,
    count: int,
) -> None:
    """Candidates of one kind, one after the other, until there are enough questions."""
    got = 0
    for candidate, added in shelf.candidates(kind):
        if got >= quota:
            break
        kept = _kept(made, docs, shelf, checks, candidate, added, chat, seed)
        if kept is not None:
            made.questions.append(_question(kept, shelf))
            got += 1
        if told:
            told(len(made.questions), count)


def _kept(
    made: Made,
    docs: Collection,
    shelf: _Shelf,
    checks: Checks,
    candidate: Candidate,
    added: str,
    chat: ChatModel | None,
    seed: int,
) -> Candidate | None:
    """The candidate as it can be asked, worded by the model where there is one; None if not."""
    if candidate.kind == UNANSWERABLE:
        why = checks.unanswered(candidate, added) or checks.fresh(candidate)
        if why:
            made.reject(candidate, why)
        return None if why else candidate
    document = shelf.document(candidate.spans[0][0])
    tries = [candidate]
    if chat is not None and candidate.kind in WORDED:
        worded = make_model.asked_by(chat, docs.config, candidate, document, seed)
        if isinstance(worded, str):
            made.rejected.setdefault((candidate.kind, "model"), Counter())[worded] += 1
        else:
            tries = [worded, candidate]
    for one in tries:
        checked = checks.passed(one, document)
        if not isinstance(checked, str):
            return checked
        made.reject(one, checked)
    return None


def _question(candidate: Candidate, shelf: _Shelf) -> Question:
    spans = []
    for document, start, end in candidate.spans:
        found = shelf.document(document)
        spans.append(Span(found.source, start, end, found.text[start:end]))
    noted = {"made": candidate.how, "section": candidate.section, **dict(candidate.about)}
    name = about.digest([candidate.question, [m.content for m in candidate.history],
                         [[s.path, s.start] for s in spans]])[:8]  # fmt: skip
    return Question(
        id=f"{candidate.kind}-{name}",
        question=candidate.question,
        answers=candidate.answers,
        kind=candidate.kind,
        spans=tuple(spans),
        language=candidate.language,
        history=candidate.history,
        label=candidate.label,
        about={k: v for k, v in noted.items() if v},
    )


# -- candidates ----------------------------------------------------------------------------


class _Shelf:
    """The documents in a drawn order, with what can be asked of each."""

    def __init__(self, docs: Collection, seed: int) -> None:
        self._docs, self._seed = docs, seed
        self._documents: dict[int, Document] = {}
        self._sentences: dict[int, list[Quoted]] = {}
        self.notes: list[str] = []
        self._metadata: dict[int, dict[str, MetadataValue]] = {}
        for file in docs.index.files():
            self._metadata.setdefault(file.document_id, dict(file.metadata))
        ids = list(self._metadata)  # by path
        if not ids:
            raise EvaluationError(f"collection {docs.name!r} is empty", fix="llar add PATH")
        self.ids = drawn(seed, "documents").sample(ids, min(len(ids), MOST_DOCUMENTS))
        if len(ids) > MOST_DOCUMENTS:
            self.notes.append(
                f"questions were made from {MOST_DOCUMENTS} of {len(ids)} documents, drawn by seed"
            )

    def document(self, number: int) -> Document:
        """A document of the collection."""
        if number not in self._documents:
            self._documents[number] = self._docs.index.document(number)
        return self._documents[number]

    def candidates(self, kind: str) -> Iterator[tuple[Candidate, str]]:
        """Candidates of a kind, and for unanswerable ones what was put into the question."""
        chance = drawn(self._seed, kind)
        if kind == UNANSWERABLE:
            yield from _in_turn(
                [
                    make_tables.misplaced(self.cells, self._languages, chance),
                    make_text.swapped(self._shuffled_gaps(kind), self._names, self._texts, chance),
                ]
            )
            return
        if kind == "multi-passage":
            dated = make_text.years(self._shuffled_gaps(kind))
            sources = [
                make_tables.compared(self.cells, self._languages, chance),
                make_text.earlier(dated, chance),
            ]
        else:
            sources = [self._of(kind, number) for number in self.ids]
        for candidate in _in_turn(sources):
            yield candidate, ""

    def _of(self, kind: str, number: int) -> Iterator[Candidate]:
        """The candidates of one document, its sections and ways of asking in turn."""
        found = list(self._all_of(kind, number))
        drawn(self._seed, kind, self.document(number).source).shuffle(found)
        groups: dict[tuple[str, str], list[Candidate]] = {}
        for candidate in found:
            groups.setdefault((candidate.section, candidate.how), []).append(candidate)
        yield from _in_turn([iter(group) for group in groups.values()])

    def _all_of(self, kind: str, number: int) -> Iterator[Candidate]:
        document = self.document(number)
        language = document.language
        if kind in ("fact", "number"):
            yield from (c for c in self._gaps(number) if c.kind == kind)
        elif kind == "table":
            yield from make_tables.looked_up(make_tables.cells_of(number, document), language)
        elif kind == "dialogue":
            yield from make_text.dialogues(self._quoted(number), language)
            yield from make_tables.followed(make_tables.cells_of(number, document), language)
        elif kind == "code":
            yield from make_code.functions(number, document)
        elif kind == "summary":
            yield from make_text.summaries(number, document)
        else:
            yield from self._labelled(number) if self._keys else make_text.headed(number, document)

    def _labelled(self, number: int) -> Iterator[Candidate]:
        """Sentences to be told the metadata of their document by."""
        language = self.document(number).language
        for key in self._keys:
            value = self._metadata[number].get(key)
            if value is None:
                continue
            for sentence in self._quoted(number):
                if make_text.usable(sentence.text):
                    text = sentence.text.removesuffix(".")
                    yield Candidate(
                        "classification", wording(language).label.format(key=key, text=text), (),
                        ((number, sentence.start, sentence.end),), language, "rule: metadata",
                        " > ".join(sentence.path), label=str(value), sentence=sentence.text,
                        about=(("labels", key),),
                    )  # fmt: skip

    @cached_property
    def _keys(self) -> list[str]:
        """Metadata that sorts the documents into a few classes, some of which have several."""
        values: dict[str, Counter[str]] = {}
        for known in self._metadata.values():
            for key, value in known.items():
                if isinstance(value, str) and key != "recognised" and len(value) <= LABEL:
                    values.setdefault(key, Counter())[value] += 1
        return sorted(
            k for k, v in values.items()
            if LABELS[0] <= len(v) <= LABELS[1] and 2 * len(v) <= v.total()
        )  # fmt: skip

    @cached_property
    def cells(self) -> list[make_tables.Cell]:
        """The cells of every table."""
        return list(
            chain.from_iterable(make_tables.cells_of(i, self.document(i)) for i in self.ids)
        )

    @cached_property
    def _languages(self) -> dict[int, str | None]:
        return {i: self.document(i).language for i in self.ids}

    @cached_property
    def _texts(self) -> dict[int, str]:
        return {i: self.document(i).text for i in self.ids}

    @cached_property
    def _names(self) -> dict[str | None, list[str]]:
        """The names in the documents' sentences, by the documents' language.

        A word that is written with a small letter as well is no name.
        """
        found: dict[str | None, set[str]] = {}
        for number in self.ids:
            names = found.setdefault(self._languages[number], set())
            for sentence in self._quoted(number):
                if make_text.usable(sentence.text):
                    names |= set(make_text.names_in(sentence.text))
        spelt = {word for text in self._texts.values() for word in text.split()}
        return {
            language: sorted(n for n in names if n.lower() not in spelt)
            for language, names in found.items()
        }

    def _quoted(self, number: int) -> list[Quoted]:
        if number not in self._sentences:
            self._sentences[number] = list(make_text.quoted(number, self.document(number)))
        return self._sentences[number]

    def _gaps(self, number: int) -> Iterator[Candidate]:
        return make_text.gaps(self._quoted(number), self.document(number).language)

    def _shuffled_gaps(self, kind: str) -> list[Candidate]:
        found = [c for number in self.ids for c in self._gaps(number)]
        drawn(self._seed, kind, "gaps").shuffle(found)
        return found


def _in_turn(sources: Sequence[Iterator[T]]) -> Iterator[T]:
    """One of each, again and again, until all are at their end."""
    left = list(sources)
    while left:
        for source in list(left):
            try:
                yield next(source)
            except StopIteration:
                left.remove(source)
