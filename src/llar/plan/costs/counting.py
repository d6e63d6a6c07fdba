"""How many tokens texts and documents have, by a real tokenizer or else by a rule of thumb."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import Config
from ...errors import DocumentError, InsideError, ModelNotInstalled, PlanError, UnknownModel
from ..figure import Figure

if TYPE_CHECKING:
    from ...records import Document

__all__ = ["Count", "Counted", "Counter", "counter", "examples", "files", "texts", "together"]

WORDS_PER_TOKEN = 0.75  # of English
TOKENS_PER_PAGE = 1000
RULE = "rule of thumb: a token is about 0.75 English words, a page about 1,000 tokens"
NO_TOKENIZER = (
    "no tokenizer is installed, so that tokens are estimated by their words; an installed model"
    " counts them (llar models pull), or --tokenizer PATH of a tokenizer.json or a .gguf"
)
OTHERS = (
    "another model's or a provider's own tokenizer may count differently, most of all in languages"
    " other than English"
)


@dataclass(frozen=True, slots=True)
class Counter:
    """What counts tokens: a model's tokenizer, or the rule of thumb (`exact` is False)."""

    name: str
    counts: Callable[[Sequence[str]], list[int]]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Counted:
    """One document or text with its tokens."""

    source: str
    tokens: int
    words: int
    pages: int = 0  # 0: the format has none


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted, by what, and what could not be."""

    counter: str
    exact: bool
    documents: tuple[Counted, ...]
    failed: tuple[str, ...] = ()  # each names the file and why it could not be read
    notes: tuple[str, ...] = ()  # what could not be read in files that were

    @property
    def tokens(self) -> int:
        """Of all documents together."""
        return sum(d.tokens for d in self.documents)

    def figures(self) -> tuple[Figure, ...]:
        """Documents, tokens, and tokens per word and page, which differ between languages."""
        words = sum(d.words for d in self.documents)
        paged = [d for d in self.documents if d.pages]
        pages = sum(d.pages for d in paged)
        rows = [
            Figure("Documents", len(self.documents), "documents"),
            Figure("Tokens", self.tokens, "tokens", f"counted by {self.counter}",
                   RULE if not self.exact else "", exact=self.exact),
        ]  # fmt: skip
        if words and self.exact:
            rows.append(
                Figure("Tokens per word", self.tokens / words, "", f"{self.tokens:,} / {words:,}")
            )
        if pages and self.exact:
            tokens = sum(d.tokens for d in paged)
            rows.append(
                Figure("Tokens per page", tokens / pages, "", f"{tokens:,} / {pages:,} pages")
            )
        return tuple(rows)


def counter(config: Config, model: str | None = None) -> Counter:
    """The tokenizer of a model, or of the configured chat model; without one, the rule of thumb.

    A model that is named must be there: raises UnknownModel, ModelNotInstalled or ModelCorrupt.
    """
    from ...models.vocabulary import vocabulary

    name = model or config.chat_model
    try:
        found = vocabulary(config, name)
    except (ModelNotInstalled, UnknownModel):
        if model:
            raise
        return Counter("rule of thumb", lambda given: [_by_rule(t) for t in given], exact=False)
    return Counter(found.name, found.counts)


def _by_rule(text: str) -> int:
    return math.ceil(len(text.split()) / WORDS_PER_TOKEN)


def texts(given: Sequence[str], by: Counter) -> Count:
    """The tokens of texts that are no files."""
    numbers = by.counts(given)
    counted = [
        Counted(f"text {n}", tokens, len(text.split()))
        for n, (text, tokens) in enumerate(zip(given, numbers, strict=True), 1)
    ]
    return Count(by.name, by.exact, tuple(counted))


def together(parts: Sequence[Count]) -> Count:
    """Several counts by the same counter as one. Raises PlanError where there is none."""
    if not parts:
        raise PlanError("there is nothing to count")
    return Count(
        parts[0].counter,
        parts[0].exact,
        tuple(d for part in parts for d in part.documents),
        tuple(line for part in parts for line in part.failed),
        tuple(line for part in parts for line in part.notes),
    )


def files(
    config: Config,
    paths: Iterable[Path],
    by: Counter,
    progress: Callable[[int, int], None] | None = None,
) -> Count:
    """The tokens of files and of all files in folders, read as `llar add` reads them.

    A file that cannot be read is named in `failed` and the rest is counted. `progress` is told
    how many of how many are done. Raises PlanError where there is no file at all.
    """
    from ...documents import Parsers, find_files

    failed: list[str] = []
    found = list(find_files(paths, report=lambda _, error: failed.append(error.message)))
    counted: list[Counted] = []
    notes: list[str] = []
    with Parsers(config) as parsers:
        for n, (path, outcome) in enumerate(parsers.parse(found), 1):
            try:
                if isinstance(outcome, DocumentError):
                    raise outcome
                counted.append(_counted(path, outcome, by))
                notes += [f"{str(path)!r}: {note}" for note in outcome.notes]
            except DocumentError as e:
                failed.append(e.message)
            except InsideError as e:
                failed.append(f"{str(path)!r}: {e.message}")
            if progress:
                progress(n, len(found))
    if not counted and not failed:
        raise PlanError("there is no file in it", fix="name a folder or file with documents")
    counted.sort(key=lambda d: d.source)
    return Count(by.name, by.exact, tuple(counted), tuple(sorted(failed)), tuple(sorted(notes)))


def _counted(path: Path, document: Document, by: Counter) -> Counted:
    tokens = by.counts([document.text])[0]
    return Counted(str(path), tokens, len(document.text.split()), len(document.pages))


def examples(path: Path) -> Iterator[str]:
    """The texts of a training file: every string of each line's JSON, a line an example.

    Understands what trainers read: {"messages": [{"role": ..., "content": ...}]}, {"prompt",
    "completion"}, {"text"}, {"instruction", "input", "output"}. Roles are no text.
    Raises PlanError naming file and line for what is no JSON object or has no text.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            some = False
            for number, line in enumerate(lines, 1):
                if line.strip():
                    some = True
                    yield _example(line, f"{str(path)!r}, line {number}")
    except (OSError, UnicodeDecodeError) as e:
        raise PlanError(f"{str(path)!r} cannot be read: {e}") from e
    if not some:
        raise PlanError(f"{str(path)!r} has no examples: it is empty")


def _example(line: str, where: str) -> str:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as e:
        raise PlanError(f"{where} is no JSON: {e}") from e
    if not isinstance(record, dict):
        raise PlanError(f'{where}: expected an object such as {{"text": ...}}, got {line[:60]!r}')
    text = "\n".join(_strings(record))
    if not text.strip():
        raise PlanError(f"{where} has no text")
    return text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("role", "id"):
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
