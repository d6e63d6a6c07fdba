"""Small deterministic models without files, for tests and for trying llar out.

`fake:echo` repeats the last message, `fake:quote` answers with the first sentence of passage
[1], `fake:say:TEXT` always answers TEXT. `fake:hash` and `fake:hash-N` embed by hashed words in
64 or N dimensions, `fake:overlap` ranks by shared words. A token is a word or a sign.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from threading import Lock

import numpy as np

from ..config import Config
from ..errors import ConfigError, ContextTooLong, EngineError, UnknownModel
from ..records import Completion, Message, Piece, TokenProbability, Usage
from .interface import DEFAULTS, EmbedderIdentity, Matrix, Options, Pieces, TokenLikelihood

__all__ = ["FakeChat", "FakeEmbedder", "FakeReranker"]

TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+$")
WORD = re.compile(r"\w+")
FIRST_PASSAGE = re.compile(r"^\[1\]\s*(.+?(?:[.!?](?=\s|$)|$))", re.MULTILINE | re.DOTALL)


class FakeChat:
    """A chat model that follows a fixed rule; `asked` keeps every conversation it was given.

    `name` is "fake:echo", "fake:quote" or "fake:say:TEXT"; `replies`, where given, are returned
    one after the other instead, and asking for more of them is an EngineError.
    """

    def __init__(
        self, name: str = "fake:echo", *, replies: Sequence[str] = (), context: int = 8192
    ) -> None:
        self.name = name
        self.context = context
        self.asked: list[tuple[Message, ...]] = []
        self._replies = list(replies)
        self._scripted = bool(replies)
        self._lock = Lock()

    @classmethod
    def open(cls, config: Config, name: str) -> FakeChat:
        """The fake `name`. Raises UnknownModel where there is none of that name."""
        if name not in ("echo", "quote") and not name.startswith("say:"):
            raise UnknownModel(f"no fake chat model {name!r}; expected echo, quote or say:TEXT")
        return cls(f"fake:{name}", context=config.context or 8192)

    def chat(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Completion:
        """The rule's answer, cut at max_tokens and stop as a real model's would be."""
        return _join(self.name, self.stream(messages, options))

    def stream(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Pieces:
        """Like chat, one token at a time."""
        used = self.count_prompt(messages)
        self._check(used, options)
        with self._lock:
            self.asked.append(tuple(messages))
        last = next((m.content for m in reversed(messages) if m.role == "user"), "")
        return self._write(self._reply(last), used, options)

    def complete(self, prompt: str, options: Options = DEFAULTS) -> Completion:
        """The rule's answer to `prompt`."""
        used = self.count_tokens(prompt)
        self._check(used, options)
        return _join(self.name, self._write(self._reply(prompt), used, options))

    def count_tokens(self, text: str) -> int:
        """Words and signs of `text`."""
        return len(TOKEN.findall(text))

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of all messages, and one for each role."""
        return sum(1 + self.count_tokens(m.content) for m in messages)

    def logprobs(self, text: str, given: str) -> list[TokenLikelihood]:
        """A word or sign that was read before costs 1, any other as much as it has characters."""
        if not text or not given:
            raise ValueError("expected a text and something before it, not an empty string")
        self._check(self.count_tokens(given) + self.count_tokens(text), DEFAULTS)
        known = {token.strip() for token in TOKEN.findall(given)}
        found: list[TokenLikelihood] = []
        for match in TOKEN.finditer(text):
            token = match.group().strip()
            cost = 1 if token in known else max(1, len(token))
            known.add(token)
            found.append(TokenLikelihood(*match.span(), -float(cost)))
        return found

    def close(self) -> None:
        """Nothing to free."""

    def _reply(self, asked: str) -> str:
        with self._lock:
            if self._scripted:
                if not self._replies:
                    raise EngineError(f"{self.name}: no reply is left")
                return self._replies.pop(0)
        rule = self.name.partition(":")[2]
        if rule.startswith("say:"):
            return rule.removeprefix("say:")
        found = FIRST_PASSAGE.search(asked) if rule == "quote" else None
        return f"{found[1].strip()} [1]" if found else asked

    def _check(self, used: int, options: Options) -> None:
        for adapter, _ in options.adapters:
            raise ConfigError(f"{self.name} has no adapter {adapter!r}; loaded: none")
        if used + (options.max_tokens or 1) > self.context:
            raise ContextTooLong(
                f"{self.name}: a prompt of {used} tokens and an answer of up to "
                f"{options.max_tokens or 1} do not fit the context of {self.context}"
            )

    def _write(self, text: str, used: int, options: Options) -> Pieces:
        if options.schema is not None:
            _check_json(self.name, text)
        for stop in options.stop:
            text = text.partition(stop)[0]
        tokens = TOKEN.findall(text)
        limit = self.context - used if options.max_tokens is None else options.max_tokens
        for token in tokens[:limit]:
            chosen = (
                TokenProbability(token, 0.0, ((token, 0.0),) if options.top_logprobs else ()),
            )
            yield Piece(token, tokens=() if options.top_logprobs is None else chosen)
        finish = "length" if len(tokens) > limit else "stop"
        yield Piece("", finish_reason=finish, usage=Usage(used, min(len(tokens), limit)))


class FakeEmbedder:
    """Unit vectors from hashed words: texts that share words are near each other."""

    def __init__(self, dimension: int = 64, *, max_tokens: int = 256) -> None:
        self.max_tokens = max_tokens
        name = "fake:hash" if dimension == 64 else f"fake:hash-{dimension}"
        self.identity = EmbedderIdentity(
            name=name,
            sha256=hashlib.sha256(name.encode()).hexdigest(),
            dimension=dimension,
            pooling="sum",
            query_prefix="",
            document_prefix="",
            languages=("*",),
        )

    @classmethod
    def open(cls, config: Config, name: str) -> FakeEmbedder:
        """`hash`, or `hash-N` with N dimensions. Raises UnknownModel for anything else."""
        found = re.fullmatch(r"hash(?:-([1-9][0-9]*))?", name)
        if not found:
            raise UnknownModel(f"no fake embedding model {name!r}; expected hash or hash-N")
        return cls(int(found[1] or 64))

    def count_tokens(self, text: str) -> int:
        """Words of `text`."""
        return len(WORD.findall(text))

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimension), float32, rows of length 1."""
        rows = [self.embed_query(text) for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), self.identity.dimension)

    def embed_query(self, text: str) -> Matrix:
        """Shape (dimension,), float32, length 1; a text without words gets the first axis."""
        words = WORD.findall(text.lower())
        if len(words) > self.max_tokens:
            raise ContextTooLong(
                f"a text of {len(words)} tokens is longer than the {self.max_tokens} that "
                f"{self.identity.name} reads: {text[:60]!r}..."
            )
        vector = np.zeros(self.identity.dimension, np.float32)
        for word in words:
            vector += self._signs(word)
        length = float(np.linalg.norm(vector))
        if length == 0.0:  # no words, or words that cancel each other
            vector[0] = length = 1.0
        return vector / np.float32(length)

    def _signs(self, word: str) -> Matrix:
        """The word's own direction: +1 or -1 on every axis, by its hash."""
        size = self.identity.dimension
        digest = hashlib.shake_128(word.encode()).digest(-(-size // 8))
        bits = np.unpackbits(np.frombuffer(digest, np.uint8))[:size]
        return np.where(bits, 1, -1).astype(np.float32)

    def close(self) -> None:
        """Nothing to free."""


class FakeReranker:
    """Scores a text by the share of the query's words it contains, 0 to 1."""

    def __init__(self) -> None:
        self.name = "fake:overlap"

    @classmethod
    def open(cls, config: Config, name: str) -> FakeReranker:
        """`overlap`. Raises UnknownModel for anything else."""
        if name != "overlap":
            raise UnknownModel(f"no fake reranker {name!r}; expected overlap")
        return cls()

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score per text, in the order of `texts`."""
        wanted = set(WORD.findall(query.lower()))
        found = [wanted & set(WORD.findall(text.lower())) for text in texts]
        return [len(words) / len(wanted) if wanted else 0.0 for words in found]

    def close(self) -> None:
        """Nothing to free."""


def _join(name: str, pieces: Pieces) -> Completion:
    parts = list(pieces)
    last = parts[-1]
    tokens = tuple(token for part in parts for token in part.tokens)
    text = "".join(part.text for part in parts)
    return Completion(text, name, last.finish_reason or "stop", last.usage or Usage(), tokens)


def _check_json(name: str, text: str) -> None:
    try:
        json.loads(text)
    except ValueError as e:
        raise EngineError(f"{name} was asked for JSON, but its reply is {text[:60]!r}") from e
