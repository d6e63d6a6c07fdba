"""The cross-encoder through llama.cpp, with a tiny random model and its forward pass in numpy."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from bert_numpy import Array, forward, random_tensors
from conftest import STORE
from gguf import GGUFWriter, PoolingType

from llar.config import load
from llar.errors import ContextTooLong, EngineError, ModelCorrupt, ModelNotInstalled
from llar.models import open_reranker
from llar.models.interface import Reranker
from llar.models.llamacpp_rerank import LlamaReranker

pytestmark = pytest.mark.slow

WORDS = ["what", "dose", "of", "water", "the", "cat", "sat", "mat", "adult"]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"▁{word}" for word in WORDS)]
LONGEST = 32
CONFIG = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
          "vocab_size": len(TOKENS), "max_position_embeddings": LONGEST}  # fmt: skip
GGUF_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def write_cross_encoder(file: Path, *, types: int = 1, head: bool = True) -> dict[str, Array]:
    """A random BERT with a classification head as GGUF; returns its tensors, BERT's names."""
    tensors = random_tensors(CONFIG | {"type_vocab_size": types})
    rng = np.random.default_rng(7)
    shapes = {"cls.weight": (32, 32), "cls.bias": (32,), "cls.output.weight": (1, 32),
              "cls.output.bias": (1,)}  # fmt: skip
    top = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}
    writer = GGUFWriter(file, "bert")
    writer.add_context_length(LONGEST)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-5)
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.RANK)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 5 + [1] * len(WORDS))
    writer.add_token_type_count(types)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    for name, tensor in tensors.items():
        path, _, kind = name.rpartition(".")
        if path.startswith("encoder.layer."):
            number, _, part = path.removeprefix("encoder.layer.").partition(".")
            writer.add_tensor(f"blk.{number}.{GGUF_NAMES[part]}.{kind}", tensor)
        else:
            writer.add_tensor(f"{GGUF_NAMES[path]}.{kind}", tensor)
    for name, tensor in top.items() if head else ():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors | top


def score(tensors: dict[str, Array], query: str, text: str) -> float:
    """[CLS] query [SEP][SEP] text [SEP] through the encoder, then tanh and the head."""

    def ids(words: str) -> list[int]:
        return [TOKENS.index(f"▁{word}") for word in words.split()]

    sequence = [2, *ids(query), 3, 3, *ids(text), 3]
    state = forward(tensors, sequence, layers=2, heads=4, epsilon=1e-5)[0]
    inner = np.tanh(tensors["cls.weight"] @ state + tensors["cls.bias"])
    return float((tensors["cls.output.weight"] @ inner + tensors["cls.output.bias"])[0])


def test_scores_are_those_of_the_model(tmp_path: Path) -> None:
    tensors = write_cross_encoder(tmp_path / "tiny.gguf")
    reranker: Reranker = LlamaReranker(tmp_path / "tiny.gguf", name="llamacpp:tiny", threads=1)
    try:
        query = "what dose of water"
        texts = ["the cat sat", "dose of water the adult", "mat", "adult water", "the cat sat"]
        scores = reranker.rerank(query, texts)
        expected = [score(tensors, query, text) for text in texts]
        np.testing.assert_allclose(scores, expected, atol=0.01)  # attention runs in 16 bits
        assert np.ptp(expected) > 0.1  # the texts differ by more than that
        assert scores[0] == pytest.approx(scores[4], abs=1e-6)
        assert reranker.rerank(query, texts[::-1]) == pytest.approx(scores[::-1], abs=1e-3)
        assert reranker.rerank("the cat", ["mat"])[0] == pytest.approx(
            score(tensors, "the cat", "mat"), abs=0.01
        )
        assert reranker.rerank(query, []) == []
        assert all(math.isfinite(s) for s in reranker.rerank("", ["", "cat"]))
    finally:
        reranker.close()


def test_a_pair_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    write_cross_encoder(tmp_path / "tiny.gguf")
    reranker = LlamaReranker(tmp_path / "tiny.gguf", name="llamacpp:tiny", threads=1)
    try:
        # 32 tokens: [CLS] what dose [SEP][SEP] ... [SEP] leaves 26 for the text
        assert len(reranker.rerank("what dose", ["cat " * 26])) == 1
        with pytest.raises(ContextTooLong, match="take 33 tokens, more than the context of 32"):
            reranker.rerank("what dose", ["cat", "cat " * 27])
    finally:
        reranker.close()


def test_a_model_of_two_token_types_is_refused(tmp_path: Path) -> None:
    write_cross_encoder(tmp_path / "tiny.gguf", types=2)
    with pytest.raises(EngineError, match="two token types"):
        LlamaReranker(tmp_path / "tiny.gguf", name="llamacpp:tiny")


def test_a_model_that_is_no_cross_encoder_is_refused(tmp_path: Path) -> None:
    write_cross_encoder(tmp_path / "tiny.gguf", head=False)
    with pytest.raises(EngineError, match="is no reranker"):
        LlamaReranker(tmp_path / "tiny.gguf", name="llamacpp:tiny")
    chat = STORE / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    with pytest.raises(EngineError, match="is no reranker"):
        LlamaReranker(chat, name="llamacpp:smol")
    (tmp_path / "bad.gguf").write_bytes(b"nothing")
    with pytest.raises(ModelCorrupt):
        LlamaReranker(tmp_path / "bad.gguf", name="llamacpp:bad")


def test_an_installed_reranker_is_found_by_name(home: Path) -> None:
    from llar.models.store import sha256

    folder = home / "models" / "tiny-reranker"
    folder.mkdir(parents=True)
    tensors = write_cross_encoder(folder / "tiny.gguf")
    size = (folder / "tiny.gguf").stat().st_size
    files = {"tiny.gguf": {"sha256": sha256(folder / "tiny.gguf"), "size": size}}
    record = dict.fromkeys(["pooling", "query_prefix", "document_prefix", "licence"], "") | {
        "schema": 1,
        "name": "tiny-reranker",
        "kind": "reranker",
        "backend": "llamacpp",
        "context": LONGEST,
        "languages": ["en"],
        "source": "file:tiny.gguf",
        "files": files,
    }
    (folder / "model.json").write_text(json.dumps(record))
    reranker = open_reranker(load({"threads": 1}), "llamacpp:tiny-reranker")
    try:
        assert reranker.name == "llamacpp:tiny-reranker"
        (found,) = reranker.rerank("what dose", ["adult water"])
        assert found == pytest.approx(score(tensors, "what dose", "adult water"), abs=0.01)
    finally:
        reranker.close()
    with pytest.raises(ModelNotInstalled):
        open_reranker(load(), "llamacpp:bge-reranker-v2-m3")
