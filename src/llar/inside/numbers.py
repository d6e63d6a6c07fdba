"""How a number is stored: sign, exponent and mantissa, the value that is really kept, the error.

Everything is exact rational arithmetic on bit patterns; nothing is left to the machine's own
floats. Formats: IEEE 754-2019 (fp64, fp32, fp16); bfloat16, the upper half of fp32; fp8 after
Micikevicius et al. 2022, "FP8 Formats for Deep Learning", and the OCP 8-bit floating point
specification 1.0. Rounding is to nearest, ties to even.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fractions import Fraction

from ..errors import InsideError

__all__ = ["FORMATS", "FloatFormat", "Real", "exact_decimal", "parse_number", "shortened"]

_NUMBER = re.compile(r"([+-]?)(\d[\d_]*\.?\d*|\.\d+)(?:e([+-]?\d{1,9}))?", re.I)
_MOST_DIGITS, _MOST_EXPONENT = 1000, 2000  # far beyond what any of the formats can tell apart


@dataclass(frozen=True, slots=True)
class Real:
    """A number with its sign, so that -0 is one; `size` is meaningless for what is not finite."""

    negative: bool
    size: Fraction = Fraction(0)
    kind: str = "finite"  # or "infinity", "nan"

    @property
    def value(self) -> Fraction:
        """With the sign; only for a finite one."""
        return -self.size if self.negative else self.size

    def __neg__(self) -> Real:
        return replace(self, negative=not self.negative)

    def __add__(self, other: Real) -> Real:
        """The exact sum, by IEEE 754's rules for infinities and for the sign of zero (6.3)."""
        if "nan" in (self.kind, other.kind):
            return Real(False, kind="nan")
        if self.kind == "infinity" or other.kind == "infinity":
            if self.kind == other.kind and self.negative != other.negative:
                return Real(False, kind="nan")
            return self if self.kind == "infinity" else other
        total = self.value + other.value
        if total == 0:
            return Real(self.negative and other.negative)
        return Real(total < 0, abs(total))

    def __str__(self) -> str:
        if self.kind != "finite":
            return "nan" if self.kind == "nan" else ("-inf" if self.negative else "inf")
        return ("-" if self.negative else "") + exact_decimal(self.size)


def parse_number(text: str) -> Real:
    """A decimal number, inf or nan, exactly as written. Raises InsideError for anything else."""
    given = text.strip().replace("\N{MINUS SIGN}", "-")
    bare = given.lower().lstrip("+-")
    if len(given) - len(bare) <= 1 and bare in ("inf", "infinity", "nan"):
        return Real(given.startswith("-"), kind="nan" if bare == "nan" else "infinity")
    found = _NUMBER.fullmatch(given)
    if found is None:
        hint = "; write the decimal point as '.'" if re.fullmatch(r"[+-]?\d+,\d+", given) else ""
        raise InsideError(
            f"{text!r} is no number; expected one like 0.1, -4.3, 6e-8, inf or nan{hint}"
        )
    digits, exponent = found[2].replace("_", ""), int(found[3] or 0)
    if len(digits) > _MOST_DIGITS or abs(exponent) > _MOST_EXPONENT:
        raise InsideError(
            f"{text[:40]!r}{'...' if len(text) > 40 else ''} is too long; expected at most "
            f"{_MOST_DIGITS:,} digits and an exponent of at most {_MOST_EXPONENT:,}"
        )
    return Real(found[1] == "-", Fraction(f"{digits}e{exponent}"))


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """A binary floating-point format: one sign bit, then the exponent, then the mantissa."""

    name: str
    exponent: int  # bits
    mantissa: int  # bits that are stored; a normal number has a leading 1 besides
    infinite: bool = True  # False: e4m3, which spends its last exponent on numbers and one NaN
    about: str = ""

    @property
    def bits(self) -> int:
        """Of the whole number."""
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """What is added to the exponent to store it."""
        return int((1 << (self.exponent - 1)) - 1)

    @property
    def lowest(self) -> int:
        """The exponent of the smallest normal number; subnormal ones share it."""
        return 1 - self.bias

    @property
    def last(self) -> int:
        """The pattern of the largest finite number, without its sign."""
        every = (1 << (self.bits - 1)) - 1
        return int(every - (1 << self.mantissa) if self.infinite else every - 1)

    @property
    def largest(self) -> Fraction:
        """The largest finite number."""
        return self.decode(self.last).size

    def decode(self, pattern: int) -> Real:
        """The number that a pattern of bits stands for."""
        negative = bool(pattern >> (self.bits - 1))
        rest = pattern & ((1 << (self.bits - 1)) - 1)
        if rest > self.last:
            is_infinite = self.infinite and rest == self.last + 1
            return Real(negative, kind="infinity" if is_infinite else "nan")
        field, digits = rest >> self.mantissa, rest & ((1 << self.mantissa) - 1)
        if field:
            digits += 1 << self.mantissa
        return Real(negative, digits * self._quantum(max(field, 1)))

    def encode(self, number: Real) -> int:
        """The pattern of bits nearest to a number; infinity (e4m3: NaN) beyond the largest."""
        sign = int(number.negative) << (self.bits - 1)
        if number.kind == "nan":  # the quiet NaN
            return sign | (self.last + 1 + (1 << (self.mantissa - 1)) * self.infinite)
        if number.kind == "infinity":
            return sign | (self.last + 1)
        field = max(_exponent(number.size), self.lowest) + self.bias if number.size else 1
        steps = round(number.size / self._quantum(field))  # Python's round: ties to even
        # A mantissa that rounds up to the next power of two carries into the exponent by itself.
        pattern = ((field - 1) << self.mantissa) + steps
        return sign | min(pattern, self.last + 1)

    def ulp(self, pattern: int) -> Fraction:
        """The distance from a finite number to the next larger one in size."""
        field = (pattern >> self.mantissa) & ((1 << self.exponent) - 1)
        return self._quantum(max(field, 1))

    def split(self, pattern: int) -> tuple[str, str, str]:
        """Sign, exponent and mantissa as strings of 0 and 1."""
        text = f"{pattern:0{self.bits}b}"
        return text[0], text[1 : 1 + self.exponent], text[1 + self.exponent :]

    def printed(self, pattern: int) -> str:
        """The shortest decimal that is stored as this pattern, as Python writes floats."""
        number = self.decode(pattern)
        if number.kind != "finite" or not number.size:
            return str(number) if number.kind != "finite" else "-0.0" if number.negative else "0.0"
        for digits in range(1, 20):
            found = [d for d in _near(number.size, digits)
                     if self.encode(Real(number.negative, Fraction(d))) == pattern]  # fmt: skip
            if found:
                nearest = min(
                    found,
                    key=lambda d: (abs(Fraction(d) - number.size), d.as_tuple().digits[-1] % 2),
                )
                return ("-" if number.negative else "") + _as_python(nearest)
        raise AssertionError("17 digits tell all numbers of 64 bits apart")

    def _quantum(self, field: int) -> Fraction:
        """The step between numbers whose stored exponent is `field`."""
        return _power(field - self.bias - self.mantissa)


