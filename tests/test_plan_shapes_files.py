"""Safetensors headers, checkpoints of folders, and the names their tensors get."""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import gguf as reference
import pytest
from safetensors import safe_open

from llar.errors import ModelCorrupt, PlanError
from llar.plan.shape import Tensor
from llar.plan.shapes import configs, safetensors_header
from llar.plan.shapes.checkpoint import from_config, from_safetensors
from llar.plan.shapes.names import translate

WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1, "I32": 4, "I64": 8, "F8_E4M3": 1}


def write(file: Path, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> Path:
    """A safetensors file of zeros; the folder of a checkpoint in a few lines."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (kind, shape) in tensors.items():
        size = math.prod(shape) * WIDTHS[kind]
        table[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(table).encode()
    file.write_bytes(struct.pack("<Q", len(head)) + head + bytes(end))
    return file


SMALL: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8,
    "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 500,
    "max_position_embeddings": 128, "tie_word_embeddings": False,
}  # fmt: skip


def llama(kind: str = "BF16", layers: int = 2) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of SMALL as transformers saves them."""
    found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (500, 64)}
    for i in range(layers):
        block = f"model.layers.{i}."
        found |= {
            f"{block}input_layernorm.weight": (64,),
            f"{block}self_attn.q_proj.weight": (64, 64),
            f"{block}self_attn.k_proj.weight": (16, 64),
            f"{block}self_attn.v_proj.weight": (16, 64),
            f"{block}self_attn.o_proj.weight": (64, 64),
            f"{block}post_attention_layernorm.weight": (64,),
            f"{block}mlp.gate_proj.weight": (96, 64),
            f"{block}mlp.up_proj.weight": (96, 64),
            f"{block}mlp.down_proj.weight": (64, 96),
        }
    found |= {"model.norm.weight": (64,), "lm_head.weight": (500, 64)}
    return {name: (kind, shape) for name, shape in found.items()}


def folder(
    path: Path, tensors: dict[str, tuple[str, tuple[int, ...]]], config: dict[str, Any] | None
) -> Path:
    path.mkdir(exist_ok=True)
    write(path / "model.safetensors", tensors)
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return path / "model.safetensors"


# ---- headers


def test_the_real_model_as_safetensors_reads_it(installed: Path) -> None:
    file = installed / "models" / "all-minilm-l6-v2" / "model.safetensors"
    header = safetensors_header.read(file)
    with safe_open(file, "numpy") as theirs:
        shapes = {n: tuple(theirs.get_slice(n).get_shape()) for n in theirs.keys()}  # noqa: SIM118
    assert {t.name: t.shape for t in header.tensors} == shapes
    assert {t.type for t in header.tensors} == {"f32", "i64"}
    assert header.size == sum(t.elements * (8 if t.type == "i64" else 4) for t in header.tensors)


def test_the_shape_of_the_real_model(installed: Path) -> None:
    shape = from_safetensors([installed / "models" / "all-minilm-l6-v2" / "model.safetensors"])
    assert shape.parameters == 22_713_216  # as its makers count it, with the pooler
    assert shape.encoder
    assert (shape.layers, shape.hidden, shape.heads, shape.ffn) == (6, 384, 12, 1536)
    assert shape.kv_widths == ()
    assert shape.assumed == (
        "left out, for they are computed and no weights: embeddings.position_ids",
    )
    assert {t.type for t in shape.tensors} == {"f32"}
    assert sum(t.layer == 5 for t in shape.tensors) == 16


def changed(table: dict[str, Any], extra: bytes = b"") -> bytes:
    head = json.dumps(table).encode()
    return struct.pack("<Q", len(head)) + head + bytes(16) + extra


W = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(("content", "message"), [
    (b"", "it is empty"),
    (b"1234", "is no safetensors file"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    (b"<!doctype html><html></html>", "a web page"),
    (b"GGUF" + bytes(60), "a GGUF file"),
    (b"PK\x03\x04" + bytes(60), "a PyTorch file, which may run code"),
    (struct.pack("<Q", 2**63) + b"{}", "is no safetensors file"),
    (struct.pack("<Q", 5) + b"{}   ", "holds no tensors"),
    (struct.pack("<Q", 4) + b"nope", "its header is damaged"),
    (struct.pack("<Q", 2) + b"[]", "its header is no object"),
    (struct.pack("<Q", 17) + b'{"a": 1, "a": 2} ', "a name occurs twice"),
    (struct.pack("<Q", 50_000) + b"[" * 50_000, "its header is damaged"),
    (changed({"w": {**W, "dtype": "F99"}}), "the tensor 'w' cannot be so"),
    (changed({"w": {**W, "shape": [5]}}), "are not 16 bytes"),
    (changed({"w": {**W, "shape": [-4]}}), "the tensor 'w' cannot be so"),
    (changed({"w": {**W, "shape": [True]}}), "the tensor 'w' cannot be so"),
    (changed({"w": {**W, "shape": "abcd"}}), "the tensor 'w' cannot be so"),
    (changed({"w": {**W, "data_offsets": [16, 0]}}), "the tensor 'w' cannot be so"),
    (changed({"w": {"dtype": "F32"}}), "the tensor 'w' cannot be so"),
    (changed({"w": []}), "the tensor 'w' cannot be so"),
    (changed({"w": W, "v": W}), "starts at 0, the one before it ends at 16"),
    (changed({"w": W, "v": {**W, "data_offsets": [32, 48]}}, bytes(32)), "starts at 32"),
    (changed({"w": W})[:-1], "is cut off or damaged"),
    (changed({"w": W}, b"x"), "is cut off or damaged"),
])  # fmt: skip
def test_a_damaged_file_says_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=message):
        safetensors_header.read(file)


def shards(path: Path, names: tuple[str, ...] = ("a.safetensors", "b.safetensors")) -> list[Path]:
    tensors = list(llama().items())
    halves = dict(zip(names, (dict(tensors[:9]), dict(tensors[9:])), strict=True))
    weights = {t: f for f, half in halves.items() for t in half}
    index = json.dumps({"metadata": {}, "weight_map": weights})
    (path / "model.safetensors.index.json").write_text(index)
    (path / "config.json").write_text(json.dumps(SMALL))
    return [write(path / f, half) for f, half in halves.items()]


def test_shards_are_one_model(tmp_path: Path) -> None:
    files = shards(tmp_path)
    assert safetensors_header.shards(tmp_path) == tuple(files)
    shape = from_safetensors(files)
    assert shape.parameters == configs.read(SMALL, "c").parameters
    assert shape.assumed == ()
    assert shape.source == str(tmp_path)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    shards(tmp_path)[1].unlink()
    with pytest.raises(PlanError, match=r"1 of the model's 2 files are missing in .*: b.safetens"):
        safetensors_header.shards(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}',
                                  '{"weight_map": {"w": "../../etc/passwd"}}',
                                  '{"weight_map": {"w": 3}}'])  # fmt: skip
def test_an_index_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises((ModelCorrupt, PlanError), match=r"no index|are missing"):
        safetensors_header.shards(tmp_path)


def test_the_same_tensor_in_two_shards(tmp_path: Path) -> None:
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"w": ("F32", (4,))}
    files = [write(tmp_path / f, tensors) for f in ("a.safetensors", "b.safetensors")]
    with pytest.raises(ModelCorrupt, match=r"'w' is in another file too"):
        safetensors_header.read(*files)
    with pytest.raises(
        PlanError, match=r"holds 2 safetensors files and no model.safetensors.index"
    ):
        safetensors_header.shards(tmp_path)


# ---- folders


def test_types_come_from_the_files(tmp_path: Path) -> None:
    shape = from_safetensors([folder(tmp_path / "tiny", llama("F16"), SMALL)])
    assert {t.type for t in shape.tensors} == {"f16"}
    assert shape.name == "tiny"
    assert {t.name: t.shape for t in shape.tensors} == {
        t.name: t.shape for t in configs.read(SMALL, "c").tensors
    }


