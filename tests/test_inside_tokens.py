"""A text under several tokenizers, as records, on the terminal, as JSON and as a picture."""

from __future__ import annotations

import json
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import STORE
from PIL import Image

from llar.cli import cli
from llar.config import Config, load
from llar.errors import InsideError, LlarError, ModelNotInstalled, PictureError
from llar.inside import tokens as t
from llar.inside.tokens_plot import draw_languages
from llar.models.vocabulary import vocabulary
from llar.pictures.style import THEMES

SMOLLM, MINILM = "llamacpp:smollm2-135m-instruct", "ctranslate2:all-minilm-l6-v2"


@pytest.fixture(scope="module")
def config() -> Config:
    return load({"home": STORE.parent}, env={})


def run(*arguments: str, input: bytes | None = None) -> Result:  # noqa: A002 - click's name
    return CliRunner().invoke(cli, ["tokens", *arguments], input=input, catch_exceptions=False)


# --- the tokenizers that need no model


def test_characters_words_and_bytes() -> None:
    text = "l'última: 3 e\u0301🙂"
    characters = t.tokenize(text, "character")
    # 15 code points; l and the space come twice
    assert (characters.count, characters.size, characters.fixed) == (15, 13, False)
    assert [c.text for c in characters.tokens] == list(text)
    assert [c.id for c in characters.tokens] == [0, 1, 2, 0, 3, 4, 5, 6, 7, 8, 9, 8, 10, 11, 12]
    words = t.tokenize(text, "word")
    assert [(w.text, w.start, w.end) for w in words.tokens] == [
        ("l'última", 0, 8), (":", 8, 9), ("3", 10, 11), ("e\u0301", 12, 14), ("🙂", 14, 15),
    ]  # fmt: skip
    byte = t.tokenize(text, "byte")
    assert (byte.count, byte.size, byte.fixed) == (len(text.encode()), 256, True)
    assert b"".join(token.piece for token in byte.tokens) == text.encode()
    assert [(b.start, b.end) for b in byte.tokens][-4:] == [(14, 15)] * 4


def test_the_same_word_has_one_number() -> None:
    found = t.tokenize("to be or not to be", "word")
    assert [token.id for token in found.tokens] == [0, 1, 2, 3, 0, 1]
    assert (found.count, found.size, found.words) == (6, 4, 6)
    assert found.characters_per_token == 3.0
    assert found.tokens_per_word == 1.0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("  \n", 0),
        ("col·legi l'última TAJ-kártyáját 3,5", 5),
        ("日本語", 1),
        ("...", 0),
        ("नमस्ते", 1),
    ],
)
def test_words(text: str, count: int) -> None:
    assert t.words(text) == count


def test_a_text_of_nothing() -> None:
    found = t.tokenize("", "word")
    assert (found.count, found.characters_per_token, found.tokens_per_word) == (0, None, None)


def test_no_text_at_all() -> None:
    for name in t.PLAIN:
        with pytest.raises(InsideError, match="is no character"):
            t.tokenize("a\ud800", name)
    with pytest.raises(InsideError, match="no tokenizer 'syllable'"):
        t.tokenize("a", "syllable")


# --- models


def test_all_that_are_installed(config: Config) -> None:
    found, failed = t.tokenizers(config)
    assert list(found) == [*t.PLAIN, MINILM, SMOLLM]
    assert not failed


def test_unknown_words_are_counted(config: Config) -> None:
    found = t.tokenize("hello 🙂🇨🇦 world", MINILM, vocabulary(config, MINILM))
    assert [t.shown(token, found.kind) for token in found.tokens] == ["hello", "[UNK]", "world"]
    assert found.unknown == 1
    assert t.tokenize("🙂", SMOLLM, vocabulary(config, SMOLLM)).unknown == 0


def test_pieces_of_a_character_are_bytes(config: Config) -> None:
    found = t.tokenize("ő", SMOLLM, vocabulary(config, SMOLLM))
    assert [t.shown(token, found.kind) for token in found.tokens] == ["\\xc5", "\\x91"]
    assert [(token.start, token.end) for token in found.tokens] == [(0, 1), (0, 1)]


# --- languages


