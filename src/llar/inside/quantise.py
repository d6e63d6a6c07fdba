"""Numbers kept in fewer bits, by the methods models use: the codes, what they mean, the error.

absmax and zero point: Dettmers et al. 2022, "LLM.int8(): 8-bit Matrix Multiplication for
Transformers at Scale", section 2; outliers, section 3. nf4 and double quantisation: Dettmers et
al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs", section 3. q8_0 and q4_0: ggml's
quantize_row_q8_0_ref and quantize_row_q4_0_ref (ggml/src/ggml-quants.c).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InsideError

__all__ = ["METHODS", "NF4", "Errors", "Quantised", "absmax", "nf4", "outlier", "q4_0", "q8_0",
           "quantise", "zero_point"]  # fmt: skip

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]

OUTLIER = 6.0  # LLM.int8's threshold
BLOCK = 64  # QLoRA's block of weights
_BLOCK_OF_SCALES = 256  # and its block of first-level scales
_GGML_BLOCK = 32
_LARGEST, _SMALLEST = 1e300, 1e-300  # scales of anything in between are finite
_LARGEST_32, _SMALLEST_32 = 1e38, 1e-37
_EIGHT = np.arange(-127.0, 128.0)


@dataclass(frozen=True, slots=True)
class Errors:
    """How far the restored numbers are from the given ones."""

    largest: float
    mean: float  # of sizes
    rmse: float
    snr: float | None  # decibels, power of the numbers to power of the errors; None: no error


@dataclass(frozen=True, slots=True)
class Quantised:
    """Numbers before and after, of the same shape."""

    method: str
    formula: str
    values: Numbers
    codes: Codes  # 0 where a number is kept in 16 bits
    restored: Numbers
    bits: float  # per number, scales and all that is stored besides included
    scaled: Numbers  # what is rounded: each number in units of its scale
    levels: NDArray[np.float64]  # what `scaled` is rounded to, ascending
    scales: Mapping[str, float] = field(default_factory=dict)  # what was worked out once for all
    kept: NDArray[np.bool_] | None = None  # which numbers stayed in 16 bits
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> Errors:
        """Largest, mean, root mean square, and signal to noise."""
        error = self.restored - self.values
        noise, signal = _root_mean_square(error), _root_mean_square(self.values)
        snr = 20 * (math.log10(signal) - math.log10(noise)) if noise and signal else None
        size = np.abs(error)
        return Errors(float(size.max()), float(size.mean()), noise, snr)


def _root_mean_square(values: Numbers) -> float:
    """Of numbers of any size, whose squares may be beyond all floats."""
    peak = float(np.abs(values).max())
    return peak * math.sqrt(float(np.mean(np.square(values / peak)))) if peak else 0.0


def absmax(values: Numbers) -> Quantised:
    """int8 with one scale: the largest number in size becomes 127 or -127, zero stays zero."""
    values = _checked(values)
    largest = float(np.abs(values).max())
    scale = 127 / largest if largest else 127.0
    codes = np.rint(values * scale).astype(np.int64)
    return Quantised(
        "absmax", f"round({scale:.6g} x), where {scale:.6g} = 127 / {largest:.6g}"
        if largest else "all are zero",
        values, codes, codes / scale, 8 + 32 / values.size, values * scale, _EIGHT,
        {"scale": scale, "largest": largest},
    )  # fmt: skip


def zero_point(values: Numbers) -> Quantised:
    """int8 with a scale and a zero point: the whole of -128 ... 127 covers lowest to highest.

    The range is widened to hold 0, which then has a code of its own (Jacob et al. 2018,
    "Quantization and Training of Neural Networks", section 2.1).
    """
    values = _checked(values)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = 255 / (high - low) if high > low else 1.0
    zero = round(-low * scale) - 128
    codes = np.clip(np.rint(values * scale) + zero, -128, 127).astype(np.int64)
    return Quantised(
        "zero-point",
        f"round({scale:.6g} x) {'-' if zero < 0 else '+'} {abs(zero)}, where {scale:.6g} = "
        f"255 / ({high:.6g} - ({low:.6g}))" if high > low else "all are zero",
        values, codes, (codes - zero) / scale, 8 + 40 / values.size,
        values * scale + zero, np.arange(-128.0, 128.0),
        {"scale": scale, "zero_point": zero, "lowest": low, "highest": high},
    )  # fmt: skip


def outlier(values: Numbers, threshold: float = OUTLIER) -> Quantised:
    """LLM.int8: columns with a number beyond the threshold stay in 16 bits, the rest is int8 with
    a scale for each row. A plain list of numbers is one row."""
    values = _checked(values)
    if not threshold > 0:
        raise InsideError(f"the threshold {threshold:g} is not above 0; LLM.int8 has 6")
    if values.ndim > 2:
        raise InsideError(f"outliers are columns of a matrix; this has {values.ndim} dimensions")
    rows = values.reshape(-1, values.shape[-1])
    columns = (np.abs(rows) > threshold).any(axis=0)
    inside = np.where(columns, 0.0, rows)
    largest = np.abs(inside).max(axis=1, keepdims=True)
    scale = 127 / np.where(largest > 0, largest, 127.0)
    codes = np.rint(inside * scale).astype(np.int64)
    with np.errstate(over="ignore"):
        half = rows.astype(np.float16).astype(np.float64)
    if not np.isfinite(half[:, columns]).all():
        raise InsideError("an outlier is beyond 65504, the largest number of 16 bits (fp16)")
    restored = np.where(columns, half, codes / scale)
    many = int(columns.sum())
    stored = rows.shape[0] * (8 * (columns.size - many) + 16 * many + 32) + 32 * many
    return Quantised(
        "outlier", f"columns with |x| > {threshold:g} in fp16, else round(127 x / largest of row)",
        values, codes.reshape(values.shape), restored.reshape(values.shape), stored / values.size,
        (inside * scale).reshape(values.shape), _EIGHT,
        {"threshold": threshold, "outlier_columns": many, "columns": columns.size},
        np.broadcast_to(columns, rows.shape).reshape(values.shape),
    )  # fmt: skip


def _normal_levels() -> NDArray[np.float32]:
    """NF4's 16 levels: quantiles of the normal distribution, scaled to -1 ... 1, with an exact 0.

    QLoRA, section 3: 8 levels of the positive half and 7 of the negative, evenly spaced in
    probability from 1/2 to the mean of 1 - 1/30 and 1 - 1/32, so that no tail is infinite.
    """
    edge = 1 - (1 / 30 + 1 / 32) / 2
    quantile = NormalDist().inv_cdf
    above = [quantile(0.5 + (edge - 0.5) * n / 8) for n in range(1, 9)]
    below = [-quantile(0.5 + (edge - 0.5) * n / 7) for n in range(1, 8)]
    levels = np.array(sorted([*below, 0.0, *above]))
    scaled: NDArray[np.float32] = (levels / levels.max()).astype(np.float32)
    return scaled


NF4 = _normal_levels()


def _dynamic_levels() -> NDArray[np.float32]:
    """The 256 levels of the 8-bit dynamic data type, in which QLoRA keeps first-level scales.

    Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", section 1.3: decimal
    exponents 0 to -6, and for each one bit more of evenly spaced fractions.
    """
    found = [0.0, 1.0]
    for exponent in range(7):
        edges = np.linspace(0.1, 1, 2**exponent + 1)
        middles = (edges[:-1] + edges[1:]) / 2 * 10.0 ** (exponent - 6)
        found += [*middles, *-middles]
    return np.array(sorted(found), np.float32)


def nf4(values: Numbers, block: int = BLOCK, double: bool = False) -> Quantised:
    """QLoRA's 4-bit NormalFloat: the nearest of 16 levels times the largest number of a block.

    `double` keeps those largest numbers in 8 bits, too, in blocks of 256.
    """
    values = _checked(values, single=True)
    if block < 1:
        raise InsideError(f"a block of {block} numbers cannot be; QLoRA has 64")
    blocks = _blocks(values, min(block, values.size))
    largest = np.abs(blocks).max(axis=1)
    bits, scales = 4 + 32 * len(blocks) / values.size, {"blocks": float(len(blocks))}
    scaled = blocks / np.where(largest > 0, largest, np.float32(1))[:, None]
    codes, used = _nearest(scaled, NF4), largest
    if double:
        mean = largest.mean(dtype=np.float32)
        rest = _blocks(largest - mean, _BLOCK_OF_SCALES)
        peaks = np.abs(rest).max(axis=1)
        levels = _dynamic_levels()
        eight = _nearest(rest / np.where(peaks > 0, peaks, np.float32(1))[:, None], levels)
        used = (levels[eight] * peaks[:, None]).ravel()[: len(largest)] + mean
        bits = 4 + (8 * len(largest) + 32 * len(peaks) + 32) / values.size
        scales["mean_of_largest"] = float(mean)
    restored = NF4[codes] * used[:, None]
    if len(blocks) == 1:
        scales["largest"] = float(used[0])
    return Quantised(
        "nf4" + "-double" * double,
        f"nearest of 16 levels to x / largest of its {block}"
        + (", the largest in 8 bits" if double else ""),
        values, _unblocked(codes, values).astype(np.int64),
        _unblocked(restored, values).astype(np.float64), bits,
        _unblocked(scaled, values).astype(np.float64), NF4.astype(np.float64), scales,
    )  # fmt: skip


def q8_0(values: Numbers) -> Quantised:
    """GGUF's q8_0: blocks of 32, an fp16 step each, codes from -127 to 127."""
    values = _checked(values, single=True)
    blocks = _blocks(values, _GGML_BLOCK)
    step = (np.abs(blocks).max(axis=1) / np.float32(127)).astype(np.float32)
    scaled = blocks * _inverse(step)[:, None]
    codes = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))  # C's roundf: away from zero
    return _ggml("q8_0", "round(x / step), step = largest of 32 / 127 in fp16",
                 values, codes, step, codes, scaled)  # fmt: skip


