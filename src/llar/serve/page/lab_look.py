"""One search looked at step by step: what each method found, what moved, what a model would read.

Everything comes from the search itself (`Collection.searcher`); what it does not tell, each
method's own ranking, is found by searching once more by that method with the query that the
search ended up with, and is labelled so.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...answer import evidence as evidences
from ...answer import prompt as prompts
from ...answer.evidence import Evidence
from ...collection import Collection
from ...config import Config
from ...errors import QueryError
from ...index.filters import parse_filter
from ...index.lexical import Lexical
from ...models.interface import ChatModel
from ...records import Chunk, Hit, Message, Source, Step
from ...retrieve import Result
from ...retrieve.options import options as retrieval_options
from ...retrieve.steps import NONE

LONGEST = 4_000  # characters of a question
MOST = 50  # passages in a column


@dataclass(frozen=True, slots=True)
class Settings:
    """How to search, as the options of `llar search` name it. Steps run in their order."""

    k: int = 10
    mode: str = "hybrid"
    query: tuple[str, ...] = ()
    strategy: str = "single"
    post: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    model: str = ""

    @classmethod
    def of(cls, config: Config) -> Settings:
        """Those that are configured."""
        found = retrieval_options(config)
        return cls(
            mode=found.mode,
            query=tuple(map(str, found.query)),
            strategy=str(found.strategy),
            post=tuple(map(str, found.post)),
            model=config.chat_model,
        )

    def check(self, config: Config) -> None:
        """Raises QueryError or ConfigError for what cannot be searched with."""
        if not 1 <= self.k <= MOST:
            raise QueryError(f"k must be from 1 to {MOST}, got {self.k!r}")
        filters = [parse_filter(f) for f in self.filters]
        retrieval_options(
            config, k=self.k, mode=self.mode, query=self.query, strategy=self.strategy,
            post=self.post, filters=filters,
        )  # fmt: skip

    def command(self, question: str, collection: str) -> str:
        """The same search on the command line."""
        words = ["llar", "search", question, "-c", collection, "-k", str(self.k)]
        words += ["--mode", self.mode]
        for step in self.query or (NONE,):
            words += ["--query", step]
        words += ["--strategy", self.strategy]
        for step in self.post or (NONE,):
            words += ["--post", step]
        for condition in self.filters:
            words += ["--filter", condition]
        if self.model:
            words += ["--model", self.model]
        return shlex.join([*words, "--explain"])


@dataclass(frozen=True, slots=True)
class Place:
    """A passage in one column. `moved` is how many places it rose; None where it is new there."""

    chunk_id: int
    rank: int  # from 1
    score: float
    parts: Mapping[str, float]
    moved: int | None


@dataclass(frozen=True, slots=True)
class Column:
    """A ranking: `own` is one method by itself, searched for this view, no step of the search."""

    name: str
    own: bool
    places: tuple[Place, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Timed:
    """A step with its time; `inner` are what it did inside, whose time is part of its own."""

    step: Step
    inner: tuple[Step, ...]


@dataclass(slots=True)
class Look:
    """A search, its columns from left to right, and the passages in them."""

    question: str
    settings: Settings
    result: Result
    columns: list[Column]
    steps: list[Timed]
    passages: dict[int, tuple[Source, Chunk]]
    seconds: float


def look(collection: Collection, question: str, settings: Settings) -> Look:
    """Search and see how. Raises QueryError and ConfigError for what cannot be searched with."""
    if len(question) > LONGEST:
        raise QueryError(f"the question has {len(question)} characters, expected {LONGEST} at most")
    settings.check(collection.config)
    searcher = collection.searcher(
        k=settings.k,
        mode=settings.mode,
        filters=settings.filters,
        query=settings.query,
        strategy=settings.strategy,
        post=settings.post,
        model=settings.model or None,
    )
    start = time.perf_counter()
    result = searcher.search(question)
    seconds = time.perf_counter() - start
    columns = []
    for mode in ("lexical", "dense"):
        if settings.mode in (mode, "hybrid"):
            begun = time.perf_counter()
            hits = searcher.find(result.query, settings.k, mode=mode)
            spent = time.perf_counter() - begun
            columns.append(Column(mode, True, _places(_rows(hits), None), spent))
    steps = grouped(result.steps, _named(settings))
    before: Sequence[Place] | None = None
    for timed in steps:
        if "hits" in timed.step.about:
            rows = timed.step.about["hits"][: settings.k]
            column = Column(timed.step.name, False, _places(rows, before), timed.step.seconds)
            columns.append(column)
            before = column.places
    ids = {p.chunk_id for column in columns for p in column.places}
    return Look(
        question, settings, result, columns, steps, collection.index.chunks(sorted(ids)), seconds
    )


def _named(settings: Settings) -> list[str]:
    return [*settings.query, settings.strategy, *settings.post]


def grouped(steps: Sequence[Step], names: Sequence[str]) -> list[Timed]:
    """The steps that were asked for, each with those that it took inside."""
    found: list[tuple[Step, list[Step]]] = []
    wanted = list(names)
    for step in steps:
        if wanted and step.name == wanted[0]:
            found.append((step, []))
            wanted.pop(0)
        elif found:
            found[-1][1].append(step)
    return [Timed(step, tuple(inner)) for step, inner in found]


def _rows(hits: Sequence[Hit]) -> list[dict[str, object]]:
    return [{"chunk_id": h.chunk_id, "score": h.score, "parts": dict(h.parts)} for h in hits]


def _places(
    rows: Sequence[Mapping[str, object]], before: Sequence[Place] | None
) -> tuple[Place, ...]:
    """The places of a ranking, compared with the one before it."""
    was = {p.chunk_id: p.rank for p in before or ()}
    places = []
    for rank, row in enumerate(rows, 1):
        chunk_id, score, parts = row["chunk_id"], row["score"], row["parts"]
        assert isinstance(chunk_id, int)
        assert isinstance(score, int | float)
        assert isinstance(parts, Mapping)
        moved = was[chunk_id] - rank if chunk_id in was else None
        places.append(Place(chunk_id, rank, float(score), dict(parts), moved))
    return tuple(places)


# -- what a model would read ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens of the context: `kind` is instructions, question, passage, answer or free."""

    kind: str
    tokens: int
    number: int = 0  # of a passage, from 1, as among the hits


