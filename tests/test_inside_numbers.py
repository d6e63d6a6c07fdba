"""How numbers are stored and added, against numpy, ml_dtypes and numbers worked by hand."""

from __future__ import annotations

import json
import math
import random
import struct
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

from llar.cli.inside.numbers import numbers as command
from llar.errors import InsideError
from llar.inside.numbers import FORMATS, Real, exact_decimal, parse_number, shortened
from llar.inside.stored import Int8, absmax_scale, add, format_of, store

# name -> (numpy's type, unsigned integers of its size, a type whose values round to it once)
TYPES: dict[str, tuple[Any, Any, Any]] = {
    "fp16": (np.float16, np.uint16, np.float64),
    "bf16": (ml_dtypes.bfloat16, np.uint16, np.float32),
    "fp8-e4m3": (ml_dtypes.float8_e4m3fn, np.uint8, np.float32),
    "fp8-e5m2": (ml_dtypes.float8_e5m2, np.uint8, np.float32),
}


def real(value: float) -> Real:
    """A Python float as the exact number that it is."""
    return Real(bool(np.signbit(value)), Fraction(abs(value)))


def double(pattern: int) -> float:
    """The Python float of these 64 bits."""
    return float(struct.unpack("<d", pattern.to_bytes(8, "little"))[0])


