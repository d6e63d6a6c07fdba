"""What counts as supported. Every case is one a small model really produces."""

from __future__ import annotations

import pytest

from llar.answer.check import Support, support
from llar.answer.evidence import collect
from llar.models.interface import Embedder
from llar.records import Chunk, Hit, Source

DOSES = (
    "| | Vía oral o rectal (paracetamol) | Vía parenteral (propacetamol) |\n"
    "|---|---|---|\n"
    "| Adultos | 325-650mg/4-6h o 500-1000mg/6-8h, máximo 4 g/día | 1-2g/4-6h, máximo 8g/día |\n"
    "| Niños | 10-15 mg/kg/4-6h, máximo 60mg/kg/día | 1-2g/4-6h, máximo 8g/día |\n"
)
RULES = (
    "Visitors must not smoke in the building. Smoking is allowed in the garden. "
    "The garden opens at 8:00 and holds 1,250 people. Dr. Ana Pérez runs the clinic since 2019."
)


def _check(sentence: str, question: str, minilm: Embedder, *, table: bool = False) -> Support:
    text, kind = (DOSES, "table") if table else (RULES, "text")
    chunk = Chunk(text, 0, len(text), "table" if kind == "table" else "text")
    source = Source(1, "/tmp/file", None, "txt", "es" if table else "en")
    return support(sentence, question, collect([Hit(source, chunk, 1, 1.0)]), minilm)


@pytest.mark.parametrize(
    ("question", "sentence", "quote"),
    [
        ("When does the garden open?", "The garden opens at 8:00.", "The garden opens at 8:00"),
        ("How many people fit?", "The garden holds 1250 people.", "1,250"),
        ("Who runs the clinic?", "Dr. Ana Pérez runs the clinic.", "Dr. Ana Pérez runs"),
        ("May I smoke inside?", "Visitors must not smoke in the building.", "must not smoke"),
    ],
)
def test_what_the_passage_says_is_supported_by_the_right_span(
    question: str, sentence: str, quote: str, minilm: Embedder
) -> None:
    found = _check(sentence, question, minilm)
    assert found.evidence, found.reason
    assert quote in found.evidence.text
    assert RULES[found.evidence.start : found.evidence.end] == found.evidence.text


@pytest.mark.parametrize(
    ("question", "sentence", "why"),
    [
        ("When does the garden open?", "The garden opens at 9:00.", "9"),
        ("When does the garden open?", "The garden opens at 8:30.", "30"),
        ("How many people fit?", "The garden holds 1,500 people.", "1,500"),
        ("Who runs the clinic?", "Dr. Laura Gómez runs the clinic since 2019.", ""),
        ("May I smoke inside?", "Visitors must smoke in the building.", "negated"),
        ("May I smoke in the garden?", "Smoking is not allowed in the garden.", "negated"),
        ("How many people fit?", "The garden holds more than 1,250 people.", "'more'"),
        ("Who runs the cafeteria?", "Dr. Ana Pérez runs the cafeteria since 2019.", "do not say"),
        ("Who runs it?", "The clinic runs runs runs runs runs the clinic runs runs.", "nothing"),
        ("Is there a pool?", "There is a heated pool on the roof.", "do not say it"),
        ("When does the garden open?", "When does the garden open?", "says nothing"),
        ("When does the garden open?", "...", "says nothing"),
        ("Who runs the clinic?", "Dr. Ana Pérez may run the clinic.", "not that it may be"),
        ("Who runs what?", "The clinic runs Dr. Ana Pérez.", "another order"),
        # Each word stands in one of two neighbouring sentences, together they say something else.
        ("May I smoke?", "Visitors must not smoke in the garden.", "do not say it"),
    ],
)
def test_what_it_does_not_say_is_not(
    question: str, sentence: str, why: str, minilm: Embedder
) -> None:
    found = _check(sentence, question, minilm)
    assert not found.evidence
    assert why in found.reason


ADULTS = "¿Qué cantidad puede tomar un adulto?"


@pytest.mark.parametrize(
    "sentence",
    [
        "Los adultos pueden tomar 325-650mg por vía oral, máximo 4 g/día.",
        "Adultos: máximo 4 g al día por vía oral.",
        "Por vía parenteral, los adultos pueden tomar 1-2g, máximo 8g/día.",
    ],
)
def test_a_dose_of_its_own_row_and_column_is_supported(sentence: str, minilm: Embedder) -> None:
    found = _check(sentence, ADULTS, minilm, table=True)
    assert found.evidence, found.reason
    assert found.evidence.text.startswith("| Adultos")


@pytest.mark.parametrize(
    "sentence",
    [
        "Los niños pueden tomar 325-650mg por vía oral, máximo 4 g/día.",  # the adults' row
        "Los adultos pueden tomar 10-15 mg/kg.",  # the children's row
        "Los adultos pueden tomar 325-650mg por vía parenteral.",  # the other column
        "Los adultos pueden tomar 4 mg/día por vía oral.",  # the right number, the wrong unit
        "Los adultos pueden tomar 40 g/día por vía oral.",
        "| | Vía oral o rectal (paracetamol) | Vía parenteral (propacetamol) |",  # only a header
        "Los adultos pueden tomar paracetamol por vía oral o rectal.",  # says no dose
    ],
)
def test_a_dose_of_another_row_column_or_unit_is_not(sentence: str, minilm: Embedder) -> None:
    assert not _check(sentence, ADULTS, minilm, table=True).evidence
