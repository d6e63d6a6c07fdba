"""The C functions of the llama.cpp that xllamacpp carries, through ctypes.

llama.cpp's server does not tell everything that its library knows. Declarations: llama.h of
https://github.com/ggml-org/llama.cpp. Only structures whose layout can be checked are touched.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

from ..errors import EngineError

__all__ = ["Batch", "Settings", "binding", "free", "library", "quiet"]

_DEFAULTS = (512, 2048, 512, 1)  # how llama.cpp's context settings begin, as llama.h has it


class Settings(ctypes.Structure):
    """llama.cpp's settings, longer than any version's; only the first fields are known here.

    A structure of more than 16 bytes is passed and returned in memory, on all systems that there
    are wheels for, so that the length does not matter.
    """

    _fields_ = (
        ("n_ctx", ctypes.c_uint32),
        ("n_batch", ctypes.c_uint32),
        ("n_ubatch", ctypes.c_uint32),
        ("n_seq_max", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 1008),
    )


class Batch(ctypes.Structure):
    """llama_batch: tokens with their positions, and which of them are to give logits."""

    _fields_ = (
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    )


_Log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def _drop(level: int, text: bytes, data: int) -> None:
    """Where llama.cpp's log goes instead of stderr."""


_nothing = _Log(_drop)  # kept for ever: llama.cpp calls it until the process ends


def binding() -> Any:
    """xllamacpp's compiled module. Raises EngineError where a library that it needs is missing."""
    try:
        from xllamacpp import xllamacpp
    except ImportError as e:
        fix = "apt-get install libgomp1" if "libgomp" in str(e) else None
        raise EngineError(f"llama.cpp cannot be loaded: {e}", fix=fix) from e
    return xllamacpp


@cache
def library(name: str) -> Any:
    """The functions, for the model `name`. Raises EngineError for another layout than known."""
    pointer, number, flag = ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool
    floats = ctypes.POINTER(ctypes.c_float)
    functions: dict[str, tuple[Any, list[Any]]] = {
        "llama_log_set": (None, [_Log, pointer]),
        "llama_model_default_params": (Settings, []),
        "llama_context_default_params": (Settings, []),
        "llama_model_load_from_file": (pointer, [ctypes.c_char_p, Settings]),
        "llama_model_free": (None, [pointer]),
        "llama_model_has_encoder": (flag, [pointer]),
        "llama_model_is_recurrent": (flag, [pointer]),
        "llama_model_is_hybrid": (flag, [pointer]),
        "llama_model_n_embd": (number, [pointer]),
        "llama_model_get_vocab": (pointer, [pointer]),
        "llama_vocab_n_tokens": (number, [pointer]),
        "llama_vocab_is_eog": (flag, [pointer, number]),
        "llama_tokenize": (
            number, [pointer, ctypes.c_char_p, number, ctypes.POINTER(number), number, flag, flag]
        ),
        "llama_token_to_piece": (
            number, [pointer, number, ctypes.c_char_p, number, number, flag]
        ),
        "llama_init_from_model": (pointer, [pointer, Settings]),
        "llama_free": (None, [pointer]),
        "llama_n_ctx_seq": (ctypes.c_uint32, [pointer]),
        "llama_set_n_threads": (None, [pointer, number, number]),
        "llama_set_embeddings": (None, [pointer, flag]),
        "llama_get_memory": (pointer, [pointer]),
        "llama_memory_clear": (None, [pointer, flag]),
        "llama_memory_seq_rm": (flag, [pointer, number, number, number]),
        "llama_memory_seq_cp": (None, [pointer, number, number, number, number]),
        "llama_batch_init": (Batch, [number, number, number]),
        "llama_batch_free": (None, [Batch]),
        "llama_decode": (number, [pointer, Batch]),
        "llama_get_logits_ith": (floats, [pointer, number]),
        "llama_get_embeddings_ith": (floats, [pointer, number]),
    }  # fmt: skip
    found = ctypes.CDLL(binding().__file__)
    try:
        for function, (result, arguments) in functions.items():
            entry = getattr(found, function)
            entry.restype, entry.argtypes = result, arguments
    except AttributeError as e:
        raise EngineError(f"{name}: this xllamacpp tells no likelihoods: {e}") from e
    settings = found.llama_context_default_params()
    begins = (settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max)
    if begins != _DEFAULTS:
        raise EngineError(
            f"{name}: this xllamacpp's context settings begin with {begins}, expected {_DEFAULTS}; "
            "likelihoods need a version whose layout is known"
        )
    return found


def quiet(llama: Any) -> None:
    """Keep llama.cpp's log off stderr; what goes wrong shows in what its functions return."""
    llama.llama_log_set(_nothing, None)


def free(llama: Any, model: int, batch: Batch, contexts: list[int], owner: int) -> None:
    """Give back what a model holds, in the process (`owner`) that loaded it and in no other."""
    if os.getpid() != owner:
        return
    while contexts:
        llama.llama_free(contexts.pop())
    llama.llama_batch_free(batch)
    llama.llama_model_free(model)
