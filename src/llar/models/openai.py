"""Chat, completion and embeddings from any server that speaks the OpenAI protocol."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..config import Config
from ..errors import ConfigError, ContextTooLong, RemoteError, UnknownModel
from ..records import Completion, Message, Piece, TokenProbability, Usage
from .echo import likelihoods
from .interface import DEFAULTS, EmbedderIdentity, Matrix, Options, Pieces, TokenLikelihood
from .remote import Remote

__all__ = ["OpenAIChat", "OpenAIEmbedder"]

BATCH = 64  # texts sent in one request for embeddings
SPECIAL = 8  # most tokens a server adds to a text it embeds
OPENING, ROLE = 64, 16  # most tokens a chat template adds to a conversation, and to each message
ENDS = {"stop": "stop", "eos_token": "stop", "stop_sequence": "stop", "length": "length"}


class _Tokens:
    """Counts a server model's tokens.

    llama.cpp and vLLM have a /tokenize, which is exact. Other servers do not tell; then the
    number of UTF-8 bytes stands in, and two more: an upper bound, three to five times too high
    for prose. `exact` says which of the two it is.
    """

    def __init__(self, remote: Remote, model: str) -> None:
        self._remote = remote
        self._model = model
        self._kind = self._probe()
        self.exact = self._kind != "bound"

    def text(self, text: str, *, special: bool = False) -> int:
        if self._kind == "bound":
            return _bound(text)
        answer = self._tokenize(text, special=special)
        return int(answer["count"]) if self._kind == "vllm" else len(answer["tokens"])

    def prompt(self, messages: list[dict[str, str]]) -> int:
        if self._kind == "vllm":
            body = {"model": self._model, "messages": messages}
            return int(self._remote.post("/tokenize", body, root=True)["count"])
        if self._kind == "llama.cpp":
            answer = self._remote.post("/apply-template", {"messages": messages}, root=True)
            return self.text(answer["prompt"], special=True)
        return OPENING + sum(ROLE + self.text(m["content"]) for m in messages)

    def _probe(self) -> str:
        try:
            answer = self._tokenize("probe")
        except RemoteError as e:
            if e.status is None or e.status in (401, 403, 429) or e.status >= 500:
                raise
            return "bound"
        if not isinstance(answer, dict) or not isinstance(answer.get("tokens"), list):
            return "bound"
        return "vllm" if isinstance(answer.get("count"), int) else "llama.cpp"

    def _tokenize(self, text: str, *, special: bool = False) -> Any:
        body = {
            "model": self._model,
            "prompt": text,  # vLLM
            "add_special_tokens": special,
            "content": text,  # llama.cpp
            "add_special": special,
            "parse_special": special,
        }
        return self._remote.post("/tokenize", body, root=True)


class OpenAIChat:
    """A chat model on a server. Safe to call from several threads.

    `context` is the length to assume where the server does not say its own; where it does, a
    smaller one limits, a larger one is a ConfigError. Raises UnknownModel where the server lists
    models and `model` is not one of them, RemoteError for all that goes wrong there.
    """

    def __init__(self, remote: Remote, model: str, *, context: int = 0) -> None:
        self.name = f"openai:{model}"
        self._remote = remote
        self._model = model
        self.context = _context(remote, model, context)
        self._tokens = _Tokens(remote, model)

    @classmethod
    def open(cls, config: Config, name: str) -> OpenAIChat:
        """The model `name` of the configured server."""
        return cls(Remote.open(config), name, context=config.context)

    @property
    def counts_exactly(self) -> bool:
        """Whether the server counts tokens itself; otherwise counts are an upper bound."""
        return self._tokens.exact

    def chat(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Completion:
        """The model's answer. Raises ContextTooLong, ConfigError, RemoteError."""
        answer = self._remote.post("/chat/completions", self._chat_body(messages, options))
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] or ""
            return self._completion(answer, choice, text)
        except (KeyError, IndexError, TypeError, ValueError) as e:
            raise self._malformed(answer) from e

    def stream(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Pieces:
        """Like chat, in pieces; closing the generator stops the generation."""
        body = self._chat_body(messages, options)
        body["stream_options"] = {"include_usage": True}
        return self._pieces(body)

    def complete(self, prompt: str, options: Options = DEFAULTS) -> Completion:
        """Continue raw text, without the chat template."""
        fields = self._options(options, self._tokens.text(prompt, special=True))
        if options.top_logprobs is not None:
            fields["logprobs"] = max(1, fields.pop("top_logprobs"))
        body = {"model": self._model, "prompt": prompt, **fields}
        answer = self._remote.post("/completions", body)
        try:
            choice = answer["choices"][0]
            return self._completion(answer, choice, choice["text"])
        except (KeyError, IndexError, TypeError, ValueError) as e:
            raise self._malformed(answer) from e

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` alone; an upper bound unless `counts_exactly`."""
        return self._tokens.text(text)

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt; an upper bound unless `counts_exactly`."""
        return self._tokens.prompt(_messages(messages))

    def logprobs(self, text: str, given: str) -> list[TokenLikelihood]:
        """How likely each token of `text` is after `given`; see `echo.likelihoods`."""
        self._options(Options(max_tokens=1), self._tokens.text(given + text, special=True))
        return likelihoods(self._remote, self._model, text, given)

    def close(self) -> None:
        """Close the connections."""
        self._remote.close()

    def _pieces(self, body: dict[str, Any]) -> Pieces:
        finish: str | None = None
        usage = None
        for event in self._remote.stream("/chat/completions", body):
            try:
                if event.get("usage"):
                    usage = _usage(event)
                for choice in event["choices"]:
                    finish = choice.get("finish_reason") or finish
                    text = choice["delta"].get("content") or ""
                    tokens = _probabilities(choice)
                    if text or tokens:
                        yield Piece(text, tokens=tokens)
            except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
                raise self._malformed(event) from e
        if finish is None:
            raise RemoteError(f"{self._remote.url} broke off in the middle of its answer")
        yield Piece("", finish_reason=self._end(finish), usage=usage)

    def _chat_body(self, messages: Sequence[Message], options: Options) -> dict[str, Any]:
        given = _messages(messages)
        fields = self._options(options, self._tokens.prompt(given))
        if options.top_logprobs is not None:
            fields["logprobs"] = True
        return {"model": self._model, "messages": given, **fields}

    def _options(self, options: Options, used: int) -> dict[str, Any]:
        """The request's fields for `options` after a prompt of `used` tokens."""
        for adapter, _ in options.adapters:
            raise ConfigError(
                f"{self.name}: adapter {adapter!r} cannot be chosen per request on a server; "
                "servers offer it as a model of its own"
            )
        if used + (options.max_tokens or 1) > self.context:
            exact = "" if self._tokens.exact else " (counted as bytes: the server has no /tokenize)"
            raise ContextTooLong(
                f"{self.name}: a prompt of {used} tokens{exact} and an answer of up to "
                f"{options.max_tokens or 1} do not fit the context of {self.context}"
            )
        body: dict[str, Any] = {"temperature": options.temperature}
        given = {
            "max_tokens": options.max_tokens,
            "top_p": options.top_p,
            "seed": options.seed,
            "stop": list(options.stop) or None,
            "top_logprobs": options.top_logprobs,
        }
        body |= {key: value for key, value in given.items() if value is not None}
        if options.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": options.schema, "strict": True},
            }
        return body

    def _completion(
        self, answer: Mapping[str, Any], choice: Mapping[str, Any], text: str
    ) -> Completion:
        finish = self._end(choice["finish_reason"])
        usage = _usage(answer) if answer.get("usage") else Usage()
        return Completion(text, self.name, finish, usage, _probabilities(choice))

    def _end(self, reason: str) -> str:
        if reason not in ENDS:
            raise RemoteError(
                f"{self._remote.url} ended its answer with {reason!r}, expected 'stop' or 'length'",
                status=200,
            )
        return ENDS[reason]

    def _malformed(self, answer: Any) -> RemoteError:
        return RemoteError(
            f"{self._remote.url} sent something that is no answer: {str(answer)[:200]}", status=200
        )


class OpenAIEmbedder:
    """An embedding model on a server. Safe to call from several threads.

    Its length limit comes as OpenAIChat's context does. Vectors are brought to length 1.
    """

    def __init__(self, remote: Remote, model: str, *, context: int = 0) -> None:
        self._remote = remote
        self._model = model
        self._tokens = _Tokens(remote, model)
        self.max_tokens = _context(remote, model, context) - SPECIAL
        dimension = self._request(["a"], None).shape[1]
        self.identity = EmbedderIdentity(
            name=f"openai:{model}",
            sha256="",
            dimension=dimension,
            pooling="server",
            query_prefix="",
            document_prefix="",
            languages=(),
        )

    @classmethod
    def open(cls, config: Config, name: str) -> OpenAIEmbedder:
        """The model `name` of the configured server."""
        return cls(Remote.open(config), name, context=config.context)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`; where the server does not count, its bytes, an upper bound."""
        return self._tokens.text(text)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimension), float32, rows of length 1.

        Raises ContextTooLong where a text has more than max_tokens tokens, RemoteError."""
        for text in texts:
            self._check(text)
        parts = [
            self._request(texts[i : i + BATCH], self.identity.dimension)
            for i in range(0, len(texts), BATCH)
        ]
        empty = np.empty((0, self.identity.dimension), np.float32)
        return np.concatenate(parts) if parts else empty

    def embed_query(self, text: str) -> Matrix:
        """Shape (dimension,), float32, length 1. Raises ContextTooLong as above."""
        vector: Matrix = self.embed_documents([text])[0]
        return vector

    def close(self) -> None:
        """Close the connections."""
        self._remote.close()

    def _check(self, text: str) -> None:
        if _bound(text) <= self.max_tokens:
            return  # no need to ask
        count = self.count_tokens(text)
        if count > self.max_tokens:
            raise ContextTooLong(
                f"a text of {count} tokens is longer than the {self.max_tokens} that "
                f"openai:{self._model} reads: {text[:60]!r}..."
            )

    def _request(self, texts: Sequence[str], dimension: int | None) -> Matrix:
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        answer = self._remote.post("/embeddings", body)
        url = f"{self._remote.url}/embeddings"
        try:
            rows = {int(row["index"]): row["embedding"] for row in answer["data"]}
            if sorted(rows) != list(range(len(texts))):
                raise RemoteError(
                    f"{url} answered {len(answer['data'])} vectors for {len(texts)} texts",
                    status=200,
                )
            vectors = np.array([rows[i] for i in range(len(texts))], dtype=np.float32)
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise RemoteError(
                f"{url} sent no usable vectors: {str(answer)[:200]}", status=200
            ) from e
        if vectors.ndim != 2 or vectors.shape[1] != (dimension or vectors.shape[1]):
            raise RemoteError(
                f"{url} sent vectors of shape {vectors.shape[1:]}, expected {dimension} numbers",
                status=200,
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths == 0).any():
            raise RemoteError(f"{url} sent a vector of length zero or infinity", status=200)
        return np.asarray(vectors / lengths, dtype=np.float32)


def _context(remote: Remote, model: str, given: int) -> int:
    """Tokens the model takes: as the server says, as given, or ConfigError."""
    own = _listed_context(remote, model)
    if own and given > own:
        raise ConfigError(
            f"openai:{model}: a context of {given} tokens was asked for, the server has {own}",
            fix=f"set LLAR_CONTEXT={own} or less (0 takes the server's own)",
        )
    if not own and not given:
        raise ConfigError(
            f"openai:{model}: {remote.url} does not say how long its context is",
            fix="set LLAR_CONTEXT to the model's context length in tokens",
        )
    return given or own


def _listed_context(remote: Remote, model: str) -> int:
    """The context that /v1/models gives for `model`, 0 where it gives none."""
    try:
        answer = remote.get("/models")
    except RemoteError as e:
        if e.status in (404, 405, 501):  # a server without that list
            return 0
        raise
    try:
        listed = {str(entry["id"]): entry for entry in answer["data"]}
    except (KeyError, TypeError) as e:
        raise RemoteError(f"{remote.url}/models sent no list of models", status=200) from e
    if model not in listed:
        near = difflib.get_close_matches(model, listed, n=1)
        hint = f"; did you mean 'openai:{near[0]}'?" if near else ""
        raise UnknownModel(
            f"{remote.url} has no model {model!r}, only {', '.join(map(repr, listed))}{hint}"
        )
    entry = listed[model]
    meta = entry.get("meta") or {}
    for value in (entry.get("max_model_len"), meta.get("n_ctx"), meta.get("n_ctx_train")):
        if isinstance(value, int) and value > 0:
            return value
    return 0


def _bound(text: str) -> int:
    """More tokens than any tokenizer makes: one per byte, one to open, one for a first space."""
    return len(text.encode("utf-8")) + 2


def _messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]


def _usage(answer: Mapping[str, Any]) -> Usage:
    usage = answer["usage"]
    return Usage(int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))


def _probabilities(choice: Mapping[str, Any]) -> tuple[TokenProbability, ...]:
    """Token probabilities, in the form of chat or the older one of plain completions."""
    table = choice.get("logprobs") or {}
    if "tokens" in table:
        others = table.get("top_logprobs") or [{}] * len(table["tokens"])
        return tuple(
            TokenProbability(token, float(logprob), tuple((other or {}).items()))
            for token, logprob, other in zip(
                table["tokens"], table["token_logprobs"], others, strict=True
            )
        )
    return tuple(
        TokenProbability(
            row["token"],
            float(row["logprob"]),
            tuple((o["token"], float(o["logprob"])) for o in row.get("top_logprobs") or ()),
        )
        for row in table.get("content") or ()
    )
