"""Chat and completion with a local GGUF model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from threading import Lock
from typing import Any

from ..config import Config
from ..errors import ConfigError, ContextTooLong, EngineError, ModelCorrupt
from ..records import Completion, Message, Piece, TokenProbability, Usage
from .interface import DEFAULTS, Options, Pieces, TokenLikelihood
from .llama import Llama
from .llama_likelihood import LlamaLikelihood
from .llama_socket import LlamaSocket

__all__ = ["LlamaChat", "LlamaTalk", "model_file"]

PROJECTOR = "*mmproj*.gguf"  # what a model that sees brings beside its own file, by custom


class LlamaTalk:
    """Chat and completion over the socket of a llama.cpp server that has one model loaded.

    Where the server runs does not matter: `place` says what another process of this user needs
    to talk to it, and `at` does that. Safe to call from several threads. `adapters` are those
    loaded, in their order; `template` tells whether the model can chat, `images` whether it sees.
    """

    def __init__(
        self,
        name: str,
        socket: LlamaSocket,
        *,
        context: int,
        adapters: Sequence[str] = (),
        template: bool = True,
        images: bool = False,
    ) -> None:
        self.name = name
        self.context = context
        self.images = images
        self.socket = socket
        self._adapters = list(adapters)
        self._template = template

    @classmethod
    def at(cls, place: Mapping[str, Any]) -> LlamaTalk:
        """Talk to the server at such a place."""
        socket = LlamaSocket(place["name"], place["address"], place["key"])
        own = {key: place[key] for key in ("context", "adapters", "template", "images")}
        return cls(place["name"], socket, **own)

    def place(self) -> dict[str, Any]:
        """Where the server is, as JSON; it holds the key, which nobody else may see."""
        return {
            "name": self.name,
            "address": self.socket.address,
            "key": self.socket.key,
            "context": self.context,
            "adapters": self._adapters,
            "template": self._template,
            "images": self.images,
        }

    def chat(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Completion:
        """The model's answer to a conversation. Raises ContextTooLong, ConfigError, EngineError."""
        body = self._chat_body(messages, options)
        answer = self.socket.post("/v1/chat/completions", body)
        text = answer["choices"][0]["message"]["content"] or ""
        return self._completion(answer, text, options)

    def stream(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Pieces:
        """Like chat, in pieces; closing the generator stops the generation."""
        body = self._chat_body(messages, options)
        body["stream_options"] = {"include_usage": True}
        return self._pieces(body, options)

    def complete(self, prompt: str, options: Options = DEFAULTS) -> Completion:
        """Continue raw text, without the chat template."""
        tokens = self._tokenize(prompt, special=True)
        if not tokens:
            raise EngineError(f"{self.name}: the prompt is empty, so there is nothing to continue")
        body = {"prompt": prompt, **self._options(options, len(tokens))}
        answer = self.socket.post("/v1/completions", body)
        return self._completion(answer, answer["choices"][0]["text"], options)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` alone, without a template's and without any that open a text."""
        return len(self._tokenize(text, special=False))

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt as the chat template renders it."""
        body = {"messages": self._messages(messages)}
        prompt = self.socket.post("/apply-template", body)["prompt"]
        return len(self._tokenize(prompt, special=True))

    def _pieces(self, body: dict[str, Any], options: Options) -> Pieces:
        finish, usage = None, None
        for event in self.socket.stream("/v1/chat/completions", body):
            if event.get("usage"):
                usage = _usage(event)
            for choice in event["choices"]:
                finish = choice["finish_reason"] or finish
                text = choice["delta"].get("content") or ""
                tokens = _probabilities(choice, options)
                if text or tokens:
                    yield Piece(text, tokens=tokens)
        yield Piece("", finish_reason=self._finish(finish), usage=usage)

    def _chat_body(self, messages: Sequence[Message], options: Options) -> dict[str, Any]:
        used = self.count_prompt(messages)
        return {"messages": self._messages(messages), **self._options(options, used)}

    def _messages(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        if not self._template:
            raise EngineError(
                f"{self.name} has no chat template, so it cannot chat; it can complete raw text"
            )
        return [{"role": m.role, "content": m.content} for m in messages]

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        body = {"content": text, "add_special": special, "parse_special": special}
        tokens: list[int] = self.socket.post("/tokenize", body)["tokens"]
        return tokens

    def _options(self, options: Options, used: int) -> dict[str, Any]:
        """The request's fields for `options` after a prompt of `used` tokens."""
        left = self.context - used
        wanted = options.max_tokens
        if left < (1 if wanted is None else wanted):
            answer = "" if wanted is None else f" and an answer of up to {wanted}"
            raise ContextTooLong(
                f"{self.name}: a prompt of {used} tokens{answer} does not fit the context of "
                f"{self.context}"
            )
        body: dict[str, Any] = {
            "max_tokens": left if wanted is None else wanted,
            "temperature": options.temperature,
            "lora": self._lora(options),
        }
        if options.top_p is not None:
            body["top_p"] = options.top_p
        if options.seed is not None:
            body["seed"] = options.seed
        if options.stop:
            body["stop"] = list(options.stop)
        if options.schema is not None:
            body["json_schema"] = options.schema
        if options.top_logprobs is not None:
            body["n_probs"] = max(1, options.top_logprobs)
        return body

    def _lora(self, options: Options) -> list[dict[str, float]]:
        """A scale for every adapter that was loaded; those not asked for are off."""
        scales = dict.fromkeys(self._adapters, 0.0)
        for name, scale in options.adapters:
            if name not in scales:
                known = ", ".join(scales) or "none"
                raise ConfigError(f"{self.name} has no adapter {name!r}; loaded: {known}")
            scales[name] = scale
        return [{"id": number, "scale": scale} for number, scale in enumerate(scales.values())]

    def _completion(self, answer: Mapping[str, Any], text: str, options: Options) -> Completion:
        choice = answer["choices"][0]
        finish = self._finish(choice["finish_reason"])
        tokens = _probabilities(choice, options)
        return Completion(text, self.name, finish, _usage(answer), tokens)

    def _finish(self, reason: str | None) -> str:
        if reason not in ("stop", "length"):
            raise EngineError(f"{self.name}: the answer ended with {reason!r}, expected 'stop'")
        return reason


class LlamaChat(LlamaTalk):
    """A chat model on llama.cpp in this process. Safe to call from several threads.

    `slots` of them are answered at once, each with a context of its own; the others take turns.
    `adapters` are LoRA files by name; a request turns them on with `Options.adapters`. `images`
    is the projector of a model that sees.
    Raises ModelCorrupt, ConfigError and EngineError as `llama.Llama` does.
    """

    def __init__(
        self,
        file: Path,
        *,
        name: str,
        context: int = 0,
        threads: int = 0,
        adapters: Mapping[str, Path] | None = None,
        slots: int = 1,
        images: Path | None = None,
    ) -> None:
        self._llama = Llama(
            file,
            name=name,
            context=context,
            threads=threads,
            adapters=adapters,
            slots=slots,
            images=images,
        )
        super().__init__(
            name,
            self._llama.socket,
            context=self._llama.context,
            adapters=list(self._llama.adapters),
            template="tokenizer.chat_template" in self._llama.header.values,
            images=images is not None,
        )
        self._file = file
        self._threads = threads
        self._reading: LlamaLikelihood | None = None
        self._lock = Lock()

    @classmethod
    def open(cls, config: Config, name: str, *, slots: int = 1) -> LlamaChat:
        """The installed model `name`, with the adapters in LLAR_HOME/adapters/NAME/*.gguf."""
        adapters = sorted((config.home / "adapters" / name).glob("*.gguf"))
        file = model_file(config, name)
        return cls(
            file,
            name=f"llamacpp:{name}",
            context=config.context,
            threads=config.threads,
            adapters={file.stem: file for file in adapters},
            slots=slots,
            images=next(iter(sorted(file.parent.glob(PROJECTOR))), None),
        )

    def logprobs(self, text: str, given: str) -> list[TokenLikelihood]:
        """How likely each token of `text` is after `given`, no adapter on.

        Loads the model once more at first. Raises ContextTooLong, EngineError.
        """
        with self._lock:
            if self._reading is None:
                self._reading = LlamaLikelihood(
                    self._file, name=self.name, context=self.context, threads=self._threads
                )
        return self._reading.logprobs(text, given)

    def close(self) -> None:
        """Free the model; requests still running fail."""
        if self._reading is not None:
            self._reading.close()
        self._llama.close()


def model_file(config: Config, name: str) -> Path:
    """The GGUF file of an installed model; the first of its parts where it has several."""
    from .store import Store

    model = Store(config.models_dir).get(f"llamacpp:{name}")
    files = sorted(
        file for file in model.files if file.endswith(".gguf") and not fnmatch(file, PROJECTOR)
    )
    if not files:
        raise ModelCorrupt(f"model {name!r} has no GGUF file, only {sorted(model.files)}")
    return model.folder / files[0]


def _usage(answer: Mapping[str, Any]) -> Usage:
    return Usage(answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])


def _probabilities(choice: Mapping[str, Any], options: Options) -> tuple[TokenProbability, ...]:
    rows = (choice.get("logprobs") or {}).get("content") or ()
    return tuple(
        TokenProbability(
            row["token"],
            row["logprob"],
            tuple((other["token"], other["logprob"]) for other in row["top_logprobs"])[
                : options.top_logprobs
            ],
        )
        for row in rows
    )