@dataclass(slots=True)
class Sent:
    """The prompt that a question would be asked with, and what of the context each part takes.

    `parts` add up to `context`. `left_out` are numbers of hits that the prompt has no room for.
    """

    model: str
    context: int
    messages: tuple[Message, ...]
    tokens: int
    parts: list[Part] = field(default_factory=list)
    left_out: tuple[int, ...] = ()


@dataclass(slots=True)
class Read:
    """The evidence in the hits, best first, and whether it is enough to answer."""

    evidence: list[Evidence]
    answerable: bool


def read(collection: Collection, question: str, hits: Sequence[Hit]) -> Read:
    """The sentences and rows that could answer, as `ask` ranks them."""
    index, embedder = collection.index, collection.embedder
    lexical = Lexical(index, evidences.question_groups(question, hits))
    ranked = evidences.rank(question, evidences.collect(hits), lexical, embedder)
    return Read(ranked, evidences.answerable(question, ranked, lexical, embedder))


def sent(collection: Collection, question: str, hits: Sequence[Hit], chat: ChatModel) -> Sent:
    """The prompt for these hits. Raises ContextTooLong where not even one passage fits."""
    config = collection.config
    prompt = prompts.build(question, hits, chat, config)
    shown = [hits[n - 1] for n in prompt.numbers]
    asked = chat.count_tokens(prompts.harmless(question))
    parts = [
        Part("passage", chat.count_tokens(_alone(hit, n)), number)
        for n, (hit, number) in enumerate(zip(shown, prompt.numbers, strict=True), 1)
    ]
    rest = prompt.tokens - asked - sum(p.tokens for p in parts)  # what stands around them
    answer = min(config.max_answer_tokens, chat.context - prompt.tokens)
    free = chat.context - prompt.tokens - answer
    return Sent(
        chat.name,
        chat.context,
        prompt.messages,
        prompt.tokens,
        [
            Part("instructions", rest), Part("question", asked), *parts, Part("answer", answer),
            Part("free", free),
        ],
        tuple(n for n in range(1, len(hits) + 1) if n not in prompt.numbers),
    )  # fmt: skip


def _alone(hit: Hit, number: int) -> str:
    """A passage as it stands in the prompt."""
    return prompts.passages([hit]).replace("[1] ", f"[{number}] ", 1)


# -- two settings beside each other --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """Where one passage stands by the first settings and by the second; None: not among them."""

    chunk_id: int
    first: int | None
    second: int | None


def changes(a: Look, b: Look) -> list[Change]:
    """Every passage that either found, in the order of the second, then what only A found."""
    first = {h.chunk_id: n for n, h in enumerate(a.result.hits, 1)}
    second = {h.chunk_id: n for n, h in enumerate(b.result.hits, 1)}
    rows = [Change(i, first.get(i), n) for i, n in second.items()]
    return rows + [Change(i, n, None) for i, n in first.items() if i not in second]
