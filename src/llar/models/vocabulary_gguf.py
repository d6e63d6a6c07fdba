"""A tokenizer from the header of a GGUF file, built so that it gives llama.cpp's own tokens.

The kinds of vocabulary and what they do to a text are those of llama.cpp's src/llama-vocab.cpp;
the work is done by the library `tokenizers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelCorrupt, ModelError
from . import gguf
from .pretokenizers import PRETOKENIZERS
from .vocabulary import Entries

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["read"]

_KEY = "tokenizer.ggml."
_ARRAYS = ("tokens", "merges", "scores", "token_type", "precompiled_charsmap")
_NORMAL, _UNKNOWN, _CONTROL, _USER, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6  # llama.h, llama_token_type
_SPACE = "▁"
_DROPPED = "[\\p{M}\u1161-\u1175\u11a8-\u11c2]"  # marks; vowels and ends of Korean syllables
_LONGEST_WORD = 1 << 30  # characters; a word of WordPiece that is longer would be unknown
# Texts that llama.cpp takes as special tokens whatever the file says of them.
_ENDS = frozenset((
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<｜end▁of▁sentence｜>",
))  # fmt: skip
_NO_TEXT = re.compile("[\ud800-\udfff]")
_ALWAYS = frozenset(("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"))  # text to it


class _Header:
    """The metadata of one file's tokenizer."""

    def __init__(self, file: Path) -> None:
        self.file = file
        header = gguf.read(file, {_KEY + name for name in _ARRAYS})
        self._values = header.values
        self.texts: list[str] = self.array("tokens", str)
        if not self.texts:
            raise ModelCorrupt(f"{file} has no vocabulary")
        if any(_NO_TEXT.search(text) for text in self.texts):
            raise ModelCorrupt(f"{file}: its vocabulary holds text that is no UTF-8")
        self.texts = [text or f"[EMPTY_{n}]" for n, text in enumerate(self.texts)]
        if len(set(self.texts)) != len(self.texts):
            raise ModelCorrupt(f"{file}: its vocabulary has the same token twice")
        self.types = self.array("token_type", int) or [_NORMAL] * len(self.texts)
        self.scores = self.array("scores", (int, float)) or [0.0] * len(self.texts)
        for name, values in (("token_type", self.types), ("scores", self.scores)):
            if len(values) < len(self.texts):
                raise ModelCorrupt(f"{file}: {name} is shorter than the vocabulary")

    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name if "." in name else _KEY + name, default)

    def array(self, name: str, kind: Any) -> list[Any]:
        found = self.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(item, kind) for item in found):
            raise ModelCorrupt(f"{self.file}: {_KEY}{name} is not the list it should be")
        return found

    def one(self, name: str, default: int | None) -> int | None:
        """A token's id; None where the file says it has none."""
        found = self.get(f"{name}_token_id", default)
        if found is None or not isinstance(found, int) or not 0 <= found < len(self.texts):
            return None
        return found

    @property
    def control(self) -> list[int]:
        """Tokens that are no text."""
        return [
            n
            for n, (text, kind) in enumerate(zip(self.texts, self.types, strict=False))
            if (kind in (_CONTROL, _UNKNOWN) or text in _ENDS) and text not in _ALWAYS
        ]

    @property
    def user(self) -> list[int]:
        """Tokens that a text is searched for before anything else."""
        control = set(self.control)
        return [
            n
            for n, (text, kind) in enumerate(zip(self.texts, self.types, strict=False))
            if (kind == _USER or text in _ALWAYS) and n not in control
        ]


def read(file: Path) -> tuple[Tokenizer, Entries, dict[int, int]]:
    """The tokenizer of `file`, and the file's ids of those that it numbers in another way.

    Raises ModelCorrupt; ModelError for a kind of vocabulary that is not known here, by its name.
    """
    header = _Header(file)
    kind = header.get("model")
    if not isinstance(kind, str):
        raise ModelCorrupt(f"{file} has a vocabulary that names no kind ({_KEY}model)")
    if kind not in _KINDS:
        raise ModelError(
            f"{file}: a vocabulary of the kind {kind!r} is not known here; known: "
            f"{', '.join(_KINDS)}"
        )
    try:
        return _KINDS[kind](header)
    except ModelError:
        raise
    except Exception as e:  # the library raises nothing narrower
        raise ModelCorrupt(f"{file}: its vocabulary is of no use: {e}") from e