def test_parallel_sentences(config: Config) -> None:
    found, _ = t.tokenizers(config)
    costs = {(c.tokenizer, c.language): c for c in t.compare(t.SENTENCES, found)}
    assert [c for _, c in costs][:4] == ["en", "es", "ca", "hu"]
    assert costs[SMOLLM, "en"].count == vocabulary(config, SMOLLM).count(t.SENTENCES["en"]) == 27
    assert costs[SMOLLM, "en"].ratio == 1.0
    for language in ("es", "ca", "hu"):  # both models are English
        assert costs[SMOLLM, language].ratio == costs[SMOLLM, language].count / 27
        assert costs[SMOLLM, language].ratio > 1.7
        assert costs[MINILM, language].ratio > 1.5
        assert 0.75 < costs["word", language].ratio < 1.25


def test_sentences_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s.txt"
    file.write_text("# mine\nhu: Jó napot: kívánok!\n\n en : Good day! \n", encoding="utf-8")
    assert t.read_sentences(file) == {"en": "Good day!", "hu": "Jó napot: kívánok!"}
    assert list(t.read_sentences(file)) == ["en", "hu"]
    for content, why in (
        ("en: a\nnothing", r"line 2: expected a language and a sentence .* got 'nothing'"),
        ("en: a\nen: b", "line 2: 'en' has a sentence already"),
        ("# no", "has no sentences"),
    ):
        file.write_text(content)
        with pytest.raises(InsideError, match=why):
            t.read_sentences(file)
    file.write_bytes(b"en: \xff")
    with pytest.raises(InsideError, match=r"is no UTF-8 text: .* at byte 4"):
        t.read_sentences(file)
    with pytest.raises(InsideError, match="No such file or directory; --languages takes a file"):
        t.read_sentences(tmp_path / "none")
    with pytest.raises(InsideError, match="no tokens to measure by"):
        t.compare({"en": " ", "es": "a"}, {"word": None})


# --- the command


def test_side_by_side(installed: Path) -> None:
    out = run("Hi ő\n🙂", "--tokenizer", SMOLLM, "--tokenizer", "word").stdout
    assert "Hi│ \\xc5│\\x91│⏎│" in out
    assert "�" not in out
    assert "\x1b" not in out
    lines = [line.split() for line in out.splitlines()]
    assert [SMOLLM, "6", "49,152", "1.00", "3.00", "0"] in lines
    assert ["word", "3", "3", "*", "2.00", "1.50", "0"] in lines
    assert "* has no fixed vocabulary" in out


def test_json_has_everything(installed: Path) -> None:
    found = json.loads(run("a ő [CLS]", "--json").stdout)
    assert found["text"] == "a ő [CLS]"
    by = {each["tokenizer"]: each for each in found["tokenizers"]}
    assert set(by) == {*t.PLAIN, SMOLLM, MINILM}
    for each in by.values():
        assert each["count"] == len(each["tokens"])
        assert each["characters_per_token"] == pytest.approx(9 / each["count"])
        for token in each["tokens"]:
            assert 0 <= token["start"] <= token["end"] <= 9
    token = by[SMOLLM]["tokens"][1]
    assert token == {"id": 18811, "text": " \\xc5", "entry": "ĠÅ", "bytes": "20 c5", "start": 1,
                     "end": 3, "special": False, "unknown": False}  # fmt: skip


@pytest.mark.slow
def test_files_and_standard_input(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"a b\r\nc")
    for found in (run(str(file), "--json"), run("-", "--json", input=b"a b\r\nc")):
        assert json.loads(found.stdout)["text"] == "a b\r\nc"
    file.write_bytes(b"caf\xe9")
    with pytest.raises(InsideError, match=r"is no UTF-8 text: .* at byte 3"):
        run(str(file))
    with pytest.raises(InsideError, match="is a folder; expected a text or one file"):
        run(str(tmp_path))
    for text, told in (("none.txt", True), ("no such.", False), ("and/or", False)):
        found = run(text, "--tokenizer", "word")
        assert ("there is no file 'none.txt': this is taken as the text" in found.stderr) == told


def test_panels_of_languages_share_a_scale(tmp_path: Path) -> None:
    costs = [t.Cost(name, language, count, count / 10, 0)
             for name, last in (("a", 20), ("b", 80))
             for language, count in (("en", 10), ("hu", last))]  # fmt: skip
    draw_languages(tmp_path / "a.png", costs)
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    grey = (pixels == [int(THEMES["light"].muted[n : n + 2], 16) for n in (1, 3, 5)]).all(axis=2)
    half = grey.shape[1] // 2
    first, second = (int(side.sum(axis=1).max()) for side in (grey[:, :half], grey[:, half:]))
    assert first > 50
    assert abs(first - second) <= 4  # English is as long in both, though the others are not


