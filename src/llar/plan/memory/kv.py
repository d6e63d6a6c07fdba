"""Memory of the KV cache: the keys and values of every token a model still looks back on.

A token costs, in each layer, the width of its keys and of its values in the type they are kept in;
with grouped heads that is kv_heads x head_dim each. What an engine allocates for a context differs:

llama.cpp  src/llama-context.cpp and llama-kv-cache*.cpp: all of it when it starts. A context of its
           own for each user, padded to 256; layers with a window keep window + ubatch, padded to
           256 (one pool of all users' contexts with unified=True). Of some architectures it
           knows no windows and keeps all (src/models/*.cpp, those that set no swa_type).
vllm       vllm/v1/kv_cache_interface.py: pages of 16 tokens as they are needed; here what full
           contexts need. Layers with a window keep the pages of the window - 1
           tokens before, and one more.
transformers  cache_utils.py: what has been read so far; layers with a window keep window - 1, and
           latent attention (DeepSeek) its keys and values written out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import PlanError
from ..figure import Figure
from ..shape import Shape
from .formats import TYPES

__all__ = ["ENGINES", "KV", "kv_cache", "kv_per_token", "padded", "unseen_window", "windows"]

Engine = Literal["llama.cpp", "vllm", "transformers"]

ENGINES: dict[str, tuple[str, ...]] = {
    "llama.cpp": ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"),
    "vllm": ("f16", "bf16", "f32", "fp8", "fp8_e4m3", "fp8_e5m2"),
    "transformers": ("f32", "f16", "bf16"),
}
"""The types each engine can keep keys and values in."""

_SPELLED = {
    "fp32": "f32", "float32": "f32", "fp16": "f16", "float16": "f16", "half": "f16",
    "bfloat16": "bf16",
}  # fmt: skip
_SIZES = {**TYPES, "fp8": TYPES["i8"], "fp8_e4m3": TYPES["i8"], "fp8_e5m2": TYPES["i8"]}
_SOURCES = {
    "llama.cpp": "llama.cpp src/llama-kv-cache.cpp, llama-kv-cache-iswa.cpp, llama-context.cpp",
    "vllm": "vLLM vllm/v1/kv_cache_interface.py",
    "transformers": "transformers cache_utils.py",
}
_LONGEST = 10**12  # tokens; beyond any context, so that a slip of the hand is told
_UNSEEN = frozenset({
    "mistral", "ministral", "ministral3", "mixtral", "phi3", "qwen2", "qwen2_moe", "qwen3",
    "qwen3_moe", "smollm3", "starcoder2",
})  # fmt: skip
"""Architectures, by their config.json, whose windows llama.cpp doesn't know."""


@dataclass(frozen=True, slots=True)
class KV:
    """The KV cache of some users. Sizes in bytes."""

    total: int
    per_token: int  # of one more token in all layers that keep it
    cells: int  # tokens a layer without a window has room for, of all users together
    window_cells: int  # the same of the layers with the narrowest window; 0: there are none
    figures: tuple[Figure, ...]


def kv_per_token(shape: Shape, k: str = "f16", v: str = "f16", engine: Engine = "llama.cpp") -> int:
    """Bytes that one token takes in all layers together. Raises PlanError, see kv_cache."""
    k, v = _type(k, "K", engine), _type(v, "V", engine)
    return sum(_row(shape, wide, k, "K") + _row(shape, narrow, v, "V")
               for wide, narrow in _widths(shape, engine))  # fmt: skip


def kv_cache(
    shape: Shape,
    context: int,
    users: int = 1,
    k: str = "f16",
    v: str = "f16",
    *,
    engine: Engine = "llama.cpp",
    ubatch: int = 512,
    unified: bool = False,
    full_windows: bool = False,
) -> KV:
    """The KV cache of `users` contexts of `context` tokens each.

    `full_windows` keeps whole contexts in layers with a window too (llama.cpp's --swa-full, and
    engines that know no windows). An encoder has no cache. Raises PlanError for a context or
    number of users below 1, types the engine doesn't have and blocks that don't divide a head.
    """
    for name, number in (("context", context), ("number of users", users), ("ubatch", ubatch)):
        if not 1 <= number <= _LONGEST:
            raise PlanError(f"the {name} is {number:,}; expected 1 to {_LONGEST:,}")
    k, v = _type(k, "K", engine), _type(v, "V", engine)
    cells = _cells(context, users, 0, engine, ubatch, unified=unified)
    kept: set[int] = set()
    total = 0
    for (wide, narrow), window in zip(_widths(shape, engine), windows(shape, engine), strict=True):
        room = cells
        if window and not full_windows:
            room = _cells(context, users, window, engine, ubatch, unified=unified)
            kept.add(room)
        total += room * (_row(shape, wide, k, "K") + _row(shape, narrow, v, "V"))
    per_token = kv_per_token(shape, k, v, engine)
    figures = _figures(shape, total, per_token, cells, kept, f"K {k}, V {v}", engine)
    return KV(total, per_token, cells, min(kept, default=0), figures)