def test_a_head_stored_though_it_is_tied_counts_once(tmp_path: Path) -> None:
    config = SMALL | {"tie_word_embeddings": True}
    shape = from_safetensors([folder(tmp_path / "tiny", llama(), config)])
    assert shape.parameters == configs.read(config, "c").parameters
    assert "it counts once" in shape.assumed[0]


def test_a_config_of_another_model_is_refused(tmp_path: Path) -> None:
    config = SMALL | {"intermediate_size": 128}
    said = r"disagree on 6 tensors: blk.0.ffn_down.weight is \(64, 128\) by config.json, \(64, 96\)"
    with pytest.raises(PlanError, match=said):
        from_safetensors([folder(tmp_path / "tiny", llama(), config)])


def test_tensors_that_lack_or_are_more_are_said(tmp_path: Path) -> None:
    tensors = llama() | {"model.vision.patch.weight": ("BF16", (8, 8))}
    del tensors["model.norm.weight"]
    shape = from_safetensors([folder(tmp_path / "tiny", tensors, SMALL)])
    assert "1 tensors that config.json leads to are not in the files: output_norm.weight" in (
        shape.assumed
    )
    assert any("model.vision.patch.weight" in a for a in shape.assumed)


def test_an_unknown_family_is_estimated_from_its_tensors(tmp_path: Path) -> None:
    config = SMALL | {"model_type": "newfangled"}
    shape = from_safetensors([folder(tmp_path / "tiny", llama(), config)])
    stated = configs.read(SMALL, "c")
    for field in ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocabulary",
                  "context", "tied", "parameters", "kv_widths", "gated", "encoder"):  # fmt: skip
        assert getattr(shape, field) == getattr(stated, field), field
    assert shape.architecture == "newfangled"
    assert "'newfangled' is no architecture llar knows" in shape.assumed[0]


def test_files_without_a_config_are_estimated(tmp_path: Path) -> None:
    shape = from_safetensors([folder(tmp_path / "tiny", llama(), None)])
    assert (shape.layers, shape.hidden, shape.ffn) == (2, 64, 96)
    assert shape.kv_widths == ((16, 16),) * 2
    assert shape.head_dim == 1  # 128 and 64 do not divide a width of 16
    assert any("nothing states how wide a head is" in a for a in shape.assumed)


def test_tensors_that_are_no_transformer(tmp_path: Path) -> None:
    tensors = {"conv1.weight": ("F32", (8, 3, 3, 3)), "fc.weight": ("F32", (10, 8))}
    with pytest.raises(PlanError, match="finds no a token embedding, no numbered layers"):
        from_safetensors([folder(tmp_path / "cnn", tensors, None)])


