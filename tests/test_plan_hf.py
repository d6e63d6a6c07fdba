"""Hugging Face's calculator: its published tables, and what accelerate itself computes."""

from __future__ import annotations

import pytest
from plan_shapes import bert, llama2_7b, llama31_8b, mistral_7b, mixtral, smollm2

from llar.errors import PlanError
from llar.plan.memory.hf_calculator import printed, table
from llar.plan.shape import Shape

MISTRAL = {
    "float16": ("432.02 MB", "13.74 GB", "54.98 GB"),
    "float32": ("864.03 MB", "27.49 GB", "109.96 GB"),
}
LLAMA = {
    "float16": ("388.02 MB", "12.37 GB", "49.48 GB"),
    "float32": ("776.03 MB", "24.74 GB", "98.96 GB"),
}
STAGES = {
    "mistral": {
        "float16": ("27.49 GB", "41.23 GB", "54.98 GB", "54.98 GB"),
        "float32": ("27.49 GB", "27.49 GB", "54.98 GB", "109.96 GB"),
    },
    "llama": {
        "float16": ("24.74 GB", "37.11 GB", "49.48 GB", "49.48 GB"),
        "float32": ("24.74 GB", "24.74 GB", "49.48 GB", "98.96 GB"),
    },
}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_published_tables(dtype: str) -> None:
    assert table(mistral_7b()).row(dtype).printed()[1:] == MISTRAL[dtype]
    assert table(llama2_7b()).row(dtype).printed()[1:] == LLAMA[dtype]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("name", "shape"), [("mistral", mistral_7b()), ("llama", llama2_7b())])
def test_the_published_stages(name: str, shape: Shape, dtype: str) -> None:
    stages = table(shape).row(dtype).stages
    assert stages is not None
    got = (stages.model, stages.gradients, stages.backward, stages.step)
    assert tuple(printed(size) for size in got) == STAGES[name][dtype]


def test_int8_and_int4_are_a_quarter_and_an_eighth_and_not_trained() -> None:
    made = table(mistral_7b())
    whole = made.row("float32").total
    assert made.row("int8").total == whole / 4
    assert made.row("int4").total == whole / 8
    assert made.row("int4").printed()[3] == "N/A"


@pytest.mark.parametrize(
    ("shape", "total", "largest"),
    [  # calculate_maximum_sizes of accelerate 1.15 on models of transformers 5.23, meta device
        (smollm2(), 538_060_288, 113_246_208),
        (llama31_8b(rope=False), 30_019_699_200, 2_101_346_304),
        (llama31_8b(), 30_019_699_200, 2_101_346_304),
        (mistral_7b(), 28_442_640_896, 872_448_000),
        (mixtral(), 186_286_883_328, 5_805_080_576),
        (llama2_7b(), 26_429_374_976, 809_533_440),
        (bert(), 90_861_056, 47_682_560),
    ],
)
def test_what_accelerate_computes_today(shape: Shape, total: int, largest: int) -> None:
    row = table(shape, rotary=False).row("float32")
    assert (row.total, row.largest_layer) == (total, largest)


def test_the_largest_may_be_the_embedding() -> None:
    assert table(llama31_8b(), rotary=False).figures[1].formula == "token_embd"
    assert table(mistral_7b()).figures[1].formula == "block 0"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KB"), (1.5 * 2**20, "1.5 MB"),
     (2**50, "1.0 PB")],
)  # fmt: skip
def test_sizes_are_of_base_1024(size: float, text: str) -> None:
    assert printed(size) == text


def test_what_cannot_be_calculated_is_an_error() -> None:
    with pytest.raises(PlanError, match="'float64'"):
        table(smollm2()).row("float64")