def test_a_long_text_is_not_cut_silently(installed: Path) -> None:
    out = run("word " * 50, "--tokenizer", "word", "--limit", "10").stdout
    assert "... and 40 more; --limit or --json shows them" in out


def test_control_characters_cannot_steer_the_terminal(installed: Path) -> None:
    out = run("a\x1b[31mb\x07", "--tokenizer", "character", "--tokenizer", SMOLLM).stdout
    assert "\x1b" not in out
    assert "\\x1b" in out


def test_languages(installed: Path, tmp_path: Path) -> None:
    out = run("--languages", "--tokenizer", SMOLLM).stdout
    assert t.SENTENCES["hu"] in out
    assert [SMOLLM, "27", "53", "x1.96", "51", "x1.89", "77", "x2.85"] in [
        line.split() for line in out.splitlines()
    ]
    file = tmp_path / "mine.txt"
    file.write_text("en: a b\nes: a b c d")
    costs = json.loads(run(str(file), "--languages", "--tokenizer", "word", "--json").stdout)
    assert [c["ratio"] for c in costs["costs"]] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["a", "--tokenizer", "qwen3-0.6b"], ModelNotInstalled),
        (["a", "--tokenizer", "nope"], LlarError),
        (["a", "--plot", "x.gif"], PictureError),
        (["a\ud800b", "--tokenizer", "word"], InsideError),
    ],
)
def test_what_is_refused(installed: Path, arguments: list[str], error: type[LlarError]) -> None:
    with pytest.raises(error):
        run(*arguments)


def test_nothing_to_show(installed: Path) -> None:
    found = run()
    assert found.exit_code == 2
    assert "expected a text or a file, or --languages" in found.output


def test_a_model_without_a_usable_tokenizer_is_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    (home / "models").mkdir()
    for model in STORE.iterdir():
        if not model.name.startswith("."):
            (home / "models" / model.name).mkdir()
            for file in model.rglob("*"):
                target = home / "models" / model.name / file.relative_to(model)
                target.parent.mkdir(parents=True, exist_ok=True)
                if file.is_file():
                    target.symlink_to(file)
    broken = home / "models" / "all-minilm-l6-v2" / "tokenizer.json"
    size = broken.stat().st_size
    broken.unlink()
    broken.write_bytes(b"{" * size)
    found = run("hello")
    assert "all-minilm-l6-v2 cannot be used" in found.stderr
    assert SMOLLM in found.stdout
    assert "minilm" not in found.stdout
    shutil.rmtree(home / "models")


def _in_a_terminal(*arguments: str, **env: str) -> bytes:
    """What the command writes to a terminal."""
    import os

    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "llar", "tokens", *arguments],
        stdout=child, stderr=subprocess.DEVNULL, env={**os.environ, **env},
    )  # fmt: skip
    os.close(child)
    found = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not part:
            break
        found += part
    os.close(parent)
    assert process.wait() == 0
    return found


def test_colours_only_where_they_are_wanted(installed: Path) -> None:
    coloured = _in_a_terminal("hello 🙂 world", "--tokenizer", MINILM)
    assert b"\x1b[38;5;231m\x1b[48;5;24mhello" in coloured
    assert b"\x1b[48;5;124m[UNK]" in coloured  # in a colour of its own
    plain = _in_a_terminal("hello world", "--tokenizer", MINILM, NO_COLOR="1")
    assert b"hello\xe2\x94\x82world" in plain
    assert b"48;5" not in plain


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_pictures(installed: Path, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    for name, arguments in (("text", ["Hello ő 日本"]), ("languages", ["--languages"])):
        drawn: list[Any] = []
        for theme in ("light", "dark"):
            file = tmp_path / f"{name}-{theme}.{ending}"
            assert run(*arguments, "--plot", str(file), "--theme", theme).exit_code == 0
            drawn.append(file.read_bytes())
        start = b"\x89PNG" if ending == "png" else b"<?xml"
        assert all(data.startswith(start) and len(data) > 5000 for data in drawn)
        assert drawn[0] != drawn[1]