def padded(tokens: int, to: int) -> int:
    """The next multiple."""
    return -(-tokens // to) * to


def _cells(
    context: int, users: int, window: int, engine: Engine, ubatch: int, *, unified: bool
) -> int:  # fmt: skip
    """Tokens a layer keeps room for, of all users together; `window` 0 for all of the context."""
    if engine == "transformers":
        return users * (min(context, window - 1) if window else context)
    if engine == "vllm":
        pages = padded(context, 16)
        return users * (min(pages, padded(window - 1, 16) + 16) if window else pages)
    whole = padded(context * users, 256) if unified else padded(context, 256)
    streams = 1 if unified else users
    if window:
        whole = padded(min(whole, window * (users if unified else 1) + min(ubatch, whole)), 256)
    return streams * whole


def _widths(shape: Shape, engine: str) -> tuple[tuple[int, int], ...]:
    if shape.encoder:
        return ((0, 0),) * shape.layers
    if engine == "transformers" and any(t.part == "attn_kv_a_mqa" for t in shape.tensors):
        return _written_out(shape)
    width = shape.kv_heads * shape.head_dim
    return shape.kv_widths or ((width, width),) * shape.layers


def _written_out(shape: Shape) -> tuple[tuple[int, int], ...]:
    """Keys as wide as the queries, values as wide as what the output projection takes."""
    wide, narrow = [0] * shape.layers, [0] * shape.layers
    for tensor in shape.tensors:
        if tensor.layer is not None and tensor.part in ("attn_q", "attn_q_b"):
            wide[tensor.layer] = tensor.shape[0]
        elif tensor.layer is not None and tensor.part == "attn_output":
            narrow[tensor.layer] = tensor.shape[-1]
    return tuple(zip(wide, narrow, strict=True))


def unseen_window(shape: Shape) -> int:
    """The window that a model has but llama.cpp doesn't know, in tokens; 0: there is none."""
    return max(shape.windows, default=0) if shape.architecture in _UNSEEN else 0


def windows(shape: Shape, engine: str) -> tuple[int, ...]:
    """For each layer, the tokens an engine makes it look back on; 0 for all."""
    if not shape.windows or (engine == "llama.cpp" and unseen_window(shape)):
        return (0,) * shape.layers
    return shape.windows


def _type(text: str, which: str, engine: str) -> str:
    known = ENGINES.get(engine)
    if known is None:
        raise PlanError(f"engine {engine!r} is not known; there are {', '.join(ENGINES)}")
    name = _SPELLED.get(text.strip().lower(), text.strip().lower())
    if name not in known:
        raise PlanError(
            f"{which} cannot be kept in {text!r}; {engine} has {', '.join(known)}",
        )
    return name


def _row(shape: Shape, width: int, name: str, which: str) -> int:
    kind = _SIZES[name]
    # every head of a cached row starts a block of its own; a latent row (MLA) is one head
    head = shape.head_dim if shape.head_dim and width % shape.head_dim == 0 else width
    if head % kind.block:
        raise PlanError(
            f"{which} cannot be kept in {name}: its blocks of {kind.block} do not divide heads of "
            f"{head}, which llama.cpp refuses; f16 and bf16 always work",
        )
    return kind.bytes(width)


def _figures(
    shape: Shape, total: int, per_token: int, cells: int, kept: set[int], types: str, engine: str
) -> tuple[Figure, ...]:  # fmt: skip
    source, exact = _SOURCES[engine], not shape.assumed
    widths = _widths(shape, engine)
    cached = [w for w in widths if any(w)]
    if not cached:
        text = "an encoder reads a text at once and keeps nothing"
        return (Figure("KV cache", 0, "bytes", text, source),)
    wide, narrow = cached[0]
    row = f"({wide} + {narrow} elements)" if len(set(cached)) == 1 else "(the width of each layer)"
    windowed = sum(1 for w, n in zip(widths, windows(shape, engine), strict=True)
                   if any(w) and n)  # fmt: skip
    spread = f"{len(cached)} layers x {cells:,} cells"
    if kept and windowed:
        rooms = " or ".join(f"{room:,}" for room in sorted(kept))
        whole = len(cached) - windowed
        spread = f"({whole} layers x {cells:,} cells + {windowed} with a window x {rooms})"
        if not whole:
            spread = f"{windowed} layers with a window x {rooms} cells"
    return (
        Figure("KV cache", total, "bytes", f"{spread} x {row}, {types}", source, exact),
        Figure("KV cache per token", per_token, "bytes",
               f"{len(cached)} layers x {row}, {types}: {per_token:,} bytes", source, exact),
    )  # fmt: skip
