"""The KV cache: against what llama.cpp and vLLM log, and by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plan_shapes import bert, dense, llama31_8b, smollm2

from llar.errors import PlanError
from llar.plan.memory.kv import ENGINES, Engine, kv_cache, kv_per_token, unseen_window
from llar.plan.shape import Shape, Tensor
from llar.plan.shapes import known

MIB = 2**20


def windowed() -> Shape:
    """Six layers of 256 wide keys and values; every third looks back on everything."""
    return replace(dense("w", 6, 512, 4, 2, 1024, 1000), windows=(1024, 1024, 0, 1024, 1024, 0))


@pytest.mark.parametrize(("kind", "size"), [("f16", 90.00), ("q8_0", 47.81), ("q4_0", 25.31)])
def test_smollm2_at_4096_tokens(kind: str, size: float) -> None:
    assert round(kv_cache(smollm2(), 4096, k=kind, v=kind).total / MIB, 2) == size


def test_what_vllm_logs_for_each_token() -> None:
    qwen = dense("qwen2.5-7b", 28, 3584, 28, 4, 18944, 152064)
    assert kv_per_token(qwen, engine="vllm") == 57_344
    assert kv_per_token(llama31_8b(), engine="vllm") == 131_072
    assert kv_per_token(llama31_8b(), "fp8", "fp8", engine="vllm") == 65_536


def test_keys_and_values_may_differ() -> None:
    assert kv_per_token(smollm2(), "q8_0", "f16") == 30 * (192 // 32 * 34 + 192 * 2)
    wide = replace(dense("k", 2, 256, 2, 2, 512, 100), kv_widths=((384, 256), (0, 0)))
    assert kv_per_token(wide) == (384 + 256) * 2  # the second layer keeps nothing


def test_a_latent_cache_is_one_row() -> None:
    latent = replace(dense("mla", 61, 7168, 128, 128, 18432, 129280), kv_widths=((576, 0),) * 61)
    assert kv_per_token(latent) == 61 * 576 * 2
    assert kv_per_token(latent, "q8_0", "f16") == 61 * 576 // 32 * 34


def test_transformers_writes_a_latent_cache_out() -> None:
    shape = dense("mla", 2, 512, 4, 4, 1024, 100)  # four heads: keys of 192, values of 128
    own = [t for t in shape.tensors if t.part not in ("attn_q", "attn_output")]
    for n in range(2):
        own += [
            Tensor(f"blk.{n}.attn_q.weight", (4 * 192, 512)),
            Tensor(f"blk.{n}.attn_kv_a_mqa.weight", (288, 512)),
            Tensor(f"blk.{n}.attn_output.weight", (512, 4 * 128)),
        ]
    latent = replace(shape, tensors=tuple(own), kv_widths=((288, 0),) * 2)
    assert kv_per_token(latent) == 2 * 288 * 2
    assert kv_per_token(latent, engine="transformers") == 2 * 4 * (192 + 128) * 2


def test_llama_cpp_pads_each_users_context() -> None:
    one = kv_cache(smollm2(), 4000)
    assert one.cells == 4096
    assert one.total == kv_cache(smollm2(), 4096).total
    assert kv_cache(smollm2(), 300, users=3).cells == 3 * 512
    assert kv_cache(smollm2(), 300, users=3, unified=True).cells == 1024  # 900, padded at once


def test_windows_in_llama_cpp() -> None:
    row = (256 + 256) * 2
    got = kv_cache(windowed(), 8192)
    assert got.window_cells == 1536  # 1,024 + a batch of 512
    assert got.total == row * (2 * 8192 + 4 * 1536)
    assert kv_cache(windowed(), 1000).total == row * 6 * 1024  # never more than the context
    assert kv_cache(windowed(), 8192, ubatch=100).window_cells == 1280
    assert kv_cache(windowed(), 8192, full_windows=True).total == row * 6 * 8192
    # each of two users has its own; or all share one pool of both windows and a batch
    assert kv_cache(windowed(), 8192, users=2).total == 2 * got.total
    assert kv_cache(windowed(), 8192, users=2, unified=True).window_cells == 2 * 1024 + 512


def test_windows_in_vllm_and_transformers() -> None:
    row = (256 + 256) * 2
    assert kv_cache(windowed(), 8000, engine="vllm").total == row * (2 * 8000 + 4 * 1040)
    assert kv_cache(windowed(), 8190, engine="vllm").cells == 8192  # pages of 16
    assert kv_cache(windowed(), 8190, engine="transformers").total == row * (2 * 8190 + 4 * 1023)


def test_an_encoder_keeps_nothing() -> None:
    assert kv_cache(bert(), 256).total == 0
    assert kv_per_token(bert()) == 0


def test_figures_show_the_sum() -> None:
    cache, each = kv_cache(smollm2(), 4096).figures
    assert (cache.value, cache.unit, cache.exact) == (90 * MIB, "bytes", True)
    assert cache.formula == "30 layers x 4,096 cells x (192 + 192 elements), K f16, V f16"
    assert each.value == 23_040
    assert "4 with a window x 1,536" in kv_cache(windowed(), 8192).figures[0].formula


@pytest.mark.parametrize(("context", "users"), [(0, 1), (-4096, 1), (4096, 0), (10**13, 1)])
def test_absurd_numbers_are_errors(context: int, users: int) -> None:
    with pytest.raises(PlanError, match="expected 1 to"):
        kv_cache(smollm2(), context, users)


def test_types_an_engine_lacks_are_errors() -> None:
    with pytest.raises(PlanError, match=r"llama\.cpp has f32, f16"):
        kv_cache(smollm2(), 4096, k="fp8")
    with pytest.raises(PlanError, match="'q8_0'"):
        kv_cache(smollm2(), 4096, v="q8_0", engine="vllm")
    with pytest.raises(PlanError, match="'ollama'"):
        kv_cache(smollm2(), 4096, engine="ollama")  # type: ignore[arg-type]


def test_blocks_must_divide_a_head() -> None:
    narrow = dense("narrow", 2, 96, 2, 2, 256, 100)  # heads of 48, as stories15M has
    with pytest.raises(PlanError, match="blocks of 32 do not divide heads of 48"):
        kv_cache(narrow, 256, k="q8_0")
    assert kv_cache(narrow, 256).total == 2 * 256 * 2 * 96 * 2


@pytest.mark.parametrize("engine", ["llama.cpp", "vllm", "transformers"])
def test_every_type_of_every_engine_has_a_size(engine: Engine) -> None:
    for kind in ENGINES[engine]:
        got = kv_per_token(smollm2(), kind, kind, engine)
        assert 192 * 2 * 30 // 2 < got <= 192 * 2 * 30 * 4


@pytest.mark.parametrize(
    ("name", "window", "pages"),  # of 16: those of window - 1 tokens, and one more
    [("mistral-7b-v0.1", 4096, 4112), ("phi-3-mini-4k-instruct", 2047, 2064)],
)
def test_windows_that_llama_cpp_does_not_know(name: str, window: int, pages: int) -> None:
    """src/models/{llama,phi3}.cpp build attention over the whole cache."""
    shape = known.models()[name].shape()
    assert set(shape.windows) == {window}
    assert unseen_window(shape) == window
    row = 2 * 2 * shape.layers * shape.kv_heads * shape.head_dim  # K and V, 2 bytes
    assert kv_cache(shape, 16384).total == row * 16384
    assert kv_cache(shape, 16384).window_cells == 0
    assert kv_cache(shape, 16384, engine="vllm").total == row * pages
    assert unseen_window(known.models()["gemma-3-4b"].shape()) == 0


def test_a_model_of_windows_alone_is_told_so() -> None:
    every = replace(windowed(), windows=(1024,) * 6)
    assert kv_cache(every, 8192).figures[0].formula.startswith("6 layers with a window x 1,536")