def q4_0(values: Numbers) -> Quantised:
    """GGUF's q4_0: blocks of 32, an fp16 step each, codes from 0 to 15 that mean -8 to 7."""
    values = _checked(values, single=True)
    blocks = _blocks(values, _GGML_BLOCK)
    farthest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)[:, 0]
    step = (farthest / np.float32(-8)).astype(np.float32)
    scaled = blocks * _inverse(step)[:, None]
    codes = np.minimum(np.trunc(scaled + np.float32(8.5)), 15)
    return _ggml("q4_0", "round(x / step) + 8, step = number farthest from 0 of 32 / -8 in fp16",
                 values, codes, step, codes - 8, scaled)  # fmt: skip


METHODS: dict[str, tuple[Callable[..., Quantised], str]] = {
    "absmax": (absmax, "int8, one scale, zero in the middle"),
    "zero-point": (zero_point, "int8, one scale and a zero point, for lopsided numbers"),
    "outlier": (outlier, "int8 by row, columns with large numbers in 16 bits (LLM.int8)"),
    "nf4": (nf4, "16 levels that fit normally distributed weights (QLoRA)"),
    "nf4-double": (lambda values, block=BLOCK: nf4(values, block, double=True),
                   "nf4 with its scales in 8 bits, too"),
    "q8_0": (q8_0, "GGUF: 8 bits, a step for each 32 numbers"),
    "q4_0": (q4_0, "GGUF: 4 bits, a step for each 32 numbers"),
}  # fmt: skip


