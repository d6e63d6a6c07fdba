"""What a user names, turned into a Shape; and bare numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from llar.config import Config, load
from llar.errors import ModelCorrupt, PlanError, UnknownModel
from llar.plan.shapes.resolve import dimensions, parse_numbers, resolve

NUMBERS = "layers=32,hidden=4096,heads=32,kv_heads=8,ffn=14336,vocabulary=128256"


@pytest.fixture
def config(home: Path) -> Config:
    return load()


def store(installed: Path, name: str) -> Path:
    return installed / "models" / name


def test_an_installed_model_has_its_true_types(installed: Path, config: Config) -> None:
    for name in ("smollm2-135m-instruct", "llamacpp:smollm2-135m-instruct"):
        shape = resolve(config, name)
        assert shape.name == "smollm2-135m-instruct"
        assert {t.type for t in shape.tensors} == {"q4_1", "q8_0", "f32"}
        assert shape.source.endswith("SmolLM2-135M-Instruct.Q4_1.gguf")
        assert str(store(installed, "smollm2-135m-instruct")) in shape.source
    encoder = resolve(config, "all-minilm-l6-v2")
    assert encoder.context == 256  # as its sentence_bert_config.json, less than its positions
    assert encoder.source == str(store(installed, "all-minilm-l6-v2"))


def test_a_model_that_is_not_installed_is_known(config: Config) -> None:
    shape = resolve(config, "smollm2-135m-instruct")
    assert shape.parameters == 134_515_008
    assert {t.type for t in shape.tensors} == {""}
    assert shape.source.startswith("known.toml (")


def test_an_encoder_is_cut_where_the_catalogue_says(config: Config) -> None:
    assert resolve(config, "all-minilm-l6-v2").context == 256
    assert resolve(config, "all-minilm-l12-v2").context == 128
    assert resolve(config, "bge-m3").context == 8192  # 8,194 positions, two of them for padding
    assert resolve(config, "qwen3-8b").context == 40960


def test_the_same_model_by_file_folder_and_config(installed: Path, config: Config) -> None:
    folder = store(installed, "smollm2-135m-instruct")
    file = next(folder.glob("*.gguf"))
    assert resolve(config, str(folder)) == resolve(config, str(file))
    folder = store(installed, "all-minilm-l6-v2")
    whole = resolve(config, str(folder))
    assert whole == resolve(config, str(folder / "model.safetensors"))
    described = resolve(config, str(folder / "config.json"))
    assert {t.name: t.shape for t in described.tensors} == {t.name: t.shape for t in whole.tensors}
    assert {t.type for t in described.tensors} == {""}


def test_a_gguf_under_another_name_is_one(installed: Path, config: Config, tmp_path: Path) -> None:
    file = tmp_path / "sha256-b179c952"
    shutil.copy(next(store(installed, "smollm2-135m-instruct").glob("*.gguf")), file)
    assert resolve(config, str(file)).parameters == 134_515_008


def test_a_damaged_model_of_the_store(installed: Path, config: Config, tmp_path: Path) -> None:
    home = tmp_path / "other"
    target = home / "models" / "smollm2-135m-instruct"
    shutil.copytree(store(installed, "smollm2-135m-instruct"), target)
    with next(target.glob("*.gguf")).open("r+b") as f:
        f.truncate(1000)
    with pytest.raises(ModelCorrupt, match="is damaged"):
        resolve(load({"home": home}), "smollm2-135m-instruct")


@pytest.mark.parametrize("text", [
    "/no/such.gguf", "./none", "../none", "~/none", "none.gguf", "none.safetensors", "config.json",
    "some/where/config.json", "pytorch_model.bin",
])  # fmt: skip
def test_a_path_that_is_not_there(config: Config, text: str) -> None:
    with pytest.raises(PlanError, match="there is no file or folder"):
        resolve(config, text)


@pytest.mark.parametrize(("text", "hint"), [
    ("lama-3.1-8b", "did you mean 'llama-3.1-8b'"), ("qwen3-8", "did you mean 'qwen3-8b'"),
    ("meta-llama/Llama-3.1-8C", "did you mean 'llama-3.1-8b'"),
    ("zzzzzzzzz", "no model, file or folder 'zzzzzzzzz'$"),
])  # fmt: skip
def test_a_name_nobody_knows(config: Config, text: str, hint: str) -> None:
    with pytest.raises(UnknownModel) as e:
        resolve(config, text)
    assert hint.rstrip("$") in e.value.message
    assert e.value.message.endswith("?") == (not hint.endswith("$"))


def test_a_catalogue_model_whose_dimensions_are_not_known(config: Config) -> None:
    with pytest.raises(UnknownModel, match="not known before it is here") as e:
        resolve(config, "jina-reranker-v1-tiny-en")
    assert e.value.fix == "llar models pull jina-reranker-v1-tiny-en"


def test_nothing_named(config: Config) -> None:
    for text in ("", "  "):
        with pytest.raises(PlanError, match="no model is named"):
            resolve(config, text)


@pytest.mark.parametrize("text", ["a\0b", "x" * 5000, "~nobody-here/x.gguf", "x=" + "y" * 5000])
def test_what_can_be_no_path(config: Config, text: str) -> None:
    with pytest.raises((PlanError, UnknownModel)):
        resolve(config, text)


def test_a_hubs_cache(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "models--org--tiny"
    table = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 8, "intermediate_size": 96, "vocab_size": 500}  # fmt: skip
    for snapshot in ("abc", "def"):
        (folder / "snapshots" / snapshot).mkdir(parents=True)
        (folder / "snapshots" / snapshot / "config.json").write_text(json.dumps(table))
        if snapshot == "abc":
            assert resolve(config, str(folder)).name == "org/tiny"
    with pytest.raises(PlanError, match="holds 2 snapshots of the model; name one"):
        resolve(config, str(folder))


def test_folders_that_hold_no_model(config: Config, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(PlanError, match=r"holds no model: expected a \.gguf"):
        resolve(config, str(empty))
    (empty / "adapter_config.json").write_text("{}")
    with pytest.raises(PlanError, match="holds an adapter"):
        resolve(config, str(empty))


def test_pickles_are_not_opened(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    for text in (folder, folder / "pytorch_model.bin"):
        with pytest.raises(PlanError, match=r"may run code .* config.json alone suffices"):
            resolve(config, str(text))
    table = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 8, "intermediate_size": 96, "vocab_size": 500}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(table))
    assert resolve(config, str(folder)).layers == 2
    with pytest.raises(PlanError) as e:
        resolve(config, str(folder / "pytorch_model.bin"))
    assert e.value.fix == f"llar plan memory {folder / 'config.json'}"


def test_a_folder_of_several_ggufs(installed: Path, config: Config, tmp_path: Path) -> None:
    file = next(store(installed, "smollm2-135m-instruct").glob("*.gguf"))
    (tmp_path / "a.gguf").symlink_to(file)
    (tmp_path / "mmproj-a.gguf").write_bytes(b"")
    assert resolve(config, str(tmp_path)).layers == 30
    (tmp_path / "b.gguf").symlink_to(file)
    with pytest.raises(PlanError, match=r"holds 2 GGUF models: a.gguf, b.gguf; name one"):
        resolve(config, str(tmp_path))


def test_a_file_of_another_kind(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "readme.md"
    file.write_text("hello")
    with pytest.raises(PlanError, match="is no file that says what a model is"):
        resolve(config, str(file))


def test_a_folder_here_does_not_hide_a_known_name(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qwen3-8b").mkdir()
    assert resolve(config, "qwen3-8b").parameters == 8_190_735_360
    (tmp_path / "qwen3-8b" / "config.json").write_text("{}")
    with pytest.raises(PlanError, match="states no model_type"):
        resolve(config, "qwen3-8b")


def test_dimensions_are_figures(config: Config) -> None:
    figures = {f.name: f for f in dimensions(resolve(config, "qwen3-30b-a3b"))}
    assert figures["parameters"].value == 30_532_122_624
    assert figures["parameters"].unit == "parameters"
    assert figures["experts"].value == 128
    assert figures["experts a token uses"].value == 8
    assert figures["context"].value == 40960
    assert "window" not in figures
    assert all(f.source for f in figures.values())
    assert {f.name: f.value for f in dimensions(resolve(config, "gemma-3-1b"))}["window"] == 512


# ---- numbers


def test_numbers_of_llama_31_8b(config: Config) -> None:
    shape = resolve(config, NUMBERS)
    assert shape.parameters == 8_030_261_248
    assert shape == parse_numbers(NUMBERS)
    assert shape.kv_widths == ((1024, 1024),) * 32
    assert shape.source == NUMBERS
    assert any("tied is not stated" in a for a in shape.assumed)


def test_numbers_of_mixtral() -> None:
    text = ("layers=32, hidden=4096, heads=32, kv_heads=8, ffn=14336, vocabulary=32k, experts=8,"
            "experts_used=2, context=32768, tied=no, gated=yes")  # fmt: skip
    shape = parse_numbers(text)
    # 46,702,792,704 with 32,000 tokens, which "32k" is
    assert shape.parameters == 46_702_792_704
    assert (shape.experts, shape.experts_used, shape.context) == (8, 2, 32768)
    narrow = parse_numbers(text + ",expert_ffn=7168")
    assert shape.parameters - narrow.parameters == 32 * 8 * 3 * 4096 * 7168


def test_numbers_of_other_kinds() -> None:
    plain = parse_numbers("layers=2,hidden=64,heads=8,ffn=256,vocabulary=500,tied=yes,gated=no,"
                          "head_dim=16,window=32")  # fmt: skip
    layer = 4 * 128 * 64 + 2 * 256 * 64 + 2 * 64
    assert plain.parameters == 500 * 64 + 2 * layer + 64
    assert plain.windows == (32, 32)
    assert plain.kv_widths == ((128, 128),) * 2
    encoder = parse_numbers("layers=2,hidden=64,heads=8,ffn=256,vocabulary=500,encoder=yes")
    assert encoder.encoder
    assert encoder.kv_widths == ()
    assert not any(t.name.startswith("output.") for t in encoder.tensors)


@pytest.mark.parametrize(("text", "message"), [
    ("layers=32", "lack hidden, heads, ffn, vocabulary"),
    ("layers=-1", "layers '-1' is negative"),
    ("layrs=32", "there is no number 'layrs' of a model; did you mean 'layers'"),
    ("vocab=32", "did you mean 'vocabulary'"),
    ("=", "there is no number ''"),
    (f"{NUMBERS},layers=3", "'layers' is stated twice, '32' and '3'"),
    (f"{NUMBERS},context=", "'context' has no value"),
    (f"{NUMBERS},context", "'context' has no value"),
    (f"{NUMBERS},tied=maybe", "tied is 'maybe'; expected yes or no"),
    (f"{NUMBERS},window=-1", "window '-1' is negative"),
    (NUMBERS.replace("32,hidden", "0,hidden"), "layers '0' is no number a model can have"),
    (NUMBERS.replace("32,hidden", "1e8,hidden"), "expected 1 to 10,000"),
    (NUMBERS.replace("32,hidden", "nan,hidden"), "cannot be understood"),
    (NUMBERS.replace("32,hidden", "1.5,hidden"), "is no whole number"),
    (NUMBERS.replace("32,hidden", "1e999,hidden"), "larger than anything"),
    (NUMBERS.replace("kv_heads=8", "kv_heads=5"), "cannot share 5 heads"),
    (NUMBERS.replace("heads=32,kv_heads=8", "heads=30"), "cannot be divided among 30 heads"),
    (f"{NUMBERS},experts=8", "not experts_used"),
    (f"{NUMBERS},experts_used=2", "experts_used is stated, but not experts"),
    (f"{NUMBERS},experts=4,experts_used=8", "cannot use 8 of 4 experts"),
])  # fmt: skip
def test_numbers_that_make_no_model(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        parse_numbers(text)


def test_this_folder_and_what_is_no_file(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlanError, match="holds no model"):
        resolve(config, ".")
    with pytest.raises(PlanError, match="neither a file nor a folder"):
        resolve(config, "/dev/null")
