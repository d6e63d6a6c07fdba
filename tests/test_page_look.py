"""What every screen has in common: its words, its languages, its colours."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from llar import errors
from llar.errors import LlarError
from llar.serve.page import look, problems, words
from llar.serve.page.chat_answer import because
from llar.serve.page.library_parts import day

FILES = sorted(Path(words.__file__).parent.glob("*.toml"))
CSS = (look.STYLE / "llar.css").read_text(encoding="utf-8")
PAIRS = dict(re.findall(r"--([\w-]+): light-dark\((#\w{6}), #\w{6}\)", CSS))
DARK = dict(re.findall(r"--([\w-]+): light-dark\(#\w{6}, (#\w{6})\)", CSS))


@pytest.mark.parametrize("screen", [f.stem for f in FILES])
def test_every_text_is_there_in_all_languages(screen: str) -> None:
    for key, texts in words.texts(screen).items():
        assert set(texts) == {"en", "es", "ca", "hu"}, key
        holes = {lang: holes_of(text) for lang, text in texts.items()}
        assert all(text.strip() for text in texts.values()), key
        assert len({tuple(sorted(h)) for h in holes.values()}) == 1, (key, holes)


def holes_of(text: str) -> set[str]:
    """The values that a text is filled in with."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de, fr;q=0.9", "en"),
        ("ca-ES,ca;q=0.9,es;q=0.8", "ca"),
        ("de;q=0.9, hu;q=0.5, es;q=0.7", "es"),
        ("es;q=0, hu;q=0.1", "hu"),
        ("HU-hu", "hu"),
        ("es;q=much, ca", "ca"),
        ("*", "en"),
    ],
)
def test_the_language_a_browser_asks_for(header: str, language: str) -> None:
    assert look.accepted(header) == language


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [PAIRS, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(colours: dict[str, str]) -> None:
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.005)  # WCAG's own example
    grounds = ("paper", "surface", "sunken")
    for text in ("ink", "quiet", "ember", "good", "warn", "bad"):
        for ground in grounds:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for text in ("ember", "good", "warn", "bad"):
        assert contrast(colours[text], colours[f"{text}-soft"]) >= 4.5, text
    for ground in ("ember-soft", "mark", "warn-soft", "bad-soft"):
        assert contrast(colours["ink"], colours[ground]) >= 4.5, ground
    assert contrast(colours["on-ember"], colours["ember"]) >= 4.5
    assert all(contrast(colours["edge"], colours[ground]) >= 3 for ground in grounds)


def test_why_a_sentence_was_left_out_in_the_readers_language() -> None:
    say = words.words("chat", "es")
    assert because("it only repeats the question", say) == "solo repite la pregunta"
    missing = "'4 g' does not stand there in the passage"
    assert because(missing, say) == "'4 g' no está ahí en el pasaje"
    assert because("some new reason", say) == "los pasajes no la respaldan (some new reason)"


def every_error(of: type[LlarError] = LlarError) -> list[type[LlarError]]:
    return [of, *(found for child in of.__subclasses__() for found in every_error(child))]


def test_an_error_is_told_in_the_readers_language_and_its_remedy_to_admins() -> None:
    error = errors.UnknownModel("no model 'x'", fix="llar models list")
    assert problems.said(error, "en", admin=True) == ("no model 'x'", "", "llar models list")
    assert problems.said(error, "es", admin=False) == (
        "No hay ningún modelo con ese nombre.", "no model 'x'", "",
    )  # fmt: skip
    told = problems.said(errors.EngineError("it died"), "hu", admin=True)  # a kind of ModelError
    assert told == ("A modellnek ez nem sikerült.", "it died", "")
    secret = problems.said(ValueError("the text of a document"), "ca", admin=True)
    assert secret == (words.words("frame", "ca")("broken"), "", "")
    for kind in every_error():
        assert any(base.__name__ in words.texts("problems") for base in kind.__mro__), kind


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("is locked with a password (give it with: llar add)", "Guárdalo sin ella"),
        ("is encrypted; save it without its password", "Guárdalo sin ella"),
        ("is empty", "Está vacío."),
        ("is XML data that declares entities, which are never expanded", "pueden ocultar"),
        ("is named .pdf but holds nothing of that kind", "acaba en .pdf, pero"),
        ("is binary data of no kind llar reads", "no lee (is binary data of no kind llar reads)"),
        ("is a damaged zip archive (short)", "Está dañado (is a damaged zip archive (short))."),
        ("has 900 MiB; at most 512 are read", "Es mayor de lo que se lee"),
        ("text could not be recognised", "No se ha podido leer (text could not be recognised)"),
    ],
)
def test_why_a_file_was_not_read_in_the_readers_language(reason: str, told: str) -> None:
    assert told in problems.unreadable(reason, "es")


def test_dates_are_written_as_the_language_does() -> None:
    assert day("2026-03-02", "en") == "02 Mar 2026"
    assert day("2026-03-02T09:05:59", "es") == "02/03/2026 09:05"
    assert day("2026-03-02T09:05:59", "hu") == "2026. 03. 02. 09:05"
    assert day("spring 1987", "ca") == "spring 1987"
    assert day(None, "ca") == ""


@pytest.mark.parametrize(
    ("language", "other"),
    [  # Spanish and Catalan say tú and tu, Hungarian says Ön
        ("es", r"\busted|\b(elija|pulse|señale|repita|vuelva a|haga|copie)\b"),
        ("ca", r"\bvostr|\b(voleu|trieu|premeu|deseu|escriviu|podeu|heu|feu)\b"),
        ("hu", r"\b(szeretnél|tudsz|téged|neked|kattints|válassz|töltsd|nézd|írd|húzz)\b"),
    ],
)
def test_the_page_speaks_to_everybody_in_one_way(language: str, other: str) -> None:
    for file in FILES:
        for key, texts in words.texts(file.stem).items():
            assert not re.search(other, texts[language], re.IGNORECASE), (file.stem, key)