def test_packed_weights_are_said_to_be(tmp_path: Path) -> None:
    tensors = llama("F16")
    for name in list(tensors):
        if "_proj" in name:
            rows, columns = tensors.pop(name)[1]
            base = name.removesuffix(".weight")
            tensors[f"{base}.qweight"] = ("I32", (columns // 8, rows))
            tensors[f"{base}.scales"] = ("F16", (1, rows))
    config = SMALL | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    shape = from_safetensors([folder(tmp_path / "tiny", tensors, config)])
    assert shape.parameters == configs.read(SMALL, "c").parameters
    assert "packed by gptq" in shape.assumed[-1]
    assert {t.type for t in shape.tensors if t.part == "attn_q"} == {""}
    assert {t.type for t in shape.tensors if t.part == "token_embd"} == {"f16"}


def test_mxfp4_blocks_become_the_weights_they_are(tmp_path: Path) -> None:
    """gpt-oss: 32 values share a scale of one byte; (experts, rows, blocks, 16) bytes."""
    config = {"model_type": "gpt_oss", "num_hidden_layers": 1, "hidden_size": 64, "head_dim": 16,
              "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 64,
              "vocab_size": 500, "num_local_experts": 4, "num_experts_per_tok": 2,
              "sliding_window": 8, "max_position_embeddings": 128,
              "quantization_config": {"quant_method": "mxfp4"}}  # fmt: skip
    block = "model.layers.0."
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "model.embed_tokens.weight": ("BF16", (500, 64)), "lm_head.weight": ("BF16", (500, 64)),
        "model.norm.weight": ("BF16", (64,)), f"{block}input_layernorm.weight": ("BF16", (64,)),
        f"{block}post_attention_layernorm.weight": ("BF16", (64,)),
        f"{block}self_attn.sinks": ("BF16", (8,)),
        f"{block}mlp.router.weight": ("BF16", (4, 64)), f"{block}mlp.router.bias": ("BF16", (4,)),
        f"{block}mlp.experts.gate_up_proj_blocks": ("U8", (4, 128, 2, 16)),
        f"{block}mlp.experts.gate_up_proj_scales": ("U8", (4, 128, 2)),
        f"{block}mlp.experts.gate_up_proj_bias": ("BF16", (4, 128)),
        f"{block}mlp.experts.down_proj_blocks": ("U8", (4, 64, 2, 16)),
        f"{block}mlp.experts.down_proj_scales": ("U8", (4, 64, 2)),
        f"{block}mlp.experts.down_proj_bias": ("BF16", (4, 64)),
    }  # fmt: skip
    for part, rows, columns in (("q", 128, 64), ("k", 32, 64), ("v", 32, 64), ("o", 64, 128)):
        tensors[f"{block}self_attn.{part}_proj.weight"] = ("BF16", (rows, columns))
        tensors[f"{block}self_attn.{part}_proj.bias"] = ("BF16", (rows,))
    shape = from_safetensors([folder(tmp_path / "oss", tensors, config)])
    stated = configs.read(config, "c")
    assert {t.name: t.shape for t in shape.tensors} == {t.name: t.shape for t in stated.tensors}
    packed = {t.part: (t.shape, t.type) for t in shape.tensors if t.type == "mxfp4"}
    assert packed == {
        "ffn_gate_exps": ((4, 64, 64), "mxfp4"), "ffn_up_exps": ((4, 64, 64), "mxfp4"),
        "ffn_down_exps": ((4, 64, 64), "mxfp4"),
    }  # fmt: skip
    assert shape.assumed == ()


# ---- names

# checkpoint's name, architecture of gguf-py whose table says what it becomes
CASES = [
    ("model.embed_tokens.weight", "LLAMA"), ("model.norm.weight", "LLAMA"),
    ("lm_head.weight", "LLAMA"), ("model.layers.1.input_layernorm.weight", "LLAMA"),
    ("model.layers.1.post_attention_layernorm.weight", "LLAMA"),
    *((f"model.layers.1.self_attn.{p}_proj.weight", "LLAMA") for p in "qkvo"),
    *((f"model.layers.1.mlp.{p}_proj.weight", "LLAMA") for p in ("gate", "up", "down")),
    ("model.layers.1.self_attn.q_proj.bias", "QWEN2"),
    ("model.layers.1.self_attn.q_norm.weight", "QWEN3"),
    ("model.layers.1.self_attn.k_norm.weight", "QWEN3"),
    ("model.layers.1.mlp.gate.weight", "QWEN3MOE"),
    ("model.layers.1.mlp.shared_expert_gate.weight", "QWEN2MOE"),
    ("model.layers.1.mlp.shared_expert.gate_proj.weight", "QWEN2MOE"),
    ("model.layers.1.mlp.shared_expert.down_proj.weight", "QWEN2MOE"),
    ("model.layers.1.block_sparse_moe.gate.weight", "LLAMA"),
    ("model.layers.1.self_attn.qkv_proj.weight", "PHI3"),
    ("model.layers.1.mlp.gate_up_proj.weight", "PHI3"),
    ("model.layers.1.self_attn.q_a_proj.weight", "DEEPSEEK2"),
    ("model.layers.1.self_attn.q_a_layernorm.weight", "DEEPSEEK2"),
    ("model.layers.1.self_attn.q_b_proj.weight", "DEEPSEEK2"),
    ("model.layers.1.self_attn.kv_a_proj_with_mqa.weight", "DEEPSEEK2"),
    ("model.layers.1.self_attn.kv_a_layernorm.weight", "DEEPSEEK2"),
    ("model.layers.1.self_attn.kv_b_proj.weight", "DEEPSEEK2"),
    ("model.layers.1.mlp.shared_experts.up_proj.weight", "DEEPSEEK2"),
    ("model.layers.1.feed_forward.router.weight", "LLAMA4"),
    ("model.layers.1.feed_forward.shared_expert.up_proj.weight", "LLAMA4"),
    ("transformer.wte.weight", "GPT2"), ("transformer.wpe.weight", "GPT2"),
    ("transformer.h.1.ln_1.weight", "GPT2"), ("transformer.h.1.ln_2.bias", "GPT2"),
    ("transformer.h.1.attn.c_attn.bias", "GPT2"), ("transformer.h.1.attn.c_proj.bias", "GPT2"),
    ("transformer.h.1.mlp.c_fc.bias", "GPT2"), ("transformer.h.1.mlp.c_proj.bias", "GPT2"),
    ("transformer.ln_f.bias", "GPT2"),
    ("gpt_neox.embed_in.weight", "GPTNEOX"), ("embed_out.weight", "GPTNEOX"),
    ("gpt_neox.layers.1.attention.query_key_value.weight", "GPTNEOX"),
    ("gpt_neox.layers.1.attention.dense.weight", "GPTNEOX"),
    ("gpt_neox.layers.1.mlp.dense_h_to_4h.weight", "GPTNEOX"),
    ("gpt_neox.layers.1.mlp.dense_4h_to_h.weight", "GPTNEOX"),
    ("gpt_neox.final_layer_norm.weight", "GPTNEOX"),
    ("transformer.word_embeddings.weight", "BLOOM"),
    ("transformer.word_embeddings_layernorm.weight", "BLOOM"),
    ("transformer.h.1.self_attention.query_key_value.weight", "FALCON"),
    ("transformer.h.1.ln_attn.weight", "FALCON"), ("transformer.h.1.ln_mlp.weight", "FALCON"),
    ("model.layers.1.mlp.c_fc.weight", "STARCODER2"),
    ("bert.embeddings.word_embeddings.weight", "BERT"),
    ("bert.embeddings.position_embeddings.weight", "BERT"),
    ("bert.embeddings.token_type_embeddings.weight", "BERT"),
    ("bert.embeddings.LayerNorm.weight", "BERT"),
    ("bert.encoder.layer.1.attention.self.query.weight", "BERT"),
    ("bert.encoder.layer.1.attention.output.dense.weight", "BERT"),
    ("bert.encoder.layer.1.attention.output.LayerNorm.weight", "BERT"),
    ("bert.encoder.layer.1.intermediate.dense.weight", "BERT"),
    ("bert.encoder.layer.1.output.dense.weight", "BERT"),
    ("bert.encoder.layer.1.output.LayerNorm.bias", "BERT"),
    ("distilbert.transformer.layer.1.attention.q_lin.weight", "BERT"),
    ("distilbert.transformer.layer.1.sa_layer_norm.weight", "BERT"),
    ("distilbert.transformer.layer.1.ffn.lin2.weight", "BERT"),
    ("encoder.layers.1.attn.Wqkv.weight", "NOMIC_BERT"),
    ("encoder.layers.1.attn.out_proj.weight", "NOMIC_BERT"),
    ("encoder.layers.1.mlp.fc11.weight", "NOMIC_BERT"),
    ("encoder.layers.1.mlp.fc12.weight", "NOMIC_BERT"),
    ("encoder.layers.1.mlp.fc2.weight", "NOMIC_BERT"),
    ("encoder.layers.1.norm1.weight", "NOMIC_BERT"),
    ("encoder.layers.1.norm2.weight", "NOMIC_BERT"), ("emb_ln.weight", "NOMIC_BERT"),
    ("model.layers.1.attn.Wqkv.weight", "MODERN_BERT"),
    ("model.layers.1.mlp.Wi.weight", "MODERN_BERT"),
    ("model.layers.1.mlp_norm.weight", "MODERN_BERT"),
    ("model.embeddings.tok_embeddings.weight", "MODERN_BERT"),
    ("classifier.out_proj.weight", "BERT"), ("classifier.dense.weight", "BERT"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arch"), CASES)
def test_names_are_those_of_gguf_py(name: str, arch: str) -> None:
    table = reference.get_tensor_name_map(reference.MODEL_ARCH[arch], 4)
    stem, end = name.rsplit(".", 1)
    bare = re.sub(r"^(bert|distilbert|model|transformer)\.", "", stem)  # as its converter does
    expected = table.get_name(stem) or table.get_name(bare)
    assert expected is not None
    (ours,) = translate([Tensor(name, (4,))])
    assert ours.name == f"{expected}.{end}"


def test_norms_on_both_sides_change_what_a_name_means() -> None:
    names = ["model.layers.0.post_attention_layernorm.weight",
             "model.layers.0.pre_feedforward_layernorm.weight",
             "model.layers.0.post_feedforward_layernorm.weight"]  # fmt: skip
    table = reference.get_tensor_name_map(reference.MODEL_ARCH.GEMMA2, 1)
    expected = [f"{table.get_name(n.removesuffix('.weight'))}.weight" for n in names]
    assert [t.name for t in translate(Tensor(n, (4,)) for n in names)] == expected
    assert expected[0] == "blk.0.post_attention_norm.weight"


def test_experts_are_put_together_and_taken_apart() -> None:
    alone = [Tensor(f"model.layers.0.mlp.experts.{i}.{p}_proj.weight", (8, 4), "bf16")
             for i in range(3) for p in ("gate", "up")]  # fmt: skip
    assert translate(alone) == (Tensor("blk.0.ffn_gate_exps.weight", (3, 8, 4), "bf16"),
                                Tensor("blk.0.ffn_up_exps.weight", (3, 8, 4), "bf16"))  # fmt: skip
    embedding = Tensor("model.embed_tokens.weight", (10, 4))
    name = "model.layers.0.mlp.experts.gate_up_proj"
    for shape in ((3, 16, 4), (3, 4, 16)):  # as Qwen3 and as gpt-oss store it
        assert translate([embedding, Tensor(name, shape)])[1:] == (
            Tensor("blk.0.ffn_gate_exps.weight", (3, 8, 4)),
            Tensor("blk.0.ffn_up_exps.weight", (3, 8, 4)),
        )


def test_gpt2_stores_its_matrices_the_other_way_round() -> None:
    (matrix, _) = translate([Tensor("transformer.h.0.attn.c_attn.weight", (768, 2304)),
                             Tensor("transformer.h.0.attn.c_attn.bias", (2304,))])  # fmt: skip
    assert matrix == Tensor("blk.0.attn_qkv.weight", (2304, 768))
    (linear, _) = translate([Tensor("model.layers.0.mlp.c_fc.weight", (12, 4)),
                             Tensor("model.layers.0.mlp.c_fc.bias", (12,))])  # fmt: skip
    assert linear.shape == (12, 4)


def test_names_of_nobody_stay_and_nothing_is_lost() -> None:
    given = [Tensor("model.layers.0.mystery.weight", (3, 5)), Tensor("other", (7,)),
             *(Tensor(f"model.layers.0.mlp.experts.{i}.up_proj.weight", (i + 1, 4))
               for i in range(3))]  # fmt: skip
    found = translate(given)
    assert found[:2] == tuple(given[:2])
    assert sum(t.elements for t in found) == sum(t.elements for t in given)


def test_a_folder_of_sentence_transformers_says_where_texts_are_cut(installed: Path) -> None:
    """config.json: 512 positions; sentence_bert_config.json: 256 tokens."""
    folder = installed / "models" / "all-minilm-l6-v2"
    assert from_safetensors([folder / "model.safetensors"]).context == 256
    assert from_config(folder / "config.json").context == 256
