"""Memory of running models: worked by hand, and against what llama.cpp and CTranslate2 take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import plan_shapes
import pytest

from llar.config import load
from llar.errors import PlanError
from llar.models import bert, llama
from llar.plan.memory.formats import parse_format
from llar.plan.memory.running import BATCH_TOKENS, EARLIER, UBATCH, Running, running
from llar.plan.shape import Shape
from llar.plan.shapes.resolve import resolve

MIB = 2**20
STORED = parse_format("stored")
FP16 = parse_format("fp16")

# Starts llama.cpp's server with settings from stdin; its log tells the size of each buffer.
START = """
import json, os, sys, time, xllamacpp
given = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path = given["file"]
params.n_ctx, params.n_parallel = given["context"], given["users"]
params.n_batch = params.n_ubatch = given["ubatch"]
kind = "ENABLED" if given["flash"] else "DISABLED"
params.flash_attn_type = getattr(
    xllamacpp.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{kind}")
cache = getattr(xllamacpp.ggml_type, "GGML_TYPE_" + given["cache"].upper())
params.cache_type_k = params.cache_type_v = cache
params.warmup = params.fit_params = params.ui = False
params.port, params.offline, params.verbosity = 0, True, 4
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
time.sleep(0.5)  # the log is written by a thread of its own
os._exit(0)  # a server that is ended before it has worked waits for itself
"""


def value(found: Running, name: str) -> float:
    return next(f.value for f in found.figures if f.name == name)


def smollm(installed: Path) -> Shape:
    return resolve(load({"home": installed}, env={}), "smollm2-135m-instruct")


def minilm(installed: Path) -> Shape:
    return resolve(load({"home": installed}, env={}), "all-minilm-l6-v2")


def logged(file: Path, **changes: Any) -> dict[str, float]:
    """Bytes of llama.cpp's buffers, as its log tells them: of each kind together."""
    given = {"file": str(file), "context": 2048, "users": 1, "ubatch": 256, "flash": True,
             "cache": "f16"} | changes  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", START], input=json.dumps(given), capture_output=True, text=True,
        check=True, errors="replace",
    )  # fmt: skip
    found: dict[str, float] = {}
    rows = re.findall(r"(\w+) +(model|KV|compute|output) +buffer size = +([\d.]+) MiB",
                      ended.stderr + ended.stdout)  # fmt: skip
    for device, kind, size in rows:
        name = device if kind == "model" else kind
        found[name] = found.get(name, 0.0) + float(size) * MIB
    assert {"KV", "compute", "output"} <= found.keys()
    return found


def test_what_is_taken_from_elsewhere() -> None:
    assert UBATCH == llama.BATCH
    assert llama.CACHE_MB << 20 == EARLIER
    assert BATCH_TOKENS == bert.BATCH_TOKENS


def test_smollm_by_hand(installed: Path) -> None:
    found = running(smollm(installed), STORED, 2048)
    # 30 layers x 2,048 tokens x 3 heads of 64, keys and values, 2 bytes
    assert found.kv == 30 * 2048 * 3 * 64 * 2 * 2 == 45 * MIB
    # 256 tokens: gate, up, product and 5 rows of the hidden size; 36 bytes; a 16-bit mask
    compute = 256 * (4 * (3 * 1536 + 5 * 576) + 36 + 2 * 2048)
    assert value(found, "compute buffer") == compute == 8_725_504
    assert value(found, "output buffer") == 4 * 49152
    assert value(found, "work buffer") == 256 * 1536 * 36 / 32
    apart = ("total", _EARLIER, "KV cache per token")
    parts = [f.value for f in found.figures if f.name not in apart]
    assert found.total == sum(parts)
    assert found.resident == found.total  # Q4_1 is not copied into another order
    assert found.buffers == compute + 4 * 49152 + 442_368
    assert found.share == found.total - found.process


_EARLIER = "earlier conversations, at most"


