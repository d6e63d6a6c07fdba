"""What a GGUF file says of its model, as a Shape with the true type of every tensor.

The keys are those of gguf-py/gguf/constants.py; how llama.cpp reads them is in its
src/llama-model.cpp and src/models/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import ModelCorrupt, PlanError
from ...models import gguf
from ...models.gguf import Gguf, Skipped
from ..shape import Shape, Tensor
from .measured import Measured, measure

__all__ = ["from_gguf"]

_ENCODERS = ("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2",
             "jina-bert-v3", "eurobert", "gemma-embedding", "t5encoder")  # fmt: skip
# architecture -> (of so many layers the odd one sees all, the odd one is the first, its window
# where the file states none); llama.cpp, set_swa_pattern in src/models/
_WINDOWS = {
    "cohere2": (4, False, 0), "exaone4": (4, False, 0), "gemma2": (2, False, 4096),
    "gemma3": (6, False, 0), "gemma3n": (5, False, 0), "gemma-embedding": (6, False, 0),
    "gpt-oss": (2, False, 0), "llama4": (4, False, 8192), "modern-bert": (3, True, 0),
    "olmo2": (4, False, 0),
}  # fmt: skip
_MOST = 10**9
_MOST_LAYERS = 10_000


def from_gguf(path: Path, name: str = "") -> Shape:
    """The Shape of a GGUF model. Raises PlanError and ModelCorrupt as `gguf.read`, and where the
    file holds a part of a model only."""
    header = gguf.read(path)
    return _Header(header, path).shape(name or path.name.removesuffix(".gguf"))


class _Header:
    """One header, its values checked as they are read."""

    def __init__(self, header: Gguf, path: Path) -> None:
        self.header = header
        self.path = path
        self.arch = header.architecture
        self.notes: list[str] = []
        if not self.arch:
            raise ModelCorrupt(f"{path}: the GGUF header names no architecture")
        kind = header.values.get("general.type", "model")
        if kind != "model" or self.arch == "clip":
            what = "projector of pictures" if self.arch == "clip" else kind
            raise PlanError(f"{path} holds a model's {what}, not the model itself")
        self.tensors = tuple(Tensor(t.name, t.shape, t.type) for t in header.tensors)
        self.check_names()

    def check_names(self) -> None:
        for t in self.tensors:
            number = t.name.split(".")[1:2] if t.name.startswith("blk.") else ["0"]
            if not number or not number[0].isdecimal() or int(number[0]) >= _MOST_LAYERS:
                raise ModelCorrupt(f"{self.path}: {t.name!r} is no name of a tensor")

    def shape(self, name: str) -> Shape:
        m = measure(self.tensors)
        layers = self.number("block_count", m.layers, _MOST_LAYERS)
        hidden = self.number("embedding_length", m.hidden)
        if m.hidden and m.hidden != hidden:
            raise ModelCorrupt(f"{self.path}: embedding_length is {hidden}, but token_embd is "
                               f"{m.hidden} wide")  # fmt: skip
        heads = self.per_layer("attention.head_count", layers)
        if heads is None:
            raise PlanError(
                f"{self.path}: {self.arch}.attention.head_count is not stated, and shapes of "
                "tensors do not tell it"
            )
        kv_heads = self.per_layer("attention.head_count_kv", layers) or heads
        encoder = self.arch in _ENCODERS or self.value("attention.causal") is False
        most = max(heads)
        if not most:
            raise PlanError(f"{self.path}: {self.arch} has no heads of attention; llar plans "
                            "transformers")  # fmt: skip
        head_dim = self.number("attention.key_length", hidden // most if most else 0, note=False)
        experts = self.number("expert_count", m.experts, least=0, note=bool(m.experts))
        context = self.number("context_length", 0, least=0, note=False)
        return Shape(
            name=name,
            architecture=self.arch,
            layers=layers,
            hidden=hidden,
            heads=most,
            kv_heads=max(kv_heads),
            head_dim=self.number("attention.key_length_mla", head_dim, note=False),
            ffn=self.ffn(m),
            vocabulary=self.vocabulary(m),
            context=context,
            tied=not m.head,
            tensors=self.tensors,
            experts=experts,
            experts_used=self.used(experts),
            windows=self.windows(layers),
            kv_widths=() if encoder else self.cached(layers, kv_heads, head_dim),
            encoder=encoder,
            gated=m.gated,
            source=str(self.path),
            assumed=tuple(self.notes),
        )

    def value(self, key: str) -> Any:
        return self.header.values.get(f"{self.arch}.{key}")

    def number(self, key: str, otherwise: int, most: int = _MOST, *, least: int = 1,
               note: bool = True) -> int:  # fmt: skip
        """A whole number of the metadata, or what the tensors say in its place."""
        value = self.value(key)
        if value is None:
            if otherwise < least:
                raise PlanError(f"{self.path}: {self.arch}.{key} is not stated, and shapes of "
                                "tensors do not tell it")  # fmt: skip
            if note:
                self.notes.append(f"{self.arch}.{key} is not stated; {otherwise} is what the "
                                  "shapes of the tensors say")  # fmt: skip
            return otherwise
        if isinstance(value, list) and value:
            value = max(value) if all(isinstance(v, int) for v in value) else value
        self.check(key, value, least, most)
        return int(value)

    def check(self, key: str, value: Any, least: int, most: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ModelCorrupt(f"{self.path}: {self.arch}.{key} is {value!r:.60}; expected a whole "
                               f"number from {least} to {most:,}")  # fmt: skip

    def per_layer(self, key: str, layers: int) -> tuple[int, ...] | None:
        """A number for each layer, of one for all or an array; None where it is not stated."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, list):
            self.check(key, value, 0, _MOST)
            return (value,) * layers
        if len(value) < layers:
            raise ModelCorrupt(f"{self.path}: {self.arch}.{key} has {len(value)} numbers for "
                               f"{layers} layers")  # fmt: skip
        for v in value:
            self.check(key, v, 0, _MOST)
        return tuple(value[:layers])

    def ffn(self, m: Measured) -> int:
        """Of a dense layer; of one expert where no layer is dense."""
        dense = any(t.part == "ffn_down" for t in self.tensors)
        if m.experts and not dense:
            return m.ffn
        return self.number("feed_forward_length", m.ffn, least=0)

    def used(self, experts: int) -> int:
        if not experts:
            return 0
        value = self.value("expert_used_count")
        if value is None:
            self.notes.append("expert_used_count is not stated; all experts are taken")
            return experts
        self.check("expert_used_count", value, 0, experts)
        return int(value)

    def vocabulary(self, m: Measured) -> int:
        if m.vocabulary:
            return m.vocabulary
        tokens = self.header.values.get("tokenizer.ggml.tokens")
        count = tokens.length if isinstance(tokens, Skipped) else len(tokens or ())
        return self.number("vocab_size", count, note=False)

    def cached(
        self, layers: int, kv_heads: tuple[int, ...], head_dim: int
    ) -> tuple[tuple[int, int], ...]:
        """Elements of K and V a token and layer, as llama.cpp keeps them (src/llama-kv-cache.cpp).

        Latent attention keeps K only, of which V is a part. A layer without attention keeps none.
        """
        value = self.number("attention.value_length", head_dim, note=False)
        latent = bool(self.value("attention.key_length_mla") and
                      self.value("attention.value_length_mla"))  # fmt: skip
        skip = self.uncached(layers, kv_heads)
        return tuple(
            (0, 0) if i in skip else (n * head_dim, 0 if latent else n * value)
            for i, n in enumerate(kv_heads)
        )

    def uncached(self, layers: int, kv_heads: tuple[int, ...]) -> set[int]:
        """Layers that llama.cpp keeps no keys and values of."""
        further = self.number("nextn_predict_layers", 0, layers, least=0, note=False)
        shared = self.number("attention.shared_kv_layers", 0, layers, least=0, note=False)
        if further:
            self.notes.append(f"the last {further} of the layers predict further tokens; running "
                              "the model does without them")  # fmt: skip
        skip = set(range(layers - max(further, shared), layers))
        recurrent = {t.layer for t in self.tensors if t.part.startswith(("ssm_", "shortconv"))}
        attends = {
            t.layer for t in self.tensors
            if t.part in ("attn_k", "attn_kv_a_mqa")
            or (t.part == "attn_qkv" and t.layer not in recurrent)
        }  # fmt: skip
        none = {i for i in range(layers) if kv_heads[i] and i not in attends | skip}
        if not none or not attends:
            return skip
        self.notes.append(f"{len(none)} of the layers have no attention; whatever state they keep "
                          "in place of a cache is not counted")  # fmt: skip
        return skip | none

    def windows(self, layers: int) -> tuple[int, ...]:
        """As llama.cpp has them: for some architectures it keeps the whole context all the same."""
        stated = self.number("attention.sliding_window", 0, least=0, note=False)
        pattern = self.value("attention.sliding_window_pattern")
        if isinstance(pattern, list):
            if len(pattern) < layers:
                raise ModelCorrupt(f"{self.path}: {self.arch}.attention.sliding_window_pattern has "
                                   f"{len(pattern)} values for {layers} layers")  # fmt: skip
            return tuple(stated if p else 0 for p in pattern[:layers]) if stated else ()
        if self.arch not in _WINDOWS:
            if stated:
                self.notes.append(f"the file states a window of {stated} tokens; llama.cpp uses "
                                  f"none for {self.arch}: it keeps the whole context")  # fmt: skip
            return ()
        every, first, window = _WINDOWS[self.arch]
        window = stated or window
        if pattern is not None:
            self.check("attention.sliding_window_pattern", pattern, 1, _MOST)
            every = pattern
        odd = 0 if first else every - 1
        return tuple(0 if i % every == odd else window for i in range(layers)) if window else ()
