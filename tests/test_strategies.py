"""Strategies that need no model: filters read from the question, several rounds, none at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import STORE

from llar import Collection, load_config
from llar.errors import ConfigError, QueryError
from llar.retrieve import Result
from llar.retrieve.steps import STEPS
from llar.retrieve.strategy.adaptive import decide

pytestmark = pytest.mark.slow

TEXTS = {
    "fire.md": "# Fire\n\nThe fire alarm is tested every Monday by the porter.",
    "parking.md": "# Parking\n\nThe fee for parking is 4 euros a day.",
    "parking-old.md": "# Parking\n\nThe fee for parking is 3 euros a day.",
    "aparcament.md": "# Aparcament\n\nL'aparcament costa 5 euros al dia per als visitants.",
    "maker.md": "# Valve X7\n\nThe valve X7 is made by Ferrum Industries in a small town.",
    "founder.md": "# Ferrum Industries\n\nFerrum Industries was founded by Clara Vidal in 1931.",
}
FACTS: dict[str, dict[str, str | int]] = {
    "fire.md": {"year": 2021, "department": "Facilities"},
    "parking.md": {"year": 2024, "department": "Facilities"},
    "parking-old.md": {"year": 2019, "department": "Facilities"},
    "aparcament.md": {"year": 2024, "department": "Atenció al visitant"},
    "maker.md": {"year": 2022, "department": "Engineering"},
    "founder.md": {"year": 2022, "department": "History"},
}


@pytest.fixture(scope="module")
def home_of_docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the texts indexed by the real model, made once."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(STORE, target_is_directory=True)
    folder = tmp_path_factory.mktemp("docs")
    for name, text in TEXTS.items():
        facts = "\n".join(f"{key}: {value}" for key, value in FACTS[name].items())
        (folder / name).write_text(f"---\n{facts}\n---\n\n{text}")
    with Collection("c", config=load_config({"home": home})) as collection:
        assert len(collection.add(folder).added) == len(TEXTS)
    return home


@pytest.fixture
def docs(home_of_docs: Path) -> Iterator[Collection]:
    with Collection("c", config=load_config({"home": home_of_docs})) as collection:
        yield collection


def names(found: Result) -> list[str]:
    return [h.document.path.rsplit("/", 1)[-1] for h in found.hits]


def filters(found: Result) -> list[str]:
    step = next(s for s in found.steps if s.name == "filters read from the question")
    read: list[str] = step.about["filters"]
    return read


@pytest.mark.parametrize(
    ("question", "read", "best"),
    [
        ("What is the parking fee in documents from 2019?", ["year=2019"], "parking-old.md"),
        ("parking fee in policies published after 2020", ["year>2020"], "parking.md"),
        ("parking fee, reports from 2018 to 2020", ["year>=2018", "year<=2020"], "parking-old.md"),
        ("tarifa de parking en documentos de 2019", ["year=2019"], "parking-old.md"),
        ("a dokumentumok szerint parking 2020 előtt", ["year<2020"], "parking-old.md"),
        ("What do the Catalan documents say of parking?", ["language=ca"], "aparcament.md"),
        ("What does Engineering say of the valve?", ["department=Engineering"], "maker.md"),
        ("euros segons el departament Atenció al visitant", ["department=Atenció al visitant"],
         "aparcament.md"),
        ("Which valves did Ferrum make in 1931?", [], "maker.md"),  # of the world, not of files
        ("What does parking cost?", [], "parking.md"),
    ],
)  # fmt: skip
def test_filters_are_read_from_the_question(
    docs: Collection, question: str, read: list[str], best: str
) -> None:
    found = docs.explain(question, strategy="self-query")
    assert filters(found) == read
    assert names(found)[0] == best
    plain = docs.explain(question, strategy="self-query", query="none")
    assert docs.explain(question, query="filters").hits == plain.hits


def test_filters_nothing_passes_are_left_out_and_said(docs: Collection) -> None:
    found = docs.explain("parking in documents from 1999", strategy="self-query")
    step = next(s for s in found.steps if s.name == "filters read from the question")
    assert step.about["left out"] == "no document of the collection passes them"
    assert names(found)[0].startswith("parking")


def test_a_second_round_finds_what_the_first_passage_names(docs: Collection) -> None:
    question = "Who founded the firm that makes the valve X7?"
    found = docs.explain(question, strategy="iterative", k=2)
    first = next(s for s in found.steps if s.name == "round 2")
    assert "Ferrum Industries" in first.about["missing"]
    assert set(names(found)) == {"maker.md", "founder.md"}


def test_rounds_stop_and_say_why(docs: Collection) -> None:
    found = docs.explain("When is the fire alarm tested?", strategy="iterative")
    stops = [s.about["stopped"] for s in found.steps if "stopped" in s.about]
    assert stops == ["the best passage holds every word of the question"]


def test_the_model_says_what_is_missing(docs: Collection) -> None:
    question = "Who founded the firm that makes the valve X7?"
    asked = {"strategy": "iterative:model:2", "k": 2}
    found = docs.explain(question, model="fake:say:founder of Ferrum Industries", **asked)  # type: ignore[arg-type]
    assert set(names(found)) == {"maker.md", "founder.md"}
    for reply, why in [
        ("NOTHING", "the model misses nothing"),
        ("Who founded the valve?", "the model's reply is no new search"),
        ("word " * 30, "the model's reply is no new search"),
    ]:
        found = docs.explain(question, model=f"fake:say:{reply}", **asked)  # type: ignore[arg-type]
        assert [s.about.get("stopped") for s in found.steps if s.name == "round 2"] == [why]
        single = docs.explain(question, k=2)
        assert names(found) == names(single)


@pytest.mark.parametrize("argument", ["x", "0", "model:x", "-1"])
def test_bad_arguments_are_refused(docs: Collection, argument: str) -> None:
    with pytest.raises(ConfigError, match=f"iterative:{argument}: expected a number of rounds"):
        docs.search("fire", strategy=f"iterative:{argument}")


@pytest.mark.parametrize(
    ("question", "decided"),
    [
        ("Hello!", "none"),
        ("moltes gràcies", "none"),
        ("Jó napot!", "none"),
        ("12 * (3 + 4) =", "none"),
        ("what is it?", "none"),
        ("When is the fire alarm tested?", "one"),
        ("¿Cuánto cuesta el aparcamiento?", "one"),
        ("Compare parking in 2019 and 2024", "several"),
        ("Quina diferència hi ha? Diferències entre el 2019 i el 2024", "several"),
        ("Mi a különbség a két díj között?", "several"),
        ("What does parking cost and who tests the alarm?", "several"),
        ("Who is the founder of the firm that makes the X7?", "several"),
    ],
)
def test_how_much_to_retrieve(question: str, decided: str) -> None:
    assert decide(question)[0] == decided


def test_adaptive_retrieves_as_decided(docs: Collection) -> None:
    assert docs.search("Hello!", strategy="adaptive") == []
    one = docs.explain("When is the fire alarm tested?", strategy="adaptive")
    assert names(one)[0] == "fire.md"
    several = docs.explain("Who is the founder of the firm that makes the X7?", strategy="adaptive")
    assert any(s.name == "round 2" for s in several.steps)
    step = next(s for s in several.steps if s.name == "how much to retrieve")
    assert step.about["decided"] == "several"


def test_unknown_steps_are_named_with_those_there_are(docs: Collection) -> None:
    with pytest.raises(ConfigError, match=r"no step 'iterativ'; did you mean 'iterative'\?"):
        docs.search("fire", strategy="iterativ")
    with pytest.raises(QueryError, match="--strategy takes one strategy"):
        docs.search("fire", strategy="single,adaptive")


def test_every_step_is_on_record(docs: Collection) -> None:
    found = docs.explain("parking fee", query="filters", strategy="single")
    assert [s.name for s in found.steps][-1] == "single"
    shown = found.steps[-1].about["hits"]
    assert [h["chunk_id"] for h in shown] == [h.chunk_id for h in found.hits]
    assert all(s.seconds >= 0 for s in found.steps)
    answer = docs.ask("What is the fee for parking?", model="fake:quote")
    assert [s.name for s in answer.steps][-1] == "single"


@pytest.mark.parametrize("fusion", ["weighted", "adaptive", "rrf"])
def test_fusions_find_the_passage(home_of_docs: Path, fusion: str) -> None:
    config = load_config({"home": home_of_docs, "fusion": fusion})
    with Collection("c", config=config) as again:
        assert again.search("fire alarm", k=1)[0].document.path.endswith("fire.md")
    config = load_config({"home": home_of_docs, "fusion": "sum"})
    with Collection("c", config=config) as wrong, pytest.raises(QueryError, match="no fusion"):
        wrong.search("fire")


@pytest.fixture(scope="module")
def fees(kept_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Passages that lead to each other, by a link, a call and what they name."""
    folder = tmp_path_factory.mktemp("fees")
    (folder / "open.md").write_text("# Fees\n\nThe parking fee: see [the contract](closed.md).\n")
    (folder / "closed.md").write_text(
        "# Contract\n\nThe parking fee is secret: Ferrum Industries.\n"
    )
    (folder / "open.py").write_text("def parking_fee():\n    return 4\n")
    (folder / "closed.py").write_text("import open\n\nprint(open.parking_fee())\n")
    with Collection("c", config=load_config({"home": kept_home})) as docs:
        docs.add(folder)
        yield docs


@pytest.mark.parametrize("strategy", STEPS["strategy"])
def test_no_strategy_leaves_the_filters(fees: Collection, strategy: str) -> None:
    for question in ("What is the parking fee?", "Where is `parking_fee` used?"):
        every = fees.search(question, strategy=strategy, k=20)
        assert any("closed" in h.document.path for h in every)
        hits = fees.search(question, strategy=strategy, k=20, filters=["path~/open."])
        assert hits
        assert not any("closed" in h.document.path for h in hits)
