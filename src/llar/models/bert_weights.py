"""BERT-family weights (safetensors) as a folder that CTranslate2 loads, without torch.

The encoder is post-norm BERT (Devlin et al. 2019); RoBERTa and XLM-R differ from it in where
positions start and in having one token type only.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from ..errors import EngineError, ModelCorrupt

__all__ = ["FORMAT", "convert", "first_position", "read_config", "read_tensors"]

Array = NDArray[Any]
FORMAT = 1  # raise it when the layout written below changes, so that old folders are not reused
ROBERTA = ("roberta", "xlm-roberta", "camembert")
FAMILY = ("bert", *ROBERTA)
ACTIVATIONS = {"gelu": "GELU", "gelu_new": "GELUTanh", "gelu_pytorch_tanh": "GELUTanh",
               "relu": "RELU", "silu": "SWISH", "swish": "SWISH"}  # fmt: skip


def read_config(folder: Path) -> dict[str, Any]:
    """The model's config.json, checked to describe an encoder this module can build."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ModelCorrupt(f"{file}: expected the model's configuration, got {e}") from e
    if not isinstance(config, dict):
        raise ModelCorrupt(f"{file}: expected a JSON object")
    kind = config.get("model_type")
    if kind not in FAMILY:
        raise EngineError(f"{file}: model_type is {kind!r}, expected one of {', '.join(FAMILY)}")
    position = config.get("position_embedding_type", "absolute")
    if position != "absolute":
        raise EngineError(f"{file}: position_embedding_type is {position!r}, expected 'absolute'")
    if config.get("hidden_act") not in ACTIVATIONS:
        raise EngineError(
            f"{file}: hidden_act is {config.get('hidden_act')!r}, "
            f"expected one of {', '.join(ACTIVATIONS)}"
        )
    numbers = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
               "max_position_embeddings")  # fmt: skip
    for key in numbers:
        if not isinstance(config.get(key), int) or config[key] < 1:
            raise ModelCorrupt(f"{file}: {key} is {config.get(key)!r}, expected a positive number")
    return config


def first_position(config: dict[str, Any]) -> int:
    """The row of the position table that the first token takes."""
    if config["model_type"] not in ROBERTA:
        return 0
    return int(config.get("pad_token_id", 1)) + 1


def read_tensors(file: Path) -> dict[str, Array]:
    """Every tensor of a safetensors file, floats as float32; bfloat16 too, which numpy lacks."""
    try:
        entries = deserialize(file.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as e:
        raise ModelCorrupt(f"{file}: cannot be read: {e.strerror}") from e
    except SafetensorError as e:
        raise ModelCorrupt(f"{file} is no safetensors file: {e}") from e
    kinds = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I64": np.int64}
    tensors: dict[str, Array] = {}
    for name, entry in entries:
        kind, data, shape = entry["dtype"], entry["data"], entry["shape"]
        if kind == "BF16":  # the upper half of a float32
            flat: Array = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
        elif kind in kinds:
            flat = np.frombuffer(data, kinds[kind])
        else:
            raise ModelCorrupt(f"{file}: tensor {name!r} is {kind}, expected a float")
        if kind != "I64":
            flat = flat.astype(np.float32, copy=False)
        tensors[name] = flat.reshape(shape)
    return tensors


def convert(weights: Path, config: dict[str, Any], tokens: list[str], target: Path,
            compute_type: str) -> None:  # fmt: skip
    """Write the encoder of `weights` to the folder `target`, which appears complete or not at all.

    `tokens` is the vocabulary in id order. Several processes may convert at once: one wins, the
    others' work is dropped.
    """
    model = _build(weights, config, tokens)
    model.optimize(quantization=compute_type)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(target) as scratch:
        model.save(str(scratch))
        for file in scratch.iterdir():
            _sync(file)
        _sync(scratch)
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster
                raise
        _sync(target.parent)


@contextlib.contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    shutil.copymode(target.parent, folder)  # mkdtemp makes it ours alone; a store may be shared
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # gone already where it was renamed


def _sync(path: Path) -> None:
    """Bring a file or folder to the disk, so that a power cut cannot leave an empty one."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some systems cannot sync a folder; the rename is atomic anyway
            raise
    finally:
        os.close(handle)


def _build(weights: Path, config: dict[str, Any], tokens: list[str]) -> Any:
    from ctranslate2.specs import common_spec, transformer_spec

    tensors = read_tensors(weights)
    take = _taker(tensors, weights)
    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        pre_norm=False,
        activation=getattr(common_spec.Activation, ACTIVATIONS[config["hidden_act"]]),
        layernorm_embedding=True,
    )
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = take("embeddings.word_embeddings.weight")
    positions = take("embeddings.position_embeddings.weight")[first_position(config) :]
    # One text has token type 0 throughout, so its row is added to every position once and for all.
    encoder.position_encodings.encodings = (
        positions + take("embeddings.token_type_embeddings.weight")[0]
    )
    _norm(encoder.layernorm_embedding, take, "embeddings.LayerNorm")
    for number, layer in enumerate(encoder.layer):
        _layer(layer, take, f"encoder.layer.{number}.")
    model = transformer_spec.TransformerEncoderModelSpec(encoder)
    model.config.layer_norm_epsilon = float(config.get("layer_norm_eps", 1e-12))
    rows = encoder.embeddings[0].weight.shape[0]
    model.config.unk_token = tokens[0]  # texts arrive as ids: no token is ever looked up
    model.register_vocabulary(tokens + [f"<unused {n}>" for n in range(len(tokens), rows)])
    try:
        model.validate()
    except ValueError as e:
        raise ModelCorrupt(f"{weights}: {e}") from e
    return model


def _taker(tensors: dict[str, Array], weights: Path) -> Callable[[str], Array]:
    """A function from a tensor's name to the tensor, whatever prefix the file puts before it."""
    first = "embeddings.word_embeddings.weight"
    prefix = next((n.removesuffix(first) for n in tensors if n.endswith(first)), "")

    def take(name: str) -> Array:
        if prefix + name not in tensors:
            raise ModelCorrupt(
                f"{weights} has no tensor {prefix + name!r}, expected a BERT encoder"
            )
        return tensors[prefix + name]

    return take


def _layer(layer: Any, take: Callable[[str], Array], path: str) -> None:
    attention = layer.self_attention
    parts = [f"{path}attention.self.{part}" for part in ("query", "key", "value")]
    attention.linear[0].weight = np.concatenate([take(f"{p}.weight") for p in parts])
    attention.linear[0].bias = np.concatenate([take(f"{p}.bias") for p in parts])
    _linear(attention.linear[1], take, f"{path}attention.output.dense")
    _norm(attention.layer_norm, take, f"{path}attention.output.LayerNorm")
    _linear(layer.ffn.linear_0, take, f"{path}intermediate.dense")
    _linear(layer.ffn.linear_1, take, f"{path}output.dense")
    _norm(layer.ffn.layer_norm, take, f"{path}output.LayerNorm")


def _linear(spec: Any, take: Callable[[str], Array], path: str) -> None:
    spec.weight, spec.bias = take(f"{path}.weight"), take(f"{path}.bias")


def _norm(spec: Any, take: Callable[[str], Array], path: str) -> None:
    spec.gamma, spec.beta = take(f"{path}.weight"), take(f"{path}.bias")
