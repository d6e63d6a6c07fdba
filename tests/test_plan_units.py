"""Quantities as people write them."""

from __future__ import annotations

import pytest

from llar.errors import PlanError
from llar.plan.amount import amount
from llar.plan.units import count, parse_bytes, parse_context, parse_count, parse_number, size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4096", 4096), ("4k", 4000), ("8B", 8 * 10**9), ("15.6T", 15_600_000_000_000),
        ("1e12", 10**12), ("1,000,000", 10**6), ("128_256", 128_256), (" 0 ", 0), ("1.5k", 1500),
    ],
)  # fmt: skip
def test_counts(text: str, value: int) -> None:
    assert parse_count(text, "tokens") == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-1", "negative"), ("1.5", "no whole number"), ("many", "cannot be understood"),
        ("", "cannot be understood"), ("1e40", "larger than anything"), ("nan", "cannot"),
        ("8GB", "cannot be understood"), ("1.23456k", "no whole number"), ("inf", "cannot"),
        ("1e999", "larger than anything"),
    ],
)  # fmt: skip
def test_counts_that_are_none(text: str, said: str) -> None:
    with pytest.raises(PlanError, match=said) as failure:
        parse_count(text, "tokens")
    assert "tokens" in str(failure.value)


def test_bytes_need_their_unit() -> None:
    assert parse_bytes("24GB", "memory") == 24_000_000_000
    assert parse_bytes("24 GiB", "memory") == 24 * 2**30
    assert parse_bytes("1.5MiB", "memory") == 3 * 2**19
    with pytest.raises(PlanError, match="with its unit"):
        parse_bytes("24", "memory")


def test_sizes_and_counts_for_people() -> None:
    assert [size(v) for v in (0, 1023, 1024, 94371840, 14_483_464_192)] == [
        "0 B", "1023 B", "1.00 KiB", "90.00 MiB", "13.49 GiB",
    ]  # fmt: skip
    assert size(3 * 2**40) == "3.00 TiB"
    assert size(5000 * 2**40) == "5,000.00 TiB"
    assert [count(v) for v in (0, 9999, 0.5, 134_515_008, 8.03e9, 15.6e12, 3.8e25)] == [
        "0", "9,999", "0.50", "134.5 M", "8.03 B", "15.6 T", "3.8e25",
    ]  # fmt: skip


def test_lengths_are_powers_of_two() -> None:
    texts = ("8k", " 8K ", "1.5k", "1M", "4096", "4,096", "131072")
    assert [parse_context(t, "the context") for t in texts] == [
        8192, 8192, 1536, 2**20, 4096, 4096, 131_072,
    ]  # fmt: skip
    assert parse_number("1k", "the number of users") == 1000  # people are counted in tens


@pytest.mark.parametrize("text", ["0", "0k", "-8k", "8b", "1.0001k", "", "k", "٣"])
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_context(text, "the context")
    assert str(caught.value).startswith(
        "the context is 0" if text in ("0", "0k") else f"the context {text!r}"
    )


def test_contexts_and_rates_in_tables() -> None:
    told = [amount(v, "tokens") for v in (131_072, 40_960, 3_000_000)]
    assert told == ["131,072 tokens", "40,960 tokens", "3 M tokens"]
    assert amount(9642.43, "tokens/s") == "9,642 tokens/s"
