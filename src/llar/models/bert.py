"""Embedding models of the BERT family, run by CTranslate2 on the processor.

The first use of a model converts its weights (`bert_weights`) into a folder that later uses load
in a few milliseconds. Texts are sorted by length and cut into batches of few tokens, each run on
one core: measured on two cores with 130-token texts, 235 to 250 texts/s in batches of 256 to 1024
tokens, 59 in batches of 16 k, because the activations then no longer fit the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config
from ..errors import ContextTooLong, EngineError, ModelCorrupt
from . import bert_weights
from .interface import EmbedderIdentity, Matrix
from .threads import free_cores

__all__ = ["BATCH_TOKENS", "BertEmbedder", "batches", "tokenizer"]

BATCH_TOKENS = 512
WINDOW = 4096  # texts whose token ids are held at a time

# One thread tokenizes as fast as twenty embed; its own pool would only make a later fork unsafe.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class BertEmbedder:
    """A BERT, RoBERTa or XLM-R encoder with mean or cls pooling, in int8.

    `folder` holds config.json, tokenizer.json and model.safetensors; `sha256` is that of the
    weights. `cache` is where the converted weights are kept. `context` is the most tokens of one
    text, special tokens and prefix included, where the model was made for fewer than it has
    positions; `threads` 0 takes the free cores.
    Raises ModelCorrupt for files that are not what they should be and EngineError for a kind of
    model that cannot run here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        sha256: str,
        cache: Path,
        pooling: str,
        query_prefix: str = "",
        document_prefix: str = "",
        languages: tuple[str, ...] = ("*",),
        context: int = 0,
        threads: int = 0,
        compute_type: str = "int8",
    ) -> None:
        config = bert_weights.read_config(folder)
        if pooling not in ("mean", "cls"):
            raise EngineError(f"{name}: pooling is {pooling!r}, expected 'mean' or 'cls'")
        self._pooling = pooling
        self._tokenizer = tokenizer(folder, config["vocab_size"])
        self._threads = threads or free_cores()
        positions = config["max_position_embeddings"] - bert_weights.first_position(config)
        self._limit = min(positions, context or positions)
        self._special = self._tokenizer.num_special_tokens_to_add(False)
        # A prefix is counted before a word: SentencePiece joins its last space to that word.
        self._prefixes = {p: self._added_by(p) for p in (query_prefix, document_prefix)}
        self.max_tokens = self._limit - self._special - max(self._prefixes.values())
        if self.max_tokens < 1:
            raise EngineError(f"{name}: its prefixes fill all {self._limit} tokens of a text")
        self.identity = EmbedderIdentity(
            name=name,
            sha256=sha256,
            dimension=config["hidden_size"],
            pooling=self._pooling,
            query_prefix=query_prefix,
            document_prefix=document_prefix,
            languages=languages,
        )
        key = hashlib.sha256(sha256.encode() + (folder / "config.json").read_bytes()).hexdigest()
        label = name.rpartition(":")[2].replace("/", "-")
        converted = cache / f"{label}-{key[:12]}-{compute_type}-{bert_weights.FORMAT}"
        self._encoder = self._load(folder, config, converted, compute_type)

    @classmethod
    def open(cls, config: Config, name: str) -> BertEmbedder:
        """The installed model `name` (without its backend)."""
        from .store import Store

        model = Store(config.models_dir).get(name)
        weights = "model.safetensors"
        if weights not in model.files:
            raise ModelCorrupt(f"model {name!r} has no {weights}, only {sorted(model.files)}")
        return cls(
            model.folder,
            name=f"ctranslate2:{model.name}",
            sha256=model.files[weights],
            cache=config.models_dir / ".converted",
            pooling=model.pooling,
            query_prefix=model.query_prefix,
            document_prefix=model.document_prefix,
            languages=model.languages,
            context=model.context,
            threads=config.threads,
        )

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` without special tokens and prefix; comparable to max_tokens."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Shape (len(texts), dimension), float32, rows of length 1.

        Raises ContextTooLong where a text has more than max_tokens tokens."""
        return self._embed(texts)

    def embed_query(self, text: str) -> Matrix:
        """Shape (dimension,), float32, length 1. Raises ContextTooLong as above."""
        vector: Matrix = self.vectors(self.token_ids([text], query=True))[0]
        return vector

    def embed_tokens(self, text: str) -> tuple[Matrix, list[tuple[int, int]]]:
        """One unit vector per token of a document's text, for late interaction.

        Returns shape (tokens, dimension), float32, and each token's (start, end) in `text`;
        special tokens and prefix are read by the model but left out.
        """
        states, offsets = self.token_states(text)
        return _unit(states), offsets

    def token_states(self, text: str) -> tuple[Matrix, list[tuple[int, int]]]:
        """Like embed_tokens, with the last layer as it is."""
        prefix = self.identity.document_prefix
        encoding = self._tokenizer.encode(prefix + text)
        self._check(len(encoding.ids), prefix, text)
        states = self._states([encoding.ids])[0]
        kept = [
            (row, (start - len(prefix), end - len(prefix)))
            for row, (start, end) in enumerate(encoding.offsets)
            if not encoding.special_tokens_mask[row] and end > len(prefix)
        ]
        rows: Matrix = states[[row for row, _ in kept]]
        return rows, [(max(0, start), end) for _, (start, end) in kept]

    def close(self) -> None:
        """Free the weights."""
        self._encoder.unload_model()

    def token_ids(self, texts: Sequence[str], *, query: bool = False) -> list[list[int]]:
        """What the model reads of documents or queries: special tokens and prefix included.

        Raises ContextTooLong as above."""
        prefix = self.identity.query_prefix if query else self.identity.document_prefix
        encodings = self._tokenizer.encode_batch_fast([prefix + text for text in texts])
        for encoding, text in zip(encodings, texts, strict=True):
            self._check(len(encoding.ids), prefix, text)
        return [encoding.ids for encoding in encodings]

    def vectors(self, ids: list[list[int]]) -> Matrix:
        """One vector, of length 1, for each row of token ids; all are run together, on one core."""
        states = self._states(ids)
        if self._pooling == "cls":
            return _unit(states[:, 0])
        rows = [states[i, : len(row)].mean(axis=0) for i, row in enumerate(ids)]
        return _unit(np.stack(rows))

    def _embed(self, texts: Sequence[str]) -> Matrix:
        vectors = np.empty((len(texts), self.identity.dimension), np.float32)
        with ThreadPoolExecutor(self._threads) as pool:  # starts a thread only for what is waiting
            for start in range(0, len(texts), WINDOW):
                window = texts[start : start + WINDOW]
                parts = pool.map(self.token_ids, _split(window, self._threads))
                ids = [row for part in parts for row in part]
                runs = list(batches([len(row) for row in ids]))
                jobs = pool.map(lambda b, ids=ids: self.vectors([ids[i] for i in b]), runs)
                for batch, rows in zip(runs, jobs, strict=True):
                    vectors[[start + i for i in batch]] = rows
        return vectors

    def _check(self, tokens: int, prefix: str, text: str) -> None:
        own = tokens - self._special - self._prefixes[prefix]
        if own > self.max_tokens or tokens > self._limit:
            raise ContextTooLong(
                f"a text of {own} tokens is longer than the {self.max_tokens} that "
                f"{self.identity.name} reads: {text[:60]!r}..."
            )

    def _states(self, ids: list[list[int]]) -> Matrix:
        """The last layer, shape (texts, longest, dimension), float32; padding rows are noise."""
        try:
            output = self._encoder.forward_batch(ids).last_hidden_state
        except (RuntimeError, ValueError, IndexError, MemoryError) as e:
            raise EngineError(f"{self.identity.name}: embedding failed: {e}") from e
        return np.asarray(output, dtype=np.float32)

    def _added_by(self, prefix: str) -> int:
        return self.count_tokens(f"{prefix}a") - self.count_tokens("a")

    def _load(
        self, folder: Path, config: dict[str, Any], converted: Path, compute_type: str
    ) -> Any:
        if not converted.is_dir():
            self._convert(folder, config, converted, compute_type)
        try:
            return self._open(converted, compute_type)
        except (RuntimeError, ValueError, MemoryError):
            # The copy is damaged, or made by another CTranslate2; the weights themselves are here.
            shutil.rmtree(converted, ignore_errors=True)
            self._convert(folder, config, converted, compute_type)
        try:
            return self._open(converted, compute_type)
        except (RuntimeError, ValueError, MemoryError) as e:
            raise EngineError(f"{self.identity.name}: CTranslate2 cannot load it: {e}") from e

    def _convert(
        self, folder: Path, config: dict[str, Any], converted: Path, compute_type: str
    ) -> None:
        vocabulary = self._tokenizer.get_vocab()
        tokens = [f"<unused {n}>" for n in range(config["vocab_size"])]
        for token, number in vocabulary.items():
            tokens[number] = token
        try:
            bert_weights.convert(
                folder / "model.safetensors", config, tokens, converted, compute_type
            )
        except OSError as e:
            raise EngineError(
                f"{self.identity.name}: cannot write its converted weights to {converted}: "
                f"{e.strerror}"
            ) from e

    def _open(self, converted: Path, compute_type: str) -> Any:
        import ctranslate2

        return ctranslate2.Encoder(
            str(converted),
            device="cpu",
            compute_type=compute_type,
            inter_threads=self._threads,  # whole batches side by side: no waiting between cores
            intra_threads=1,
        )


def tokenizer(folder: Path, vocabulary: int) -> Any:
    """The tokenizer in `folder`, which cuts and pads nothing. Raises ModelCorrupt."""
    from tokenizers import Tokenizer, normalizers

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelCorrupt(f"{file} is missing; expected the model's tokenizer")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as e:  # the library raises nothing narrower
        raise ModelCorrupt(f"{file} is no tokenizer: {e}") from e
    if tokenizer.get_vocab_size() > vocabulary:
        raise ModelCorrupt(
            f"{file} has {tokenizer.get_vocab_size()} tokens, but config.json says "
            f"vocab_size is {vocabulary}"
        )
    settings = _json(folder / "sentence_bert_config.json") or {}
    if settings.get("do_lower_case"):  # the model wants small letters, whatever its tokenizer does
        own = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    tokenizer.no_truncation()  # a text that is too long is an error, never cut
    tokenizer.no_padding()
    return tokenizer


def _json(file: Path) -> Any:
    """The parsed file, None where the model does not bring it."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise ModelCorrupt(f"{file}: expected JSON, got {e}") from e


def _split(texts: Sequence[str], parts: int) -> list[Sequence[str]]:
    size = max(1, -(-len(texts) // parts))
    return [texts[i : i + size] for i in range(0, len(texts), size)]


def batches(lengths: Sequence[int], most: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Positions of texts that run together: longest first, `most` tokens with padding."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > most:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _unit(rows: Matrix) -> Matrix:
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), dtype=np.float32)
