"""The tables of Hugging Face's memory calculator, to the digit it prints.

It is accelerate's `estimate-memory` (src/accelerate/commands/estimate.py) and the page
huggingface.co/spaces/hf-accelerate/model-memory-usage (src/model_utils.py). What to know of it:

- its "MB" and "GB" are of base 1024, rounded to two decimals;
- it builds the base model in float32, so without the output head, and divides by 2, 4 and 8 for
  the other types, whatever they really take;
- its largest layer is the larger of one decoder block and the largest module outside the blocks,
  which is the embedding where the vocabulary is large; BERT's embeddings count as one module,
  with its two buffers of positions in int64, and its base model has a pooler;
- until transformers 4.38 each layer's attention held the cosines and sines of all positions, in
  float32: 2 x max_position x head_dim, and the frequencies, head_dim / 2. The tables people quote
  are of that time; with rotary=False there are none in the layers, but the frequencies of the
  whole model, twice, as transformers has them today;
- Adam is counted as four times float32, of which mixed precision is said to need half.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ...errors import PlanError
from ..figure import Figure
from ..shape import Shape, Tensor

__all__ = ["Row", "Stages", "Table", "printed", "table"]

_DIVIDED = (("float32", 1), ("float16/bfloat16", 2), ("int8", 4), ("int4", 8))
_SOURCE = "accelerate src/accelerate/commands/estimate.py, utils/modeling.py"


@dataclass(frozen=True, slots=True)
class Stages:
    """What training with Adam is said to take at each stage, in bytes."""

    model: float
    gradients: float
    backward: float
    step: float

    @property
    def peak(self) -> float:
        """The largest, which the table shows as "Training using Adam"."""
        return max(self.model, self.gradients, self.backward, self.step)


@dataclass(frozen=True, slots=True)
class Row:
    """One type. Sizes in bytes; `stages` is None where the calculator says N/A."""

    dtype: str
    largest_layer: float
    total: float
    stages: Stages | None

    def printed(self) -> tuple[str, str, str, str]:
        """dtype, largest layer, total size and training as the calculator prints them."""
        adam = printed(self.stages.peak) if self.stages else "N/A"
        return self.dtype, printed(self.largest_layer), printed(self.total), adam


@dataclass(frozen=True, slots=True)
class Table:
    """All rows, with what the numbers were made of."""

    rows: tuple[Row, ...]
    figures: tuple[Figure, ...]

    def row(self, dtype: str) -> Row:
        """The row of "float32", "float16", "int8" or "int4". Raises PlanError."""
        for row in self.rows:
            if dtype in row.dtype.split("/"):
                return row
        raise PlanError(f"{dtype!r} is no row; expected float32, float16, bfloat16, int8 or int4")


def table(shape: Shape, *, rotary: bool = True) -> Table:
    """The calculator's table of a model, with or without the old rotary tables.

    Raises PlanError for a model without layers.
    """
    base = [t for t in shape.tensors if t.part not in _NOT_BASE]
    if not any(t.layer is not None for t in base):
        raise PlanError(f"{shape.name!r} has no layers, so that there is no largest one")
    in_layer = _rotary_in_layer(shape) if rotary else 0
    outside = _rotary_outside(shape) if not rotary else 0
    base += _pooler(shape)
    total = 4 * sum(t.elements for t in base) + shape.layers * in_layer + outside
    total += _position_buffers(shape)
    largest, largest_name = _largest(shape, base, in_layer)
    rows = tuple(
        Row(dtype, largest / by, total / by, _stages(total, dtype)) for dtype, by in _DIVIDED
    )
    return Table(rows, _figures(shape, base, total, largest, largest_name, in_layer, outside))


def printed(size: float) -> str:
    """A size as the calculator prints it: "432.02 MB", of base 1024."""
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{round(size, 2)} {unit}"
        size /= 1024
    return f"{round(size, 2)} PB"


_NOT_BASE = ("output", "output.bias", "rope_freqs", "cls", "cls.bias", "cls.output",
             "cls.output.bias")  # fmt: skip


def _turns(shape: Shape) -> bool:
    """Whether positions are told by turning, not by a table or by distance (ALiBi)."""
    if shape.encoder or shape.architecture in ("bloom", "mpt", "mamba"):
        return False
    return all(t.part != "position_embd" for t in shape.tensors)


def _rotary_in_layer(shape: Shape) -> int:
    if not _turns(shape):
        return 0
    return 4 * (2 * shape.context * shape.head_dim + shape.head_dim // 2)


def _rotary_outside(shape: Shape) -> int:
    return 4 * 2 * (shape.head_dim // 2) if _turns(shape) else 0


def _pooler(shape: Shape) -> list[Tensor]:
    """BERT's dense layer over the first token, which GGUF files leave out."""
    if shape.architecture != "bert" or any("pooler" in t.name for t in shape.tensors):
        return []
    width = shape.hidden
    return [Tensor("pooler.weight", (width, width)), Tensor("pooler.bias", (width,))]


def _position_buffers(shape: Shape) -> int:
    tables = [t.shape[0] for t in shape.tensors if t.part == "position_embd"]
    return 2 * 8 * tables[0] if shape.encoder and tables else 0


def _largest(shape: Shape, base: list[Tensor], in_layer: int) -> tuple[int, str]:
    """The largest block or module outside the blocks: float32 bytes and what to call it."""
    sizes: Counter[str] = Counter()
    for tensor in base:
        name = f"block {tensor.layer}"
        if tensor.layer is None:
            own = not shape.encoder or "pooler" in tensor.name
            name = tensor.part.removesuffix(".bias") if own else "embeddings"
        sizes[name] += 4 * tensor.elements
    for number in range(shape.layers):
        sizes[f"block {number}"] += in_layer
    sizes["embeddings"] += _position_buffers(shape)
    [(name, size)] = sizes.most_common(1)
    return size, name


def _stages(total: int, dtype: str) -> Stages | None:
    half = total // 2
    if dtype == "float32":
        return Stages(total, total, 2 * total, 4 * total)
    if dtype == "float16/bfloat16":
        return Stages(total, total + half, 2 * total, 2 * total)
    return None


def _figures(
    shape: Shape, base: list[Tensor], total: int, largest: int, name: str, in_layer: int,
    outside: int,
) -> tuple[Figure, ...]:  # fmt: skip
    parameters = sum(t.elements for t in base)
    extra = f" + {shape.layers} layers x {in_layer:,} bytes of rotary tables" if in_layer else ""
    extra += f" + {outside:,} bytes of rotary frequencies" if outside else ""
    positions = _position_buffers(shape)
    extra += f" + {positions:,} bytes of positions" if positions else ""
    return (
        Figure("total size in float32", total, "bytes",
               f"4 bytes x {parameters:,} parameters without head{extra}", _SOURCE,
               not shape.assumed),
        Figure("largest layer in float32", largest, "bytes", name, _SOURCE, not shape.assumed),
    )  # fmt: skip
