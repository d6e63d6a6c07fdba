"""Quantisation against published levels, bitsandbytes, gguf and numbers worked by hand."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from statistics import NormalDist
from typing import Any

import gguf
import numpy as np
import pytest
from click.testing import CliRunner
from gguf import quants

from llar.cli.inside.numbers import numbers as command
from llar.config import Config, load
from llar.errors import InsideError, ModelCorrupt, UnknownModel
from llar.inside import tensors
from llar.inside.number_pictures import draw_quantised
from llar.inside.quantise import METHODS, NF4, quantise
from llar.models.gguf import TYPES

EIGHT = np.array([1.2, -0.5, -4.3, 1.2, -3.1, 0.8, 2.4, 5.4])

# QLoRA (Dettmers et al. 2023), appendix E
PUBLISHED = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
]  # fmt: skip


def test_absmax_of_the_lecture() -> None:
    found = quantise(EIGHT, "absmax")
    assert round(found.scales["scale"], 1) == 23.5
    assert found.codes.tolist() == [28, -12, -101, 28, -73, 19, 56, 127]
    np.testing.assert_allclose(found.restored, found.codes * 5.4 / 127, rtol=1e-12)
    # 8 bits each and one 32-bit scale for all
    assert found.bits == 8 + 32 / 8


def test_zero_point_worked_by_hand() -> None:
    # range 9.7, scale 255 / 9.7 = 26.2887; -(-4.3) x 26.2887 = 113.04, so zero is 113 - 128 = -15;
    # 1.2 x 26.2887 = 31.55 -> 32 - 15 = 17; -3.1 x 26.2887 = -81.49 -> -81 - 15 = -96
    found = quantise(EIGHT, "zero-point")
    assert found.scales["scale"] == pytest.approx(255 / 9.7)
    assert found.scales["zero_point"] == -15
    assert found.codes.tolist() == [17, -28, -128, 17, -96, 6, 48, 127]
    assert found.restored[0] == pytest.approx(32 * 9.7 / 255)


def test_errors_worked_by_hand() -> None:
    # 127 / 2 = 63.5: 1 -> 63.5 goes to the even 64, restored 64 / 63.5; -2 is exact
    errors = quantise(np.array([1.0, -2.0]), "absmax").errors
    off = 64 / 63.5 - 1
    assert errors.largest == pytest.approx(off)
    assert errors.mean == pytest.approx(off / 2)
    assert errors.rmse == pytest.approx(off / math.sqrt(2))
    assert errors.snr == pytest.approx(10 * math.log10((1 + 4) / off**2))


def test_nf4_has_the_published_levels() -> None:
    np.testing.assert_allclose(NF4, PUBLISHED, atol=1e-6)
    # the paper's construction with another quantile function: 8 above zero, 7 below
    scipy = pytest.importorskip("scipy.special")
    edge = 0.9677083
    above = scipy.ndtri(np.linspace(edge, 0.5, 9)[:-1])
    below = -scipy.ndtri(np.linspace(edge, 0.5, 8)[:-1])
    levels = np.sort([*below, 0, *above])
    np.testing.assert_allclose(NF4, levels / levels.max(), atol=1e-6)
    assert NormalDist().inv_cdf(edge) == pytest.approx(float(above.max()))


def wave() -> np.ndarray[Any, np.dtype[np.float32]]:
    """96 numbers of no simple pattern, the last ones a hundred times smaller."""
    found = np.array(
        [((i * 37) % 101 - 50) / 50 * (1 + (i % 7) / 3) for i in range(96)], np.float32
    )
    found[70:] *= 0.01
    return found


def test_nf4_is_that_of_bitsandbytes() -> None:
    # bitsandbytes 0.50.2 on a CPU: quantize_4bit(wave, blocksize=32, quant_type="nf4")
    codes = "35b16e18c4a05e47c39f3926c18f59e5b16a48d3b06a37d29b5a16d17b49e4c46c28f2" + "7" * 26
    places = [0, 1, 40, 64, 70, 95]
    plain = quantise(wave(), "nf4", block=32)
    assert "".join(f"{c:x}" for c in plain.codes) == codes
    expected = [-0.9899265, -0.4631654, 0.9731959, -0.2039521, 0, 0]
    np.testing.assert_allclose(plain.restored[places], expected, atol=5e-7)
    assert plain.errors.largest == pytest.approx(0.31333327, abs=1e-6)
    double = quantise(wave(), "nf4-double", block=32)
    assert "".join(f"{c:x}" for c in double.codes) == codes
    expected = [-0.9896907, -0.463055, 0.9731959, -0.2039584, 0, 0]
    np.testing.assert_allclose(double.restored[places], expected, atol=5e-7)
    assert double.errors.largest == pytest.approx(0.31273603, abs=1e-6)


def test_bits_of_nf4_are_those_of_the_paper() -> None:
    many = np.random.default_rng(1).normal(size=64 * 256 * 4)
    assert quantise(many, "nf4").bits == 4.5  # 32 bits for each 64
    # section 3: 8 bits for each 64 and 32 for each 64 x 256, 0.127; and 32 for the mean
    assert quantise(many, "nf4-double").bits == pytest.approx(4 + 8 / 64 + 32 / 16384 + 32 / 65536)


def test_outliers_are_those_of_bitsandbytes() -> None:
    # int8_vectorwise_quant(matrix, threshold=6.0) of bitsandbytes 0.50.2, column 5 all beyond 6
    given = np.array([[((i * 29 + j * 13) % 61 - 30) / 10 for j in range(12)] for i in range(4)])
    given[:, 5] = [8, -9, 7, 6.5]
    given = given.astype(np.float16).astype(np.float64)
    found = quantise(given, "outlier")
    assert found.codes.tolist() == [
        [-127, -72, -17, 38, 93, 0, -55, 0, 55, 110, -93, -38],
        [-4, 53, 109, -101, -44, 0, 70, 127, -83, -26, 31, 88],
        [127, -91, -32, 27, 86, 0, -73, -14, 45, 104, -113, -54],
        [-20, 44, 107, -127, -64, 0, 64, 127, -107, -44, 20, 83],
    ]
    assert found.kept is not None
    assert np.flatnonzero(found.kept.all(axis=0)).tolist() == [5]
    assert found.restored[:, 5].tolist() == [8, -9, 7, 6.5]
    # 44 numbers in 8 bits, 4 in 16, a 32-bit scale a row, the column's number in 32
    assert found.bits == pytest.approx((44 * 8 + 4 * 16 + 4 * 32 + 32) / 48)
    assert quantise(given, "outlier", threshold=9.5).scales["outlier_columns"] == 0
    # without them, one large number takes the room of all
    assert found.errors.rmse < quantise(given, "absmax").errors.rmse / 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [("q8_0", gguf.GGMLQuantizationType.Q8_0), ("q4_0", gguf.GGMLQuantizationType.Q4_0)],
)
def test_gguf_blocks_are_those_of_gguf(name: str, kind: gguf.GGMLQuantizationType) -> None:
    generator = np.random.default_rng(2)
    given = generator.normal(size=(64, 96)) * np.exp(generator.normal(size=(64, 1)) * 3)
    given[3] = 0
    given = given.astype(np.float32)
    expected = quants.dequantize(quants.quantize(given, kind), kind)
    found = quantise(given, name)
    np.testing.assert_array_equal(found.restored, expected)
    assert found.bits == {"q8_0": 8.5, "q4_0": 4.5}[name]


@pytest.mark.parametrize("method", METHODS)
def test_numbers_of_every_kind(method: str) -> None:
    zeros = quantise(np.zeros(100), method)
    assert not zeros.restored.any()
    assert zeros.errors.snr is None
    for value in (5.0, -5.0, 1e-30, 3e4):
        same = quantise(np.full(70, value), method)
        if method in ("q8_0", "q4_0") and value == 1e-30:
            assert "so small that fp16 makes their step 0" in same.notes[0]
            continue
        assert same.errors.largest <= abs(value) * 0.01
    one = quantise(np.array([-3.5]), method)
    assert one.restored[0] == pytest.approx(-3.5, rel=0.01)
    for bad, why in (([], "no numbers"), ([1, math.nan], "number 2 of 2 is nan"),
                     ([math.inf], "number 1 of 1 is inf"), ([1e305], "scales reach")):  # fmt: skip
        with pytest.raises(InsideError, match=why):
            quantise(np.array(bad, float), method)
    # no method is worse than half a step of its coarsest level
    given = np.random.default_rng(3).normal(size=(50, 64))
    found = quantise(given, method)
    step = 1.0 if method in ("nf4", "nf4-double", "q4_0") else 0.05
    assert found.errors.largest < step
    assert found.restored.shape == given.shape


def test_what_a_scale_cannot_hold_is_an_error() -> None:
    with pytest.raises(InsideError, match="beyond 65504"):
        quantise(np.array([1e8, 1]), "q8_0")
    with pytest.raises(InsideError, match="beyond 65504"):
        quantise(np.array([1e5, 1]), "outlier")
    assert quantise(np.array([1e200, 1]), "absmax").codes.tolist() == [127, 0]
    mixed = quantise(np.array([1e200, -1]), "absmax").errors  # squares beyond all floats
    assert mixed.rmse == pytest.approx(math.sqrt(0.5))
    assert mixed.snr == pytest.approx(4000)
    assert quantise(np.array([1e200, -1e200]), "absmax").errors.snr is None
    with pytest.raises(InsideError, match="dimensions"):
        quantise(np.ones((2, 2, 2)), "outlier")


def test_a_million_numbers() -> None:
    given = np.random.default_rng(4).normal(size=1_000_000)
    for method in METHODS:
        found = quantise(given, method)
        assert found.codes.size == 1_000_000
        snr = found.errors.snr
        assert snr is not None
        assert snr > (18 if found.bits < 5 else 30)


def test_wrong_options_are_named() -> None:
    with pytest.raises(InsideError, match="did you mean 'absmax'"):
        quantise(EIGHT, "absmx")
    with pytest.raises(InsideError, match="has no block"):
        quantise(EIGHT, "absmax", block=8)
    with pytest.raises(InsideError, match="has no threshold"):
        quantise(EIGHT, "nf4", threshold=3)
    with pytest.raises(InsideError, match="block of 0"):
        quantise(EIGHT, "nf4", block=0)
    assert quantise(EIGHT, "nf4", block=10**15).bits == 4 + 32 / 8  # one block of all
    with pytest.raises(InsideError, match="not above 0"):
        quantise(EIGHT, "outlier", threshold=math.nan)


@pytest.fixture
def config(installed: Path) -> Config:
    return load()


@pytest.mark.slow
def test_tensors_of_an_installed_gguf_are_read_as_gguf_reads_them(config: Config) -> None:
    every = tensors.tensors(config, "smollm2-135m-instruct")
    assert len(every) == 272
    reader = gguf.GGUFReader(str(every[0].file))
    for name in ("blk.0.attn_q.weight", "blk.29.ffn_down.weight", "output_norm.weight"):
        place, found = tensors.read(config, "llamacpp:smollm2-135m-instruct", name)
        held = next(t for t in reader.tensors if t.name == name)
        expected = quants.dequantize(held.data, held.tensor_type)
        np.testing.assert_array_equal(found, expected.reshape(found.shape))
        assert found.shape == place.shape == tuple(int(n) for n in reversed(held.shape))
    with pytest.raises(InsideError, match=r"did you mean 'blk\.0\.attn_q\.weight'"):
        tensors.read(config, "smollm2-135m-instruct", "blk.0.attn_q")
    with pytest.raises(UnknownModel):
        tensors.tensors(config, "smollm9")


def test_tensors_of_safetensors(config: Config, tmp_path: Path) -> None:
    name = "encoder.layer.0.attention.self.query.weight"
    place, found = tensors.read(config, "all-minilm-l6-v2", name)
    assert (place.type, found.shape) == ("f32", (384, 384))
    assert 0.01 < float(found.std()) < 0.2
    # bf16 is the upper half of fp32
    values = np.array([1.5, -2.25, 0.1], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    file = write_safetensors(tmp_path / "m.safetensors", "BF16", [3], upper)
    _, found = tensors.read(config, str(file), "w")
    assert found.tolist() == [1.5, -2.25, 0.099609375]
    write_safetensors(file, "F8_E4M3", [6], upper)
    with pytest.raises(InsideError, match="f8_e4m3, which cannot be turned"):
        tensors.read(config, str(file), "w")
    write_safetensors(file, "F32", [3], upper)
    with pytest.raises(ModelCorrupt):
        tensors.read(config, str(file), "w")
    file.write_bytes(b"\x00" * 20)
    with pytest.raises(ModelCorrupt):
        tensors.read(config, str(file), "w")


def write_safetensors(file: Path, kind: str, shape: list[int], data: bytes) -> Path:
    """A file with the one tensor "w"."""
    entry = {"dtype": kind, "shape": shape, "data_offsets": [0, len(data)]}
    header = json.dumps({"w": entry, "__metadata__": {}}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return file


NUMBERS = {name: number for number, (name, _, _) in TYPES.items()}


@pytest.mark.parametrize("kind", tensors.READABLE)
def test_every_type_is_read_as_gguf_reads_it(kind: str, config: Config, tmp_path: Path) -> None:
    number = gguf.GGMLQuantizationType(NUMBERS[kind])
    block, size = gguf.GGML_QUANT_SIZES[number]
    generator = np.random.default_rng(number)
    raw = generator.integers(0, 256, size=(4, 256 // block * size * 2), dtype=np.uint8)
    writer = gguf.GGUFWriter(str(tmp_path / "t.gguf"), "llama")
    writer.add_tensor("w", raw, raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    place, found = tensors.read(config, str(tmp_path / "t.gguf"), "w")
    with np.errstate(all="ignore"):
        expected = quants.dequantize(raw, number)
    assert (place.type, found.shape) == (kind, (4, 512))
    # random bytes make scales that are infinite or NaN, too
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def run(*args: str) -> Any:
    """The command's JSON."""
    found = CliRunner().invoke(
        command, ["quantise", *args, "--json"], obj=load(), catch_exceptions=False
    )
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_command_on_numbers(tmp_path: Path) -> None:
    found = run(*map(str, EIGHT), "--method", "absmax")["methods"]
    assert found[0]["codes"] == [28, -12, -101, 28, -73, 19, 56, 127]
    assert [m["method"] for m in run("1", "-2")["methods"]] == list(METHODS)
    file = tmp_path / "n.csv"
    file.write_text("1, 2.5, 9\n-1, 0.5, 3\n")
    read = run("--file", str(file), "--method", "outlier")
    assert read["shape"] == [2, 3]
    assert read["methods"][0]["scales"]["outlier_columns"] == 1
    shown = CliRunner().invoke(command, ["quantise", *map(str, EIGHT)], obj=load())
    assert "-101" in shown.stdout
    assert "49.5 dB" in shown.stdout