def test_users_have_contexts_of_their_own() -> None:
    shape = plan_shapes.dense("a", 4, 256, 8, 4, 1024, 1000)
    one, four = running(shape, FP16, 1024), running(shape, FP16, 1024, 4)
    assert four.kv == 4 * one.kv
    assert value(four, "output buffer") == 4 * value(one, "output buffer") == 16_000
    assert value(four, "compute buffer") == value(one, "compute buffer")
    assert any("-np 4" in note for note in four.notes)
    assert running(shape, FP16).context == 4096  # the model's own


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"context": 512}, {"context": 512}),
        ({"context": 8192}, {"context": 8192}),
        ({"ubatch": 512}, {"ubatch": 512}),
        ({"context": 2000}, {"context": 2000}),  # padded to 2,048
        ({"flash": False}, {"flash": False}),
        ({"cache": "q8_0"}, {"k": "q8_0", "v": "q8_0"}),
        ({"context": 2048, "users": 4}, {"context": 512, "users": 4}),
    ],
)
def test_buffers_are_llama_cpps_own(
    installed: Path, changes: dict[str, Any], asked: dict[str, Any]
) -> None:
    shape = smollm(installed)
    found = running(shape, STORED, **({"context": 2048} | asked))
    log = logged(Path(shape.source), **changes)
    step = 0.006 * MIB  # the log has two decimals
    assert found.kv == pytest.approx(log["KV"], abs=step)
    assert value(found, "output buffer") == pytest.approx(log["output"], abs=step)
    assert value(found, "compute buffer") == pytest.approx(log["compute"], abs=0.04 * MIB)
    assert found.weights == pytest.approx(log["CPU_Mapped"], abs=step)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden": 64, "heads": 4, "kv": 2, "width": 64, "ffn": 32},
        {"hidden": 64, "heads": 4, "kv": 4, "width": 64, "ffn": 128},
        {"hidden": 128, "heads": 4, "kv": 2, "width": 32, "ffn": 1024},
        {"hidden": 128, "heads": 8, "kv": 1, "width": 16, "ffn": 64},
    ],
)
def test_compute_buffer_of_other_proportions(tmp_path: Path, sizes: dict[str, int]) -> None:
    file = gguf_file(tmp_path / "model.gguf", "F16", **sizes)
    shape = resolve(load({"home": tmp_path}, env={}), str(file))
    expected = value(running(shape, STORED, 512), "compute buffer")
    log = logged(file, context=512)
    assert log["compute"] <= expected + 0.006 * MIB  # an upper estimate,
    assert expected <= 1.25 * log["compute"]  # and a close one


@pytest.mark.slow
def test_weights_that_are_copied_into_another_order(tmp_path: Path) -> None:
    sizes = {"hidden": 512, "heads": 8, "kv": 4, "width": 64, "ffn": 2048}
    file = gguf_file(tmp_path / "model.gguf", "Q4_0", layers=4, **sizes)
    shape = resolve(load({"home": tmp_path}, env={}), str(file))
    log = logged(file, context=512)
    if "CPU_REPACK" not in log:
        pytest.skip("llama.cpp does not reorder Q4_0 on this processor")
    found = running(shape, STORED, 512)
    matrices = 4 * (512 * 512 * 2 + 512 * 256 * 2 + 3 * 512 * 2048)
    head = 512 * 512  # the embedding, which is the head as well
    copied = (matrices + head) // 32 * 18  # blocks of 32 in 18 bytes
    assert found.resident - found.total == copied
    assert log["CPU_REPACK"] == pytest.approx(copied, rel=0.001)
    plain = running(shape, STORED, 512, cpu="other")
    assert plain.resident == plain.total == found.total


def test_an_encoder_by_hand(installed: Path) -> None:
    shape = minilm(installed)
    found = running(shape, STORED, 256, threads=2)
    layer = 4 * 384 * 384 + 2 * 384 * 1536  # its matrices
    matrices = 30522 * 384 + 6 * layer
    rows = 30522 + 6 * (4 * 384 + 1536 + 384)  # a scale each
    # norms of the embedding and twice a layer, biases, positions
    vectors = 2 * 384 + 6 * (4 * 384 + 4 * 384 + 1536 + 384) + 512 * 384
    assert found.weights == matrices + 4 * (rows + vectors) == 23_451_624
    # scores of 12 heads beside queries, keys, values and more: 24 x 384 + 4 x 12 x 256 bytes
    active = 2 * 512 * (24 * 384 + 4 * 12 * 256)
    assert value(found, "activations") == active == 22_020_096
    assert found.kv == 0
    assert running(shape, STORED, 5000).context == shape.context  # no text is longer
    assert found.total == sum(f.value for f in found.figures[:-1])


