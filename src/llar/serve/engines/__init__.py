"""Models in supervised child processes; the server's own process loads none.

`Engines` is what the rest of the server asks: for models as llar's library knows them (`chat`,
`embedder`, `reranker`, `compressor`), and for llama.cpp's own JSON (`request`, `stream`).
`openai:` models are asked where they are, `fake:` ones answer at once.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from ...config import Config
from ...errors import Conflict, ModelError, Overloaded, UnknownModel
from ...models import open_chat, open_embedder, open_reranker
from ...models.interface import ChatModel, Compressor, Embedder, Reranker
from ...models.store import Store
from ...models.threads import free_cores
from ...records import Message, Usage
from ..threads import in_thread, iterate
from . import plain
from .engine import Engine, EngineStatus, Kind

if TYPE_CHECKING:
    from ...models.remote import Remote

__all__ = ["EngineStatus", "Engines"]

SMALL = ("/tokenize", "/detokenize", "/apply-template")  # need no turn: nothing is generated
EMBEDDING_SLOTS = 32  # requests an embedder takes at once: small ones are computed together
LOCAL = ("llamacpp", "ctranslate2")  # backends that load a model; the others need no child
ROOM = 30.0  # seconds to wait for a model that is in use to become idle


class Engines:
    """The models that the server keeps. Safe to use from threads and from an event loop."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._engines: dict[str, Engine] = {}
        self._kept: dict[tuple[Kind, str], Any] = {}
        self._closing = threading.Event()
        self._cores = config.threads or free_cores()
        from .process import sweep

        sweep()
        threading.Thread(target=self._unload_idle, name="idle models", daemon=True).start()
        threading.Thread(target=self._watch, name="stuck models", daemon=True).start()

    # --- models as the library knows them

    def names(self) -> list[str]:
        """Chat models that may be used: the configured one and those installed."""
        store = Store(self._config.models_dir)
        found = {self._config.chat_model}
        for name in store.names():
            with contextlib.suppress(ModelError):  # a damaged one cannot be used
                model = store.get(name)
                if model.kind == "chat":
                    found.add(model.full_name)
        return sorted(found)

    def chat(self, name: str) -> ChatModel:
        """The chat model. Raises UnknownModel, ModelNotInstalled."""
        from .kept import KeptChat

        if _here(name):
            return cast("ChatModel", self._opened("chat", name, open_chat))
        engine = self._engine("chat", name)
        return cast("ChatModel", self._once("chat", name, lambda: KeptChat(engine)))

    def embedder(self, name: str) -> Embedder:
        """The embedder. Raises UnknownModel, ModelNotInstalled."""
        from .kept import KeptEmbedder, KeptTokenEmbedder

        if _here(name):
            return cast("Embedder", self._opened("embedding", name, open_embedder))
        engine = self._engine("embedding", name)
        kind = KeptTokenEmbedder if name.startswith("ctranslate2:") else KeptEmbedder
        made = self._once("embedding", name, lambda: kind(engine, self._config))
        return cast("Embedder", made)

    def reranker(self, name: str) -> Reranker:
        """The reranker. Raises UnknownModel, ModelNotInstalled."""
        from .kept import KeptReranker

        if _here(name):
            return cast("Reranker", self._opened("reranker", name, open_reranker))
        engine = self._engine("reranker", name)
        return cast("Reranker", self._once("reranker", name, lambda: KeptReranker(engine)))

    def compressor(self, name: str) -> Compressor:
        """The compressor. Raises UnknownModel, ModelNotInstalled."""
        from .kept import KeptCompressor

        engine = self._engine("compressor", name)
        return cast("Compressor", self._once("compressor", name, lambda: KeptCompressor(engine)))

    # --- llama.cpp's JSON

    async def request(self, name: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON that llama.cpp's server answers to `body` at `path`.

        For an openai: model, what its server answers. A request whose task is cancelled stops.
        Raises Overloaded, ContextTooLong, Refused (the request cannot be done as it is),
        EngineError, RemoteError, UnknownModel, ModelNotInstalled.
        """
        if name.startswith("openai:"):
            return await self._remote_request(name, path, body)
        if _here(name):
            model = await in_thread(self.chat, name)
            return await in_thread(plain.answer, model, path, body)
        from . import room, wire

        engine = self._engine("chat", name)
        sent = {**body, "model": name}
        if path in SMALL:
            async with engine.beside_async() as child:
                return cast("dict[str, Any]", await wire.post(child.talk.socket, name, path, sent))
        async with engine.turn_async() as child:
            await room.check(child.talk, sent)
            answer = await wire.post(child.talk.socket, name, path, sent)
        if isinstance(answer, dict) and answer.get("usage"):
            engine.count(_usage(answer["usage"]))
        return cast("dict[str, Any]", answer)

    async def stream(
        self, name: str, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a streamed answer; closing the iterator stops the generation.

        Raises as `request`, before the first chunk or in between.
        """
        if _here(name):
            async with contextlib.aclosing(self._stream_here(name, path, body)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        async with contextlib.aclosing(self.stream_bytes(name, path, body)) as events:
            async for event in events:
                yield json.loads(event)

    async def stream_bytes(
        self, name: str, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        """The same as the JSON text of each chunk, which costs less; not for fake: and openai:."""
        from . import room, wire

        engine = self._engine("chat", name)
        sent = {**body, "model": name}
        async with engine.turn_async() as child:
            await room.check(child.talk, sent)
            events = wire.events(child.talk.socket, name, path, sent)
            told = b""  # the last that tells how much was read and written
            try:
                async with contextlib.aclosing(events):
                    async for event in events:
                        told = event if b'"timings"' in event else told
                        yield event
            finally:
                if told:
                    engine.count(_timed(json.loads(told)))

    async def tokenize(self, name: str, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text's tokens; `special` adds those that open a text and reads control
        tokens as such."""
        body = {"content": text, "add_special": special, "parse_special": special}
        if name.startswith("openai:"):
            body |= {"model": name.partition(":")[2], "prompt": text, "add_special_tokens": special}
        tokens: list[int] = (await self.request(name, "/tokenize", body))["tokens"]
        return tokens

    async def detokenize(self, name: str, tokens: Sequence[int]) -> str:
        """The text of token ids."""
        answer = await self.request(name, "/detokenize", {"tokens": list(tokens)})
        return str(answer["content"])

    async def template(self, name: str, body: Mapping[str, Any]) -> str:
        """The prompt that a chat request (messages, tools ...) is rendered to."""
        return str((await self.request(name, "/apply-template", body))["prompt"])

    async def count_prompt(self, name: str, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt of a conversation."""
        if not _here(name):
            told = [{"role": m.role, "content": m.content} for m in messages]
            prompt = await self.template(name, {"messages": told})
            return len(await self.tokenize(name, prompt, special=True))
        return await in_thread(lambda: self.chat(name).count_prompt(messages))

    # --- keeping them

    def status(self) -> list[EngineStatus]:
        """What every local model that was asked for is doing, by name."""
        with self._lock:
            engines = list(self._engines.values())
        return sorted((engine.status() for engine in engines), key=lambda s: s.name)

    def load(self, name: str) -> None:
        """Load a model of the store and wait until it is. Raises what loading it raises."""
        if not _here(name):
            with self._engine(_kind(self._config, name), name).beside():
                pass

    def unload(self, name: str, *, force: bool = False) -> bool:
        """Free a model's memory; False where it was not loaded.

        Raises Conflict while it is in use, unless `force` breaks off what runs.
        """
        with self._lock:
            engine = self._engines.get(name)
        return engine is not None and engine.unload(force=force)

    def close(self) -> None:
        """End all children; requests that still run fail."""
        self._closing.set()
        with self._lock:
            engines = list(self._engines.values())
        ends = [threading.Thread(target=engine.close) for engine in engines]
        for end in ends:
            end.start()
        for end in ends:
            end.join()
        for kept in self._kept.values():
            kept.close()

    def _engine(self, kind: Kind, name: str) -> Engine:
        with self._lock:
            engine = self._engines.get(name)
        if engine is not None and engine.kind == kind:
            return engine
        _check(self._config, kind, name)
        slots = EMBEDDING_SLOTS if kind == "embedding" else 1
        if kind == "chat":
            slots = self._config.slots or _fitting(self._config, name)
        config = replace(self._config, threads=_threads(kind, self._cores))
        with self._lock:
            if name not in self._engines:
                self._engines[name] = Engine(
                    kind, name, config, slots=slots, make_room=self._make_room
                )
            return self._engines[name]

    def _once(self, kind: Kind, name: str, make: Any) -> Any:
        with self._lock:
            if (kind, name) not in self._kept:
                self._kept[kind, name] = make()
            return self._kept[kind, name]

    def _opened(self, kind: Kind, name: str, opener: Any) -> Any:
        """A model that needs no child; an openai: one asks its server when it is opened."""
        with self._lock:
            if (kind, name) in self._kept:
                return self._kept[kind, name]
        model = opener(self._config, name)
        return self._once(kind, name, lambda: model)

    def _make_room(self, newcomer: Engine) -> None:
        """Unload what was not used for longest where too many models are loaded.

        Raises Overloaded where all of them are in use for long.
        """
        end = time.monotonic() + ROOM
        while True:
            with self._lock:
                others = [e for e in self._engines.values() if e.resident and e is not newcomer]
                if len(others) < self._config.models_loaded:
                    newcomer.admitted = True  # it counts from now on
                    return
            idle = [engine for engine in others if not engine.busy]
            if idle:
                with contextlib.suppress(Conflict):  # it has just been asked something
                    min(idle, key=lambda e: e.last_used).unload()
                continue
            if time.monotonic() > end or self._closing.wait(0.05):
                raise Overloaded(
                    f"{newcomer.name} is not loaded: {len(others)} models are in use, and "
                    f"models_loaded is {self._config.models_loaded}",
                    retry_after=int(ROOM),
                )

    def _unload_idle(self) -> None:
        limit = self._config.idle_unload
        if not limit:
            return
        while not self._closing.wait(min(limit / 4, 5.0)):
            with self._lock:
                engines = list(self._engines.values())
            for engine in engines:
                idle = engine.resident and not engine.busy
                if idle and time.time() - engine.last_used > limit:
                    with contextlib.suppress(Conflict):  # it has just been asked something
                        engine.unload()

    def _watch(self) -> None:
        """Kill processes that are stuck, so that they are started anew."""
        most = self._config.hang_seconds
        pause = min(most / 4, 5.0)
        while most > 0 and not self._closing.wait(pause):
            with self._lock:
                engines = list(self._engines.values())
            for engine in engines:
                engine.check(pause, most)

    # --- models on other servers

    def _remote(self) -> Remote:
        from ...models.remote import Remote

        return cast("Remote", self._once("chat", "openai", lambda: Remote.open(self._config)))

    async def _remote_request(
        self, name: str, path: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        remote = await in_thread(self._remote)
        sent = {**body, "model": name.partition(":")[2]}
        root = not path.startswith("/v1/")
        answer = await in_thread(remote.post, path.removeprefix("/v1"), sent, root=root)
        if isinstance(answer, dict) and "model" in answer:
            answer["model"] = name
        return cast("dict[str, Any]", answer)

    async def _stream_here(
        self, name: str, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a model that has no child."""
        if name.startswith("openai:"):
            remote = await in_thread(self._remote)
            sent = {**body, "model": name.partition(":")[2]}
            chunks = iterate(lambda: remote.stream(path.removeprefix("/v1"), sent))
        else:
            model = await in_thread(self.chat, name)
            chunks = iterate(lambda: plain.stream(model, path, body))
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                if "model" in chunk:
                    chunk["model"] = name
                yield chunk


def _here(name: str) -> bool:
    """Is it asked in this process: a fake, one on another server, another package's?"""
    return name.partition(":")[0] not in LOCAL


def _threads(kind: Kind, cores: int) -> int:
    """How many cores a model gets: with one thread too many, a chat is ten times slower.

    Embedding and the like get a quarter, at least one, and chats the others.
    """
    rest = max(1, cores // 4)
    return max(1, cores - rest) if kind == "chat" else rest


def _kind(config: Config, name: str) -> Kind:
    return Store(config.models_dir).get(name).kind


def _check(config: Config, kind: Kind, name: str) -> None:
    """Refuse a model that is not there before a process is started for it."""
    model = Store(config.models_dir).get(name)
    if model.kind != kind:
        raise UnknownModel(f"{name!r} is no {kind} model, but one of kind {model.kind!r}")


def _usage(told: Mapping[str, Any]) -> Usage:
    return Usage(int(told.get("prompt_tokens", 0)), int(told.get("completion_tokens", 0)))


def _timed(chunk: Mapping[str, Any]) -> Usage:
    """Tokens read and written, as the last chunk of a stream tells them."""
    times = chunk.get("timings") or {}
    read = int(times.get("prompt_n", 0)) + int(times.get("cache_n", 0))
    return Usage(read, int(times.get("predicted_n", 0)))


def _fitting(config: Config, name: str) -> int:
    """How many requests a chat model works on at once where `slots` is 0."""
    from ...models.llama import fitting_slots
    from ...models.llamacpp import model_file

    file = model_file(config, name.partition(":")[2])
    return fitting_slots(file, name=name, context=config.context)