@pytest.mark.parametrize("name", TYPES)
def test_every_pattern_means_what_the_other_implementation_says(name: str) -> None:
    kept, (kind, unsigned, _) = FORMATS[name], TYPES[name]
    patterns = np.arange(1 << kept.bits)
    with np.errstate(invalid="ignore"):
        expected = patterns.astype(unsigned).view(kind).astype(np.float64)
    finite = 0
    for pattern, value in zip(patterns.tolist(), expected.tolist(), strict=True):
        number = kept.decode(pattern)
        if np.isnan(value):
            assert number.kind == "nan"
        elif np.isinf(value):
            assert (number.kind, number.negative) == ("infinity", value < 0)
            assert kept.encode(number) == pattern
        else:
            finite += 1
            assert number.value == Fraction(value)
            assert number.negative == np.signbit(value)
            assert kept.encode(number) == pattern
    assert finite == {"fp16": 63488, "bf16": 65280, "fp8-e4m3": 254, "fp8-e5m2": 248}[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", TYPES)
def test_halfway_and_just_beside_round_as_in_the_other_implementation(name: str) -> None:
    kept, (kind, unsigned, wide) = FORMATS[name], TYPES[name]
    every = np.arange(kept.last + 1).astype(unsigned).view(kind).astype(wide)
    middles = every[:-1] / 2 + every[1:] / 2
    if len(middles) > 1000:  # around each power of two all, between them some
        at, step = np.arange(len(middles)), 1 << kept.mantissa
        middles = middles[(at % step < 3) | (at % step >= step - 3) | (at % 11 == 0)]
    beyond = [float(kept.largest) * f for f in (1.01, 1.03, 1.04, 1.07, 1.5)]
    values = np.concatenate([
        middles, np.nextafter(middles, wide(np.inf)), np.nextafter(middles, wide(0)),
        np.array([v for v in beyond if v < float(np.finfo(wide).max)], wide),
    ])  # fmt: skip
    with np.errstate(over="ignore"):
        expected = values.astype(kind).view(unsigned)
    for value, pattern in zip(values.tolist(), expected.tolist(), strict=True):
        assert kept.encode(real(value)) == pattern, value
        assert kept.encode(-real(value)) == pattern | 1 << (kept.bits - 1)


def test_single_and_double_precision_are_those_of_the_machine() -> None:
    generator = random.Random(5)
    for _ in range(2000):
        bits = generator.getrandbits(64)
        value = double(bits)
        if math.isnan(value):
            continue
        assert FORMATS["fp64"].encode(parse_number(repr(value))) == bits
        with np.errstate(over="ignore"):
            single = int(np.float32(value).view(np.uint32))
        assert FORMATS["fp32"].encode(parse_number(repr(value))) == single


@pytest.mark.slow
def test_shortest_decimals_are_those_of_python_and_numpy() -> None:
    generator = random.Random(6)
    patterns = [generator.getrandbits(64) for _ in range(500)] + [
        n << 52 for n in range(1, 2047, 3)
    ]
    for pattern in [*patterns, 1, 2, 3]:
        value = double(pattern)
        if not math.isnan(value):
            assert FORMATS["fp64"].printed(pattern) == repr(value)
    for pattern in range(1, 0x7C00, 97):
        value16 = np.array([pattern], np.uint16).view(np.float16)[0]
        assert float(FORMATS["fp16"].printed(pattern)) == float(str(value16))


def test_one_tenth_worked_by_hand() -> None:
    # 0.1 = 1.6 x 2^-4: exponent 123; 0.6 in binary is 1001 1001 ..., the 24th digit rounds up.
    found = store("0.1", FORMATS["fp32"])
    bits = (found.sign, found.exponent, found.mantissa)
    assert bits == ("0", "01111011", "10011001100110011001101")
    assert found.hex == "0x3dcccccd"
    assert found.exact == "0.100000001490116119384765625"
    assert found.error == "1.490116119384765625e-09"
    assert found.ulp == "7.450580596923828125e-09"  # 2^-27
    assert found.printed == "0.1"
    assert store("0.1", FORMATS["fp64"]).exact == str(Decimal.from_float(0.1))


@pytest.mark.parametrize(
    ("given", "name", "exact", "kind"),
    [
        ("70000", "fp16", "inf", "infinity"),
        ("-70000", "fp16", "-inf", "infinity"),
        ("65519.99", "fp16", "65504", "normal"),
        ("65520", "fp16", "inf", "infinity"),  # halfway to 2^16, which would be even
        ("16777217", "fp32", "16777216", "normal"),  # 2^24 + 1
        ("16777217", "fp64", "16777217", "normal"),
        ("16777219", "fp32", "16777220", "normal"),
        ("257", "bf16", "256", "normal"),
        ("6e-8", "fp16", "5.9604644775390625e-08", "subnormal"),  # 2^-24
        ("2.9e-8", "fp16", "0", "zero"),
        ("-1e-400", "fp64", "-0", "zero"),
        ("-0", "bf16", "-0", "zero"),
        ("1e-40", "fp32", None, "subnormal"),
        ("1e39", "fp32", "inf", "infinity"),
        ("448", "fp8-e4m3", "448", "normal"),
        ("464", "fp8-e4m3", "448", "normal"),
        ("465", "fp8-e4m3", "nan", "nan"),
        ("inf", "fp8-e4m3", "nan", "nan"),
        ("-inf", "fp8-e5m2", "-inf", "infinity"),
        ("nan", "fp16", "nan", "nan"),
        ("57344", "fp8-e5m2", "57344", "normal"),
    ],
)
def test_special_values(given: str, name: str, exact: str | None, kind: str) -> None:
    found = store(given, FORMATS[name])
    assert found.kind == kind
    if exact is not None:
        assert found.exact == exact
    if kind in ("infinity", "nan"):
        assert (found.error, found.relative, found.ulp) == ("", None, "")


def test_notes_say_why() -> None:
    assert "overflow: the largest number is 65504" in store("70000", FORMATS["fp16"]).note
    assert "halfway" in store("16777217", FORMATS["fp32"]).note
    assert store("6e-8", FORMATS["fp16"]).note == "subnormal, 1 significant bit left"
    assert store("0.5", FORMATS["fp8-e5m2"]).note == "exact"
    assert "underflow" in store("1e-8", FORMATS["fp16"]).note


@pytest.mark.parametrize(
    ("name", "printed", "equal"),
    [
        ("fp64", "0.30000000000000004", False),
        ("fp32", "0.3", True),
        ("fp16", "0.2998", False),
        ("bf16", "0.3", True),
        ("fp8-e4m3", "0.3", True),
        ("fp8-e5m2", "0.25", False),
    ],
)
def test_a_tenth_and_two_tenths(name: str, printed: str, equal: bool) -> None:
    found = add(["0.1", "0.2"], FORMATS[name])
    assert (found.result.printed, found.equal) == (printed, equal)
    if name == "fp64":
        assert found.result.exact == str(Decimal.from_float(0.1 + 0.2))
        assert found.why == (
            "2 of 2 numbers are rounded when they are stored; the last sum is rounded up by 0.5 of "
            "a step; 0.3 itself is stored 1 step away, as 0.3, so this prints 0.30000000000000004"
        )


@pytest.mark.slow
def test_sums_are_those_of_the_other_implementations() -> None:
    generator = random.Random(7)
    for _ in range(120):
        given = [f"{generator.uniform(-3, 3):.4g}" for _ in range(generator.randint(2, 6))]
        for name, (kind, _, _) in (TYPES | {"fp32": (np.float32, None, None)}).items():
            # ml_dtypes rounds a Python float twice; from numpy's float32 it rounds exact sums once.
            terms = [float(FORMATS[name].decode(FORMATS[name].encode(parse_number(t))).value)
                     for t in given]  # fmt: skip
            total = np.array(terms[0]).astype(kind)
            for term in terms[1:]:
                total = total + np.array(term).astype(kind)
            result = add(given, FORMATS[name]).result
            assert float(parse_number(result.exact).value) == float(total)
        doubles = [float(term) for term in given]
        expected = doubles[0]
        for double_ in doubles[1:]:
            expected += double_
        assert add(given, FORMATS["fp64"]).result.exact == exact_decimal(Fraction(expected))


def test_sums_of_infinities_and_zeros() -> None:
    half = FORMATS["fp16"]
    assert add(["inf", "-inf"], half).result.kind == "nan"
    assert add(["inf", "1"], half).result.exact == "inf"
    assert add(["nan", "1"], half).result.kind == "nan"
    assert not add(["nan", "1"], half).equal
    assert add(["-0", "-0"], half).result.exact == "-0"
    assert add(["1", "-1"], half).result.exact == "0"
    assert add(["60000", "60000"], half).result.exact == "inf"
    assert "beyond the largest number, 65504" in add(["60000", "60000"], half).why
    # 2^53 and above are even: 1e16 + 1 lies halfway and goes to 1e16
    lost = add(["1e16", "1", "-1e16"], FORMATS["fp64"])
    assert "1e+16 + 1.0 is kept as 1e+16; the last sum" in lost.why
    assert lost.why.endswith("1 itself is stored as 1.0, so this prints 0.0")
    assert "the largest number is 1.79769e+308, and" in store("1e400", FORMATS["fp64"]).note
    assert store("inf", Int8(Fraction(127))).note == (
        "there is no infinity: clipped to 127, at the scale 127"
    )
    with pytest.raises(InsideError, match="two numbers or more, got 1"):
        add(["1"], half)


def test_int8_with_a_scale() -> None:
    # 127 / 5.4 = 23.518...; 1.2 x 23.518 = 28.2, -4.3 x 23.518 = -101.1
    given = ["1.2", "-0.5", "-4.3", "1.2", "-3.1", "0.8", "2.4", "5.4"]
    scale = absmax_scale([parse_number(v) for v in given])
    assert scale == Fraction(1270, 54)
    kept = Int8(scale)
    assert [kept.encode(parse_number(v)) for v in given] == [28, -12, -101, 28, -73, 19, 56, 127]
    assert store("-4.3", kept).mantissa == "10011011"  # 256 - 101 = 155
    assert store("100", kept).note.startswith("clipped")
    assert store("100", kept).hex == "0x7f"
    found = add(["0.1", "0.2"], Int8(Fraction(635)))
    assert found.why == "64 + 127 = 191, and 191 / 635 = 0.300787"  # 63.5 goes to the even 64
    assert store("nan", kept).note == "int8 has no NaN: it cannot be stored"
    with pytest.raises(InsideError, match="not above 0"):
        Int8(Fraction(0))
    with pytest.raises(InsideError, match="cannot add infinity"):
        add(["inf", "1"], kept)


@pytest.mark.parametrize(
    "bad", ["", "abc", "1,5", "0x10", "--1", "1e", "1e9999", "9" * 1001, "1 2"]
)
def test_what_is_no_number_is_refused(bad: str) -> None:
    with pytest.raises(InsideError):
        parse_number(bad)


def test_a_format_of_another_name_gets_a_guess() -> None:
    with pytest.raises(InsideError, match="did you mean 'fp8-e4m3'"):
        format_of("fp8_e4m3")
    with pytest.raises(InsideError, match="int8 needs a scale"):
        format_of("int8")


def test_numbers_are_read_exactly() -> None:
    assert parse_number("0.1").value == Fraction(1, 10)
    assert parse_number("−4.3").value == Fraction(-43, 10)  # a typographic minus
    assert parse_number("1_000.5e-2").value == Fraction(2001, 200)
    assert parse_number("-.5E1").value == -5
    assert exact_decimal(Fraction(1, 3)) == "1/3"
    assert exact_decimal(Fraction(10**30)) == "1e+30"
    assert exact_decimal(Fraction(-5, 4)) == "-1.25"
    # 1e-8 in fp32, in 16 characters: without its exponent it would be another number
    assert shortened("9.99999993922529029077850282192e-09", 16) == "9.999999939…e-09"
    assert shortened("0.1000000000000", 8) == "0.10000…"
    assert shortened("1e-08", 8) == "1e-08"


def run(*args: str) -> Any:
    """The command's JSON."""
    found = CliRunner().invoke(command, [*args, "--json"], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_commands_show_and_draw(tmp_path: Path) -> None:
    found = run("bits", "0.1", "-0.5", "--format", "fp16", "--format", "int8", "--scale", "100")
    assert [(f["given"], f["format"], f["hex"]) for f in found] == [
        ("0.1", "fp16", "0x2e66"), ("0.1", "int8", "0x0a"),
        ("-0.5", "fp16", "0xb800"), ("-0.5", "int8", "0xce"),
    ]  # fmt: skip
    assert {f["format"] for f in run("bits", "nan")} == set(FORMATS)  # int8 has none
    assert [f["result"]["printed"] for f in run("add", "0.1", "0.2", "--format", "fp64")] == [
        "0.30000000000000004"
    ]
    shown = CliRunner().invoke(command, ["bits", "0.1", "--plot", str(tmp_path / "b.png")])
    assert "0 01111011 10011001100110011001101" in shown.stdout
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    several = CliRunner().invoke(
        command, ["bits", "0.1", "-inf", "--format", "fp64", "--plot", str(tmp_path / "b.svg")]
    )
    assert several.exit_code == 0, several.output
    wrong = CliRunner().invoke(command, ["bits", "--fromat", "fp16", "1"])
    assert wrong.exit_code == 2
    assert "--format" in wrong.output
    with pytest.raises(InsideError, match="for int8"):
        run("bits", "1", "--format", "fp16", "--scale", "3")
    with pytest.raises(InsideError, match="above 0"):
        run("bits", "1", "--scale", "-3")
