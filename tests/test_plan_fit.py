"""Whether a model fits a machine, what goes where, and how fast it runs.

Speeds are checked against published runs of llama.cpp. The shares of bandwidth and compute in
plan/hardware/speed.py were fitted to every second row of each family and kind in PUBLISHED; what
must hold of all rows is asserted for both halves.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from llar.config import Config, load
from llar.errors import PlanError
from llar.plan.hardware import speed
from llar.plan.hardware.fit import Fit, fit, most_of
from llar.plan.hardware.machines import Machine, find, machines
from llar.plan.memory.formats import parse_format
from llar.plan.memory.running import running
from llar.plan.memory.weights import weights
from llar.plan.shape import Shape
from llar.plan.shapes.resolve import resolve

GIB = 2**30

# --- published runs ------------------------------------------------------------------------------

CUDA = "llama.cpp discussion 15013: Llama 2 7B Q4_0"
METAL = "llama.cpp discussion 4167: Llama 2 7B"
XD = "XiongjieDai/GPU-Benchmarks-on-LLM-Inference, README (December 2023, May 2024)"
JG = "geerlingguy/ai-benchmarks, README"
GIST = "gist.github.com/andrewginns/cf95867c2d79458bd894c07b9e7d5cbd"
EPYC = "ahelpme.com/?p=6685: llama-bench, AMD EPYC 9554"
I34 = "llama.cpp issue 34: Core i9-13900K, DDR5-6400, 8 threads"
NB = "brand-o/normiebench issue 42: Core i7-7820HQ"
HF = "repository notes quoting llama-bench: Mac mini M1"

# machine, model, format, tg or pp, tokens (mean context of tg, prompt of pp), tokens/s, where
PUBLISHED = (
    ("rtx-3060", "llama-2-7b", "Q4_0", "tg", 64, 75.6, CUDA),
    ("rtx-5090", "llama-2-7b", "Q4_0", "tg", 64, 300.4, CUDA),
    ("rtx-4090", "llama-2-7b", "Q4_0", "tg", 64, 189.0, CUDA),
    ("rtx-3090", "llama-2-7b", "Q4_0", "tg", 64, 158.2, CUDA),
    ("rtx-4090", "llama-3-8b", "F16", "tg", 256, 54.84, XD),
    ("rtx-3090", "llama-3-8b", "F16", "tg", 256, 47.40, XD),
    ("rtx-4090", "llama-3-8b", "Q4_K_M", "tg", 256, 130.58, XD),
    ("rtx-3090", "llama-3-8b", "Q4_K_M", "tg", 256, 115.42, XD),
    ("2x rtx-4090", "llama-3-70b", "Q4_K_M", "tg", 256, 19.22, XD),
    ("2x rtx-3090", "llama-3-70b", "Q4_K_M", "tg", 256, 16.57, XD),
    ("8x rtx-4090", "llama-3-70b", "F16", "tg", 256, 6.47, XD),
    ("6x rtx-3090", "llama-3-70b", "F16", "tg", 256, 5.85, XD),
    ("rtx-a6000", "llama-2-7b", "Q4_0", "tg", 512, 111.57, XD),
    ("rtx-a6000", "llama-2-7b", "F16", "tg", 512, 44.01, XD),
    ("rtx-6000-ada", "llama-2-7b", "Q4_0", "tg", 512, 127.45, XD),
    ("rtx-6000-ada", "llama-2-7b", "F16", "tg", 512, 50.56, XD),
    ("rtx-a6000", "llama-2-70b", "Q4_0", "tg", 512, 15.18, XD),
    ("rtx-6000-ada", "llama-2-70b", "Q4_0", "tg", 512, 17.02, XD),
    ("rtx-4090", "qwen2.5-14b", "Q4_K_M", "tg", 256, 92.49, JG),
    ("rtx-3060", "qwen2.5-14b", "Q4_K_M", "tg", 256, 29.77, JG),
    ("rtx-4090", "llama-3.2-3b", "Q4_K_M", "tg", 256, 334.67, JG),
    ("rtx-3060", "llama-3.2-3b", "Q4_K_M", "tg", 256, 122.85, JG),
    ("jetson-agx-orin-64gb", "llama-2-7b", "Q4_0", "tg", 64, 33.6, CUDA),
    ("a100-80gb", "llama-2-7b", "Q4_0", "tg", 64, 200.9, CUDA),
    ("h100-sxm", "llama-2-7b", "Q4_0", "tg", 64, 280.7, CUDA),
    ("a100-pcie-80gb", "llama-2-7b", "F16", "tg", 512, 73.83, XD),
    ("h100-pcie", "llama-2-7b", "F16", "tg", 512, 83.32, XD),
    ("a100-pcie-80gb", "llama-2-70b", "Q4_0", "tg", 512, 25.68, XD),
    ("h100-pcie", "llama-2-70b", "Q4_0", "tg", 512, 25.88, XD),
    ("m1-ultra-64gb", "llama-2-7b", "Q4_0", "tg", 64, 83.7, METAL),
    ("m2-ultra-64gb", "llama-2-7b", "Q4_0", "tg", 64, 94.3, METAL),
    ("m3-ultra-96gb", "llama-2-7b", "Q4_0", "tg", 64, 92.1, METAL),
    ("m4-pro-24gb", "llama-2-7b", "Q4_0", "tg", 64, 50.7, METAL),
    ("m4-max-48gb", "llama-2-7b", "Q4_0", "tg", 64, 83.1, METAL),
    ("m3-pro-36gb", "llama-2-7b", "Q4_0", "tg", 64, 30.74, GIST),
    ("m3-pro-36gb", "llama-2-7b", "Q8_0", "tg", 64, 17.53, GIST),
    ("m3-pro-36gb", "llama-2-7b", "F16", "tg", 64, 9.89, GIST),
    ("m1-pro-16gb", "llama-2-7b", "Q4_0", "tg", 64, 35.52, GIST),
    ("m1-pro-16gb", "llama-2-7b", "F16", "tg", 64, 12.75, GIST),
    ("m1-16gb", "llama-2-7b", "Q4_0", "tg", 64, 14.17, HF),
    ("m1-max-64gb", "llama-3-8b", "Q4_K_M", "tg", 256, 35.73, XD),
    ("m1-max-64gb", "llama-3-8b", "F16", "tg", 256, 18.75, XD),
    ("m2-ultra-192gb", "llama-3-8b", "Q4_K_M", "tg", 256, 78.81, XD),
    ("m2-ultra-192gb", "llama-3-8b", "F16", "tg", 256, 36.90, XD),
    ("m2-ultra-192gb", "llama-3-70b", "Q4_K_M", "tg", 256, 12.48, XD),
    ("m2-ultra-192gb", "llama-3-70b", "F16", "tg", 256, 4.76, XD),
    ("m3-max-64gb", "llama-3-8b", "Q4_K_M", "tg", 256, 48.97, XD),
    ("m3-max-64gb", "llama-3-8b", "F16", "tg", 256, 22.04, XD),
    ("m3-max-64gb", "llama-3-70b", "Q4_K_M", "tg", 256, 7.65, XD),
    ("m1-max-64gb", "llama-3-70b", "Q4_K_M", "tg", 256, 4.34, XD),
    ("epyc-9554", "phi-4", "Q4_K_M", "tg", 64, 28.74, EPYC),
    ("epyc-9554", "phi-4", "Q8_0", "tg", 64, 19.194, EPYC),
    ("epyc-9554", "phi-4", "Q6_K", "tg", 64, 23.246, EPYC),
    ("raspberry-pi-5-16gb", "llama-3.2-3b", "Q4_K_M", "tg", 256, 4.51, JG),
    ("raspberry-pi-5-16gb", "llama-3-8b", "Q4_K_M", "tg", 256, 2.05, JG),
    ("raspberry-pi-5-16gb", "llama-2-13b", "Q4_0", "tg", 256, 1.35, JG),
    ("i9-13900k", "llama-2-7b", "Q4_0", "tg", 64, 18.27, I34),
    ("i7-7820hq", "llama-3-8b", "Q4_K_M", "tg", 64, 5.62, NB),
    ("rtx-3060", "llama-2-7b", "Q4_0", "pp", 512, 2138, CUDA),
    ("rtx-5090", "llama-2-7b", "Q4_0", "pp", 512, 14970, CUDA),
    ("rtx-4090", "llama-2-7b", "Q4_0", "pp", 512, 14771, CUDA),
    ("rtx-3090", "llama-2-7b", "Q4_0", "pp", 512, 5175, CUDA),
    ("jetson-agx-orin-64gb", "llama-2-7b", "Q4_0", "pp", 512, 991, CUDA),
    ("rtx-4090", "llama-3-8b", "F16", "pp", 512, 9382, XD),
    ("rtx-3090", "llama-3-8b", "F16", "pp", 512, 4444.65, XD),
    ("rtx-4090", "llama-3-8b", "F16", "pp", 8192, 4744, XD),
    ("rtx-3090", "llama-3-8b", "Q4_K_M", "pp", 4096, 3169.91, XD),
    ("rtx-a6000", "llama-2-7b", "F16", "pp", 1024, 3707.88, XD),
    ("a100-80gb", "llama-2-7b", "Q4_0", "pp", 512, 5286, CUDA),
    ("h100-sxm", "llama-2-7b", "Q4_0", "pp", 512, 11263, CUDA),
    ("a100-pcie-80gb", "llama-2-7b", "F16", "pp", 1024, 5105.77, XD),
    ("h100-pcie", "llama-2-7b", "F16", "pp", 1024, 7367, XD),
    ("m1-ultra-64gb", "llama-2-7b", "Q4_0", "pp", 512, 1030, METAL),
    ("m2-ultra-64gb", "llama-2-7b", "Q4_0", "pp", 512, 1238, METAL),
    ("m3-ultra-96gb", "llama-2-7b", "Q4_0", "pp", 512, 1471, METAL),
    ("m4-pro-24gb", "llama-2-7b", "Q4_0", "pp", 512, 440, METAL),
    ("m4-max-48gb", "llama-2-7b", "Q4_0", "pp", 512, 886, METAL),
    ("m3-pro-36gb", "llama-2-7b", "F16", "pp", 512, 357.45, GIST),
    ("m1-16gb", "llama-2-7b", "Q4_0", "pp", 512, 114.39, HF),
    ("m2-ultra-192gb", "llama-3-70b", "F16", "pp", 512, 147.58, XD),
    ("m1-max-64gb", "llama-3-8b", "Q4_K_M", "pp", 512, 408.23, XD),
    ("m3-max-64gb", "llama-3-8b", "F16", "pp", 4096, 609.97, XD),
    ("i9-13900k", "llama-2-7b", "Q4_0", "pp", 512, 33.67, I34),
    ("i7-7820hq", "llama-3-8b", "Q4_K_M", "pp", 512, 22.53, NB),
)

# Ours over published: least and most. Prompts of 1,024 tokens and more were read in 2024 without
# flash attention, which today's llama.cpp has on: there we say up to twice as much.
ALLOWED = {"tg": (0.85, 1.50), "pp": (0.52, 1.85)}
TYPICAL = {"tg": 1.10, "pp": 1.12}  # factor off that half of the rows keep to


def cpu(name: str, cores: int, gigahertz: float, bandwidth: float) -> Machine:
    flops = {"fp32": cores * gigahertz * 1e9 * 32}  # two 256-bit fused multiply-adds a cycle
    return Machine(name, name, "cpu", "cpu", 64 * GIB, 62 * GIB, bandwidth, flops, cores=cores)


EXTRA = {
    "i9-13900k": cpu("i9-13900k", 8, 5.0, 102.4e9),  # 8 threads on 8 fast cores, DDR5-6400
    "i7-7820hq": cpu("i7-7820hq", 4, 3.5, 38.4e9),  # DDR4-2400
}


@pytest.fixture
def config(home: Path) -> Config:
    return load()


@cache
def shape_of(name: str) -> Shape:
    return resolve(load({"home": "/nonexistent"}, env={}), name)


def ours(config: Config, row: tuple[str, str, str, str, int, float, str]) -> float:
    """Tokens/s that we say for a row of PUBLISHED."""
    name, model, fmt, kind, tokens, _, _ = row
    machine = EXTRA.get(name) or find(config, name)
    done = speed.work(shape_of(model), parse_format(fmt))
    if kind == "tg":
        step = speed.decode(done, machine, tokens)
        assert step is not None
        return 1 / step
    reading = speed.prefill(done, machine, tokens)
    assert reading is not None
    return tokens / reading


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda r: f"{r[0]}-{r[1]}-{r[2]}-{r[3]}{r[4]}")
def test_published_speeds(config: Config, row: tuple[str, str, str, str, int, float, str]) -> None:
    least, most = ALLOWED[row[3]]
    assert least <= ours(config, row) / row[5] <= most, row


@pytest.mark.parametrize("kind", ["tg", "pp"])
@pytest.mark.parametrize("half", [0, 1], ids=["fitted", "checked"])
def test_half_of_the_speeds_are_close(config: Config, kind: str, half: int) -> None:
    """The same on the rows that the shares were not fitted to."""
    families = defaultdict(list)
    for row in PUBLISHED:
        if row[3] == kind:
            machine = EXTRA.get(row[0]) or find(config, row[0])
            families[machine.family].append(row)
    rows = [row for family in families.values() for row in family[half::2]]
    off = sorted(abs(math.log(ours(config, row) / row[5])) for row in rows)
    assert math.exp(off[len(off) // 2]) <= TYPICAL[kind]


def test_batches_share_the_reading_of_weights(config: Config) -> None:
    """llama.cpp pull request 15131, RTX 4090, llama 8B Q4_0: 16 tokens at once give 1,930/s."""
    done = speed.work(shape_of("llama-3-8b"), parse_format("Q4_0"))
    step = speed.decode(done, find(config, "rtx-4090"), 256, 16)
    assert step is not None
    assert 0.75 < 16 / step / 1930.5 < 1.35


# --- the formula, by hand ------------------------------------------------------------------------


def test_one_step_by_hand() -> None:
    """Llama-3.1-8B in fp16 on a card of 1 TB/s: every number worked out."""
    machine = Machine("x", "x", "gpu", "gddr", 24 * GIB, 23 * GIB, 1e12, {"fp16": 100e12})
    shape = shape_of("llama-3.1-8b")
    done = speed.work(shape, parse_format("fp16"))
    read = 2 * (8_030_261_248 - 128_256 * 4096)  # all but the embedding, 2 bytes each
    assert done.dense == read
    assert done.cache(1000) == 1000 * 131_072  # 32 layers x 2 x 8 heads x 128 x 2 bytes
    flops = 2 * (8_030_261_248 - 128_256 * 4096) + 1000 * 4 * 32 * 32 * 128
    by_hand = (read + 131_072_000) / (1e12 * 0.80) + 32 * 30e-6 + flops / (100e12 * 0.45)
    assert speed.decode(done, machine, 1000) == pytest.approx(by_hand)
    two = (read + 2 * 131_072_000) / (1e12 * 0.80) + 32 * 30e-6 + 2 * flops / (100e12 * 0.45)
    assert speed.decode(done, machine, 1000, 2) == pytest.approx(two)


def test_reading_a_prompt_by_hand() -> None:
    machine = Machine("x", "x", "gpu", "gddr", 24 * GIB, 23 * GIB, 1e12, {"fp16": 100e12})
    done = speed.work(shape_of("llama-3.1-8b"), parse_format("fp16"))
    flops = 1000 * (2 * 7_504_924_672 + 500 * 4 * 32 * 32 * 128)
    assert speed.prefill(done, machine, 1000) == pytest.approx(flops / 45e12 + 32 * 30e-6)
    # never faster than the weights can be read
    slow = replace(machine, bandwidth=1e10)
    assert speed.prefill(done, slow, 1) == pytest.approx(done.dense / (1e10 * 0.80))


def test_a_mixture_reads_the_experts_it_uses() -> None:
    shape = shape_of("qwen3-30b-a3b")
    done = speed.work(shape, parse_format("fp16"))
    assert done.used == 8 / 128
    assert done.read(1) == pytest.approx(2 * (shape.active_parameters), rel=1e-3)
    assert done.read(2) == pytest.approx(done.dense + done.experts * (1 - (120 / 128) ** 2))
    assert done.read(10**6) == pytest.approx(done.dense + done.experts)  # all of them


def test_windows_limit_what_is_read() -> None:
    """Gemma 3 1B: 22 of 26 layers look back on 512 tokens."""
    shape = shape_of("gemma-3-1b")
    done = speed.work(shape, parse_format("fp16"))
    token = 2 * shape.kv_heads * shape.head_dim * 2  # bytes in one layer
    narrow = sum(1 for w in shape.windows if w)
    assert narrow == 22
    assert done.cache(10_000) == token * (narrow * 512 + (26 - narrow) * 10_000)
    assert done.cache(100) == token * 26 * 100


def test_quantised_caches_are_read_faster() -> None:
    half = speed.work(shape_of("llama-3.1-8b"), parse_format("Q4_K_M"), "q8_0", "q8_0")
    assert half.cache(1000) == 1000 * 131_072 * 34 / 64  # 34 bytes for 32 numbers


# --- placing -------------------------------------------------------------------------------------


def placed(
    name: str, fmt: str, machine: Machine, context: int = 4096, users: int = 1, wanted: float = 10
) -> Fit:
    shape = shape_of(name)
    form = parse_format(fmt)
    return fit(shape, form, running(shape, form, context, users), machine, wanted=wanted)


def card(gib: float, **more: object) -> Machine:
    machine = Machine("card", "card", "gpu", "gddr", int(gib * GIB), int(gib * GIB), 1e12,
                      {"fp16": 100e12})  # fmt: skip
    return replace(machine, **more)  # type: ignore[arg-type]


def test_what_must_lie_on_a_card() -> None:
    """Without the token embedding, which llama.cpp keeps in RAM; with it where it is the head."""
    shape = shape_of("llama-3.1-8b")
    form = parse_format("fp16")
    need = running(shape, form, 4096)
    found = placed("llama-3.1-8b", "fp16", card(24))
    assert found.how == "whole"
    assert found.needed == 2 * (8_030_261_248 - 128_256 * 4096) + 4096 * 131_072 + need.buffers
    assert found.left == 24 * GIB - found.needed
    tied = placed("llama-3.2-1b", "fp16", card(24))
    size = weights(shape_of("llama-3.2-1b"), form).total
    assert tied.needed > size  # all of it, the cache and the buffers


def test_as_many_layers_as_there_is_room_for() -> None:
    """Llama-3.1-8B fp16: a layer takes 416 MiB and 16 MiB of cache at 4,096 tokens."""
    shape = shape_of("llama-3.1-8b")
    form = parse_format("fp16")
    need = running(shape, form, 4096)
    layer = 2 * (218_112_000) + 4096 * 131_072 // 32  # q, k, v, o, three of ffn, two norms
    assert sum(s for t, _, s in weights(shape, form).sizes if t.layer == 3) == 2 * 218_112_000
    room = 10 * layer + layer // 2 + need.buffers
    found = placed("llama-3.1-8b", "fp16", card(1, memory=room, usable=room))
    assert found.how == "partly"
    assert found.place is not None
    assert (found.place.layers, found.place.head) == (10, False)
    assert found.place.gpu == 10 * layer + need.buffers
    assert found.place.ram == need.total - 10 * layer
    assert any("10 of 32 layers fit on the GPU" in note for note in found.notes)


def test_the_head_is_the_last_to_move() -> None:
    shape = shape_of("llama-3.1-8b")
    form = parse_format("fp16")
    need = running(shape, form, 4096)
    whole = placed("llama-3.1-8b", "fp16", card(24)).needed
    short = placed("llama-3.1-8b", "fp16", card(1, memory=whole - 1, usable=whole - 1))
    assert short.place is not None
    assert (short.how, short.place.layers, short.place.head) == ("partly", 32, False)
    exact = placed("llama-3.1-8b", "fp16", card(1, memory=whole, usable=whole))
    assert exact.how == "whole"
    assert exact.left == 0
    assert need.total > whole  # the embedding and the process are in RAM


def test_partly_on_a_card_is_slower_than_wholly_and_faster_than_not() -> None:
    whole = placed("llama-3.1-8b", "fp16", card(24)).decode
    half = placed("llama-3.1-8b", "fp16", card(9, host_bandwidth=50e9, host_memory=64 * GIB))
    host = placed("llama-3.1-8b", "fp16", cpu("host", 8, 4.0, 50e9)).decode
    assert half.how == "partly"
    assert whole is not None
    assert half.decode is not None
    assert host is not None
    assert host < half.decode < whole


def test_a_head_in_ram_is_read_there() -> None:
    """Llama-3.1-8B fp16, all 32 layers on the card, the head not: 128,256 x 4,096 x 2 bytes of it,
    and 4,096 x 2 of the last norm, at 0.9 of 40 GB/s for every token."""
    whole = card(24, bandwidth=1e12)
    room = placed("llama-3.1-8b", "fp16", whole).needed
    short = replace(whole, memory=room - 1, usable=room - 1, host_bandwidth=40e9)
    on, off = placed("llama-3.1-8b", "fp16", whole), placed("llama-3.1-8b", "fp16", short)
    assert off.place is not None
    assert off.place.outside == 128_256 * 4096 * 2 + 4096 * 2
    assert on.decode is not None
    assert off.decode is not None
    # the card no longer reads it, at 0.8 of its bandwidth (gddr)
    slower = off.place.outside / (40e9 * 0.9) - off.place.outside / (1e12 * 0.8)
    assert 1 / off.decode - 1 / on.decode == pytest.approx(slower, rel=1e-6)


def test_a_prompt_brings_the_weights_in_ram_to_the_card() -> None:
    """Once for each batch of 256 tokens: 1,000 tokens are four of them, at 25 GB/s."""
    whole = card(24)
    half = replace(whole, memory=9 * GIB, usable=9 * GIB, host_memory=64 * GIB)
    on, off = placed("llama-3.1-8b", "fp16", whole), placed("llama-3.1-8b", "fp16", half)
    assert off.place is not None
    assert on.prefill is not None
    assert off.prefill is not None
    layer = 2 * 218_112_000
    rest = (32 - off.place.layers) * layer + off.place.outside
    took = 1000 / off.prefill - 1000 / on.prefill
    assert took == pytest.approx(4 * rest / 25e9, rel=1e-3)
    assert any("come from the RAM" in f.formula for f in off.figures)


def test_nobody_gets_the_tokens_that_are_wanted() -> None:
    slow = placed("llama-3.1-8b", "fp16", card(9, host_bandwidth=5e9, host_memory=64 * GIB))
    assert slow.users_by_speed == 0
    assert "it runs, partly from the RAM, but nobody gets 10 tokens/s" in slow.notes


def test_ram_that_is_known_to_be_too_small() -> None:
    found = placed("llama-3-70b", "fp16", card(24, host_memory=32 * GIB))
    assert found.how == "no"
    assert (found.decode, found.prefill, found.users) == (None, None, 0)


def test_several_cards_hold_more_and_are_no_faster(config: Config) -> None:
    one = find(config, "rtx-4090")
    assert placed("llama-3-70b", "Q4_K_M", one, 4096).how == "partly"
    two = placed("llama-3-70b", "Q4_K_M", one.together(2), 4096)
    assert two.how == "whole"
    big = placed("llama-3-70b", "Q4_K_M", one.together(8), 4096)
    assert big.decode == two.decode
    assert any("no more tokens/s" in note for note in two.notes)


def test_a_layer_lies_on_one_card() -> None:
    """What would fit in the sum does not fit where each card is too small for a layer."""
    shape = shape_of("llama-3.1-8b")
    need = running(shape, parse_format("fp16"), 4096)
    room = need.buffers + 400 * 2**20  # a layer takes 432 MiB
    found = placed("llama-3.1-8b", "fp16", card(1, memory=room, usable=room, count=100))
    assert found.there > need.total
    assert found.how == "no"


def test_in_ram(config: Config) -> None:
    machine = find(config, "office-ddr5")
    found = placed("llama-3.1-8b", "Q4_K_M", machine, 4096)
    need = running(shape_of("llama-3.1-8b"), parse_format("Q4_K_M"), 4096).total
    assert (found.how, found.needed, found.there) == ("whole", need, 14 * GIB)
    assert found.place is None
    assert placed("llama-3-70b", "Q4_K_M", machine, 4096).how == "no"


# --- users and contexts --------------------------------------------------------------------------


def test_users_by_memory_are_the_most_that_fit(config: Config) -> None:
    machine = find(config, "l4")
    shape = shape_of("llama-3.1-8b")
    form = parse_format("Q4_K_M")
    found = placed("llama-3.1-8b", "Q4_K_M", machine, 4096)
    most = found.users_by_memory
    one = weights(shape, form).total
    embedding = next(s for t, _, s in weights(shape, form).sizes if t.part == "token_embd")

    def takes(users: int) -> int:
        need = running(shape, form, 4096, users)
        return one - embedding + need.kv + need.buffers

    assert takes(most) <= machine.usable < takes(most + 1)


def test_users_by_speed_get_what_is_wanted(config: Config) -> None:
    machine = find(config, "l4")
    done = speed.work(shape_of("llama-3.1-8b"), parse_format("Q4_K_M"))
    found = placed("llama-3.1-8b", "Q4_K_M", machine, 4096, wanted=12)
    most = found.users_by_speed
    assert most is not None
    assert speed.decode(done, machine, 4096, most) <= 1 / 12  # type: ignore[operator]
    assert speed.decode(done, machine, 4096, most + 1) > 1 / 12  # type: ignore[operator]
    assert found.users == min(most, found.users_by_memory)
    assert found.each is not None
    assert found.throughput == pytest.approx(found.users * found.each)
    assert found.each >= 12


def test_the_longest_context_fits_and_the_next_does_not(config: Config) -> None:
    machine = find(config, "rtx-3060")
    shape = shape_of("llama-3.1-8b")
    found = placed("llama-3.1-8b", "Q8_0", machine, 2048)
    assert found.longest_context % 256 == 0
    assert placed("llama-3.1-8b", "Q8_0", machine, found.longest_context).fits
    assert not placed("llama-3.1-8b", "Q8_0", machine, found.longest_context + 256).fits
    roomy = placed("llama-3.1-8b", "Q4_K_M", find(config, "h200"), 2048)
    assert roomy.longest_context == shape.context


def test_more_of_anything_never_hurts(config: Config) -> None:
    base = find(config, "l4")
    last = None
    for gib in (4, 6, 8, 12, 16, 24, 48, 80):
        now = placed("llama-3.1-8b", "Q4_K_M",
                     replace(base, memory=gib * GIB, usable=gib * GIB), 4096)  # fmt: skip
        if last is not None:
            assert now.users_by_memory >= last.users_by_memory
            assert now.longest_context >= last.longest_context
            assert (now.decode or 0) >= (last.decode or 0)
        last = now
    for bandwidth in (1e11, 2e11, 4e11, 1e12):
        faster = placed("llama-3.1-8b", "Q4_K_M", replace(base, bandwidth=bandwidth * 2))
        slower = placed("llama-3.1-8b", "Q4_K_M", replace(base, bandwidth=bandwidth))
        assert (faster.decode or 0) > (slower.decode or 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
@pytest.mark.parametrize("true", [0, 1, 2, 3, 5, 8, 99, 100, 1000])
def test_searching_for_the_most(limit: int, true: int) -> None:
    assert most_of(lambda n: n <= true, limit) == min(true, limit)


# --- what is not known, and what makes no sense --------------------------------------------------


def test_without_bandwidth_no_speed_is_told() -> None:
    found = placed("llama-3.1-8b", "Q4_K_M", card(24, bandwidth=None, flops={}))
    assert (found.how, found.decode, found.prefill, found.first_token) == ("whole",) + (None,) * 3
    assert found.users == found.users_by_memory > 0
    assert any("is not known" in note for note in found.notes)


def test_an_encoder_is_read_and_writes_nothing(config: Config) -> None:
    shape = shape_of("all-minilm-l6-v2")
    form = parse_format("fp16")
    for name in ("office-ddr5", "l4"):
        found = fit(shape, form, running(shape, form, 256), find(config, name))
        assert found.how == "whole"
        assert found.decode is None
        assert found.prefill is not None
        assert found.users == 0


@pytest.mark.parametrize("wanted", [0, -1, math.nan, math.inf])
def test_wanted_speeds_that_make_no_sense(config: Config, wanted: float) -> None:
    with pytest.raises(PlanError, match="wanted tokens/s"):
        placed("llama-3.1-8b", "Q4_K_M", find(config, "l4"), wanted=wanted)


@pytest.mark.parametrize("prompt", [0, -5, 4097])
def test_prompts_that_do_not_fit_the_context(config: Config, prompt: int) -> None:
    shape = shape_of("llama-3.1-8b")
    form = parse_format("Q4_K_M")
    with pytest.raises(PlanError, match="expected 1 to the context's 4,096"):
        fit(shape, form, running(shape, form, 4096), find(config, "l4"), prompt=prompt)


def test_every_figure_is_finite_and_says_where_it_comes_from(config: Config) -> None:
    for number, (name, machine) in enumerate(machines(config).items()):
        for model, fmt in (("qwen3-8b", "Q4_K_M"), ("qwen3-30b-a3b", "Q8_0"))[number % 2 :][:1]:
            found = placed(model, fmt, machine, 2048)
            for figure in found.figures:
                assert math.isfinite(figure.value), (name, figure)
                assert figure.name
            assert found.how == "whole" or found.users <= 1
            if found.how == "whole":
                assert found.left >= 0
                assert found.decode is not None
                assert found.decode > 0


# --- this machine --------------------------------------------------------------------------------


def test_speeds_measured_before_on_this_kind_of_machine() -> None:
    """SmolLM2-135M Q4_1 on an AMD EPYC of the fifth generation, two idle cores.

    Its memory: about 38 GB/s for one core, 2.6 GHz, 32 FLOP a cycle. So small a model is bound by
    what a layer costs beside reading and computing, which makes it the worst case of this model.
    """
    done = speed.work(shape_of("smollm2-135m"), parse_format("Q4_1"))
    for cores, decoded, read in ((1, 43, 150), (2, 85, 287)):
        machine = cpu("epyc", cores, 2.6, 38e9)
        step, reading = speed.decode(done, machine, 64), speed.prefill(done, machine, 512)
        assert step is not None
        assert reading is not None
        assert 1 / 2.2 < 1 / step / decoded < 2.2
        assert 1 / 1.5 < 512 / reading / read < 1.5


def test_a_window_that_llama_cpp_does_not_know_costs_speed_as_well() -> None:
    """Mistral-7B-v0.1: llama.cpp reads all 32k tokens of the cache, 128 KiB each, not 4,096."""
    done = speed.work(shape_of("mistral-7b-v0.1"), parse_format("Q4_K_M"))
    assert done.cache(32768) == 32768 * 131072


def test_the_users_asked_about_get_their_own_figure() -> None:
    """Eight users: one step reads the weights once and eight caches."""
    shape, form = shape_of("llama-3.1-8b"), parse_format("Q4_K_M")
    machine = find(load({}, env={}), "rtx-4090")
    found = fit(shape, form, running(shape, form, 4096, 8), machine)
    step = speed.decode(speed.work(shape, form), machine, 4096, 8)
    assert step is not None
    assert found.each_asked == pytest.approx(1 / step)
    [row] = [f for f in found.figures if f.name == "tokens/s for each of 8"]
    assert row.value == found.each_asked
    alone = fit(shape, form, running(shape, form, 4096), machine)
    assert alone.each_asked == alone.decode
    assert not [f for f in alone.figures if f.name == "tokens/s for each of 1"]
