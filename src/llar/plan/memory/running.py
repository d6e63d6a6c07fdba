"""Memory of a running model: weights, KV cache, working buffers, and the process around them.

Chat models run in llama.cpp, as llar starts it (models/llama.py): the file is mapped into memory,
prompts are read in parts of 256 tokens, flash attention is on, and only the last token of a prompt
gives logits. Several users are slots of one server, each with a context of its own (llama-server
-np USERS -c CONTEXT x USERS). Sources in llama.cpp: src/llama-context.cpp (buffers, padding),
src/llama-graph.cpp and src/models (what a layer computes), ggml/src/ggml-alloc.c (memory of a
result is used again once nothing needs it), ggml/src/ggml-cpu/repack.cpp.

Encoders run in CTranslate2 with weights in int8, as models/bert.py starts it: a batch of 512 tokens
on each thread.

What is no tensor is estimated: vocabulary, graph and server were measured with synthetic models of
2 and 30 layers and 512 to 49,152 tokens; what glibc's malloc keeps, with a batch of MiniLM's (other
sizes of model gave 0.8 to 1.9 times the activations).
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...errors import PlanError
from ..figure import Figure
from ..shape import Shape
from .formats import Format
from .kv import KV, kv_cache, padded, unseen_window
from .weights import is_linear, weights

__all__ = ["BATCH_TOKENS", "EARLIER", "RESIDENT", "UBATCH", "Running", "running"]

EARLIER = 256 << 20  # bytes kept of earlier conversations at most: models/llama.py, CACHE_MB
UBATCH = 256  # prompt tokens computed together: models/llama.py, BATCH
BATCH_TOKENS = 512  # tokens of an encoder's batch: models/bert.py

RESIDENT = "shown by the system (RSS)"  # the name of that figure, where it is not the total

_MOST_USERS = 10**6
_MOST_THREADS = 4096
_MEASURED = "measured on Linux x86-64, Python 3.11, glibc 2.36, with"
_LLAMA = "xllamacpp 2026.10"
_CT2 = "CTranslate2 4.8"

_PROCESS = {"llama.cpp": 51 << 20, "ctranslate2": 57 << 20}  # Python, llar, engine; libraries
_TOKEN = 431  # bytes of a token in llama.cpp's vocabulary, its merge included
_LAYER = 70 << 10  # bytes of a layer's tensors, and of its part of the graph
_SERVER = 6 << 20  # bytes of slots, sampler, template and HTTP threads
_HELD = 340  # bytes of a token of the prompt, as text, in JSON and as a number
_ENCODER_TOKEN = 382  # bytes of a token in tokenizer.json's and CTranslate2's vocabularies
_ENCODER_ENGINE = int(5.5 * 2**20)  # bytes of thread pools and of kernels made at first use
_KEPT = 0.6  # of the activations, what glibc's malloc keeps besides for the next batch

_REPACKED = {  # types and rows that must come in eights or fours: ggml_repack_get_optimal_...
    "x86": ({"q4_0", "q4_k", "iq4_nl", "mxfp4"}, 8),
    "arm": ({"q4_0", "q4_k", "q5_k", "q6_k", "q8_0", "iq4_nl", "mxfp4", "q1_0"}, 8),
    "other": (set[str](), 8),
}


@dataclass(frozen=True, slots=True)
class Running:
    """What a running model takes, in bytes, and how it was asked for.

    `total` is what must be there. `resident` is what the system shows for the process (RSS): also
    pages of the file that were copied into a faster order, and that it drops where memory is
    short.
    """

    engine: str  # "llama.cpp" or "ctranslate2"
    weights: int
    kv: int
    buffers: int  # compute, output and work buffers; of an encoder its activations
    process: int  # Python, llar and the engine before a model is loaded
    total: int
    resident: int
    context: int
    users: int
    k: str
    v: str
    flash: bool
    ubatch: int
    threads: int
    figures: tuple[Figure, ...]  # each part, then the total
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> int:
        """Resident memory that the model adds to its process."""
        return self.resident - self.process


def running(
    shape: Shape,
    fmt: Format,
    context: int = 0,
    users: int = 1,
    *,
    k: str = "f16",
    v: str = "f16",
    flash: bool = True,
    ubatch: int = UBATCH,
    threads: int = 1,
    cpu: str = "",
) -> Running:
    """The memory of a model that runs, for `users` contexts of `context` tokens each.

    `context` 0 is the model's own. `threads` of an encoder work on a batch each; llama.cpp's
    share one. `cpu` is x86, arm or other ("" this machine's): which weights llama.cpp reorders.
    An encoder's `fmt` counts only where it is a GGUF: CTranslate2 keeps int8.
    Raises PlanError for numbers that make no sense and as `weights` and `kv_cache` do.
    """
    context = _context(shape, context)
    for name, number, most in (
        ("number of users", users, _MOST_USERS),
        ("ubatch", ubatch, 10**9),
        ("number of threads", threads, _MOST_THREADS),
    ):
        if not 1 <= number <= most:
            raise PlanError(f"the {name} is {number:,}; expected 1 to {most:,}")
    asked = _Asked(shape, fmt, context, users, k, v, flash, ubatch, threads, _cpu(cpu))
    if shape.encoder and not shape.source.endswith(".gguf"):
        return _in_ctranslate2(asked)
    return _in_llama(asked)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question, checked."""

    shape: Shape
    fmt: Format
    context: int
    users: int
    k: str
    v: str
    flash: bool
    ubatch: int
    threads: int
    cpu: str


def _context(shape: Shape, context: int) -> int:
    if context < 0:
        raise PlanError(f"the context is {context:,}; expected 1 or more, or 0 for the model's own")
    if shape.encoder and shape.context:
        return min(context or shape.context, shape.context)
    if not (context or shape.context):
        raise PlanError(
            f"nothing says how long a context {shape.name!r} was made for; name one",
            fix="--context 4096",
        )
    return context or shape.context


def _cpu(asked: str) -> str:
    if asked and asked not in _REPACKED:
        raise PlanError(f"cpu {asked!r} is not known; expected one of {', '.join(_REPACKED)}")
    machine = platform.machine().lower()
    found = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}
    return asked or found.get(machine, "other")


