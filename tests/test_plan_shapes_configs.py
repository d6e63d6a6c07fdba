"""Every family's tensors against what transformers builds from the same config.

test_plan_shapes_counted.json was made with transformers 5.23.0 and torch 2.13.0: the model built
by AutoModelForCausalLM.from_config (encoders: AutoModel, or the class that `architectures` names)
on the device `meta`, every parameter once, DeepSeek's balancing bias (a buffer there) added. Gate
and up projections that transformers keeps in one tensor of experts count as two, and nomic_bert's
q, k and v, which its checkpoints hold in one, as one. Windows are those of its DynamicCache.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from llar.errors import PlanError
from llar.plan.shapes import configs
from llar.plan.shapes.checkpoint import from_config
from llar.plan.shapes.configs.build import Tensors

SMALL: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2,
    "intermediate_size": 96, "vocab_size": 500, "max_position_embeddings": 128, "pad_token_id": 0,
}  # fmt: skip
COUNTED = json.loads(Path(__file__).with_name("test_plan_shapes_counted.json").read_text())


def counted(kind: str) -> dict[str, Any]:
    """The first config of a family in the table."""
    return next({"model_type": kind, **c["config"]} for c in COUNTED if c["model_type"] == kind)


@pytest.mark.parametrize("case", COUNTED, ids=lambda c: c["model_type"])
def test_a_family_has_the_tensors_transformers_builds(case: dict[str, Any]) -> None:
    shape = configs.read({"model_type": case["model_type"], **case["config"]}, "config.json")
    assert shape.parameters == case["parameters"]
    assert len(shape.tensors) == case["tensors"]
    assert list(shape.windows) == case["windows"]
    names = [t.name for t in shape.tensors]
    assert len(set(names)) == len(names)
    assert shape.source == "config.json"
    assert len(shape.kv_widths) == (0 if shape.encoder else shape.layers)


def test_every_family_is_counted() -> None:
    # kimi_k2 has the layout of deepseek_v3, and no modelling code of its own there
    kinds = {c["model_type"] for c in COUNTED}
    assert set(configs.FAMILIES) - kinds == {"kimi_k2"}


# Llama-3.1-8B by hand: embedding and head 128,256 x 4,096 each; a layer q and output 4,096 x 4,096,
# k and v 1,024 x 4,096, three of 14,336 x 4,096 and two norms; one norm at the end.
LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip


def test_llama_31_8b_by_hand() -> None:
    shape = configs.read(LLAMA, "config.json", "llama-3.1-8b")
    layer = 2 * 4096**2 + 2 * 1024 * 4096 + 3 * 14336 * 4096 + 2 * 4096
    assert shape.parameters == 2 * 128256 * 4096 + 32 * layer + 4096 == 8_030_261_248
    assert len(shape.tensors) == 3 + 32 * 9
    assert shape.tensors[0].name == "token_embd.weight"
    assert shape.tensors[0].shape == (128256, 4096)
    assert (shape.heads, shape.kv_heads, shape.head_dim) == (32, 8, 128)
    assert shape.kv_widths == ((1024, 1024),) * 32
    assert not shape.tied
    assert shape.context == 131072
    assert shape.assumed == ()


def test_a_latent_cache_holds_the_latent_and_the_rotary_part() -> None:
    """DeepSeek-V2, arXiv 2405.04434, table 1: (d_c + d_h^R) l elements a token."""
    shape = configs.read(counted("deepseek_v3"), "config.json")
    assert shape.kv_widths == ((20 + 4, 0),) * 6
    assert shape.head_dim == 12 + 4
    assert shape.experts == 8
    assert [t.layer for t in shape.tensors if t.part == "ffn_gate_exps"] == [3, 4, 5]
    assert shape.ffn == 96  # three layers are dense


def test_experts_of_all_layers_give_the_width() -> None:
    moe = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
    shape = configs.read({"model_type": "qwen3_moe", **SMALL, **moe}, "config.json")
    assert (shape.ffn, shape.experts, shape.experts_used) == (48, 4, 2)
    one = 3 * 48 * 64
    assert shape.parameters - shape.active_parameters == 6 * 2 * one + 500 * 64


def test_a_number_of_transformers_is_said_to_be_one() -> None:
    shape = configs.read({"model_type": "gemma3", "text_config": {
        "hidden_size": 2560, "num_hidden_layers": 34, "intermediate_size": 10240,
        "sliding_window": 1024}, "vision_config": {}}, "config.json")  # fmt: skip
    assert shape.parameters == 3_880_263_168  # gemma-3-4b's language model
    assert shape.head_dim == 256
    assert any("head_dim is not stated; 256" in a for a in shape.assumed)
    assert any("language model" in a and "vision" in a for a in shape.assumed)


def test_a_window_that_is_null_is_none_and_one_that_is_absent_is_mistrals() -> None:
    absent = configs.read({"model_type": "mistral", **SMALL}, "config.json")
    null = configs.read({"model_type": "mistral", **SMALL, "sliding_window": None}, "config.json")
    assert absent.windows == (4096,) * 6
    assert any("sliding_window is not stated" in a for a in absent.assumed)
    assert null.windows == ()
    assert null.assumed == ()


def test_layer_types_win_over_the_rule() -> None:
    kinds = ["full_attention", "sliding_attention"] * 3
    shape = configs.read(
        {"model_type": "gemma2", **SMALL, "sliding_window": 24, "layer_types": kinds}, "c"
    )
    assert shape.windows == (0, 24) * 3


def test_a_model_without_a_head_has_none() -> None:
    shape = configs.read({"model_type": "mistral", **SMALL, "architectures": ["MistralModel"]}, "c")
    assert not any(t.name.startswith("output.") for t in shape.tensors)
    assert any("no output head" in a for a in shape.assumed)


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads",
                                 "num_key_value_heads", "vocab_size", "intermediate_size",
                                 "max_position_embeddings", "head_dim"])  # fmt: skip
@pytest.mark.parametrize("value", ["abc", -1, 0, 1e30, 4096.5, True, [], {}, math.nan, 10**30])
def test_a_field_that_is_no_size_is_named(key: str, value: object) -> None:
    with pytest.raises(PlanError, match=f"config.json: {key} is .*; expected a"):
        configs.read({**LLAMA, key: value}, "config.json")


def test_all_missing_fields_are_named_at_once() -> None:
    lacking = "needs num_hidden_layers, num_attention_heads, intermediate_size, vocab_size, which"
    with pytest.raises(PlanError, match=lacking):
        configs.read({"model_type": "llama", "hidden_size": 64}, "config.json")
    moe = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
    with pytest.raises(PlanError, match=r"needs kv_lora_rank, qk_rope_head_dim, .*v_head_dim"):
        configs.read({"model_type": "deepseek_v3", **SMALL, **moe}, "config.json")


@pytest.mark.parametrize(("change", "message"), [
    ({"num_attention_heads": 30, "num_key_value_heads": 30}, "cannot be divided among 30 heads"),
    ({"num_key_value_heads": 5}, "32 heads cannot share 5 heads"),
    ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes'; expected true or false"),
    ({"architectures": "LlamaForCausalLM"}, "architectures is .* expected a list of strings"),
    ({"architectures": ["LlamaForTokenClassification"]}, "names LlamaForTokenClassification"),
    ({"model_type": 7}, "model_type is 7; expected a string"),
    ({"text_config": 7}, "text_config is 7; expected an object"),
    ({"num_hidden_layers": 10**7}, "is 10000000; expected a number from 1 to 10,000"),
])  # fmt: skip
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        configs.read({**LLAMA, **change}, "config.json")


def test_a_head_dim_that_is_stated_needs_no_dividing() -> None:
    shape = configs.read({**LLAMA, "num_attention_heads": 30, "num_key_value_heads": 6,
                          "head_dim": 128}, "config.json")  # fmt: skip
    assert shape.kv_widths[0] == (768, 768)


@pytest.mark.parametrize(("kinds", "message"), [
    (["full_attention"], "lists 1 layers, there are 6"),
    (["linear_attention"] * 6, "'linear_attention', which llar cannot plan"),
])  # fmt: skip
def test_layer_types_that_make_no_sense(kinds: list[str], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        configs.read({"model_type": "qwen2", **SMALL, "use_sliding_window": True,
                      "sliding_window": 8, "layer_types": kinds}, "config.json")  # fmt: skip


def test_more_experts_used_than_there_are() -> None:
    with pytest.raises(PlanError, match="cannot use 9 of 8 experts"):
        configs.read({"model_type": "mixtral", **SMALL, "num_local_experts": 8,
                      "num_experts_per_tok": 9}, "config.json")  # fmt: skip


def test_an_unknown_architecture_says_what_it_has_and_lacks() -> None:
    with pytest.raises(configs.UnknownArchitecture) as e:
        configs.read({"model_type": "mamba2", "hidden_size": 64, "vocab_size": 500}, "config.json")
    assert "model_type 'mamba2' is not one llar knows" in e.value.message
    assert "found: hidden_size, vocab_size" in e.value.message
    assert "missing: num_hidden_layers, num_attention_heads, intermediate_size" in e.value.message
    assert e.value.fix is not None
    assert "safetensors" in e.value.fix
    with pytest.raises(configs.UnknownArchitecture, match="did you mean 'qwen3_moe'"):
        configs.read({"model_type": "qwen3moe", **SMALL}, "config.json")
    with pytest.raises(configs.UnknownArchitecture, match="it states no model_type"):
        configs.read({}, "config.json")


@pytest.mark.parametrize(("text", "message"), [
    ("{", "is no JSON"), ("[]", "expected the object of a config.json"),
    ("null", "expected the object"), ("3", "expected the object"), ("", "is no JSON"),
    ("[" * 100_000, "is no JSON"), ("\xff", "is no JSON"),
])  # fmt: skip
def test_a_file_that_is_no_config(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(PlanError, match=message):
        from_config(file)


def test_a_config_is_named_after_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "models--meta-llama--Llama-3.1-8B" / "snapshots" / "0123"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(LLAMA))
    assert from_config(folder / "config.json").name == "meta-llama/Llama-3.1-8B"


def test_a_bias_has_a_value_for_each_row() -> None:
    t = Tensors()
    t.weight("a", 8, 4, bias=True)
    t.weight("b_exps", 3, 8, 4, bias=True)
    t.weight("norm", 8, bias=True)
    assert [(x.name, x.shape) for x in t.found] == [
        ("a.weight", (8, 4)), ("a.bias", (8,)), ("b_exps.weight", (3, 8, 4)),
        ("b_exps.bias", (3, 8)), ("norm.weight", (8,)), ("norm.bias", (8,)),
    ]  # fmt: skip
