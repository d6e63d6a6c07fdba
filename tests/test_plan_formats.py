"""Formats and weights, against the gguf package, llama.cpp's tables and files at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from gguf import GGUFReader
from gguf.constants import GGML_QUANT_SIZES
from plan_shapes import (
    bert,
    dense,
    llama2_7b,
    llama2_13b,
    llama2_70b,
    llama31_8b,
    llama31_405b,
    mistral_7b,
    mixtral,
    smollm2,
)

from llar.config import load
from llar.errors import PlanError
from llar.plan.memory.formats import MIXTURES, PACKINGS, TYPES, parse_format
from llar.plan.memory.weights import Weights, weights
from llar.plan.shape import Shape, Tensor
from llar.plan.shapes.resolve import resolve

GIB = 2**30

# tools/quantize/README.md of llama.cpp: bits per weight and GiB of Llama-3.1-8B
PUBLISHED = {
    "IQ1_S": (2.0042, 1.87), "IQ1_M": (2.1460, 2.01), "IQ2_XXS": (2.3824, 2.23),
    "IQ2_XS": (2.5882, 2.42), "IQ2_S": (2.7403, 2.56), "IQ2_M": (2.9294, 2.74),
    "IQ3_XXS": (3.2548, 3.04), "IQ3_XS": (3.4977, 3.27), "IQ3_S": (3.6606, 3.42),
    "IQ3_M": (3.7628, 3.52), "IQ4_XS": (4.4597, 4.17), "IQ4_NL": (4.6818, 4.38),
    "Q2_K_S": (2.9697, 2.78), "Q2_K": (3.1593, 2.95), "Q3_K_S": (3.6429, 3.41),
    "Q3_K_M": (3.9960, 3.74), "Q3_K_L": (4.2979, 4.02), "Q4_K_S": (4.6672, 4.36),
    "Q4_K_M": (4.8944, 4.58), "Q5_K_S": (5.5704, 5.21), "Q5_K_M": (5.7036, 5.33),
    "Q6_K": (6.5633, 6.14), "Q8_0": (8.5008, 7.95), "F16": (16.0005, 14.96),
}  # fmt: skip


def of(shape: Shape, name: str) -> Weights:
    return weights(shape, parse_format(name))


def types(shape: Shape, name: str) -> dict[str, str]:
    return {tensor.name: kind for tensor, kind, _ in of(shape, name).sizes}


def test_types_have_the_blocks_of_the_gguf_package() -> None:
    theirs = {kind.name.lower(): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    theirs["q8_1"] = (32, 36)  # two float16 beside the values in ggml-common.h, not two float32
    assert {name: (TYPES[name].block, TYPES[name].size) for name in theirs} == theirs


def test_q2_0_which_the_package_lacks_has_2_25_bits() -> None:
    assert TYPES["q2_0"].bits == 2.25


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_row_of_llama_cpps_table(name: str) -> None:
    got = of(llama31_8b(), name)
    assert (round(got.bits_per_weight, 4), round(got.total / GIB, 2)) == PUBLISHED[name]


def test_an_importance_matrix_changes_what_llama_cpp_says_it_does() -> None:
    with_matrix = of(llama31_8b(), "IQ4_XS+imatrix")
    assert with_matrix.bits_per_weight < of(llama31_8b(), "IQ4_XS").bits_per_weight
    plain, other = types(llama31_8b(), "Q4_0"), types(llama31_8b(), "Q4_0+imatrix")
    changed = {name for name in plain if plain[name] != other[name]}
    assert changed == {f"blk.{n}.ffn_down.weight" for n in range(4)}  # the first eighth of 32
    assert {other[name] for name in changed} == {"q4_1"}


@pytest.mark.parametrize(
    ("shape", "bytes_"),
    [  # the files of TheBloke/Llama-2-*-GGUF on the hub: 4.78, 9.23 and 48.75 GB
        (llama2_7b, 4.78e9),
        (llama2_13b, 9.23e9),
        (llama2_70b, 48.75e9),
    ],
)
def test_llama_2_in_q5_k_m(shape: object, bytes_: float) -> None:
    assert callable(shape)
    assert of(shape(), "Q5_K_M").total == pytest.approx(bytes_, rel=0.001)


@pytest.mark.parametrize(
    ("shape", "name", "gigabytes", "within"),
    [  # the rules of thumb of lectures
        (llama31_405b(), "fp16", 810, 0.01),
        (llama2_7b(), "fp16", 14, 0.05),
        (llama2_13b(), "fp16", 26, 0.01),
        (llama2_70b(), "fp16", 140, 0.02),
        (llama2_7b(), "Q5_K_M", 5, 0.05),
        (llama2_13b(), "Q5_K_M", 10, 0.08),
        (llama2_70b(), "Q5_K_M", 50, 0.03),
    ],
)
def test_rules_of_thumb(shape: Shape, name: str, gigabytes: float, within: float) -> None:
    assert of(shape, name).total / 1e9 == pytest.approx(gigabytes, rel=within)


@pytest.mark.parametrize(
    ("model", "name", "gib"),
    [  # what llama-bench prints of the files people have
        ("gpt-oss-20b", "MXFP4_MOE", 11.27),
        ("gpt-oss-120b", "MXFP4_MOE", 59.02),
        ("llama-3.1-70b", "Q4_K_M", 39.59),
        ("gemma-3-4b", "Q4_K_M", 2.31),
        ("gemma-3-4b", "F16", 7.23),
        ("phi-4", "Q4_K_M", 8.43),
    ],
)
def test_files_that_llama_bench_was_run_on(model: str, name: str, gib: float) -> None:
    shape = resolve(load(), model)
    assert round(of(shape, name).total / GIB, 2) == gib


def test_bloom_in_bf16_is_352_gb() -> None:
    bloom = resolve(load(), "bloom")
    assert bloom.parameters == 176_247_271_424  # as its model card says
    assert of(bloom, "bf16").total / 1e9 == pytest.approx(352, rel=0.002)


def test_fp16_with_the_head_is_the_truth() -> None:
    assert round(of(mistral_7b(), "fp16").total / GIB, 2) == 13.49
    assert round(of(llama2_7b(), "fp16").total / GIB, 2) == 12.55


@pytest.mark.slow  # the package's reader takes seconds for the vocabulary
def test_the_installed_file_tensor_by_tensor(installed: Path) -> None:
    path = installed / "models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"
    reader = GGUFReader(path)
    theirs = {t.name: (t.tensor_type.name.lower(), int(t.n_bytes)) for t in reader.tensors}
    made = of(smollm2(), "Q4_1")
    assert {t.name: (kind, size) for t, kind, size in made.sizes} == theirs
    assert made.total + int(reader.data_offset) == path.stat().st_size
    assert "fall" in " ".join(made.notes)  # the embedding, from q6_k to q8_0

    tensors = tuple(
        Tensor(t.name, tuple(int(n) for n in reversed(t.shape)), t.tensor_type.name.lower())
        for t in reader.tensors
    )
    stored = of(replace(smollm2(), tensors=tensors), "stored")
    assert stored.total == made.total == 96_576_768


def test_parts_and_bits_add_up() -> None:
    made = of(smollm2(), "Q4_1")
    assert dict(made.parts) == {
        "feed-forward": 30 * 3 * 576 * 1536 // 32 * 20,
        "embedding": 49152 * 576 // 32 * 34,
        "attention": 30 * (2 * 576 * 576 + 2 * 192 * 576) // 32 * 20,
        "norms": (30 * 2 + 1) * 576 * 4,
    }
    assert sum(size for _, size in made.parts) == made.total
    assert made.bits_per_weight == made.total * 8 / 134_515_008


def test_a_tied_embedding_is_read_as_the_head_and_another_is_not() -> None:
    assert of(smollm2(), "fp16").read_per_token == of(smollm2(), "fp16").total
    mistral = of(mistral_7b(), "fp16")
    assert mistral.total - mistral.read_per_token == 2 * 32000 * 4096


def test_one_token_reads_the_experts_it_uses() -> None:
    made = of(mixtral(), "fp16")
    attention, router, norms = 41_943_040, 8 * 4096, 2 * 4096
    layer = attention + router + norms + 2 * 3 * 14336 * 4096
    assert made.read_per_token == 2 * (32 * layer + 4096 + 32000 * 4096)
    assert made.total == 2 * 46_702_792_704


def test_eight_experts_have_rules_of_their_own() -> None:
    got = types(mixtral(), "Q4_K_M")
    assert got["blk.0.attn_v.weight"] == got["blk.0.attn_k.weight"] == "q8_0"
    assert got["blk.0.attn_output.weight"] == "q5_k"
    assert got["blk.0.ffn_gate_inp.weight"] == "f32"
    # more bits: the first and last four of 32 layers, and every third between, from 6
    more = {n for n in range(32) if got[f"blk.{n}.ffn_down_exps.weight"] == "q6_k"}
    assert more == {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}


def test_mxfp4_moe_packs_experts_and_the_rest_in_q8_0() -> None:
    got = types(mixtral(), "MXFP4_MOE")
    assert {got[f"blk.7.ffn_{part}_exps.weight"] for part in ("up", "down", "gate")} == {"mxfp4"}
    assert got["output.weight"] == got["blk.7.attn_q.weight"] == got["token_embd.weight"] == "q8_0"


def test_llama_70b_gets_more_bits_for_its_shared_values() -> None:
    got = types(llama2_70b(), "Q4_K_M")
    assert {got[f"blk.{n}.attn_v.weight"] for n in range(80)} == {"q5_k", "q6_k"}
    assert types(llama2_70b(), "Q3_K_S")["blk.40.attn_v.weight"] == "q5_k"
    other = replace(llama2_70b(), architecture="gemma")
    assert types(other, "Q3_K_S")["blk.40.attn_v.weight"] == "q3_k"


def test_falcon_keeps_less_of_its_feed_forward() -> None:
    falcon = replace(mistral_7b(), architecture="falcon")
    got = types(falcon, "Q4_K_M")
    assert [got[f"blk.{n}.ffn_down.weight"] for n in (0, 1, 2, 3, 4)] == [
        "q6_k", "q6_k", "q5_k", "q5_k", "q4_k",
    ]  # fmt: skip
    assert got["output.weight"] == "q8_0"


def test_short_rows_fall_back_as_llama_cpp_does() -> None:
    got = types(bert(), "Q4_K_M")  # rows of 384 and 1536; blocks of 256
    downs = [got[f"blk.{n}.ffn_down.weight"] for n in range(6)]
    assert downs == ["q4_k", "q4_k", "q6_k", "q4_k", "q4_k", "q6_k"]  # every third has more bits
    assert got["blk.0.attn_q.weight"] == got["blk.0.attn_v.weight"] == "q5_0"
    assert got["blk.2.attn_v.weight"] == "q8_0"
    assert got["token_embd.weight"] == "q8_0"  # counts as the head, no output.weight being there
    assert got["position_embd.weight"] == got["token_types.weight"] == "f32"
    assert types(bert(), "IQ3_S")["blk.0.attn_q.weight"] == "iq4_nl"
    odd = dense("odd", 2, 256, 4, 4, 80, 100, tied=True)
    assert types(odd, "Q4_K_M")["blk.0.ffn_down.weight"] == "f16"  # 80 is no multiple of 32 either
    with pytest.raises(PlanError, match="rows of 80"):
        of(odd, "Q4_0")


@pytest.mark.parametrize(
    ("name", "bits"),
    [("nf4", 4.5), ("nf4-dq", 4 + 8 / 64 + 32 / (64 * 256)), ("fp4", 4.5), ("int4", 4.15625)],
)
def test_bits_of_a_packed_matrix(name: str, bits: float) -> None:
    assert PACKINGS[name].bytes(4096, 4096) * 8 / 4096**2 == bits


def test_packed_weights_leave_embeddings_norms_and_head_in_16_bit() -> None:
    linear = 32 * (2 * 4096**2 + 2 * 1024 * 4096 + 3 * 14336 * 4096)
    rest = mistral_7b().parameters - linear
    assert of(mistral_7b(), "nf4").total == linear * 4.5 / 8 + 2 * rest
    rows = 32 * (4096 + 1024 + 1024 + 4096 + 14336 + 14336 + 4096)
    assert of(mistral_7b(), "int8").total == linear + 4 * rows + 2 * rest


def test_bitsandbytes_leaves_stacked_experts_and_says_so() -> None:
    made = of(mixtral(), "nf4")
    experts = 32 * 8 * 3 * 14336 * 4096
    assert dict(made.parts)["experts"] == 2 * experts
    assert "experts" in made.notes[0]
    assert dict(of(mixtral(), "int4").parts)["experts"] < experts  # AWQ packs them


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("F32", "fp32", "plain"), ("float16", "fp16", "plain"), ("bfloat16", "bf16", "plain"),
        ("f16", "F16", "mixture"), ("gguf-bf16", "BF16", "mixture"), ("8-bit", "int8", "packed"),
        ("gptq", "int4", "packed"), ("NF4_DQ", "nf4-dq", "packed"), ("q4_k", "Q4_K_M", "mixture"),
        (" q4_k_m ", "Q4_K_M", "mixture"), ("iq4_xs+imatrix", "IQ4_XS+imatrix", "mixture"),
        ("IQ2_XS+imatrix", "IQ2_XS", "mixture"), ("pure-q4_k", "pure-q4_k", "pure"),
        ("nvfp4", "nvfp4", "pure"), ("stored", "stored", "stored"),
    ],
)  # fmt: skip
def test_names_of_formats(text: str, name: str, kind: str) -> None:
    got = parse_format(text)
    assert (got.name, got.kind) == (name, kind)


def test_an_importance_matrix_may_be_asked_for_beside_the_name() -> None:
    assert parse_format("IQ4_XS", imatrix=True) == parse_format("IQ4_XS+imatrix")
    assert parse_format("fp16", imatrix=True) == parse_format("fp16")
    assert parse_format("F16", imatrix=True) == parse_format("F16")


def test_every_mixture_is_known_and_has_a_size() -> None:
    shape = dense("small", 16, 512, 8, 2, 1024, 1000)
    sizes = {name: of(shape, name).total for name in MIXTURES}
    assert sizes["IQ1_S"] < sizes["Q2_K"] < sizes["Q4_K_M"] < sizes["Q8_0"] < sizes["F32"]
    assert of(shape, "pure-q4_k").bits_per_weight == pytest.approx(4.5, abs=0.1)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("q4_k_mm", "Q4_K_M"), ("fp17", "fp1"), ("", "expected"), ("IQ4_XS+matrix", "did you mean")],
)
def test_an_unknown_format_says_what_is_meant(text: str, hint: str) -> None:
    with pytest.raises(PlanError, match=hint):
        parse_format(text)


def test_stored_needs_a_file() -> None:
    with pytest.raises(PlanError, match="nothing is stored"):
        of(smollm2(), "stored")
    tensors = (Tensor("token_embd.weight", (8, 8), "z9"),)
    with pytest.raises(PlanError, match="'z9'"):
        of(replace(smollm2(), tensors=tensors), "stored")
    with pytest.raises(PlanError, match="no tensors"):
        of(replace(smollm2(), tensors=()), "fp16")


def test_assumed_dimensions_make_an_estimate() -> None:
    guessed = replace(smollm2(), assumed=("heads are 9",))
    assert not any(figure.exact for figure in of(guessed, "fp16").figures)
    assert all(figure.exact for figure in of(smollm2(), "fp16").figures)


def test_sizes_need_no_numpy() -> None:
    code = (
        "import sys, json; from llar.plan.memory import training, kv, hf_calculator; "
        "print(json.dumps([m for m in ('numpy', 'torch', 'tokenizers', 'click') "
        "if m in sys.modules]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(out.stdout) == []
