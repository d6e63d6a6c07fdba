"""Shapes of GGUF files: models written by gguf-py with the tensors of a config, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf as reference
import numpy as np
import pytest
from test_plan_shapes_gguf import ARCH, build, smollm, tensor

from llar.errors import ModelCorrupt, PlanError
from llar.plan.shape import Shape, Tensor
from llar.plan.shapes import configs
from llar.plan.shapes.gguf_shape import from_gguf


def test_the_shape_of_the_real_model(installed: Path) -> None:
    shape = from_gguf(smollm(installed))
    assert shape.parameters == 134_515_008  # as its makers count it
    assert (shape.layers, shape.hidden, shape.heads, shape.kv_heads) == (30, 576, 9, 3)
    assert (shape.head_dim, shape.ffn, shape.vocabulary, shape.context) == (64, 1536, 49152, 8192)
    assert shape.tied
    assert shape.gated
    assert shape.kv_widths == ((192, 192),) * 30
    assert shape.windows == ()
    assert shape.assumed == ()
    assert shape.source.endswith(".gguf")
    types = {t.type for t in shape.tensors}
    assert types == {"q4_1", "q8_0", "f32"}


def write(file: Path, arch: str, tensors: tuple[Tensor, ...], values: dict[str, Any]) -> Path:
    writer = reference.GGUFWriter(file, arch)
    for key, value in values.items():
        name = key if key.startswith("general.") else f"{arch}.{key}"
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_uint32(name, value)
    for t in tensors:
        writer.add_tensor(t.name, np.zeros(t.shape, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


SMALL: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2,
    "intermediate_size": 96, "vocab_size": 500, "max_position_embeddings": 128,
}  # fmt: skip
KEYS: dict[str, Any] = {
    "block_count": 6, "embedding_length": 64, "attention.head_count": 8,
    "attention.head_count_kv": 2, "feed_forward_length": 96, "context_length": 128,
}  # fmt: skip


def both(
    tmp_path: Path, arch: str, config: dict[str, Any], keys: dict[str, Any]
) -> tuple[Shape, Shape]:
    stated = configs.read({**SMALL, **config}, "config.json")
    return stated, from_gguf(write(tmp_path / "m.gguf", arch, stated.tensors, {**KEYS, **keys}))


FIELDS = ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocabulary", "context",
          "tied", "experts", "experts_used", "windows", "kv_widths", "encoder", "gated",
          "parameters", "active_parameters")  # fmt: skip


@pytest.mark.parametrize(("arch", "config", "keys"), [
    ("llama", {"model_type": "llama"}, {}),
    ("llama", {"model_type": "mistral", "head_dim": 16, "sliding_window": None},
     {"attention.key_length": 16, "attention.value_length": 16}),
    ("qwen2", {"model_type": "qwen2", "tie_word_embeddings": True}, {}),
    ("qwen3", {"model_type": "qwen3", "head_dim": 16},
     {"attention.key_length": 16, "attention.value_length": 16}),
    ("gemma2", {"model_type": "gemma2", "head_dim": 16, "sliding_window": 24},
     {"attention.key_length": 16, "attention.value_length": 16, "attention.sliding_window": 24}),
    ("gemma3", {"model_type": "gemma3_text", "head_dim": 16, "sliding_window": 24},
     {"attention.key_length": 16, "attention.value_length": 16, "attention.sliding_window": 24}),
    ("gpt-oss", {"model_type": "gpt_oss", "head_dim": 16, "num_local_experts": 4,
                 "num_experts_per_tok": 2, "sliding_window": 24},
     {"attention.key_length": 16, "attention.value_length": 16, "attention.sliding_window": 24,
      "expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 96}),
    ("qwen3moe", {"model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2,
                  "moe_intermediate_size": 48},
     {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 48}),
    ("deepseek2", {"model_type": "deepseek_v3", "num_key_value_heads": 8, "n_routed_experts": 4,
                   "num_experts_per_tok": 2, "moe_intermediate_size": 48, "n_shared_experts": 1,
                   "first_k_dense_replace": 2, "kv_lora_rank": 20, "q_lora_rank": 24,
                   "qk_rope_head_dim": 4, "qk_nope_head_dim": 12, "v_head_dim": 10},
     {"attention.head_count_kv": 1, "attention.key_length": 24, "attention.value_length": 20,
      "attention.key_length_mla": 16, "attention.value_length_mla": 10, "expert_count": 4,
      "expert_used_count": 2}),
    ("phi3", {"model_type": "phi3"}, {}),
    ("gpt2", {"model_type": "gpt2", "num_key_value_heads": 8, "n_inner": 96},
     {"attention.head_count_kv": 8}),
    ("bert", {"model_type": "bert"}, {"attention.head_count_kv": 8, "attention.causal": False}),
    ("modern-bert", {"model_type": "modernbert", "local_attention": 16},
     {"attention.head_count_kv": 8, "attention.sliding_window": 16}),
])  # fmt: skip
def test_a_gguf_says_what_its_config_said(
    tmp_path: Path, arch: str, config: dict[str, Any], keys: dict[str, Any]
) -> None:
    stated, read = both(tmp_path, arch, config, keys)
    differing = {"kv_heads"} if arch == "deepseek2" else set()  # llama.cpp counts the latent as one
    for field in FIELDS:
        if field not in differing:
            assert getattr(read, field) == getattr(stated, field), field
    assert {t.type for t in read.tensors} == {"f16"}
    assert read.assumed == ()


def test_a_phi3_keeps_the_whole_context_as_llama_cpp_does(tmp_path: Path) -> None:
    _, read = both(tmp_path, "phi3", {"model_type": "phi3"}, {"attention.sliding_window": 32})
    assert read.windows == ()
    assert "a window of 32 tokens; llama.cpp uses none for phi3" in read.assumed[0]


def test_a_pattern_of_the_file_wins(tmp_path: Path) -> None:
    keys = {"attention.key_length": 16, "attention.value_length": 16,
            "attention.sliding_window": 24, "attention.sliding_window_pattern": 3}  # fmt: skip
    config = {"model_type": "gemma3_text", "head_dim": 16}
    _, read = both(tmp_path, "gemma3", config, keys)
    assert read.windows == (24, 24, 0, 24, 24, 0)
    layers = [True, False, True, False, False, False]
    _, read = both(tmp_path, "gemma3", config, keys | {"attention.sliding_window_pattern": layers})
    assert read.windows == (24, 0, 24, 0, 0, 0)


def test_numbers_of_each_layer(tmp_path: Path) -> None:
    """As OpenELM and DeciLM have them; a layer without heads of keys caches nothing."""
    _, read = both(tmp_path, "llama", {"model_type": "llama"}, {
        "attention.head_count": [8, 8, 8, 8, 8, 8], "attention.head_count_kv": [2, 2, 0, 2, 1, 2],
        "feed_forward_length": [96, 96, 96, 96, 96, 90]})  # fmt: skip
    assert [k for k, _ in read.kv_widths] == [16, 16, 0, 16, 8, 16]
    assert (read.kv_heads, read.ffn) == (2, 96)


def test_layers_that_keep_no_cache(tmp_path: Path) -> None:
    stated = configs.read({**SMALL, "model_type": "llama"}, "config.json")
    further = from_gguf(write(tmp_path / "m.gguf", "glm4moe", stated.tensors,
                              {**KEYS, "nextn_predict_layers": 1}))  # fmt: skip
    assert further.kv_widths == ((16, 16),) * 5 + ((0, 0),)
    assert "the last 1 of the layers predict further tokens" in further.assumed[0]
    shared = from_gguf(write(tmp_path / "m.gguf", "gemma3n", stated.tensors,
                             {**KEYS, "attention.shared_kv_layers": 2}))  # fmt: skip
    assert shared.kv_widths == ((16, 16),) * 4 + ((0, 0),) * 2
    parts = ("attn_k", "attn_v", "attn_q")
    hybrid = tuple(t for t in stated.tensors if t.part not in parts or t.layer in (1, 3)) + tuple(
        Tensor(f"blk.{i}.{name}.weight", (16, 64)) for i in (0, 2, 4, 5)
        for name in ("ssm_in", "attn_qkv"))  # fmt: skip
    read = from_gguf(write(tmp_path / "m.gguf", "qwen3next", hybrid, KEYS))
    assert [k for k, _ in read.kv_widths] == [0, 16, 0, 16, 0, 0]
    assert "4 of the layers have no attention" in read.assumed[0]


def test_a_model_without_attention(tmp_path: Path) -> None:
    tensors = (Tensor("token_embd.weight", (500, 64)), Tensor("blk.0.ssm_in.weight", (64, 64)))
    keys = {"block_count": 1, "embedding_length": 64, "attention.head_count": 0}
    with pytest.raises(PlanError, match="mamba has no heads of attention"):
        from_gguf(write(tmp_path / "m.gguf", "mamba", tensors, keys))


def test_an_old_deepseek_caches_keys_and_values_of_all_heads(tmp_path: Path) -> None:
    """Without the key lengths of latent attention, llama.cpp keeps them expanded."""
    config = {"model_type": "deepseek_v3", "num_key_value_heads": 8, "n_routed_experts": 4,
              "num_experts_per_tok": 2, "moe_intermediate_size": 48, "n_shared_experts": 1,
              "first_k_dense_replace": 2, "kv_lora_rank": 20, "q_lora_rank": 24,
              "qk_rope_head_dim": 4, "qk_nope_head_dim": 12, "v_head_dim": 10}  # fmt: skip
    keys = {"attention.head_count_kv": 8, "attention.key_length": 16,
            "attention.value_length": 10, "expert_count": 4, "expert_used_count": 2}  # fmt: skip
    _, read = both(tmp_path, "deepseek2", config, keys)
    assert read.kv_widths == ((8 * 16, 8 * 10),) * 6


def test_what_metadata_lacks_is_read_off_the_tensors_and_said(tmp_path: Path) -> None:
    stated = configs.read({**SMALL, "model_type": "llama"}, "config.json")
    keys = {k: v for k, v in KEYS.items() if k.startswith("attention")}
    read = from_gguf(write(tmp_path / "m.gguf", "llama", stated.tensors, keys))
    assert (read.layers, read.hidden, read.ffn, read.vocabulary) == (6, 64, 96, 500)
    assert read.parameters == stated.parameters
    assert read.context == 0
    for key in ("block_count", "embedding_length", "feed_forward_length"):
        assert any(f"llama.{key} is not stated" in a for a in read.assumed), key


def test_experts_of_which_nobody_says_how_many_are_used(tmp_path: Path) -> None:
    config = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
    _, read = both(tmp_path, "llama", config, {"expert_count": 4})
    assert (read.experts, read.experts_used) == (4, 4)
    assert "expert_used_count is not stated; all experts are taken" in read.assumed


@pytest.mark.parametrize(("keys", "message"), [
    ({"block_count": 0}, r"llama.block_count is 0; expected a whole number from 1 to 10,000"),
    ({"block_count": 2**31}, "block_count is 2147483648"),
    ({"block_count": "six"}, "block_count is 'six'"),
    ({"embedding_length": 65}, "embedding_length is 65, but token_embd is 64 wide"),
    ({"attention.head_count": [8, 8]}, "has 2 numbers for 6 layers"),
    ({"attention.head_count": True}, "head_count is True"),
    ({"attention.sliding_window": 8, "attention.sliding_window_pattern": [True]}, "1 values for 6"),
    ({"expert_count": 4, "expert_used_count": 5}, "expert_used_count is 5; .* from 0 to 4"),
])  # fmt: skip
def test_metadata_that_lies(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelCorrupt, match=message):
        both(tmp_path, "llama", {"model_type": "llama"}, keys)


def test_a_part_of_a_model_is_not_a_model(tmp_path: Path) -> None:
    file = write(tmp_path / "lora.gguf", "llama", (), {"general.type": "adapter"})
    with pytest.raises(PlanError, match="holds a model's adapter, not the model itself"):
        from_gguf(file)
    file = write(tmp_path / "mmproj.gguf", "clip", (), {})
    with pytest.raises(PlanError, match="holds a model's projector of pictures"):
        from_gguf(file)


def test_a_file_without_an_architecture_or_with_names_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(build([], [], 0))
    with pytest.raises(ModelCorrupt, match="names no architecture"):
        from_gguf(file)
    for name in ("blk.x.attn_q.weight", "blk.", "blk.99999.attn_q.weight", "blk.-1.a"):
        file.write_bytes(build([ARCH], [tensor(name, (4,), 0, 0)], 32))
        with pytest.raises(ModelCorrupt, match="is no name of a tensor"):
            from_gguf(file)
    file.write_bytes(build([ARCH], [], 0))
    with pytest.raises(PlanError, match="block_count is not stated"):
        from_gguf(file)
