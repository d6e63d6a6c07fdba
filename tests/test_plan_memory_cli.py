"""`llar plan memory` as a user meets it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llar.cli import cli
from llar.errors import LlarError, PlanError


def llar(*args: str | Path) -> Result:
    """Run `llar plan memory ARGS` in this process."""
    return CliRunner().invoke(cli, ["plan", "memory", *map(str, args)])


def shown(*args: str | Path) -> str:
    """What it prints; it must succeed."""
    done = llar(*args)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return " ".join(done.stdout.split())


def told(*args: str | Path) -> Any:
    """Its JSON."""
    done = llar(*args, "--json")
    assert done.exit_code == 0, done.output + repr(done.exception)
    return json.loads(done.stdout)


def test_all_formats_beside_each_other() -> None:
    text = shown("llama-3.1-8b", "--machine", "rtx-4090")
    assert "8,030,261,248 parameters" in text
    assert "Q4_K_M 4.89 8,192 1 4.58 GiB 1.00 GiB" in text  # 32 x 2 x 1024 x 2 bytes x 8,192
    assert "fp16 16.00 8,192 1 14.96 GiB" in text


def test_one_format_shows_its_formulas_and_sources() -> None:
    args = ("smollm2-135m", "--format", "fp16", "--context", "4k", "--machine", "l4")
    text = shown(*args)
    assert "134.5 M parameters x 16.0000 bits / 8 (fp16)" in text
    assert "90.00 MiB" in text
    assert "llama.cpp src/" not in text
    assert "llama.cpp src/" in shown(*args, "--sources")
    assert "47.81 MiB" in shown(*args, "--cache", "q8_0")
    assert "25.31 MiB" in shown(*args, "--cache", "q4_0")


def test_users_and_contexts_multiply() -> None:
    runs = told("smollm2-135m", "--format", "fp16", "--context", "2k", "--context", "4096",
                "--users", "1", "--users", "8", "--machine", "l4")["runs"]  # fmt: skip
    assert [(r["context"], r["users"]) for r in runs] == [(2048, 1), (2048, 8), (4096, 1),
                                                          (4096, 8)]  # fmt: skip
    # 30 layers x (192 + 192) x 2 bytes a token
    assert [r["running"]["kv"] for r in runs] == [23040 * n for n in (2048, 16384, 4096, 32768)]


def test_machines() -> None:
    runs = told("llama-3.1-70b", "--format", "fp16", "--context", "4k",
                "--machine", "l4", "--machine", "4x h100-sxm")["runs"]  # fmt: skip
    small, large = runs[0]["machines"]
    assert small["how"] != "whole"
    assert small["left"] < 0
    assert large["how"] == "whole"
    text = shown("llama-3.1-405b", "--format", "fp16", "--machine", "l4")
    assert re.search(
        r"On l4: does not fit whole; 3 of 126 layers on it, 7\d\d\.\d\d GiB in RAM", text
    )


def test_this_machine_is_the_default() -> None:
    [run] = told("smollm2-135m", "--format", "Q4_1")["runs"]
    assert run["machines"][0]["machine"] == "this"


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        ("mistral-7b-v0.2", ("float32 864.03 MB 27.49 GB 109.96 GB",
                             "float16/bfloat16 432.02 MB 13.74 GB 54.98 GB",
                             "float32 27.49 GB 27.49 GB 54.98 GB 109.96 GB",
                             "float16/bfloat16 27.49 GB 41.23 GB 54.98 GB 54.98 GB",
                             "13.49 GiB")),
        ("llama-2-7b-chat", ("float32 776.03 MB 24.74 GB 98.96 GB",
                             "float16/bfloat16 388.02 MB 12.37 GB 49.48 GB",
                             "float32 24.74 GB 24.74 GB 49.48 GB 98.96 GB",
                             "float16/bfloat16 24.74 GB 37.11 GB 49.48 GB 49.48 GB",
                             "12.55 GiB")),
    ],
)  # fmt: skip
def test_the_calculators_published_tables(model: str, rows: tuple[str, ...]) -> None:
    text = shown(model, "--compat", "hf-calculator")
    for row in rows:
        assert row in text


def test_training() -> None:
    found = told("smollm2-135m", "--train", "lora", "--machine", "l4")["training"]
    assert found["parameters"] == 2_442_240
    text = shown("smollm2-135m", "--train", "lora", "--machine", "l4")
    assert "30 layers x 22,428 bytes x 1 x 2,048 tokens" in text  # 16h+4h_kv+8ffn+4heads+14r+8
    assert "On l4: fits" in text
    more = shown("smollm2-135m", "--train", "full", "--batch", "4", "--sequence", "1k",
                 "--checkpointing", "--optimiser", "adam8bit", "--machine", "l4")  # fmt: skip
    assert "x 4 x 1,024 tokens" in more


def test_bare_numbers_and_a_config(tmp_path: Path) -> None:
    numbers = "layers=2,hidden=64,heads=4,kv_heads=2,ffn=128,vocabulary=1000"
    # 2 x (64*64*2 + 64*32*2 + 3*64*128 + 2*64) + 64 + 2 x 64,000: no tied head
    assert told(numbers, "--format", "fp16")["model"]["dimensions"][0]["value"] == 202_048
    config = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128,
              "vocab_size": 1000, "max_position_embeddings": 512}  # fmt: skip
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    answer = told(file, "--format", "fp16")
    assert answer["model"]["dimensions"][0]["value"] == 202_048
    assert answer["runs"][0]["context"] == 512


def test_the_installed_model_is_read_from_its_file(installed: Path) -> None:
    runs = told("smollm2-135m-instruct")["runs"]
    assert runs[0]["format"] == "stored"
    assert runs[0]["weights"]["total"] == 96_576_768  # of the file's 98,386,624 with header


@pytest.mark.parametrize(
    ("args", "kind", "said"),
    [
        (("llama-3.1-8b", "--format", "Q4_K_X"), PlanError, "Q4_K"),
        (("llama-3.1-8b", "--context", "-5"), PlanError, "negative"),
        (("llama-3.1-8b", "--context", "0"), PlanError, "context"),
        (("llama-3.1-8b", "--users", "1.5"), PlanError, "whole"),
        (("llama-3.1-8b", "--users", "1e29"), PlanError, "users"),
        (("llama-3.1-8b", "--machine", "rtx-4091"), PlanError, "rtx-4090"),
        (("llama-3.1-8b", "--cache", "q8_1"), PlanError, "q8_0"),
        (("llama-3.1-8b", "--cache", ""), PlanError, "q8_0"),
        (("llama-3.1-8b", "--context", "1e15"), PlanError, "expected 1 to"),
        (("llama-3.1-8b", "--train", "lora", "--batch", "1e12"), PlanError, "expected 1 to"),
        (("foo=3",), PlanError, "of a model. Known are: layers"),
        (("0B",), PlanError, "size"),
        (("lama-3.1-8b",), LlarError, "did you mean"),
        (("no/such/config.json",), LlarError, "no/such/config.json"),
        (("llama-3.1-8b", "--train", "lora", "--rank", "-1"), PlanError, "negative"),
        (("llama-3.1-8b", "--train", "lora", "--optimiser", "adm"), PlanError, "adam"),
        (("layers=2,hidden=64", "--format", "fp16"), PlanError, "vocabulary"),
    ],
)
def test_bad_input(args: tuple[str, ...], kind: type[Exception], said: str) -> None:
    done = llar(*args)
    assert isinstance(done.exception, kind), done.output
    assert said in str(done.exception)


@pytest.mark.parametrize(
    "args",
    [
        ("llama-3.1-8b", "--batch", "4"),
        ("llama-3.1-8b", "--train", "lora", "--users", "4"),
        ("llama-3.1-8b", "--compat", "hf-calculator", "--users", "4"),
        ("llama-3.1-8b", "--compat", "hf-calculator", "--train", "lora"),
        ("llama-3.1-8b", "--checkpointing"),
        ("llama-3.1-8b", "--train", "lora", "--imatrix"),
        ("llama-3.1-8b", "--compat", "hf-calculator", "--imatrix"),
        ("llama-3.1-8b", "--train", "full", "--rank", "4"),
        ("405B", "--users", "4"),
        ("405B", "--machine", "l4"),
        ("405B", "--train", "lora"),
    ],
)
def test_options_without_effect_are_refused(args: tuple[str, ...]) -> None:
    assert llar(*args).exit_code == 2


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("qwen2.5-7b", "28 layers x (512 + 512 elements), K f16, V f16: 57,344 bytes"),
        ("llama-3.1-8b", "32 layers x (1024 + 1024 elements), K f16, V f16: 131,072 bytes"),
    ],
)
def test_what_a_token_takes_in_the_cache(model: str, said: str) -> None:
    """As vLLM logs it."""
    assert said in shown(model, "--format", "fp16", "--machine", "l4")


def test_the_truth_in_gigabytes() -> None:
    assert "= 811.7 GB" in shown("llama-3.1-405b", "--format", "fp16", "--machine", "l4")
    assert "= 352.5 GB" in shown("bloom-176b", "--format", "bf16", "--machine", "l4")


def test_a_model_of_a_size() -> None:
    """Rules of thumb from lectures: 405B 810 GB, 7/13/70B 14/26/140 GB, 5/10/50 in Q5_K_M."""
    assert "x 16 bits / 8 = 810 GB" in shown("405B", "--format", "fp16")
    for size, whole, packed in (("7B", 14, 5), ("13b", 26, 10), ("70 B", 140, 50)):
        found = told(size, "--format", "fp16", "--format", "Q5_K_M")["weights"]
        assert found[0]["value"] == whole * 1e9
        assert found[1]["value"] == pytest.approx(packed * 1e9, rel=0.08)
        assert not found[1]["exact"]


def test_formats_that_llama_cpp_has_not_are_told() -> None:
    assert "llama.cpp has no nf4-dq" in shown("smollm2-135m", "--format", "nf4-dq")
    assert "llama.cpp has no" not in shown("smollm2-135m", "--format", "Q4_1")


def test_what_the_system_shows_is_of_processors_only() -> None:
    one = ("llama-3.1-8b", "--format", "Q4_K_M", "--machine")
    assert "shown by the system" not in shown(*one, "rtx-4090")
    assert "shown by the system" in shown(*one, "office-ddr5")


def test_an_encoder_runs_in_int8_whatever_its_file_holds(installed: Path) -> None:
    text = shown("all-minilm-l6-v2", "--machine", "l4")
    assert "Running it in int8, 256 tokens of context" in text
    assert "the weights take 86.64 MiB as stored" in text
    both = told("all-minilm-l6-v2", "--format", "fp16", "--format", "fp32")["runs"]
    assert both[0]["running"]["weights"] == both[1]["running"]["weights"]
    several = shown("all-minilm-l6-v2", "--format", "fp16", "--format", "fp32", "--context", "4k")
    assert several.count("22.37 MiB") == 2
    assert "longer texts are cut" in several
    assert "4,096 1" not in several


def test_a_format_that_is_not_possible_does_not_hide_the_others() -> None:
    numbers = "layers=2,hidden=64,heads=4,ffn=176,vocabulary=1000"
    text = shown(numbers)
    assert "fp16 16.00 8,192 1" in text
    assert "Q8_0 is not possible: blk.0.ffn_down.weight has rows of 176" in text
    assert isinstance(llar(numbers, "--format", "Q8_0").exception, PlanError)


def test_gpt_oss_in_what_its_makers_publish() -> None:
    assert "MXFP4_MOE 4.63 8,192 1 11.27 GiB" in shown("gpt-oss-20b")


def test_notes_name_the_formats_they_are_of() -> None:
    text = shown("smollm2-135m", "--format", "Q4_K_M", "--format", "Q8_0")
    assert "note: Q4_K_M: rows of 576 do not hold whole blocks" in text
    text = shown("mistral-7b-v0.1", "--context", "32k")
    assert "note: the model looks back on 4,096 tokens only, but llama.cpp keeps the whole" in text


def test_numbers_with_letters() -> None:
    [run] = told("smollm2-135m", "--format", "fp16", "--context", "1.5k", "--users", "1k")["runs"]
    assert (run["context"], run["users"]) == (1536, 1000)
    numbers = "layers=2,hidden=64,heads=4,ffn=176,vocabulary=1k,context=8k"
    assert told(numbers, "--format", "fp16")["model"]["dimensions"][-1]["value"] == 8192


def test_optimisers_as_people_write_them() -> None:
    plain = told("smollm2-135m", "--train", "full", "--machine", "l4")["training"]["peak"]
    for name in ("AdamW", "ADAM", "adamw"):
        more = told("smollm2-135m", "--train", "full", "--optimiser", name, "--machine", "l4")
        assert more["training"]["peak"] == plain


def test_training_on_several_cards_says_that_all_is_split() -> None:
    args = ("llama-3.1-8b", "--train", "full", "--machine")
    assert "fits if all is split evenly over the 4 (FSDP, ZeRO-3)" in shown(*args, "4x h100-sxm")
    assert "On h100-sxm: does not fit" in shown(*args, "h100-sxm")


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys; from llar.cli import cli;"
        "cli(['plan', 'memory', 'llama-3.1-8b', '--machine', 'l4'], standalone_mode=False);"
        "print([m for m in ('numpy', 'tokenizers', 'xllamacpp', 'ctranslate2', 'genai_prices',"
        " 'pydantic') if m in sys.modules])"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.perf_counter() - started < 60
