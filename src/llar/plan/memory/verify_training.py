"""The memory that training a small LoRA really takes, measured step by step in a fresh process.

The model has the dimensions of an installed one and random weights: memory does not depend on their
values. The child (`python -m llar.plan.memory.verify_training`) trains with PyTorch, transformers
and PEFT in float32 on the processor. glibc keeps what is freed for later, so that resident memory
only grows; the child therefore gets every tensor from the system and returns it at once
(MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_, mallopt(3)), and its peak (VmHWM) is what tensors
took together at the worst moment. A first step of a tiny model makes the libraries ready before
anything is counted.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import LlarError, PlanError
from ..figure import Figure
from ..shape import Shape
from .formats import parse_format
from .measure import answer, child, refuse, resident
from .training import training
from .weights import is_linear

__all__ = ["BATCH", "RANK", "SEQUENCE", "Trained", "expected", "need_tune", "train"]

BATCH, SEQUENCE, RANK = 1, 256, 8
FRAMEWORK = 6 << 20  # bytes of objects of PyTorch, transformers and PEFT, whatever the model
MATRIX = 108 << 10  # bytes more for each matrix with an adapter: modules, small tensors, fragments
STEPS = 3  # the optimiser has its states after the first
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}
_LIBRARIES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class Trained:
    """One small training, in bytes."""

    checkpointing: bool
    parameters: int  # trained
    bare: int  # the process with everything imported and used once
    loaded: int  # what model and adapters added
    peak: int  # the most that training added to the process, from the second step on
    threads: int


def need_tune() -> None:
    """Raise PlanError where the tuning extra is not installed."""
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise PlanError(
            f"training cannot be measured: there is no {', no '.join(missing)} here",
            fix='pip install "llar[tune]"',
        )


def expected(shape: Shape, *, checkpointing: bool) -> tuple[Figure, ...]:
    """What `plan` says of the training that `train` does: its peak, the libraries' part, both."""
    plan = training(
        shape, "lora", parse_format("fp32"), batch=BATCH, sequence=SEQUENCE,
        checkpointing=checkpointing, rank=RANK,
    )  # fmt: skip
    matrices = sum(1 for tensor in shape.tensors if is_linear(tensor))
    libraries = FRAMEWORK + MATRIX * matrices
    text = f"{FRAMEWORK >> 20} MiB + {MATRIX >> 10} KiB x {matrices} matrices with adapters"
    return (
        *plan.things,
        plan.peak,
        Figure("libraries", libraries, "bytes", text,
               "measured with models of 4, 8 and 16 layers, torch 2.13, peft 0.21", exact=False),
        Figure("total", plan.peak.value + libraries, "bytes", "peak + libraries", exact=False),
    )  # fmt: skip


def train(shape: Shape, *, checkpointing: bool) -> Trained:
    """Train a small LoRA on all linear layers of a model of that shape, and measure.

    Raises PlanError without the extra, for a shape that is no Llama, and where memory runs out.
    """
    need_tune()
    if shape.architecture != "llama":
        raise PlanError(
            f"{shape.name!r} is of the architecture {shape.architecture!r}; the training that is"
            " measured is that of a Llama"
        )
    orders = {
        "layers": shape.layers, "hidden": shape.hidden, "heads": shape.heads,
        "kv_heads": shape.kv_heads, "head_dim": shape.head_dim, "ffn": shape.ffn,
        "vocabulary": shape.vocabulary, "tied": shape.tied, "checkpointing": checkpointing,
    }  # fmt: skip
    told = child(__name__, orders, f"training {shape.name}", MALLOC)
    return Trained(**told)


def _train(orders: Mapping[str, Any]) -> Trained:
    import torch

    torch.manual_seed(0)
    tiny = {**orders, "layers": 1, "hidden": 64, "heads": 2, "kv_heads": 1, "head_dim": 32,
            "ffn": 64, "vocabulary": 512}  # fmt: skip
    _run(tiny)
    nowhere = Path("/nonexistent")
    before = resident(nowhere)
    sizes = _run(orders)
    after = resident(nowhere)
    bare = before.anonymous + after.files
    return Trained(
        orders["checkpointing"], sizes["parameters"], bare, sizes["loaded"] - before.anonymous,
        sizes["peak"] - bare, torch.get_num_threads(),
    )  # fmt: skip


def _run(orders: Mapping[str, Any]) -> dict[str, int]:
    """Train some steps; parameters trained, anonymous memory when loaded, peak of the process."""
    import torch

    nowhere = Path("/nonexistent")
    model = _model(orders)
    loaded = resident(nowhere).anonymous
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(wanted, foreach=False)
    tokens = torch.randint(0, orders["vocabulary"], (BATCH, SEQUENCE))
    for step in range(STEPS):
        if step == 1:  # a peak is forgotten, see proc(5)
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        output = model(input_ids=tokens, labels=tokens)
        output.loss.backward()  # the logits stay with `output` until the next step
        optimiser.step()
        optimiser.zero_grad()
    return {
        "parameters": sum(p.numel() for p in wanted),
        "loaded": loaded,
        "peak": resident(nowhere).peak,
    }


def _model(orders: Mapping[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        num_hidden_layers=orders["layers"],
        hidden_size=orders["hidden"],
        num_attention_heads=orders["heads"],
        num_key_value_heads=orders["kv_heads"],
        head_dim=orders["head_dim"],
        intermediate_size=orders["ffn"],
        vocab_size=orders["vocabulary"],
        tie_word_embeddings=orders["tied"],
        max_position_embeddings=SEQUENCE,
        attn_implementation="sdpa",
        use_cache=False,
    )
    base = LlamaForCausalLM(config)
    model = get_peft_model(base, LoraConfig(r=RANK, target_modules="all-linear"))
    if orders["checkpointing"]:
        base.gradient_checkpointing_enable({"use_reentrant": False})
        base.enable_input_require_grads()
    model.train()
    return model


if __name__ == "__main__":
    try:
        answer(asdict(_train(json.load(sys.stdin))))
    except LlarError as e:
        refuse(e)