_Built = tuple["Tokenizer", Entries, dict[int, int]]


def _bpe(header: _Header) -> _Built:
    """Byte-level BPE (Sennrich et al. 2016, Radford et al. 2019)."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    name = header.get("pre", "default")  # llama.cpp's own, too, of files that name none
    if name not in PRETOKENIZERS:
        raise ModelError(
            f"{header.file}: its vocabulary cuts text into words as {name!r} (tokenizer.ggml.pre), "
            "which is not known here, so its tokens cannot be told"
        )
    pre = PRETOKENIZERS[name]
    pairs = [merge.partition(" ")[::2] for merge in header.array("merges", str)]
    known = set(header.texts)
    # Those that make no token are never used, and refused by the library.
    merges = [(a, b) for a, b in pairs if a + b in known and a in known and b in known]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={text: n for n, text in enumerate(header.texts)},
            merges=merges,
            ignore_merges=pre.whole_words,
        )
    )
    steps: list[Any] = [pre_tokenizers.Split(Regex(p), "isolated") for p in pre.patterns]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return _finished(header, tokenizer, "BPE", byte_level=True)


def _spm(header: _Header) -> _Built:
    """SentencePiece's BPE, which joins what makes the token of the best score.

    Kudo and Richardson 2018. Without a token for a character, its bytes are taken.
    """
    from tokenizers import Tokenizer, models, normalizers

    tokenizer = Tokenizer(
        models.BPE(
            vocab={text: n for n, text in enumerate(header.texts)},
            merges=list(_merges(header)),
            byte_fallback=True,
            fuse_unk=True,
            unk_token=header.texts[header.one("unknown", 0) or 0],
        )
    )
    steps: list[Any] = [normalizers.Replace(" ", _SPACE)]
    if header.get("add_space_prefix", True):
        steps.insert(0, normalizers.Prepend(_SPACE))
    tokenizer.normalizer = normalizers.Sequence(steps)
    return _finished(header, tokenizer, "SentencePiece BPE", spaced=True)


def _merges(header: _Header) -> Iterator[tuple[str, str]]:
    """Every way to make a token of two others, the tokens of the best scores first.

    Raises ModelError where two that can be made have the same score: llama.cpp then takes the
    pair that stands further to the left, which an order of pairs cannot say.
    """
    texts = header.texts
    single = {n for n, kind in enumerate(header.types) if kind == _BYTE}
    known = {text for n, text in enumerate(texts) if n not in single}
    last: tuple[float, str] | None = None
    for n in sorted(range(len(texts)), key=lambda n: -header.scores[n]):
        text = texts[n]
        if n in single:
            continue
        cuts = [c for c in range(1, len(text)) if text[:c] in known and text[c:] in known]
        if cuts and last is not None and last[0] == header.scores[n]:
            raise ModelError(
                f"{header.file}: its tokens {last[1]!r} and {text!r} have the same score, so the "
                "order in which text is joined cannot be told"
            )
        if cuts:
            last = header.scores[n], text
        yield from ((text[:cut], text[cut:]) for cut in cuts)


def _wordpiece(header: _Header) -> _Built:
    """BERT's WordPiece (Wu et al. 2016): the longest token that a word begins with, again and
    again. In the file, what begins a word begins with "▁"; what goes on has no "##".

    With the accents, llama.cpp drops every kind of mark and all but the first letter of a Korean
    syllable. BERT's own code keeps more, so that a folder's tokenizer.json differs there.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    texts = [_written(text, kind) for text, kind in zip(header.texts, header.types, strict=False)]
    if len(set(texts)) != len(texts):
        raise ModelCorrupt(f"{header.file}: its vocabulary has the same token twice")
    unknown = header.one("unknown", 100)
    if unknown is None:
        raise ModelCorrupt(f"{header.file}: its vocabulary has no token for unknown words")
    lower = bool(header.get("tokenizer.ggml.normalizer.lowercase", True))
    strip = bool(header.get("tokenizer.ggml.normalizer.strip_accents", lower))
    tokenizer = Tokenizer(
        models.WordPiece(
            vocab={text: n for n, text in enumerate(texts)},
            unk_token=texts[unknown],
            max_input_chars_per_word=_LONGEST_WORD,
            continuing_subword_prefix="##",
        )
    )
    steps: list[Any] = [
        normalizers.Replace(Regex("[\x0b\x0c\x85]"), " "),  # spaces to llama.cpp
        normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
        ),
    ]
    if strip:
        steps += [normalizers.NFD(), normalizers.Replace(Regex(_DROPPED), "")]
    if lower:
        steps.append(normalizers.Lowercase())
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    header.texts = texts
    return _finished(header, tokenizer, "WordPiece", continued="##")


