"""The known models: counts against what their makers publish, names, and speed."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from llar.models import catalogue
from llar.plan.shapes import known

# As the makers' model cards, papers or the metadata of their safetensors state them.
PUBLISHED = {
    "llama-2-7b": 6_738_415_616, "llama-2-13b": 13_015_864_320, "llama-2-70b": 68_976_648_192,
    "llama-3.1-8b": 8_030_261_248, "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800, "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824, "tinyllama-1.1b": 1_100_048_384,
    "mistral-7b-v0.1": 7_241_732_096, "mistral-7b-v0.2": 7_241_732_096,
    "mistral-7b-v0.3": 7_248_023_552, "mistral-nemo-2407": 12_247_782_400,
    "mistral-small-24b": 23_572_403_200, "mistral-large-2407": 122_610_069_504,
    "mixtral-8x7b": 46_702_792_704, "mixtral-8x22b": 140_630_071_296,
    "qwen2.5-0.5b": 494_032_768, "qwen2.5-1.5b": 1_543_714_304, "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512, "qwen2.5-14b": 14_770_033_664, "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648, "qwen3-4b": 4_022_468_096, "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200, "qwen3-32b": 32_762_123_264, "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560, "gemma-2-2b": 2_614_341_888, "gemma-2-9b": 9_241_705_984,
    "gemma-2-27b": 27_227_128_320, "gemma-3-1b": 999_885_952, "phi-2": 2_779_683_840,
    "phi-3-mini-4k": 3_821_079_552, "phi-4": 14_659_507_200, "phi-4-mini": 3_836_021_760,
    "smollm2-135m": 134_515_008, "smollm2-360m": 361_821_120, "smollm2-1.7b": 1_711_376_384,
    "smollm3-3b": 3_075_098_624, "bloom": 176_247_271_424, "bloom-560m": 559_214_592,
    "bloom-1b7": 1_722_408_960, "bloom-7b1": 7_069_016_064, "gpt2": 124_439_808,
    "gpt2-xl": 1_557_611_200, "pythia-12b": 11_846_072_320, "pythia-160m": 162_322_944,
    "gpt-oss-20b": 20_914_757_184, "gpt-oss-120b": 116_829_156_672,
    "granite-3.3-8b": 8_170_864_640, "salamandra-7b": 7_768_117_248,
    "all-minilm-l6-v2": 22_713_216, "bge-base-en-v1.5": 109_482_240,
    "bge-large-en-v1.5": 335_141_888, "multilingual-e5-base": 278_043_648,
    "multilingual-e5-large": 559_890_432, "bge-m3": 567_754_752, "bge-reranker-v2-m3": 567_755_777,
    "nomic-embed-text-v1.5": 136_731_648, "all-mpnet-base-v2": 109_486_464,
    "qwen3-embedding-0.6b": 595_776_512, "qwen3-embedding-4b": 4_021_774_336,
    "qwen3-embedding-8b": 7_567_295_488, "granite-3.3-2b": 2_533_539_840,
}  # fmt: skip
# DeepSeek-V3 states 671 B; its balancing biases, 256 in each of 58 layers, are counted here.
ROUNDED = {"deepseek-v3": 671e9, "kimi-k2": 1.026e12, "llama-4-scout": 109e9,
           "llama-4-maverick": 400e9, "gemma-3-4b": 4e9, "gemma-3-12b": 12e9,
           "gemma-3-27b": 27e9}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_as_many_parameters_as_its_makers_say(name: str) -> None:
    row = known.find(name)
    assert row is not None
    assert row.shape().parameters == PUBLISHED[name]


@pytest.mark.parametrize("name", ROUNDED)
def test_about_as_many_as_its_makers_say(name: str) -> None:
    row = known.find(name)
    assert row is not None
    assert row.shape().parameters == pytest.approx(ROUNDED[name], rel=0.031)


def test_what_pictures_add_to_llama_4() -> None:
    """Both models have one and the same tower; 108,641,793,536 and 401,583,781,376 in all."""
    towers = set()
    for name, all_of_it in (
        ("llama-4-scout", 108_641_793_536),
        ("llama-4-maverick", 401_583_781_376),
    ):
        row = known.find(name)
        assert row is not None
        towers.add(all_of_it - row.shape().parameters)
    assert towers == {871_932_416}


def test_what_pictures_add_to_gemma_3() -> None:
    """4,300,079,472 with the tower for pictures, by its safetensors: SigLIP has 416,866,032, the
    projector 1,152 x 2,560 and a norm of 1,152."""
    row = known.find("gemma-3-4b-it")
    assert row is not None
    assert row.shape().parameters == 4_300_079_472 - 416_866_032 - 1152 * 2560 - 1152


@pytest.mark.parametrize("name", known.models())
def test_every_row_is_as_it_says(name: str) -> None:
    row = known.models()[name]
    shape = row.shape()  # raises where the count in the file is another
    assert shape.name == name
    assert shape.context > 0
    assert row.source in shape.source
    expected = {"deepseek-v3": ["num_nextn"], "qwen3-embedding-8b": ["no output head"]}
    if "vision_config" in row.config:
        expected[name] = ["not its part for vision"]
    for note, words in zip(shape.assumed, expected.get(name, []), strict=True):
        assert words in note


def test_active_parameters_of_mixtures() -> None:
    """Mixtral, arXiv 2401.04088: 13 B active; Qwen3: 3.3 B and 22 B with the embedding."""
    for name, stated in (("mixtral-8x7b", 12.9e9), ("qwen3-30b-a3b", 3.3e9),
                         ("qwen3-235b-a22b", 22e9), ("deepseek-v3", 37e9)):  # fmt: skip
        row = known.find(name)
        assert row is not None
        shape = row.shape()
        embedding = shape.vocabulary * shape.hidden
        assert shape.active_parameters + embedding == pytest.approx(stated, rel=0.02)


def test_caches_of_vllms_logs() -> None:
    """57,344 and 131,072 bytes a token in 16 bit: Qwen2.5-7B and Llama-3.1-8B."""
    for name, size in (("qwen2.5-7b", 57_344), ("llama-3.1-8b", 131_072)):
        row = known.find(name)
        assert row is not None
        assert 2 * sum(k + v for k, v in row.shape().kv_widths) == size


def test_windows_of_known_models() -> None:
    def limited(name: str) -> tuple[int, int]:
        row = known.find(name)
        assert row is not None
        windows = row.shape().windows
        return sum(map(bool, windows)), max(windows, default=0)

    assert limited("mistral-7b-v0.1") == (32, 4096)
    assert limited("mistral-7b-v0.2") == (0, 0)
    assert limited("gemma-3-27b") == (52, 1024)  # 62 layers, every sixth sees all
    assert limited("gemma-2-9b") == (21, 4096)
    assert limited("gpt-oss-20b") == (12, 128)
    assert limited("llama-4-scout") == (36, 8192)
    assert limited("qwen2.5-7b") == (0, 0)


def test_the_whole_catalogue_is_known_but_for_two() -> None:
    # jina-bert-v2 has no public modelling code that its count could be checked with
    missing = [n for n in catalogue.models() if known.find(n) is None]
    assert missing == ["jina-reranker-v1-turbo-en", "jina-reranker-v1-tiny-en"]


@pytest.mark.parametrize("name", [
    "llama-3.1-8b-instruct", "Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct",
    "llamacpp:llama-3.1-8b-instruct", "llama_3.1_8b_instruct", " LLAMA 3.1 8B Instruct ",
    "meta-llama/Meta-Llama-3.1-8B-Instruct", "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF",
])  # fmt: skip
def test_names_as_people_write_them(name: str) -> None:
    row = known.find(name)
    assert row is not None
    assert row.parameters == 8_030_261_248
    assert row.name in ("llama-3.1-8b-instruct", "meta-llama-3.1-8b-instruct")


@pytest.mark.parametrize(("text", "name"), [
    ("llama3.1:8b", "llama-3.1-8b"), ("qwen2.5:7b-instruct", "qwen2.5-7b-instruct"),
    ("gemma3:4b", "gemma-3-4b"), ("phi4", "phi-4"), ("gpt-oss:20b", "gpt-oss-20b"),
    ("openai:gpt-oss-20b", "gpt-oss-20b"), ("hf:Qwen/Qwen3-8B", "qwen3-8b"),
])  # fmt: skip
def test_names_as_other_programs_write_them(text: str, name: str) -> None:
    row, expected = known.find(text), known.find(name)
    assert row is not None
    assert expected is not None
    assert row.config == expected.config


def test_hyphens_tell_no_two_models_apart() -> None:
    seen: dict[str, str] = {}
    for row in known.models().values():
        for name in (row.name, *row.aliases):
            assert seen.setdefault(name.replace("-", ""), row.name) == row.name


def test_names_that_are_none() -> None:
    for name in ("", "x", "llama", "gpt-5", "/", ":"):
        assert known.find(name) is None
    assert known.near("lama-3.1-8b")[0] == "llama-3.1-8b"
    assert known.near("llama-3.1") == ("llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b")
    assert "mistral-7b-v0.2" in known.near("mistral-7b-v02")
    assert known.near("zzzzzzzz") == ()


def test_no_name_stands_for_two_models() -> None:
    names = [n for row in known.models().values() for n in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    assert all(known.find(n) is not None for n in names)


def test_a_name_is_found_in_no_time() -> None:
    spent = []
    for _ in range(3):
        for cached in (known.models, known._names, known._squeezed):
            cached.cache_clear()
        start = time.perf_counter()
        row = known.find("llama-3.1-405b")
        assert row is not None
        row.shape()
        spent.append(time.perf_counter() - start)
    assert min(spent) < 0.1


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from llar.config import load; from llar.plan.shapes.resolve import resolve;"
        "resolve(load({'home': '/nowhere'}, env={}), 'llama-3.1-8b');"
        "print([m for m in ('numpy', 'tokenizers', 'safetensors', 'httpx', 'filelock',"
        " 'xllamacpp', 'ctranslate2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
