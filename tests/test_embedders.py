"""The CTranslate2 embedder against a forward pass in numpy, with the real model and tiny ones."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bert_numpy import Array, forward, random_tensors, unit
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from llar.config import load
from llar.errors import ContextTooLong, EngineError, LlarError, ModelCorrupt
from llar.models import open_embedder
from llar.models.bert import BertEmbedder
from llar.models.bert_weights import convert, read_tensors
from llar.models.interface import Embedder

pytestmark = pytest.mark.slow

MINILM_SHA = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXTS = [
    "Adults may take 500 to 1000 mg every six to eight hours, at most 4 g a day.",
    "The parser keeps tables whole.",
    "¿Qué cantidad puede tomar un adulto? De 325 a 650 mg cada cuatro horas.",
    "A gyermekek adagja 10-15 mg/kg.",
    "x",
    "",
    "Rain fell on the old bridge. " * 30,
    "def add(a, b):\n    return a + b",
    "🙂 mixed — signs, “quotes” and 3.14",
    "Els nens poden prendre fins a 60 mg/kg al dia.",
]
WORDS = ["<s>", "<pad>", "</s>", "<unk>", "query", ":", "passage", "cat", "dog", "water", "dose"]


# --- the real model


@pytest.fixture
def minilm(installed: Path) -> Embedder:
    return open_embedder(load({"threads": 1}), "ctranslate2:all-minilm-l6-v2")


def minilm_states(installed: Path, texts: list[str]) -> list[Array]:
    """The encoder's states by numpy from the original float32 weights."""
    folder = installed / "models" / "all-minilm-l6-v2"
    tensors = load_file(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [
        forward(tensors, tokenizer.encode(t).ids, layers=6, heads=12, epsilon=1e-12) for t in texts
    ]


def test_int8_vectors_stay_near_the_float32_model(minilm: Embedder, installed: Path) -> None:
    expected = unit(np.stack([s.mean(axis=0) for s in minilm_states(installed, TEXTS)]))
    vectors = minilm.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = (vectors * expected).sum(axis=1)
    real = [i for i, text in enumerate(TEXTS) if len(text) > 1]
    assert cosines[real].mean() >= 0.995
    assert cosines.min() >= 0.98  # a lone letter and the empty text are the worst
    query = minilm.embed_query(TEXTS[0])
    assert query.shape == (384,)
    np.testing.assert_allclose(query, vectors[0], atol=0.02)  # alone in its batch, no padding


def test_the_identity_is_what_the_store_says(minilm: Embedder) -> None:
    identity = minilm.identity
    assert identity.name == "ctranslate2:all-minilm-l6-v2"
    assert identity.sha256 == MINILM_SHA
    assert (identity.dimension, identity.pooling, identity.languages) == (384, "mean", ("en",))
    assert minilm.max_tokens == 254  # 256 less [CLS] and [SEP]


def test_nothing_is_cut_up_to_the_limit(minilm: Embedder) -> None:
    # The tokenizer's own file asks for a cut at 128 tokens; words behind it must still count.
    base = "water " * 200
    a, b = minilm.embed_documents([f"{base} cat", f"{base} hydraulic engineering"])
    assert float(a @ b) < 0.999
    assert minilm.count_tokens("water " * 254) == 254
    assert minilm.embed_documents(["water " * 254]).shape == (1, 384)


def test_a_text_over_the_limit_is_an_error_with_the_numbers(minilm: Embedder) -> None:
    text = "water " * 255
    with pytest.raises(ContextTooLong, match=r"255 tokens .* 254"):
        minilm.embed_query(text)
    with pytest.raises(ContextTooLong, match=r"255 tokens .* 254"):
        minilm.embed_documents(["short", text])


def test_order_and_batches_do_not_matter(minilm: Embedder) -> None:
    rng = np.random.default_rng(1)
    words = ["adult", "dose", "water", "table", "child", "bridge", "rain", "paracetamol"]
    texts = [" ".join(rng.choice(words, size=n)) for n in rng.integers(1, 120, size=60)]
    together = minilm.embed_documents(texts)
    for i in (0, 7, 31, 59):
        alone = minilm.embed_documents([texts[i]])[0]
        assert float(alone @ together[i]) > 0.995  # int8 scales differ a little with padding
    shuffled = rng.permutation(len(texts))
    again = minilm.embed_documents([texts[i] for i in shuffled])
    assert ((again * together[shuffled]).sum(axis=1) > 0.995).all()
    assert minilm.embed_documents([]).shape == (0, 384)


def test_several_threads_at_once_get_the_same_vectors(minilm: Embedder) -> None:
    expected = minilm.embed_documents(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: minilm.embed_documents(TEXTS), range(4)):
            np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_token_vectors_point_into_the_text(installed: Path) -> None:
    embedder = open_embedder(load({"threads": 1}), "ctranslate2:all-minilm-l6-v2")
    assert isinstance(embedder, BertEmbedder)
    text = "Añadir drinking-water"
    vectors, offsets = embedder.embed_tokens(text)
    assert [text[a:b] for a, b in offsets] == ["Aña", "di", "r", "drinking", "-", "water"]
    expected = unit(minilm_states(installed, [text])[0][1:-1])  # without [CLS] and [SEP]
    assert ((vectors * expected).sum(axis=1) > 0.97).all()


# --- tiny models of every supported layout, exact in float32

BERT = {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 11,
        "max_position_embeddings": 20, "type_vocab_size": 2, "layer_norm_eps": 1e-5}  # fmt: skip
XLMR = BERT | {"model_type": "xlm-roberta", "type_vocab_size": 1, "pad_token_id": 1}
ROBERTA = XLMR | {"model_type": "roberta", "vocab_size": 13}  # rows that the tokenizer lacks


def write_model(
    folder: Path, config: dict[str, Any], *, prefix: str = "", kind: str = "F32"
) -> dict[str, Array]:
    """A random model with a word-level tokenizer; returns the weights as they were rounded."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    tensors = random_tensors(config)
    if kind == "F16":
        tensors = {n: t.astype(np.float16).astype(np.float32) for n, t in tensors.items()}
    if kind == "BF16":  # keep the upper 16 bits
        tensors = {n: (t.view(np.uint32) & 0xFFFF0000).view(np.float32) for n, t in tensors.items()}
    named = {prefix + n: t for n, t in tensors.items()}
    if kind == "BF16":
        _as_bfloat16(folder / "model.safetensors", named)
    else:
        stored = np.float16 if kind == "F16" else np.float32
        save_file({n: t.astype(stored) for n, t in named.items()}, folder / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.enable_truncation(4)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tensors


def _as_bfloat16(file: Path, tensors: dict[str, Array]) -> None:
    """Write safetensors by hand: numpy, and so its library, has no bfloat16."""
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        blob = (tensor.view(np.uint32) >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape),
                        "data_offsets": [at, at + len(blob)]}  # fmt: skip
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def open_tiny(folder: Path, **given: Any) -> BertEmbedder:
    settings: dict[str, Any] = {
        "name": "ctranslate2:tiny",
        "sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "cache": folder / "cache",
        "pooling": "mean",
        "threads": 1,
        "compute_type": "float32",
    }
    return BertEmbedder(folder, **(settings | given))


@pytest.mark.parametrize(
    ("config", "prefix", "kind", "first"),
    [
        (BERT, "", "F32", 0),
        (BERT, "bert.", "F16", 0),
        (XLMR, "roberta.", "F32", 2),  # positions start behind the padding's, which is 1
        (XLMR, "", "BF16", 2),
        (ROBERTA, "", "F32", 2),
    ],
)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_every_layout_equals_numpy(
    tmp_path: Path, config: dict[str, Any], prefix: str, kind: str, first: int, pooling: str
) -> None:
    tensors = write_model(tmp_path / "m", config, prefix=prefix, kind=kind)
    embedder = open_tiny(
        tmp_path / "m", pooling=pooling, query_prefix="query: ", document_prefix="passage: "
    )
    texts = {"cat dog water": [0, 6, 5, 7, 8, 9, 2], "dose": [0, 6, 5, 10, 2]}

    def expected(ids: list[int]) -> Array:
        states = forward(tensors, ids, layers=2, heads=4, epsilon=1e-5, first=first)
        return unit(states.mean(axis=0) if pooling == "mean" else states[0])

    vectors = embedder.embed_documents(list(texts))
    for vector, ids in zip(vectors, texts.values(), strict=True):
        np.testing.assert_allclose(vector, expected(ids), atol=2e-5)
    np.testing.assert_allclose(embedder.embed_query("dose"), expected([0, 4, 5, 10, 2]), atol=2e-5)
    # 20 positions (18 where they start at 2), less two special tokens and two of the prefix
    assert embedder.max_tokens == 16 - first
    assert embedder.count_tokens("cat dog") == 2
    assert embedder.embed_query("cat " * (16 - first)).shape == (16,)
    with pytest.raises(ContextTooLong, match=rf"{17 - first} tokens"):
        embedder.embed_query("cat " * (17 - first))


def test_token_vectors_leave_the_prefix_out(tmp_path: Path) -> None:
    tensors = write_model(tmp_path, BERT)
    embedder = open_tiny(tmp_path, document_prefix="passage: ")
    vectors, offsets = embedder.embed_tokens("cat dog")
    assert offsets == [(0, 3), (4, 7)]
    states = forward(tensors, [0, 6, 5, 7, 8, 2], layers=2, heads=4, epsilon=1e-5)
    np.testing.assert_allclose(vectors, unit(states[3:5]), atol=2e-5)


def test_a_smaller_context_of_the_record_holds(tmp_path: Path) -> None:
    write_model(tmp_path, BERT)
    assert open_tiny(tmp_path, context=8).max_tokens == 6
    with pytest.raises(EngineError, match="fill all 4 tokens"):
        open_tiny(tmp_path, context=4, query_prefix="query: ")


# --- conversion


def test_the_converted_weights_are_kept_and_used_again(tmp_path: Path) -> None:
    write_model(tmp_path, BERT)
    first = open_tiny(tmp_path).embed_query("cat")
    (folder,) = (tmp_path / "cache").iterdir()
    made = (folder / "model.bin").stat().st_mtime_ns
    np.testing.assert_array_equal(open_tiny(tmp_path).embed_query("cat"), first)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [folder.name]
    assert (folder / "model.bin").stat().st_mtime_ns == made
    open_tiny(tmp_path, compute_type="int8")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_other_weights_are_converted_anew(tmp_path: Path) -> None:
    write_model(tmp_path, BERT)
    before = open_tiny(tmp_path).embed_query("cat")
    tensors = random_tensors(BERT, seed=1)
    save_file(tensors, tmp_path / "model.safetensors")
    after = open_tiny(tmp_path).embed_query("cat")
    states = forward(tensors, [0, 7, 2], layers=2, heads=4, epsilon=1e-5)
    np.testing.assert_allclose(after, unit(states.mean(axis=0)), atol=2e-5)
    assert float(before @ after) < 0.99


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "missing"])
def test_a_damaged_copy_is_made_again(tmp_path: Path, damage: str) -> None:
    write_model(tmp_path, BERT)
    before = open_tiny(tmp_path).embed_query("cat")
    (folder,) = (tmp_path / "cache").iterdir()
    file = folder / "model.bin"
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(
            {"cut": whole[: len(whole) // 2], "empty": b"", "garbage": b"x" * 99}[damage]
        )
    np.testing.assert_array_equal(open_tiny(tmp_path).embed_query("cat"), before)
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    write_model(tmp_path, BERT)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="cannot write its converted weights"):
        open_tiny(tmp_path, cache=tmp_path / "file")


def test_two_processes_may_convert_at_once(tmp_path: Path) -> None:
    write_model(tmp_path, BERT)
    code = (
        "import sys; from pathlib import Path; from llar.models.bert import BertEmbedder\n"
        "f = Path(sys.argv[1])\n"
        "e = BertEmbedder(f, name='ctranslate2:tiny', sha256='0', cache=f / 'cache',\n"
        "                 pooling='mean', threads=1, compute_type='float32')\n"
        "print(e.embed_query('cat').tolist())"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1] != ""
    assert len(os.listdir(tmp_path / "cache")) == 1


def test_the_slower_of_two_conversions_is_dropped(tmp_path: Path) -> None:
    write_model(tmp_path, BERT)
    for _ in range(2):
        convert(tmp_path / "model.safetensors", BERT, WORDS, tmp_path / "c" / "it", "float32")
    assert os.listdir(tmp_path / "c") == ["it"]


# --- files that are not what they should be


def _config(folder: Path, **changes: Any) -> None:
    table = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(table | changes))


def _drop_tensor(folder: Path) -> None:
    tensors = read_tensors(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, folder / "model.safetensors")


def _cut(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])


def test_a_model_may_want_small_letters(tmp_path: Path) -> None:
    write_model(tmp_path, BERT)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    word = next(w for w in tokenizer["model"]["vocab"] if w.isalpha() and w.islower())
    tokenizer["normalizer"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    small = open_tiny(tmp_path).embed_query(word)
    assert not np.allclose(open_tiny(tmp_path).embed_query(word.upper()), small)
    (tmp_path / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    np.testing.assert_allclose(open_tiny(tmp_path).embed_query(word.upper()), small)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda f: (f / "config.json").unlink(), ModelCorrupt, "config.json"),
        (lambda f: _cut(f, "config.json"), ModelCorrupt, "config.json"),
        (lambda f: _config(f, model_type="mpnet"), EngineError, "'mpnet', expected one of bert"),
        (lambda f: _config(f, position_embedding_type="rotary"), EngineError, "'rotary'"),
        (lambda f: _config(f, hidden_act="swiglu"), EngineError, "'swiglu'"),
        (lambda f: _config(f, hidden_size="big"), ModelCorrupt, "hidden_size is 'big'"),
        (lambda f: _config(f, vocab_size=5), ModelCorrupt, "11 tokens"),
        (lambda f: (f / "tokenizer.json").unlink(), ModelCorrupt, "tokenizer.json is missing"),
        (lambda f: _cut(f, "tokenizer.json"), ModelCorrupt, "is no tokenizer"),
        (lambda f: _cut(f, "model.safetensors"), ModelCorrupt, "is no safetensors file"),
        (_drop_tensor, ModelCorrupt, r"no tensor 'encoder\.layer\.1\.output\.dense\.bias'"),
    ],
)
def test_a_bad_model_is_told_apart(
    tmp_path: Path, damage: Callable[[Path], Any], error: type[LlarError], message: str
) -> None:
    write_model(tmp_path, BERT)
    damage(tmp_path)
    with pytest.raises(error, match=message):
        open_tiny(tmp_path, sha256="0")


def test_an_unknown_pooling_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, BERT)
    with pytest.raises(EngineError, match="pooling is 'last', expected 'mean' or 'cls'"):
        open_tiny(tmp_path, pooling="last")
