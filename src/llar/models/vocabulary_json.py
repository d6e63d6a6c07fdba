"""A tokenizer from a tokenizer.json, as the library `tokenizers` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelCorrupt, ModelError
from .vocabulary import Entries

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["read"]


def read(file: Path) -> tuple[Tokenizer, Entries]:
    """The tokenizer in `file`. Raises ModelCorrupt, ModelError for one that has no entries."""
    from tokenizers import Tokenizer

    try:
        text = file.read_text(encoding="utf-8")
        table = json.loads(text)
    except OSError as e:
        raise ModelCorrupt(f"{file} cannot be read: {e.strerror or e}") from e
    except ValueError as e:
        raise ModelCorrupt(
            f"{file} cannot be read as a tokenizer: expected JSON, such as a tokenizer.json ({e})"
        ) from e
    if not isinstance(table, dict) or not isinstance(table.get("model"), dict):
        raise ModelCorrupt(f"{file} is no tokenizer: it has no 'model'")
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as e:  # the library raises nothing narrower
        raise ModelCorrupt(f"{file} is no tokenizer: {e}") from e
    tokenizer.no_truncation()  # what a model reads at most is not what a text's tokens are
    tokenizer.no_padding()
    return tokenizer, _entries(file, tokenizer, table)


def _entries(file: Path, tokenizer: Tokenizer, table: dict[str, Any]) -> Entries:
    by_text = tokenizer.get_vocab()
    if not by_text:
        raise ModelCorrupt(f"{file} is a tokenizer without tokens")
    texts = [""] * (max(by_text.values()) + 1)
    for text, n in by_text.items():
        texts[n] = text
    added = tokenizer.get_added_tokens_decoder()
    model = table["model"]
    kind = str(model.get("type") or ("BPE" if "merges" in model else "WordPiece"))
    steps = list(_types(table.get("pre_tokenizer"))) + list(_types(table.get("decoder")))
    byte_level = "ByteLevel" in steps
    if kind == "BPE" and model.get("byte_fallback"):
        kind = "SentencePiece BPE"
    if kind not in ("BPE", "SentencePiece BPE", "WordPiece", "WordLevel", "Unigram"):
        raise ModelError(f"{file}: a tokenizer of the kind {kind!r} is not known here")
    unknown = model.get("unk_token")
    return Entries(
        kind,
        tuple(texts),
        specials=frozenset(n for n, token in added.items() if token.special),
        added=frozenset(added),
        unknown=model.get("unk_id") if kind == "Unigram" else by_text.get(unknown),
        byte_level=byte_level,
        spaced=not byte_level and kind in ("SentencePiece BPE", "Unigram"),
        continued=model.get("continuing_subword_prefix") or "",
    )


def _types(step: Any) -> list[str]:
    """The names of a step and of those it is made of."""
    if not isinstance(step, dict):
        return []
    inner = [*step.get("pretokenizers", ()), *step.get("decoders", ())]
    return [str(step.get("type")), *(name for each in inner for name in _types(each))]
