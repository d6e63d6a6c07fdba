"""A GGUF file that llama.cpp loads in no time: a real vocabulary on a model of random numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH = 32


def write(
    file: Path,
    tokens: Sequence[str],
    settings: Mapping[str, Any],
    *,
    name: str = "",
    context: int = 256,
) -> Path:
    """A llama of one layer with these tokens and tokenizer.ggml.* settings."""
    writer = gguf.GGUFWriter(file, "llama")
    if name:
        writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_token_list(list(tokens))
    for key, value in settings.items():
        name = f"tokenizer.ggml.{key}"
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_array(name, value)
    draw = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), WIDTH), "output_norm": (WIDTH,)}
    for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        shapes[f"blk.0.{part}"] = (WIDTH, WIDTH)
    shapes |= {"blk.0.attn_norm": (WIDTH,), "blk.0.ffn_norm": (WIDTH,)}
    for name, shape in shapes.items():
        kind = np.float32 if len(shape) == 1 else np.float16
        writer.add_tensor(f"{name}.weight", draw.normal(size=shape).astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


class Engine:
    """llama.cpp's own tokenizer of a file."""

    def __init__(self, file: Path) -> None:
        from llar.models.llama_library import library, quiet

        self._llama = library(str(file))
        quiet(self._llama)
        settings = self._llama.llama_model_default_params()
        self._model = self._llama.llama_model_load_from_file(str(file).encode(), settings)
        assert self._model, f"llama.cpp cannot load {file}"
        self._vocabulary = self._llama.llama_model_get_vocab(self._model)

    def ids(self, text: str, *, special: bool = False) -> list[int]:
        data = text.encode()
        found = (ctypes.c_int32 * (len(data) + 16))()
        count = self._llama.llama_tokenize(
            self._vocabulary, data, len(data), found, len(found), False, special
        )
        assert count >= 0
        return list(found[:count])

    def close(self) -> None:
        self._llama.llama_model_free(self._model)