def _written(text: str, kind: int) -> str:
    """An entry of a WordPiece vocabulary as BERT's own vocab.txt writes it."""
    if kind in (_CONTROL, _UNKNOWN, _USER, _UNUSED):
        return text
    return text[1:] if text.startswith(_SPACE) else "##" + text


def _unigram(header: _Header) -> _Built:
    """SentencePiece's unigram model (Kudo 2018): the likeliest way to cut a text."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    unknown = header.one("unknown", 2)
    if unknown is None:
        raise ModelCorrupt(f"{header.file}: its vocabulary has no token for unknown characters")
    hidden = {n for n, kind in enumerate(header.types) if kind in (_CONTROL, _BYTE, _UNKNOWN)}
    # What is no text gets a name that no text has, so that none of it is taken for it.
    entries = [
        (f"\U0010fffd{n}" if n in hidden else text, 0.0 if kind == _USER else score)
        for n, (text, score, kind) in enumerate(
            zip(header.texts, header.scores, header.types, strict=False)
        )
    ]
    tokenizer = Tokenizer(models.Unigram(vocab=entries, unk_id=unknown, byte_fallback=False))
    steps: list[Any] = []
    charsmap = header.array("precompiled_charsmap", int)
    if charsmap:
        steps.append(normalizers.Precompiled(bytes(n & 0xFF for n in charsmap)))
    merged = header.get("remove_extra_whitespaces", False)
    if merged:
        steps += [normalizers.Replace(Regex(p), "") for p in (r" +\z", r"\A +")]
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    if merged or header.get("add_space_prefix", False):
        steps.append(normalizers.Replace(Regex(r"\A(?= *[^ ])"), " "))
    steps.append(normalizers.Replace(" ", _SPACE))
    tokenizer.normalizer = normalizers.Sequence(steps)
    return _finished(header, tokenizer, "Unigram", spaced=True)


_KINDS = {"gpt2": _bpe, "llama": _spm, "bert": _wordpiece, "t5": _unigram}


def _finished(
    header: _Header,
    tokenizer: Tokenizer,
    kind: str,
    *,
    byte_level: bool = False,
    spaced: bool = False,
    continued: str = "",
) -> _Built:
    """The tokenizer with its special tokens, beside its entries."""
    control, user = header.control, header.user
    _add(tokenizer, header, control, special=True)
    _add(tokenizer, header, user, special=False)
    ids = {}
    for n in (*control, *user):
        given = tokenizer.token_to_id(header.texts[n])
        if given is not None and given != n:
            ids[given] = n
    fallback = {"WordPiece": 100, "Unigram": 2, "SentencePiece BPE": 0}.get(kind)
    entries = Entries(
        kind,
        tuple(header.texts),
        specials=frozenset(control),
        added=frozenset(user),
        unknown=None if byte_level else header.one("unknown", fallback),
        byte_level=byte_level,
        spaced=spaced,
        continued=continued,
    )
    return tokenizer, entries, ids


def _add(tokenizer: Tokenizer, header: _Header, ids: Sequence[int], *, special: bool) -> None:
    from tokenizers import AddedToken

    tokens = []
    for n in ids:
        left, right = _strips(header, header.texts[n])
        tokens.append(
            AddedToken(
                header.texts[n], special=special, normalized=False, lstrip=left, rstrip=right
            )
        )
    if special:
        tokenizer.add_special_tokens(tokens)
    else:
        tokenizer.add_tokens(tokens)


def _strips(header: _Header, text: str) -> tuple[bool, bool]:
    """Whether a special token takes the spaces on its left and right; llama.cpp goes by names."""
    name = str(header.get("general.name", "")).lower()
    pre, architecture = header.get("pre", ""), header.get("general.architecture", "")
    if pre in ("jina-v2-de", "jina-v2-es", "jina-v2-code") or architecture in (
        "nomic-bert-moe", "jina-bert-v3",
    ):  # fmt: skip
        return text == "<mask>", False
    if "phi-3" in name or "phi3" in name:
        return False, text not in ("<unk>", "<s>", "<|endoftext|>")
    return "modern-bert" in name and text == "[MASK]", False
