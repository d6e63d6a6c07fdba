"""How byte-level BPE vocabularies cut a text into words, by the name that a GGUF file gives.

The names and what they stand for are llama.cpp's (src/llama-vocab.cpp), whose reading of a file is
the one that counts for a model it runs. Each is a list of regular expressions, applied one after
the other: what one matches, and what lies between, is cut further by the next.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRETOKENIZERS", "Pretokenizer"]


@dataclass(frozen=True, slots=True)
class Pretokenizer:
    """The regular expressions, and whether a word that is a token is left as it is."""

    patterns: tuple[str, ...]
    whole_words: bool = False


# Parts that many of them share. Letters, digits and marks are Unicode's.
_ENDINGS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"  # 's 't 're 've 'm 'll 'd
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_REST_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
# Words end where capitals begin again. Letters without case count as both.
_SMALL = r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+"
_CAPITAL = r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*"
_SMALL_MARKS = _SMALL.replace(r"(?=[\p{L}])", r"(?=[\p{L}\p{M}])")
_CAPITAL_MARKS = _CAPITAL.replace(r"(?=[\p{L}])", r"(?=[\p{L}\p{M}])")
_PUNCTUATED = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ASIAN = "[一-龥\u3040-ゟ゠-ヿ]+"

_CASED = (  # letters that have a case, by DeepSeek's list
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293"
    "\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c"
    "\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"
    "\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59"
    "\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc"
    "\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107"
    "\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee"
    "\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e"
    "\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f"
    "\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)  # fmt: skip

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_LLAMA3 = rf"{_ENDINGS}|{_WORD}|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_ENDINGS}|{_WORD}|\p{{N}}|{_REST}"

_OF = {
    "gpt-2": Pretokenizer((_GPT2,)),
    "starcoder": Pretokenizer((r"\p{N}", _GPT2)),
    "default": Pretokenizer(
        (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
    ),
    "falcon": Pretokenizer((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    "llama-bpe": Pretokenizer((_LLAMA3,), whole_words=True),
    "dbrx": Pretokenizer((_LLAMA3,)),
    "qwen2": Pretokenizer((_QWEN2,)),
    "qwen35": Pretokenizer(
        (
            rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
            r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        )
    ),
    "seed-coder": Pretokenizer(
        (rf"{_ENDINGS}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",)
    ),
    "bailingmoe": Pretokenizer(
        (
            rf"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|{_WORD}|\p{{N}}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        )
    ),
    "minicpm5": Pretokenizer(
        (r"\p{N}{1,3}", rf"{_ENDINGS}|{_WORD}|\p{{N}}+|{_REST}"), whole_words=True
    ),
    "laguna": Pretokenizer((r"[^\n]+|[\n]+", _QWEN2)),
    "deepseek-v3": Pretokenizer((r"\p{N}{1,3}", _ASIAN, _PUNCTUATED)),
    "deepseek-llm": Pretokenizer(
        (
            r"[\r\n]",
            rf"\s?[{_CASED}]+",
            r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
            r"\s+$",
            "[一-龥ࠀ-一가-\ud7ff]+",
            r"\p{N}+",
        )
    ),
    "deepseek-coder": Pretokenizer(
        (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}"),
    ),
    "tekken": Pretokenizer((rf"{_SMALL}|{_CAPITAL}|\p{{N}}|{_REST_SLASH}",), whole_words=True),
    "gpt-4o": Pretokenizer(
        (rf"{_SMALL}{_ENDINGS}?|{_CAPITAL}{_ENDINGS}?|\p{{N}}{{1,3}}|{_REST_SLASH}",)
    ),
    "granite-embed-multi-97m": Pretokenizer(
        (rf"{_SMALL_MARKS}{_ENDINGS}?|{_CAPITAL_MARKS}{_ENDINGS}?|\p{{N}}{{1,3}}|{_REST_SLASH}",),
        whole_words=True,
    ),
    "bloom": Pretokenizer((r" ?[^(\s|.,!?…。，、।۔،)]+",)),
    "viking": Pretokenizer((r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}")),
}

# The same expressions under other names.
_SAME = {
    "gpt-2": "phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert mpt"
             " olmo jais trillion granite-docling exaone4 jina-v1-en jina-v2-code roberta-bpe",
    "starcoder": "refact command-r smollm codeshell exaone minerva-7b mellum2",
    "llama-bpe": "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
    "dbrx": "smaug-bpe glm4 chatglm-bpe",
    "qwen2": "stablelm2 deepseek-r1-qwen kormo f2llmv2 megrez hunyuan solar-open grok-2",
    "bailingmoe": "bailingmoe2 llada-moe",
    "deepseek-v3": "hunyuan-dense joyai-llm",
    "gpt-4o": "llama4 kanana2 talkie minimax-m2",
    "bloom": "poro-chat gpt3-finnish",
}  # fmt: skip

PRETOKENIZERS = _OF | {
    other: _OF[name] for name, others in _SAME.items() for other in others.split()
}
