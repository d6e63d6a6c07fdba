"""Numbers as a format keeps them, and sums as a format adds them, with the reason in words."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..errors import InsideError
from .numbers import FORMATS, FloatFormat, Real, exact_decimal, parse_number

__all__ = ["Int8", "Stored", "Sum", "absmax_scale", "add", "format_of", "store"]

_COUNTABLE = 1000  # more steps between two numbers say nothing to people


@dataclass(frozen=True, slots=True)
class Int8:
    """Whole numbers of 8 bits that stand for a number times a scale (absmax quantisation)."""

    scale: Fraction
    name: str = "int8"

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise InsideError(
                f"the scale {exact_decimal(self.scale)} is not above 0; "
                "expected what a number is multiplied with, such as 23.5"
            )

    def encode(self, number: Real) -> int:
        """The nearest whole number, ties to even, from -128 to 127."""
        if number.kind == "nan":
            raise InsideError("int8 has no NaN")
        if number.kind == "infinity":
            return -128 if number.negative else 127
        return max(-128, min(127, round(number.value * self.scale)))

    def decode(self, code: int) -> Fraction:
        """What a whole number stands for."""
        return Fraction(code) / self.scale


@dataclass(frozen=True, slots=True)
class Stored:
    """One number in one format. Decimals are exact strings; an error is stored minus given."""

    given: str
    format: str
    kind: str  # "normal", "subnormal", "zero", "infinity", "nan"; of int8 "integer"
    sign: str  # bits
    exponent: str
    mantissa: str  # of int8 all eight bits, in two's complement
    hex: str
    exact: str  # the value that is kept, all its decimals
    printed: str  # the shortest decimal that is stored the same way
    error: str  # "" where one of both is not finite
    relative: float | None  # size of the error against the number given
    ulp: str  # distance to the next number; "" where there is none
    note: str  # why it is kept like this


@dataclass(frozen=True, slots=True)
class Step:
    """One addition: the exact sum of two stored numbers, and what the format keeps of it."""

    left: str
    right: str
    exact: str
    rounded: str


@dataclass(frozen=True, slots=True)
class Sum:
    """Numbers added in a format from left to right. `direct` is the true sum, stored at once."""

    format: str
    terms: tuple[Stored, ...]
    steps: tuple[Step, ...]
    result: Stored
    direct: Stored
    equal: bool  # whether both are the same bits
    why: str


def format_of(name: str, scale: Fraction | None = None) -> FloatFormat | Int8:
    """The format of that name; int8 needs a scale. Raises InsideError with a guess."""
    if name == "int8":
        if scale is None:
            raise InsideError("int8 needs a scale: what each number is multiplied with")
        return Int8(scale)
    if name not in FORMATS:
        known = [*FORMATS, "int8"]
        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InsideError(f"there is no format {name!r}, expected one of {', '.join(known)}{hint}")
    return FORMATS[name]


def absmax_scale(numbers: Sequence[Real]) -> Fraction:
    """The scale that takes the largest finite of these numbers to 127; 127 where all are zero."""
    largest = max((n.size for n in numbers if n.kind == "finite"), default=Fraction(0))
    return 127 / largest if largest else Fraction(127)


def store(text: str, kept: FloatFormat | Int8) -> Stored:
    """How a format keeps the number written in `text`."""
    number = parse_number(text)
    return _integer(number, text, kept) if isinstance(kept, Int8) else _float(number, text, kept)


def _float(number: Real, given: str, kept: FloatFormat) -> Stored:
    pattern = kept.encode(number)
    value = kept.decode(pattern)
    kind = value.kind
    if kind == "finite":
        kind = "zero" if not value.size else "normal"
        if value.size and "1" not in kept.split(pattern)[1]:
            kind = "subnormal"
    both = number.kind == value.kind == "finite"
    error = value.value - number.value if both else None
    return Stored(
        given, kept.name, kind, *kept.split(pattern),
        hex=f"0x{pattern:0{kept.bits // 4}x}",
        exact=str(value),
        printed=kept.printed(pattern),
        error="" if error is None else exact_decimal(error),
        relative=_relative(error, number),
        ulp=exact_decimal(kept.ulp(pattern)) if value.kind == "finite" else "",
        note=_why_float(number, value, kind, pattern, kept),
    )  # fmt: skip


def _relative(error: Fraction | None, number: Real) -> float | None:
    if error is None or not number.size:
        return None if error is None or error else 0.0
    return float(abs(error) / number.size)


def _why_float(number: Real, value: Real, kind: str, pattern: int, kept: FloatFormat) -> str:
    if number.kind != "finite" or value.kind != "finite":
        return _why_special(number, kept)
    error = value.value - number.value
    if not error:
        return "zero has a sign of its own" if value.negative and not value.size else "exact"
    if kind == "zero":
        return f"underflow: nearer to 0 than to the smallest number, {_short(kept.ulp(0))}"
    digits = len(kept.split(pattern)[2].lstrip("0")) if kind == "subnormal" else kept.mantissa + 1
    bits = f"{digits} significant bit{'s' if digits != 1 else ''}"
    what = f"subnormal, {bits} left" if kind == "subnormal" else f"rounded to {bits}"
    if abs(error) * 2 == kept.ulp(pattern):
        what += "; halfway between two numbers, so the one whose last bit is 0"
    return what


def _why_special(number: Real, kept: FloatFormat) -> str:
    """Why infinity or NaN was stored."""
    if number.kind == "nan":
        bits = "any mantissa but 0 under an exponent of ones"
        return f"not a number: {bits if kept.infinite else 'all bits but the sign are 1'}"
    if number.kind == "infinity":
        if kept.infinite:
            return "infinity: an exponent of ones over a mantissa of zeros"
        return f"there is no infinity in {kept.name}, so it becomes NaN"
    beyond = "infinity" if kept.infinite else "NaN"
    return (
        f"overflow: the largest number is {_largest(kept)}, and what rounds beyond it becomes "
        f"{beyond}"
    )


def _largest(kept: FloatFormat) -> str:
    """The largest finite number, in six digits where it has many."""
    text = exact_decimal(kept.largest)
    return text if len(text) <= 10 else _short(kept.largest)


def _integer(number: Real, given: str, kept: Int8) -> Stored:
    if number.kind == "nan":
        return Stored(given, "int8", "nan", "", "", "", "", "", "", "", None, "",
                      "int8 has no NaN: it cannot be stored")  # fmt: skip
    code = kept.encode(number)
    value = kept.decode(code)
    finite = number.kind == "finite"
    error = value - number.value if finite else None
    wanted = number.value * kept.scale if finite else None
    clipped = f"there is no infinity: clipped to {code}, at the scale {_short(kept.scale)}"
    note = f"round({_short(wanted)}) = {code}" if wanted is not None else clipped
    if wanted is not None and round(wanted) != code:
        note = f"clipped: {_short(wanted)} is outside -128 ... 127"
    return Stored(
        given, "int8", "integer", "", "", f"{code & 255:08b}",
        hex=f"0x{code & 255:02x}",
        exact=exact_decimal(value),
        printed=_short(value),
        error="" if error is None else exact_decimal(error),
        relative=_relative(error, number),
        ulp=exact_decimal(1 / kept.scale),
        note=note,
    )  # fmt: skip


def _short(value: Fraction) -> str:
    """A value for a sentence: six digits, of any size."""
    if not value:
        return "0"
    if 1e-300 < abs(value) < 1e300:
        return f"{float(value):.6g}"
    exponent = math.floor(_log10(abs(value)))
    return f"{float(value / Fraction(10) ** exponent):.6g}e{exponent:+d}"


def _log10(value: Fraction) -> float:
    return math.log10(value.numerator) - math.log10(value.denominator)


def add(texts: Sequence[str], kept: FloatFormat | Int8) -> Sum:
    """Add these numbers in a format, left to right, each step rounded to the format.

    int8 adds the whole numbers, as hardware does in 32 bits, and divides by the scale at the end.
    Raises InsideError for fewer than two numbers.
    """
    if len(texts) < 2:
        raise InsideError(f"a sum takes two numbers or more, got {len(texts)}")
    numbers = [parse_number(text) for text in texts]
    total = numbers[0]
    for number in numbers[1:]:
        total += number
    terms = tuple(store(text, kept) for text in texts)
    name = str(total)
    if isinstance(kept, Int8):
        return _add_integers(terms, numbers, total, name, kept)
    steps = []
    earlier = ""  # the first sum before the last that lost something
    held = kept.decode(kept.encode(numbers[0]))
    for number in numbers[1:]:
        other = kept.decode(kept.encode(number))
        exact = held + other
        rounded = kept.encode(exact)
        left = kept.printed(kept.encode(held))
        steps.append(
            Step(left, kept.printed(kept.encode(other)), str(exact), kept.printed(rounded))
        )
        before, held = earlier, kept.decode(rounded)
        if not earlier and held.kind == "finite" and held.value != exact.value:
            earlier = f"{left} + {steps[-1].right} is kept as {steps[-1].rounded}; "
    result = _float(held, " + ".join(texts), kept)
    direct = _float(total, name, kept)
    equal = result.hex == direct.hex and held.kind != "nan"
    why = _why_sum(terms, before, exact, held, result, direct, kept)
    return Sum(kept.name, terms, tuple(steps), result, direct, equal, why)


def _why_sum(
    terms: Sequence[Stored], before: str, exact: Real, held: Real, result: Stored, direct: Stored,
    kept: FloatFormat,
) -> str:  # fmt: skip
    """What happened `before`, at the last step, and how it compares with the true sum."""
    if "finite" not in (exact.kind, held.kind) or exact.kind != "finite":
        return f"infinities and NaN are passed on by IEEE 754's rules, so it is {result.printed}"
    if held.kind != "finite":
        return f"the sum is beyond the largest number, {_largest(kept)}"
    off = sum(term.error not in ("", "0") for term in terms)
    inexact = f"{off} of {len(terms)} numbers are rounded when they are stored" if off else (
        "all numbers are stored exactly")  # fmt: skip
    lost = held.value - exact.value
    moved = "is a number of the format itself"
    if lost:
        steps = lost / kept.ulp(kept.encode(held))
        moved = f"is rounded {'up' if lost > 0 else 'down'} by {_short(abs(steps))} of a step"
    if result.hex == direct.hex:
        end = f"that is what {direct.given} is stored as, too, so it prints {result.printed}"
    elif direct.kind in ("infinity", "nan"):
        end = f"the true sum {_cut(direct.given)} is beyond the largest number"
    else:
        away = abs(_order(result.hex, kept) - _order(direct.hex, kept))
        many = f" {away} step{'s' if away != 1 else ''} away," if away <= _COUNTABLE else ""
        end = (
            f"{_cut(direct.given)} itself is stored{many} as {direct.printed}, "
            f"so this prints {result.printed}"
        )
    return f"{inexact}; {before}the last sum {moved}; {end}"


def _cut(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"


def _order(pattern: str, kept: FloatFormat) -> int:
    """The place of a finite number among all of its format, so that neighbours differ by 1."""
    bits = int(pattern, 16)
    size = bits & ((1 << (kept.bits - 1)) - 1)
    return -size if bits >> (kept.bits - 1) else size


def _add_integers(
    terms: tuple[Stored, ...], numbers: Sequence[Real], total: Real, name: str, kept: Int8
) -> Sum:
    if any(number.kind != "finite" for number in numbers):
        raise InsideError("int8 cannot add infinity or NaN; expected finite numbers")
    codes = [kept.encode(number) for number in numbers]
    value = Fraction(sum(codes)) / kept.scale
    steps = []
    for n in range(1, len(codes)):
        left = sum(codes[:n])
        steps.append(Step(str(left), str(codes[n]), str(left + codes[n]), str(left + codes[n])))
    error = value - total.value
    joined = " + ".join(str(code) for code in codes).replace("+ -", "- ")
    result = Stored(
        " + ".join(term.given for term in terms), "int8", "integer", "", "",
        f"{sum(codes) & 0xFFFFFFFF:032b}", f"0x{sum(codes) & 0xFFFFFFFF:08x}",
        exact_decimal(value), _short(value), exact_decimal(error), _relative(error, total),
        exact_decimal(1 / kept.scale), "the sum is kept in 32 bits",
    )  # fmt: skip
    direct = _integer(total, name, kept)
    equal = exact_decimal(value) == direct.exact
    why = f"{joined} = {sum(codes)}, and {sum(codes)} / {_short(kept.scale)} = {_short(value)}"
    return Sum("int8", terms, tuple(steps), result, direct, equal, why)