def quantise(
    values: NDArray[np.floating[Any]],
    method: str,
    *,
    block: int | None = None,
    threshold: float | None = None,
) -> Quantised:
    """Quantise by the method of that name; `block` is nf4's, `threshold` outlier's.

    Raises InsideError for an unknown method, for an option it has no use for, and for numbers
    that it cannot keep: none at all, NaN, infinite, or beyond the range of its scales.
    """
    if method not in METHODS:
        near = difflib.get_close_matches(method, METHODS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InsideError(
            f"there is no method {method!r}, expected one of {', '.join(METHODS)}{hint}"
        )
    options: dict[str, Any] = {}
    if block is not None:
        if not method.startswith("nf4"):
            raise InsideError(f"the method {method!r} has no block to choose; nf4 has")
        options["block"] = block
    if threshold is not None:
        if method != "outlier":
            raise InsideError(f"the method {method!r} has no threshold; outlier has")
        options["threshold"] = threshold
    return METHODS[method][0](values, **options)


def _checked(values: Numbers, *, single: bool = False) -> Numbers:
    """The numbers, if they can be kept at all; `single`: in a method that computes in fp32."""
    values = np.asarray(values, np.float64)
    if not values.size:
        raise InsideError("there are no numbers to quantise")
    finite = np.isfinite(values)
    if not finite.all():
        at = int(np.flatnonzero(~finite.ravel())[0])
        raise InsideError(
            f"number {at + 1} of {values.size} is {float(values.ravel()[at])}; a scale of the "
            "largest number needs finite ones"
        )
    largest = float(np.abs(values).max())
    top, bottom = (_LARGEST_32, _SMALLEST_32) if single else (_LARGEST, _SMALLEST)
    if largest and not bottom <= largest <= top:
        raise InsideError(
            f"the largest number in size is {largest:g}; this method's scales reach from "
            f"{bottom:g} to {top:g}"
        )
    return values


def _blocks(values: NDArray[Any], block: int) -> NDArray[np.float32]:
    """The numbers as fp32 in rows of one block each, the last filled up with zeros."""
    flat = np.asarray(values, np.float32).ravel()
    rows = -(-flat.size // block)
    if rows * block == flat.size:
        return flat.reshape(rows, block)
    filled = np.zeros(rows * block, np.float32)
    filled[: flat.size] = flat
    return filled.reshape(rows, block)


def _unblocked(rows: NDArray[Any], values: Numbers) -> NDArray[Any]:
    return rows.ravel()[: values.size].reshape(values.shape)


def _nearest(values: NDArray[np.floating[Any]], levels: NDArray[np.float32]) -> NDArray[np.intp]:
    """The place of the nearest of ascending levels, the lower one of two as near."""
    middles = ((levels[:-1].astype(np.float64) + levels[1:]) / 2).astype(np.float32)
    return np.searchsorted(middles, values)


def _inverse(step: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / step, 0 for a step of 0, as ggml has it."""
    return np.divide(np.float32(1), step, out=np.zeros_like(step), where=step != 0)


def _ggml(
    name: str, formula: str, values: Numbers, codes: NDArray[np.float32],
    step: NDArray[np.float32], meant: NDArray[np.float32], scaled: NDArray[np.float32],
) -> Quantised:  # fmt: skip
    with np.errstate(over="ignore"):
        half = step.astype(np.float16).astype(np.float32)
    if not np.isfinite(half).all():
        raise InsideError(f"{name} keeps its steps in fp16, and one here is beyond 65504")
    notes = []
    lost = int(np.count_nonzero((half == 0) & (step != 0)))
    if lost:
        notes.append(f"{lost} of {len(step)} blocks are so small that fp16 makes their step 0")
    odd = values.size % _GGML_BLOCK
    if odd:
        notes.append(f"the last block was filled up with {_GGML_BLOCK - odd} zeros, stored as well")
    bits = (8.0 if name == "q8_0" else 4.0) + 0.5
    return Quantised(
        name, formula, values, _unblocked(codes, values).astype(np.int64),
        _unblocked(meant * half[:, None], values).astype(np.float64),
        bits * len(step) * _GGML_BLOCK / values.size,
        _unblocked(scaled, values).astype(np.float64),
        _EIGHT if name == "q8_0" else np.arange(-8.0, 8.0),
        {"blocks": float(len(step))} | ({"step": float(half[0])} if len(step) == 1 else {}),
        notes=tuple(notes),
    )  # fmt: skip