@pytest.mark.parametrize(
    ("content", "why"),
    [("1 2\n3\n", "row 1 has 2 numbers, row 2 has 1"), ("1 x\n", "'x' in row 1"),
     ("1,5;2,5\n", "both ';' and ','"), ("", "no numbers")],
)  # fmt: skip
def test_files_that_hold_no_rows_of_numbers(content: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "n.txt"
    file.write_text(content)
    with pytest.raises(InsideError, match=why):
        run("--file", str(file))


def test_ways_to_give_numbers_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InsideError, match="expected numbers, or --file"):
        run()
    with pytest.raises(InsideError, match="only one"):
        run("1", "--model", "x")
    with pytest.raises(InsideError, match="is of a model"):
        run("1", "--tensor", "x")
    with pytest.raises(InsideError, match="which tensor"):
        run("--model", "x")
    with pytest.raises(InsideError, match="one method"):
        run("1", "--plot", str(tmp_path / "p.png"))
    with pytest.raises(InsideError, match="cannot be read"):
        run("--file", str(tmp_path / "none"))


@pytest.mark.slow
def test_the_command_on_a_tensor(installed: Path, tmp_path: Path) -> None:
    model = ("--model", "smollm2-135m-instruct")
    plot = tmp_path / "t.svg"
    found = run(*model, "--tensor", "blk.0.attn_k.weight", "--method", "nf4", "--plot", str(plot))
    assert found["shape"] == [192, 576]
    assert "stored as q4_1" in found["notes"][0]
    assert "not the trained weights" in found["notes"][1]
    assert found["methods"][0]["bits_per_number"] == 4.5
    assert plot.read_text().startswith("<?xml")
    every = run(*model, "--tensors")
    assert {"name": "blk.0.attn_k.weight", "shape": [192, 576], "type": "q4_1",
            "readable": True} in every  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("many", [1, 16, 5000])
def test_every_method_can_be_drawn(method: str, many: int, tmp_path: Path) -> None:
    given = np.random.default_rng(5).normal(size=many) * 4
    for values in (given, np.zeros(many)):
        draw_quantised(tmp_path / "q.svg", quantise(values, method), "ő $x$ " * 30, "dark")
        assert (tmp_path / "q.svg").stat().st_size > 5000
