"""Reranking with a local cross-encoder (GGUF)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config import Config
from ..errors import ContextTooLong, EngineError
from .gguf import read as read_gguf
from .llama import Llama
from .llamacpp import model_file

__all__ = ["LlamaReranker"]

SPECIAL = 4  # special tokens around a pair: <s> query </s></s> text </s>
PAIR = 2048  # tokens of the longest pair; more would reserve memory that no passage needs


class LlamaReranker:
    """A cross-encoder on llama.cpp: reads query and text together and gives one number.

    `context` 0 takes the model's own, at most 2048 tokens for query and text together.
    Raises ModelCorrupt, ConfigError and EngineError as `llama.Llama` does, EngineError also where
    the model is no cross-encoder, or is one that llama.cpp does not run as it was trained.
    """

    def __init__(self, file: Path, *, name: str, context: int = 0, threads: int = 0) -> None:
        self.name = name
        header = read_gguf(file)
        if not any(tensor.name.startswith("cls.") for tensor in header.tensors):
            raise EngineError(f"{name} is no reranker: {file} has no classification layer")
        if header.values.get("tokenizer.ggml.token_type_count", 1) > 1:
            raise EngineError(
                f"{name} marks query and text with two token types, which llama.cpp does not; its "
                "scores would be wrong. Take one of one type, such as bge-reranker-v2-m3"
            )
        own = header.values.get(f"{header.values.get('general.architecture')}.context_length", 0)
        self._llama = Llama(
            file, name=name, context=context or min(own, PAIR), threads=threads, rank=True
        )

    @classmethod
    def open(cls, config: Config, name: str) -> LlamaReranker:
        """The installed reranker `name`."""
        return cls(model_file(config, name), name=f"llamacpp:{name}", threads=config.threads)

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """The model's score (a logit) for each text, in the order of `texts`; higher is better.

        Raises ContextTooLong where query and a text together do not fit; nothing is cut.
        """
        if not texts:
            return []
        asked = self._count(query)
        for text in texts:
            used = asked + self._count(text) + SPECIAL
            if used > self._llama.context:
                raise ContextTooLong(
                    f"{self.name}: query and text take {used} tokens, more than the context of "
                    f"{self._llama.context}: {text[:60]!r}..."
                )
        body = {"query": query, "documents": list(texts)}
        results = self._llama.socket.post("/v1/rerank", body)["results"]
        scores = {row["index"]: float(row["relevance_score"]) for row in results}
        if sorted(scores) != list(range(len(texts))):
            raise EngineError(
                f"{self.name}: llama.cpp gave {len(results)} scores for {len(texts)} texts"
            )
        return [scores[i] for i in range(len(texts))]

    def close(self) -> None:
        """Free the model."""
        self._llama.close()

    def _count(self, text: str) -> int:
        body = {"content": text, "add_special": False, "parse_special": False}
        return len(self._llama.socket.post("/tokenize", body)["tokens"])