FORMATS = {
    f.name: f
    for f in (
        FloatFormat("fp64", 11, 52, about="double precision; Python's float"),
        FloatFormat("fp32", 8, 23, about="single precision"),
        FloatFormat("fp16", 5, 10, about="half precision"),
        FloatFormat("bf16", 8, 7, about="the range of fp32 with 8 bits of precision"),
        FloatFormat("fp8-e4m3", 4, 3, infinite=False, about="weights and activations; no infinity"),
        FloatFormat("fp8-e5m2", 5, 2, about="gradients"),
    )
}


def _power(exponent: int) -> Fraction:
    """Two to this power, exactly."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def _exponent(size: Fraction) -> int:
    """The largest e with 2^e <= size, for a size above 0."""
    guess = size.numerator.bit_length() - size.denominator.bit_length()
    return guess if _power(guess) <= size else guess - 1


def _near(size: Fraction, digits: int) -> tuple[Decimal, ...]:
    """The two decimals of that many digits below and above a number, the same twice where exact."""
    down = Context(prec=digits, rounding="ROUND_FLOOR")
    up = Context(prec=digits, rounding="ROUND_CEILING")
    top, bottom = Decimal(size.numerator), Decimal(size.denominator)
    return down.divide(top, bottom), up.divide(top, bottom)


def _as_python(number: Decimal) -> str:
    """As repr() of a float: with a point, or an exponent below 1e-4 and from 1e16 on."""
    if number == 0:
        return "0.0"
    number = number.normalize()
    at = number.adjusted()
    if -4 <= at < 16:
        text = f"{number:f}"
        return text if "." in text else text + ".0"
    digits = "".join(str(d) for d in number.as_tuple().digits)
    point = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{point}e{'-' if at < 0 else '+'}{abs(at):02d}"


def exact_decimal(value: Fraction) -> str:
    """All decimals of a number, or it as a fraction where they never end; e-notation where short.

    One below a millionth or from 1e26 on is written with an exponent.
    """
    sign, value = ("-" if value < 0 else ""), abs(value)
    rest, twos, fives = value.denominator, 0, 0
    twos = (rest & -rest).bit_length() - 1
    rest >>= twos
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{sign}{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    whole = value.numerator * 2 ** (places - twos) * 5 ** (places - fives)
    number = Decimal(whole).scaleb(-places, Context(prec=5000, Emin=-9999, Emax=9999))
    if number and (number.adjusted() < -6 or number.adjusted() > 25):
        digits = "".join(str(d) for d in number.as_tuple().digits).rstrip("0")
        point = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{point}e{number.adjusted():+03d}"
    text = f"{number:f}"
    return sign + (text.rstrip("0").rstrip(".") if "." in text else text)


def shortened(text: str, most: int) -> str:
    """A long decimal by its first digits, an ellipsis and its exponent, in that many characters."""
    if len(text) <= most:
        return text
    digits, e, exponent = text.partition("e")
    return f"{digits[: most - 1 - len(e + exponent)]}…{e}{exponent}"
