"""Tokenizers without their models give the same tokens as llama.cpp and `tokenizers`."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
import tiny_gguf
from conftest import STORE

from llar.config import Config, load
from llar.errors import InsideError, ModelCorrupt, ModelError, ModelNotInstalled, UnknownModel
from llar.models import gguf, vocabulary_gguf
from llar.models.llamacpp import LlamaChat
from llar.models.pretokenizers import PRETOKENIZERS
from llar.models.vocabulary import Token, Vocabulary, vocabulary

SMOLLM = STORE / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
MINILM = STORE / "all-minilm-l6-v2"
K = "tokenizer.ggml."

TOUGH = [
    "Hello, world! It's 12345 o'clock; DON'T we'LL I've y'all",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🙂🇨🇦",  # joined emoji, flags
    "e\u0301 n\u0303 Z\u0351\u036b\u0343",  # combining marks
    "l·l col·legi L·L paral·lel",
    "hűvös őr ŐRÜLT árvíztűrő tükörfúrógép",
    "¿Qué? ¡Sí! 3,5 mg 1.000.000 €",
    "def f(x):\n\treturn x**2  # ok\r\n\r\n   \n",
    "  a   b\t\tc \n\n\n d   ",
    "<|im_start|>user\nhi<|im_end|> <|endoftext|>",
    "日本語テキスト 漢字かな交じり文 한국어 中文123",
    "\x00\x01\x07\x7f\u200b\u200d\ufeff",
    "ǅ ß ẞ İ ı ﬁ Ⅷ ² ½ ٣٤ ४५ ſt's 'ſ",
    "\u3000full　width１２３ａｂｃ！",
    "नमस्ते दुनिया ไทย العربية, عبارة، اردو۔",
    "a\u00a0b\u2003c\u2028d\u0085e",
    "CamelCaseWord HTTPServer http://a.b/c?d=e&f=g#h_i ___ --- ... $$$",
    " ", "\n", "\t", "x",
]  # fmt: skip
_PIECES = [*"abcXYZ 019'.,!?-_/\n\r\t  $<|>éőßжЖ字の한٣²🙂，。ǅİ", "\u0301", "\u200d", "\u00a0",
           "'s", "'LL", "  ", "\n\n", "123456"]  # fmt: skip
_draw = random.Random(5)
RANDOM = ["".join(_draw.choice(_PIECES) for _ in range(_draw.randint(1, 30))) for _ in range(150)]


@pytest.fixture(scope="module")
def config() -> Config:
    return load({"home": STORE.parent}, env={})


@pytest.fixture(scope="module")
def smollm_words(config: Config) -> Vocabulary:
    return vocabulary(config, "smollm2-135m-instruct")


@pytest.fixture(scope="module")
def smollm_entries() -> dict[str, list[object]]:
    arrays = ("tokens", "merges", "token_type")
    values = gguf.read(SMOLLM, {K + name for name in arrays}).values
    return {name: values[K + name] for name in arrays}


# --- SmolLM2, against llama.cpp with the model itself


@pytest.mark.slow
def test_the_tokens_are_those_of_the_running_model(
    smollm: LlamaChat, smollm_words: Vocabulary
) -> None:
    for text in [*TOUGH, *RANDOM]:
        for special in (False, True):
            real = smollm._tokenize(text, special=special)
            assert smollm_words.ids(text, special=special) == real, text
        assert smollm_words.count(text) == smollm.count_tokens(text)


def test_what_is_known_of_the_vocabulary(smollm_words: Vocabulary) -> None:
    assert (smollm_words.name, smollm_words.kind) == ("llamacpp:smollm2-135m-instruct", "BPE")
    assert smollm_words.size == 49152
    assert len(smollm_words.specials) == 17
    assert smollm_words.specials["<|im_start|>"] == 1


def test_tokens_have_their_places(smollm_words: Vocabulary) -> None:
    assert smollm_words.encode("Hi 🇨🇦ő") == [
        Token(26843, "Hi", b"Hi", 0, 2),
        Token(15107, "ĠðŁ", b" \xf0\x9f", 2, 4),
        Token(225, "ĩ", b"\x87", 3, 4),  # the second byte of a flag's half
        Token(118, "¨", b"\xa8", 3, 4),
        Token(10813, "ðŁ", b"\xf0\x9f", 4, 5),
        Token(225, "ĩ", b"\x87", 4, 5),
        Token(116, "¦", b"\xa6", 4, 5),
        Token(144, "Å", b"\xc5", 5, 6),
        Token(235, "ĳ", b"\x91", 5, 6),
    ]


@pytest.mark.parametrize("text", [*TOUGH, ""])
def test_pieces_give_the_text_back(smollm_words: Vocabulary, text: str) -> None:
    found = smollm_words.encode(text)
    assert b"".join(token.piece for token in found) == text.encode()
    assert smollm_words.decode([token.id for token in found]) == text
    assert all(text[t.start : t.end].encode().find(t.piece) >= 0 for t in found)


def test_special_tokens_are_text_unless_asked_for(smollm_words: Vocabulary) -> None:
    (token,) = smollm_words.encode("<|im_start|>", special=True)
    assert token == Token(1, "<|im_start|>", b"<|im_start|>", 0, 12, special=True)
    plain = smollm_words.encode("<|im_start|>")
    assert len(plain) == 7  # < | im _ start | >
    assert not any(t.special for t in plain)
    assert smollm_words.count("<|im_start|>") == 7


def test_half_a_character_decodes_to_its_bytes(smollm_words: Vocabulary) -> None:
    assert smollm_words.decode([15107, 225]) == " \\xf0\\x9f\\x87"


@pytest.mark.slow
def test_a_long_text(smollm_words: Vocabulary) -> None:
    text = ("Der Arzt kommt um 9:30 — ¿vale? 日本語 🙂\n" * 30_000)[: 1 << 18]
    start = time.perf_counter()
    count = smollm_words.count(text)
    seconds = time.perf_counter() - start
    assert count == len(smollm_words.ids(text))
    line = smollm_words.count(text[: text.index("\n") + 1])
    assert count == pytest.approx(line * len(text) / (text.index("\n") + 1), rel=1e-3)
    assert seconds < 20  # 0.5 on a free core


def test_reading_the_vocabulary_is_quick(config: Config) -> None:
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        vocabulary(config, "smollm2-135m-instruct").count("a")
        best = min(best, time.perf_counter() - start)
    assert best < 0.5


@pytest.mark.parametrize("bad", ["a\ud800b", "\udfff"])
def test_a_lone_surrogate_is_refused(smollm_words: Vocabulary, bad: str) -> None:
    for call in (smollm_words.encode, smollm_words.count, smollm_words.ids):
        with pytest.raises(InsideError, match="half of a surrogate pair"):
            call(bad)


def test_a_number_that_is_no_token(smollm_words: Vocabulary) -> None:
    for n in (-1, 49152):
        with pytest.raises(InsideError, match="expected 0 to 49151"):
            smollm_words.piece(n)


# --- every way to cut words, against llama.cpp with the same vocabulary


@pytest.mark.slow
@pytest.mark.parametrize("pre", sorted({id(v): k for k, v in PRETOKENIZERS.items()}.values()))
def test_words_are_cut_as_llama_cpp_does(
    tmp_path: Path, smollm_entries: dict[str, list[object]], pre: str
) -> None:
    file = tmp_path / "tiny.gguf"
    settings = {
        "model": "gpt2", "pre": pre, "merges": smollm_entries["merges"],
        "token_type": smollm_entries["token_type"], "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    tiny_gguf.write(file, [str(t) for t in smollm_entries["tokens"]], settings)
    engine = tiny_gguf.Engine(file)
    ours = Vocabulary("tiny", *vocabulary_gguf.read(file))
    for text in [*TOUGH, *RANDOM]:
        assert ours.ids(text) == engine.ids(text), text
        assert ours.ids(text, special=True) == engine.ids(text, special=True), text
    engine.close()


# --- other kinds of vocabulary, against llama.cpp


def _same(file: Path, texts: list[str]) -> Vocabulary:
    """The file's vocabulary, after comparing it with llama.cpp's."""
    engine = tiny_gguf.Engine(file)
    ours = Vocabulary("tiny", *vocabulary_gguf.read(file))
    for text in texts:
        for special in (False, True):
            mine, real = ours.ids(text, special=special), engine.ids(text, special=special)
            assert mine == real, (text, special)
    engine.close()
    return ours


def spm(file: Path, *, space: bool = True) -> Path:
    """A SentencePiece-like vocabulary with bytes, learnt from nothing: a few words and scores."""
    words = ["▁t", "he", "▁the", "▁a", "in", "er", "▁▁", "▁▁▁▁", "th", "▁th", "re", "▁re", "on",
             "an", "▁an", "and", "▁and", "ing", "is", "▁is", "qu", "ué", "▁¿", "ll", "·l", "l·l",
             "日本", "ab", "bc", "abc", "aa", "aaa", "aaaa"]  # fmt: skip
    letters = list("▁abcdefghijklmnopqrstuvwxyzé¿·日本.,")
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "<tool>",
              *words, *letters]  # fmt: skip
    types = [2, 3, 3, *[6] * 256, 4, *[1] * (len(words) + len(letters))]
    scores = [0.0] * 260 + [-float(n) for n in range(len(words) + len(letters))]
    return tiny_gguf.write(file, tokens, {
        "model": "llama", "scores": scores, "token_type": types, "bos_token_id": 1,
        "eos_token_id": 2, "unknown_token_id": 0, "add_space_prefix": space,
    })  # fmt: skip


@pytest.mark.parametrize("space", [True, False])
def test_sentencepiece_joins_by_score_and_falls_back_to_bytes(tmp_path: Path, space: bool) -> None:
    file = spm(tmp_path / "spm.gguf", space=space)
    ours = _same(file, [*TOUGH, *RANDOM, "the theory and then", "<tool>the<tool> a</s>b",
                        "aaaaaaaaa", "abcabcaab", "l·l", "¿qué"])  # fmt: skip
    assert ours.kind == "SentencePiece BPE"
    found = ours.encode("the ő")
    assert [t.piece for t in found] == [
        *([b" the"] if space else [b"t", b"he"]), b" ", b"\xc5", b"\x91",
    ]  # fmt: skip
    assert [(t.start, t.end) for t in found][-2:] == [(4, 5), (4, 5)]


def test_scores_that_leave_the_order_open_are_refused(tmp_path: Path) -> None:
    tokens = ["<unk>", "a", "b", "ab", "ba"]
    settings = {"model": "llama", "token_type": [2, 1, 1, 1, 1], "unknown_token_id": 0}
    file = tmp_path / "x.gguf"
    scores = [0.0, -1000.0, -1000.0, -1.0, -2.0]
    tiny_gguf.write(file, tokens, {**settings, "scores": scores})
    assert Vocabulary("x", *vocabulary_gguf.read(file)).ids("ab")  # letters may be equal
    tiny_gguf.write(file, tokens, {**settings, "scores": [-1000.0] * 5})
    with pytest.raises(ModelError, match="'ab' and 'ba' have the same score"):
        vocabulary_gguf.read(file)


@pytest.mark.parametrize(("name", "mark"), [("Phi-3-mini", "<|user|>"), ("ModernBERT", "[MASK]")])
def test_some_special_tokens_take_spaces_with_them(tmp_path: Path, name: str, mark: str) -> None:
    name = name.replace("ModernBERT", "modern-bert-base")
    letters = ["▁", "a", "b", "▁a", "▁b", "▁▁"]
    byte = [f"<0x{n:02X}>" for n in range(256)]
    tokens = ["<unk>", "<s>", "</s>", mark, "<|endoftext|>", *letters, *byte]
    settings = {
        "model": "llama", "token_type": [2, 3, 3, 3, 3, *[1] * 6, *[6] * 256],
        "scores": [0.0] * 5 + [-float(n) for n in range(262)], "bos_token_id": 1,
        "eos_token_id": 2, "unknown_token_id": 0,
    }  # fmt: skip
    file = tiny_gguf.write(tmp_path / "x.gguf", tokens, settings, name=name)
    texts = [f"a  {mark}  b", f"{mark} {mark}", "a <s>  b", "a </s>  b", "a <|endoftext|>  b"]
    ours = _same(file, texts)
    (plain,) = {len(ours.ids(f"a{mark}b", special=True))}
    assert len(ours.ids(f"a  {mark}  b", special=True)) == plain + 1


def wordpiece(file: Path) -> Path:
    """MiniLM's vocabulary as convert_hf_to_gguf.py writes BERT's."""
    vocab = json.loads((MINILM / "tokenizer.json").read_text())["model"]["vocab"]
    plain = sorted(vocab, key=lambda word: vocab[word])
    tokens, types = [], []
    for word in plain:
        special = word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
        unused = word.startswith("[unused")
        tokens.append(word if special or unused else
                      word[2:] if word.startswith("##") else "▁" + word)  # fmt: skip
        types.append(3 if special else 5 if unused else 1)
    return tiny_gguf.write(file, tokens, {
        "model": "bert", "token_type": types, "bos_token_id": 101, "eos_token_id": 102,
        "unknown_token_id": 100, "seperator_token_id": 102, "padding_token_id": 0,
        "cls_token_id": 101, "mask_token_id": 103,
    })  # fmt: skip


def test_wordpiece(tmp_path: Path, config: Config) -> None:
    texts = [*TOUGH, "unbelievable wörld! [CLS] [unused3] naïve café"]
    file = wordpiece(tmp_path / "bert.gguf")
    ours = _same(file, texts)
    real = vocabulary(config, "all-minilm-l6-v2")
    assert ours.kind == real.kind == "WordPiece"
    for text in texts:
        if not any(c in text for c in "한न\x85"):  # llama.cpp drops other characters than BERT
            assert ours.ids(text) == real.ids(text), text
    assert [t.text for t in ours.encode("unbelievables 🙂")] == ["unbelievable", "##s", "[UNK]"]
    assert [t.unknown for t in ours.encode("unbelievables 🙂")] == [False, False, True]


def unigram(file: Path, *, spaces: bool = False, prefix: bool = True) -> Path:
    words = {"▁the": -3.0, "▁": -2.0, "the": -5.0, "▁a": -3.5, "an": -4.0, "▁an": -4.5, "d": -5.0,
             "n": -5.5, "t": -5.0, "h": -5.1, "e": -4.9, "a": -4.8, "and": -6.0, "ő": -7.0,
             "▁theory": -6.5, "o": -5.2, "r": -5.3, "y": -5.4, "ory": -7.0}  # fmt: skip
    tokens = ["<pad>", "</s>", "<unk>", *words, "<extra>"]
    types = [3, 3, 2, *[1] * len(words), 4]
    return tiny_gguf.write(file, tokens, {
        "model": "t5", "scores": [0.0, 0.0, 0.0, *words.values(), 0.0], "token_type": types,
        "eos_token_id": 1, "unknown_token_id": 2, "padding_token_id": 0,
        "add_space_prefix": prefix, "remove_extra_whitespaces": spaces,
    })  # fmt: skip


@pytest.mark.parametrize("spaces", [True, False])
@pytest.mark.parametrize("prefix", [True, False])
def test_unigram(tmp_path: Path, spaces: bool, prefix: bool) -> None:
    file = unigram(tmp_path / "t5.gguf", spaces=spaces, prefix=prefix)
    ours = _same(file, ["the theory and an end", "  the   the ", "xyz the", "őő", "zz zz", "the",
                        "<extra>the<pad> a</s>", "日本 the", " ", "a\nb"])  # fmt: skip
    assert ours.kind == "Unigram"
    assert any(t.unknown for t in ours.encode("the Z"))


# --- tokenizer.json, against the library that wrote it


def test_minilm_is_what_tokenizers_says(config: Config) -> None:
    from tokenizers import Tokenizer

    real = Tokenizer.from_file(str(MINILM / "tokenizer.json"))
    real.no_truncation()  # the file asks for 128 tokens, padded
    real.no_padding()
    ours = vocabulary(config, "ctranslate2:all-minilm-l6-v2")
    assert (ours.size, ours.kind) == (30522, "WordPiece")
    for text in [*TOUGH, *RANDOM, "word " * 500]:
        expected = real.encode(text, add_special_tokens=False)
        assert ours.ids(text, special=True) == expected.ids
        found = ours.encode(text, special=True)
        assert [(t.start, t.end) for t in found] == expected.offsets
    assert ours.count("word " * 500) == 500


@pytest.mark.parametrize("name", ["folder", "file"])
def test_a_path_does_as_well_as_a_name(config: Config, name: str) -> None:
    path = MINILM if name == "folder" else MINILM / "tokenizer.json"
    assert vocabulary(config, str(path)).ids("hello world") == [7592, 2088]


# --- the header of a file


def test_arrays_are_read_where_they_are_asked_for() -> None:
    key = K + "tokens"
    assert gguf.read(SMOLLM).values[key] == gguf.Skipped(49152, text=True)
    header = gguf.read(SMOLLM, {key})
    assert header.values[key][:2] == ["<|endoftext|>", "<|im_start|>"]
    assert isinstance(header.values[K + "merges"], gguf.Skipped)
    (embedding,) = [e for e in header.tensors if e.name == "token_embd.weight"]
    assert embedding.shape == (49152, 576)
    last = max(header.tensors, key=lambda e: e.offset)
    assert last.offset + last.size == SMOLLM.stat().st_size


@pytest.mark.slow
def test_a_header_cut_or_changed_anywhere_is_refused_or_read(tmp_path: Path) -> None:
    tokens = [f"word {n}" for n in range(300)]
    data = tiny_gguf.write(tmp_path / "a.gguf", tokens, {"model": "gpt2"}).read_bytes()
    file = tmp_path / "b.gguf"
    asked = {K + "tokens"}
    end = data.index(b"word 299") + 8
    assert gguf.read(tmp_path / "a.gguf", asked).values[K + "tokens"] == tokens
    for length in range(0, end, 23):
        file.write_bytes(data[:length])
        with pytest.raises(ModelCorrupt):
            gguf.read(file, asked)
    refused = 0
    for at in range(0, end, 11):
        for new in (0, 127, 255):
            file.write_bytes(data[:at] + bytes([new]) + data[at + 1 :])
            try:
                gguf.read(file, asked)
            except ModelCorrupt:
                refused += 1
    assert refused > 100


def test_a_vocabulary_that_is_no_utf8_is_refused(config: Config, tmp_path: Path) -> None:
    file = tiny_gguf.write(tmp_path / "a.gguf", ["word 1", "word 2"], {"model": "gpt2"})
    file.write_bytes(file.read_bytes().replace(b"word 2", b"word \xff"))
    assert gguf.read(file).values[K + "tokens"] == ["word 1", "word \udcff"]
    with pytest.raises(ModelCorrupt, match="no UTF-8"):
        vocabulary(config, str(file))


# --- what cannot be used


def test_an_unknown_way_to_cut_words_is_named(tmp_path: Path) -> None:
    settings = {"model": "gpt2", "pre": "brand-new", "merges": ["a b"]}
    file = tiny_gguf.write(tmp_path / "x.gguf", ["a", "b", "ab"], settings)
    with pytest.raises(ModelError, match="cuts text into words as 'brand-new'"):
        vocabulary_gguf.read(file)


def test_an_unknown_kind_of_vocabulary_is_named(tmp_path: Path) -> None:
    file = tiny_gguf.write(tmp_path / "x.gguf", ["a", "b"], {"model": "rwkv"})
    with pytest.raises(ModelError, match="of the kind 'rwkv' is not known here; known: gpt2"):
        vocabulary_gguf.read(file)


def test_damaged_vocabularies(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    for tokens, settings, why in (
        (["a", "b"], {}, "names no kind"),
        (["a", "a"], {"model": "gpt2"}, "the same token twice"),
        (["a", "b"], {"model": "llama", "scores": [0.5]}, "scores is shorter"),
        (["a", "b"], {"model": "llama", "token_type": [1]}, "token_type is shorter"),
        (["a", "b"], {"model": "gpt2", "merges": [1, 2]}, "merges is not the list"),
        (["a", "b"], {"model": "t5", "unknown_token_id": 9}, "no token for unknown"),
    ):
        tiny_gguf.write(file, tokens, settings)
        with pytest.raises(ModelCorrupt, match=why):
            vocabulary_gguf.read(file)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "cannot be read"),
        ("[]", "has no 'model'"),
        ('{"model": {"type": "X"}}', "no tokenizer"),
    ],
)
def test_damaged_tokenizer_json(tmp_path: Path, config: Config, content: str, why: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelCorrupt, match=why):
        vocabulary(config, str(tmp_path))


def test_models_that_are_not_there(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ModelNotInstalled, match=r"llar models pull qwen3-0\.6b"):
        vocabulary(config, "qwen3-0.6b")
    with pytest.raises(UnknownModel, match="smollm2-135m-instruct"):
        vocabulary(config, "smollm2-135m-instrct")
    with pytest.raises(UnknownModel, match="no file or folder"):
        vocabulary(config, str(tmp_path / "none.gguf"))
    with pytest.raises(ModelCorrupt, match="has no tokenizer"):
        vocabulary(config, str(tmp_path))