def _in_llama(asked: _Asked) -> Running:
    shape = asked.shape
    held = weights(shape, asked.fmt)
    cache = kv_cache(shape, asked.context, asked.users, asked.k, asked.v, ubatch=asked.ubatch)
    copied = _reordered(shape, asked.fmt, asked.cpu)
    compute = _compute(asked, cache)
    outputs = shape.hidden if shape.encoder else shape.vocabulary
    output = Figure(
        "output buffer", 4 * outputs * asked.users, "bytes",
        f"4 bytes x {outputs:,} x {asked.users} (the last token of each user)",
        "llama.cpp src/llama-context.cpp, output_reserve",
    )  # fmt: skip
    engine = _engine(asked)
    process = _process("llama.cpp")
    work = _work(asked, cache)
    parts = [held.figures[0], cache.figures[0], compute, output, work, engine, process]
    total = sum(int(f.value) for f in parts)
    buffers = int(compute.value + output.value + work.value)
    figures = [*parts, _total(parts), *cache.figures[1:]]
    if copied:
        figures.append(Figure(
            RESIDENT, total + copied, "bytes",
            f"total + {copied:,} bytes of the file that were read and copied into the order this "
            "kind of processor likes; where memory is short, the system drops them: plan with the "
            "total",
            "llama.cpp ggml/src/ggml-cpu/repack.cpp", exact=False,
        ))  # fmt: skip
    if not shape.encoder:
        figures.append(Figure(
            "earlier conversations, at most", EARLIER, "bytes",
            "not in the total: kept in RAM so that nobody's earlier words are read again",
            "llama.cpp tools/server, --cache-ram; models/llama.py, CACHE_MB",
        ))  # fmt: skip
    return Running(
        "llama.cpp", held.total, cache.total, buffers, int(process.value), total, total + copied,
        asked.context, asked.users, asked.k, asked.v, asked.flash, asked.ubatch, asked.threads,
        tuple(figures), (*held.notes, *_notes(asked)),
    )  # fmt: skip


def _notes(asked: _Asked) -> Iterator[str]:
    """What the numbers of llama.cpp leave to be known."""
    if asked.fmt.kind == "packed":
        yield (
            f"llama.cpp has no {asked.fmt.name}: such weights run in transformers or vLLM, whose "
            "buffers differ from the ones here; weights and KV cache per token are the same"
        )
    window = unseen_window(asked.shape)
    if window and asked.context > window:
        yield (
            f"the model looks back on {window:,} tokens only, but llama.cpp keeps the whole "
            f"context for {asked.shape.architecture}"
        )
    if asked.users > 1:
        yield (
            f"{asked.users} users at once need llama-server -np {asked.users}; in llar's own "
            "process they take turns and share one context"
        )


