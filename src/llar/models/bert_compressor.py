"""Compressors of the LLMLingua-2 kind: a BERT that tells for each token whether to keep it.

Pan et al., "LLMLingua-2: Data Distillation for Efficient and Faithful Task-Agnostic Prompt
Compression" (2024). The encoder runs in CTranslate2, the layer that classifies in numpy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..config import Config
from ..errors import ModelCorrupt
from .bert import BertEmbedder
from .bert_weights import Array, read_tensors
from .interface import TokenWorth

__all__ = ["BertCompressor"]

WEIGHTS = "model.safetensors"
KEEP = 1  # the class "preserve"; 0 is "discard"


class BertCompressor:
    """A BERT or XLM-R token classifier of two classes, discard and keep.

    `folder` holds config.json, tokenizer.json and model.safetensors; `sha256` is that of the
    weights, `cache` is where the converted ones are kept. Raises ModelCorrupt, EngineError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        sha256: str,
        cache: Path,
        context: int = 0,
        threads: int = 0,
        compute_type: str = "int8",
    ) -> None:
        self.name = name
        self._weight = _tensor(folder / WEIGHTS, "classifier.weight")
        self._bias = _tensor(folder / WEIGHTS, "classifier.bias")
        self._encoder = BertEmbedder(
            folder,
            name=name,
            sha256=sha256,
            cache=cache,
            pooling="mean",  # of no meaning here: only its tokens are asked for
            context=context,
            threads=threads,
            compute_type=compute_type,
        )
        expected = (2, self._encoder.identity.dimension)
        if self._weight.shape != expected or self._bias.shape != (2,):
            raise ModelCorrupt(
                f"{folder / WEIGHTS}: classifier.weight has shape {self._weight.shape}, expected "
                f"{expected}: two classes, discard and keep"
            )

    @classmethod
    def open(cls, config: Config, name: str) -> BertCompressor:
        """The installed compressor `name`."""
        from .store import Store

        model = Store(config.models_dir).get(f"ctranslate2:{name}")
        if WEIGHTS not in model.files:
            raise ModelCorrupt(f"model {name!r} has no {WEIGHTS}, only {sorted(model.files)}")
        return cls(
            model.folder,
            name=f"ctranslate2:{model.name}",
            sha256=model.files[WEIGHTS],
            cache=config.models_dir / ".converted",
            context=model.context,
            threads=config.threads,
        )

    def worths(self, text: str) -> list[TokenWorth]:
        """The probability of "keep" for each token of `text`, in order.

        A text that is too long for the model is read in halves, each by itself.
        """
        if self._encoder.count_tokens(text) > self._encoder.max_tokens:
            middle = text.find(" ", len(text) // 2)
            middle = middle if middle > 0 else len(text) // 2
            behind = self.worths(text[middle:])
            return self.worths(text[:middle]) + [
                TokenWorth(t.start + middle, t.end + middle, t.worth) for t in behind
            ]
        states, places = self._encoder.token_states(text)
        logits = states @ self._weight.T + self._bias
        kept = 1 / (1 + np.exp(logits[:, 1 - KEEP] - logits[:, KEEP]))
        return [TokenWorth(a, b, float(p)) for (a, b), p in zip(places, kept, strict=True)]

    def close(self) -> None:
        """Free the weights."""
        self._encoder.close()


def _tensor(file: Path, name: str) -> Array:
    """One tensor of a safetensors file, as float32, without reading the others."""
    try:
        with safe_open(str(file), framework="numpy") as tensors:
            if name not in tensors.keys():  # noqa: SIM118 - it is no dict
                raise ModelCorrupt(f"{file} has no tensor {name!r}, expected a token classifier")
            if tensors.get_slice(name).get_dtype() != "BF16":
                found: Array = tensors.get_tensor(name).astype(np.float32)
                return found
    except OSError as e:
        raise ModelCorrupt(f"{file}: cannot be read: {e}") from e
    except SafetensorError as e:
        raise ModelCorrupt(f"{file} is no safetensors file: {e}") from e
    return read_tensors(file)[name]  # numpy has no bfloat16
