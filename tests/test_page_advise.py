"""The advice in the reader's language: every sentence of the library, its numbers, its machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_plan_advise import DAY, GRID, of_grid

from llar.config import load
from llar.models import catalogue
from llar.plan.advice.advise import advise, described
from llar.plan.advice.records import Advice
from llar.plan.advice.situation import situation
from llar.plan.figure import Figure
from llar.plan.hardware.fit import fit
from llar.plan.hardware.machines import find, machines
from llar.plan.memory.formats import parse_format
from llar.plan.memory.running import running
from llar.plan.sentence import Quantity, Sentence, english
from llar.plan.shapes.resolve import resolve
from llar.serve.page.advise_said import UNITS, quantity, said, titles, value
from llar.serve.page.words import LANGUAGES, texts

PROPER = re.compile(
    r"(NVIDIA|AMD Instinct|Apple|Raspberry Pi) "
)  # names of things, in any language
UNITS_OF_ALL = {"", "bytes", "USD", "EUR", "h", "s", "kWh", "kg CO2"}


def test_every_sentence_of_the_planner_is_there_in_every_language() -> None:
    """Its English is the library's; that all four are there is tested for every screen."""
    assert {key: text["en"] for key, text in texts("advise_said").items()} == english()


def test_no_sentence_is_left_that_nobody_says() -> None:
    plan = Path(load.__code__.co_filename).parent / "plan"
    code = "\n".join(file.read_text() for file in sorted(plan.rglob("*.py")))
    ends = r"place_\w+|formula_\w+|headline_two|on_\w+"  # put together, or out of a table
    unsaid = [k for k in english() if f'"{k}"' not in code and not re.fullmatch(ends, k)]
    assert unsaid == []


def sentences(advice: Advice) -> Iterator[str]:
    """Every text of an advice that people read, but for quoted sources and names of models."""
    yield advice.headline
    yield from (r.text for r in advice.reasons)
    yield from (m.why for m in advice.methods)
    yield from (*advice.warnings, *advice.changes, *advice.assumptions)
    for other in advice.alternatives:
        yield other.why_not
        if catalogue.find(other.name) is None:
            yield other.name
    for figure in advice.figures:
        yield figure.name
        if figure.formula:
            yield figure.formula
    if advice.way is not None:
        yield described(advice.way)


def test_every_text_of_an_advice_can_be_said(home: Path) -> None:
    for row in GRID[::17]:
        found = advise(load(), of_grid(row), on=DAY)
        for text in sentences(found):
            assert isinstance(text, Sentence), text
            assert said(text, "en") == text
            for language in LANGUAGES:
                assert said(text, language)
        for each in found.figures:
            assert each.unit in UNITS_OF_ALL | set(UNITS), each
        for reason in found.reasons:
            assert f"about_{reason.about}" in texts("advise")


def test_an_advice_as_worked_by_hand(home: Path) -> None:
    answers = {"data": "internal", "users": "5", "documents": "500", "languages": "es",
               "latency": "60", "once": "0", "monthly": "0", "hardware": "office-ddr5"}  # fmt: skip
    found = advise(load(), situation(answers), on=DAY)
    assert found.way is not None
    machine = "office-ddr5 (PC de oficina, 6 núcleos, DDR5 (Intel Core i5-12400, 16 GB))"
    assert said(described(found.way), "es") == (
        f"{found.way.model} ({found.way.format}) en {machine}, que ya está disponible"
    )
    # 500 x 10 x 1,000; of 4,096 tokens 200 are for the answer and 300 for what is around
    assert said(found.methods[0].why, "es").startswith(
        "500 documentos × 10 páginas × 1.000 tokens son 5.000.000 tokens y en una petición caben "
        "3.596: "
    )
    spare = next(a for a in found.assumptions if a.key == "request")
    assert said(spare, "ca").startswith("una petició té 300 tokens")
    assert "un 5\u00a0% de la memòria" in said(spare, "ca")
    assert "a memóriából 5% szabadon" in said(spare, "hu")
    assert {type(x) for x in found.changes} == {Sentence}


def test_numbers_as_the_language_writes_them() -> None:
    assert quantity(Quantity(1600, "USD"), "es") == "USD 1.600,00"
    assert quantity(Quantity(14 * 2**30, "bytes"), "hu") == "14,00 GiB"
    assert quantity(Quantity(5000, "tokens"), "hu") == "5 000 token"
    assert quantity(Quantity(2.5, "days"), "ca") == "2,5 dies"
    assert value(Figure("x", 0.25, "kWh", exact=False), "es") == "~0,25 kWh"
    with pytest.raises(TypeError, match="cannot be said"):
        said(Sentence("machine_this", name=[1]), "es")
    with pytest.raises(KeyError):
        Sentence("no such sentence")


def test_a_model_that_lies_partly_on_a_card_is_told_too(home: Path) -> None:
    """The advice takes none of those; `llar plan fit` and its figures do."""
    config = load()
    shape, fmt = resolve(config, "phi-4"), parse_format("Q8_0")  # 15 GB of weights
    needed = running(shape, fmt, 8192, 2)
    partly = fit(shape, fmt, needed, find(config, "rtx-3060"))
    no = fit(shape, fmt, needed, find(config, "raspberry-pi-5-8gb"))
    assert (partly.how, no.how) == ("partly", "no")
    for figure in (*partly.figures, *no.figures):
        for text in (figure.name, figure.formula):
            assert not text or said(text, "en") == text
            assert not text or isinstance(text, Sentence), text


def test_every_machine_is_called_in_every_language(home: Path) -> None:
    for machine in machines(load()).values():
        assert PROPER.match(machine.title) or machine.title in titles("es"), machine.title