@lru_cache(maxsize=128)  # asked for again with every context and number of users that is tried
def _reordered(shape: Shape, fmt: Format, cpu: str) -> int:
    """Bytes of the matrices that llama.cpp copies into another order for this processor.

    Those of the layers and the head, for which a tied embedding is copied too.
    """
    types, rows = _REPACKED[cpu]
    head = "token_embd" if shape.tied and not shape.encoder else "output"
    return sum(
        size
        for tensor, kind, size in weights(shape, fmt).sizes
        if kind in types
        and len(tensor.shape) > 1
        and tensor.shape[-2] % rows == 0
        and (tensor.part == head or is_linear(tensor))
    )


def _compute(asked: _Asked, cache: KV) -> Figure:
    """The compute buffer: what lives at once in the widest moment of a layer.

    That is in the feed-forward part (gate, up and their product, beside residuals and inputs) or
    in attention (queries, keys and values and what is made of them, and without flash attention
    the scores). ggml's allocator fills holes with what comes later: with flash attention that makes
    it less at times; without, holes that nothing fits can add up to a feed-forward width.
    """
    shape = asked.shape
    hidden, queries = shape.hidden, shape.heads * shape.head_dim
    keys = max((max(pair) for pair in shape.kv_widths), default=shape.kv_heads * shape.head_dim)
    ffn = _ffn(shape)
    cells = cache.cells // asked.users or padded(asked.context, 256)
    columns = cells + cache.window_cells // asked.users  # a mask for each kind of layer
    feed = 3 * ffn + 5 * hidden
    if asked.flash:
        attention = max(2 * queries + 3 * keys + hidden, 7 * hidden)
        each = 4 * max(feed, attention) + _INPUTS + 2 * columns
        scores = "flash attention"
    else:
        attention = shape.heads * cells + 4 * hidden + 2 * queries + 2 * keys
        each = 4 * max(feed, attention) + _INPUTS + 4 * columns
        scores = f"scores of {shape.heads} heads x {cells:,}"
    tokens = asked.context if shape.encoder else min(asked.ubatch, asked.context)
    mask = (2 if asked.flash else 4) * columns
    text = (
        f"{tokens:,} tokens x (4 bytes x {max(feed, attention):,} + {_INPUTS} + mask {mask:,}),"
        f" {scores}"
    )
    return Figure("compute buffer", tokens * each, "bytes", text,
                  "llama.cpp src/llama-graph.cpp, ggml/src/ggml-alloc.c", exact=False)  # fmt: skip


_INPUTS = 36  # bytes of a token's number, position and places in the cache


@lru_cache(maxsize=64)  # asked for again with every context and number of users that is tried
def _ffn(shape: Shape) -> int:
    """The widest feed-forward part one token passes through: its experts together."""
    widest = shape.ffn
    for tensor in shape.tensors:
        if tensor.part == "ffn_down_exps":
            widest = max(widest, shape.experts_used * tensor.shape[-1])
        elif tensor.part in ("ffn_down", "ffn_down_shexp"):
            widest = max(widest, tensor.shape[-1])
    return widest


def _work(asked: _Asked, cache: KV) -> Figure:
    """What a matrix is multiplied with, in 8 bit with a scale for each 32; scores in 16 bit."""
    shape = asked.shape
    wide = max(_ffn(shape), shape.hidden, shape.heads * shape.head_dim)
    tokens = asked.context if shape.encoder else min(asked.ubatch, asked.context)
    cells = cache.cells // asked.users or padded(asked.context, 256)
    value, text = tokens * wide * 36 // 32, f"{tokens:,} tokens x {wide:,} x 36/32 bytes"
    scores = tokens * shape.heads * cells * 2
    if not asked.flash and scores > value:
        value, text = scores, f"2 bytes x {tokens:,} tokens x {shape.heads} heads x {cells:,}"
    source = "llama.cpp ggml/src/ggml-cpu/ggml-cpu.c, ggml_graph_plan"
    return Figure("work buffer", value, "bytes", text, source, exact=False)