def test_an_encoders_weights_are_the_file_that_is_loaded(installed: Path) -> None:
    file = next((installed / "models" / ".converted").glob("all-minilm-l6-v2-*-int8-*/model.bin"))
    found = running(minilm(installed), STORED, 256)
    # beside the tensors the file has their names, about 60 bytes for each of its 127
    assert 0 < file.stat().st_size - found.weights < 127 * 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": -1}, "the context is -1"),
        ({"users": 0}, "number of users is 0"),
        ({"users": 10**7}, "number of users is 10,000,000"),
        ({"threads": -2}, "number of threads is -2"),
        ({"ubatch": 0}, "ubatch is 0"),
        ({"cpu": "z80"}, "cpu 'z80' is not known"),
        ({"k": "q9"}, "K cannot be kept in 'q9'"),
    ],
)
def test_numbers_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    shape = plan_shapes.dense("a", 4, 256, 8, 4, 1024, 1000)
    with pytest.raises(PlanError, match=re.escape(message)):
        running(shape, FP16, **changes)


def test_a_context_that_nothing_states() -> None:
    shape = plan_shapes.dense("a", 4, 256, 8, 4, 1024, 1000, context=0)
    with pytest.raises(PlanError, match="nothing says how long") as caught:
        running(shape, FP16)
    assert caught.value.fix == "--context 4096"


def gguf_file(
    file: Path, kind: str, *, hidden: int, heads: int, kv: int, width: int, ffn: int,
    layers: int = 2,
) -> Path:  # fmt: skip
    """A small Llama with random weights and a vocabulary of single characters."""
    import gguf

    made = gguf.GGUFWriter(file, "llama")
    made.add_context_length(4096)
    made.add_embedding_length(hidden)
    made.add_block_count(layers)
    made.add_feed_forward_length(ffn)
    made.add_head_count(heads)
    made.add_head_count_kv(kv)
    made.add_key_length(width)
    made.add_value_length(width)
    made.add_rope_dimension_count(width)
    made.add_layer_norm_rms_eps(1e-5)
    tokens = ["<s>", "</s>", *(chr(0x4E00 + n) for n in range(510))]
    made.add_vocab_size(len(tokens))
    made.add_tokenizer_model("gpt2")
    made.add_tokenizer_pre("default")
    made.add_token_list(tokens)
    made.add_token_types([3, 3, *[1] * 510])
    made.add_token_merges([f"{tokens[2]} {tokens[3]}"])
    made.add_bos_token_id(0)
    made.add_eos_token_id(1)
    random = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        numbers = random.standard_normal(shape, dtype=np.float32)
        if len(shape) == 1:
            made.add_tensor(f"{name}.weight", numbers)
            return
        kept = getattr(gguf.GGMLQuantizationType, kind)
        made.add_tensor(f"{name}.weight", gguf.quants.quantize(numbers, kept), raw_dtype=kept)

    add("token_embd", len(tokens), hidden)
    add("output_norm", hidden)
    for number in range(layers):
        layer = f"blk.{number}"
        add(f"{layer}.attn_norm", hidden)
        add(f"{layer}.attn_q", heads * width, hidden)
        add(f"{layer}.attn_k", kv * width, hidden)
        add(f"{layer}.attn_v", kv * width, hidden)
        add(f"{layer}.attn_output", hidden, heads * width)
        add(f"{layer}.ffn_norm", hidden)
        add(f"{layer}.ffn_gate", ffn, hidden)
        add(f"{layer}.ffn_up", ffn, hidden)
        add(f"{layer}.ffn_down", hidden, ffn)
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    return file