def _engine(asked: _Asked) -> Figure:
    """What llama.cpp holds beside tensors: vocabulary, graph, slots, the prompt as it came."""
    shape = asked.shape
    tokens = asked.context * asked.users
    value = _SERVER + _TOKEN * shape.vocabulary + _LAYER * shape.layers + _HELD * tokens
    text = (
        f"{_SERVER >> 20} MiB + {_TOKEN} bytes x {shape.vocabulary:,} of vocabulary + "
        f"{_LAYER >> 10} KiB x {shape.layers} layers + {_HELD} bytes x {tokens:,} tokens"
    )
    return Figure("vocabulary and server", value, "bytes", text, f"{_MEASURED} {_LLAMA}",
                  exact=False)  # fmt: skip


def _process(engine: str) -> Figure:
    library = {"llama.cpp": _LLAMA, "ctranslate2": _CT2}[engine]
    return Figure("process", _PROCESS[engine], "bytes", "Python, llar, the engine's libraries",
                  f"{_MEASURED} {library}", exact=False)  # fmt: skip


def _total(parts: Sequence[Figure]) -> Figure:
    return Figure("total", sum(f.value for f in parts), "bytes",
                  " + ".join(f.name for f in parts), exact=False)  # fmt: skip


def _in_ctranslate2(asked: _Asked) -> Running:
    shape = asked.shape
    held = _int8(shape)
    active = _activations(asked)
    kept = Figure(
        "kept by malloc", int(_KEPT * active.value), "bytes", f"{_KEPT} x activations",
        f"{_MEASURED} {_CT2} and MiniLM; 0 to 0.9 with other sizes", exact=False,
    )  # fmt: skip
    engine = Figure(
        "vocabulary and engine", _ENCODER_ENGINE + _ENCODER_TOKEN * shape.vocabulary, "bytes",
        f"{_ENCODER_ENGINE / 2**20:g} MiB + {_ENCODER_TOKEN} bytes x {shape.vocabulary:,}",
        f"{_MEASURED} {_CT2} and tokenizers 0.21", exact=False,
    )  # fmt: skip
    process = _process("ctranslate2")
    parts = [held, active, kept, engine, process]
    total = int(sum(f.value for f in parts))
    note = "llar runs encoders in CTranslate2, with weights in int8 whatever their file holds"
    return Running(
        "ctranslate2", int(held.value), 0, int(active.value + kept.value), int(process.value),
        total, total, asked.context, asked.users, asked.k, asked.v, asked.flash, asked.ubatch,
        asked.threads, (*parts, _total(parts)), (note,),
    )  # fmt: skip


def _int8(shape: Shape) -> Figure:
    """The weights as models/bert_weights.py builds them: matrices int8 with a scale a row.

    Vectors and positions stay in 32 bit; the token types' first row is added to the positions.
    """
    whole = rows = 0
    vectors = 0
    for tensor in shape.tensors:
        if tensor.part == "token_types" or tensor.part.startswith("pooler"):
            continue
        if len(tensor.shape) == 2 and tensor.part != "position_embd":
            whole += tensor.elements
            rows += tensor.shape[0]
        else:
            vectors += tensor.elements
    text = f"{whole:,} in int8 + 4 bytes x ({rows:,} scales + {vectors:,} in 32 bit)"
    source = "CTranslate2 python/ctranslate2/specs/model_spec.py, quantization int8"
    return Figure("weights", whole + 4 * (rows + vectors), "bytes", text, source,
                  exact=not shape.assumed)  # fmt: skip


def _activations(asked: _Asked) -> Figure:
    """What a batch holds in the widest moment of a layer, on every thread.

    The queries, keys and values in 32 bit beside the sums they came from (36h), the scores beside
    them (24h + 4 heads x length), or the feed-forward part twice, as sums and as numbers (8ffn +
    12h): src/layers/attention.cc, transformer.cc and common.cc of CTranslate2.
    """
    shape = asked.shape
    texts = max(1, BATCH_TOKENS // asked.context)
    tokens = texts * asked.context
    each = max(
        8 * shape.ffn + 12 * shape.hidden,
        36 * shape.hidden,
        24 * shape.hidden + 4 * shape.heads * asked.context,
    )
    text = f"{asked.threads} threads x {tokens:,} tokens x {each:,} bytes"
    return Figure("activations", asked.threads * tokens * each, "bytes", text,
                  "CTranslate2 src/layers/attention.cc, transformer.cc, common.cc",
                  exact=False)  # fmt: skip
