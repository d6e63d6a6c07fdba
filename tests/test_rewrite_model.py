"""multi, step-back, decompose, hyde and intent: what the chat model makes of a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from rewritten import about, found, made

import llar
from llar.errors import QueryError
from llar.retrieve import Result
from llar.retrieve.rewrite.kinds import KINDS, kind

pytestmark = pytest.mark.slow

TEXTS = {
    "aspirin.txt": "Aspirin can cause bleeding of the stomach and harm the kidneys.",
    "adverse.txt": "Adverse reactions to acetylsalicylic acid are listed in the leaflet.",
    "storage.txt": "Medicines in syringes are stored in the fridge for one day at most.",
    "paracetamol.txt": "Adults take one gram of paracetamol, children half a gram.",
    "espanol.txt": "Los niños toman medio gramo de paracetamol cada seis horas.",
}
LISTED = Path(__file__).parent.parent / "bench" / "intents.tsv"
CASES = [line.split("\t") for line in LISTED.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[llar.Collection]:
    with made(tmp_path_factory.mktemp("model"), TEXTS) as docs:
        yield docs


def ask(
    docs: llar.Collection, question: str, steps: str, reply: str, mode: str = "lexical"
) -> Result:
    return docs.explain(question, query=steps, mode=mode, model=f"fake:say:{reply}")


QUESTION = "What are the side effects of aspirin?"
REPLIES = [
    ("1. Which adverse reactions does aspirin cause?\n2. Bad effects of taking aspirin",
     ["Which adverse reactions does aspirin cause?", "Bad effects of taking aspirin"]),
    ("- Which adverse reactions does aspirin cause?\n* \"Aspirin: bleeding?\"",
     ["Which adverse reactions does aspirin cause?", "Aspirin: bleeding?"]),
    ("1) What harm can aspirin do?\n2) what HARM can aspirin do", ["What harm can aspirin do?"]),
    ("What are the side effects of aspirin?\nAspirin: what side effects?", []),
    ("The weather is fine today in London.", []),
    ("", []),
    ("1.\n2.\n3.", []),
    ("¿Qué efectos tiene la aspirin en los niños?", []),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "kept"), REPLIES)
def test_multi_keeps_what_can_be_used(
    docs: llar.Collection, reply: str, kept: Sequence[str]
) -> None:
    result = ask(docs, QUESTION, "multi", reply)
    assert list(result.query.variants) == list(kept)
    shown = about(result, "the model's questions")
    assert shown["reply"] == reply
    assert shown["kept"] == kept
    if not kept:
        assert shown["result"] == "nothing can be used; the question is searched as it is"
        plain = docs.explain(QUESTION, query="none", mode="lexical")
        assert [h.score for h in result.hits] == [h.score for h in plain.hits]


def test_multi_tells_why_a_line_is_refused(docs: llar.Collection) -> None:
    reply = (
        "What are the side effects of the aspirin?\nThe weather is fine.\n???\n"
        "Aspirin and the stomach\nthe stomach and aspirin\nLa aspirin y los efectos en los niños"
    )
    shown = about(ask(docs, QUESTION, "multi:9", reply), "the model's questions")
    assert shown["refused"] == [
        "What are the side effects of the aspirin? (it says the same as the question)",
        "The weather is fine. (it has no word of the question)",
        "??? (it has no words)",
        "the stomach and aspirin (it says the same as a line before)",
        "La aspirin y los efectos en los niños (it is in 'es', the question in 'en')",
    ]
    assert shown["kept"] == ["Aspirin and the stomach"]


def test_multi_finds_more(docs: llar.Collection) -> None:
    assert "adverse.txt" not in found(docs, QUESTION, "none")
    result = ask(docs, QUESTION, "multi", "adverse reactions to aspirin")
    assert {Path(h.document.path).name for h in result.hits} == {"aspirin.txt", "adverse.txt"}


def test_multi_takes_no_more_than_asked_for_and_nothing_cut_off(docs: llar.Collection) -> None:
    lines = [f"aspirin question number {'x' * n}" for n in range(1, 5)]
    assert ask(docs, QUESTION, "multi:2", "\n".join(lines)).query.variants == tuple(lines[:2])
    long = "aspirin harm\n" + "aspirin and the stomach " * 30
    assert ask(docs, QUESTION, "multi:1", long).query.variants == ("aspirin harm",)


def test_steps_add_to_each_others_variants(docs: llar.Collection) -> None:
    result = ask(docs, QUESTION, "multi,step-back", "How does aspirin harm the stomach?")
    assert result.query.variants == ("How does aspirin harm the stomach?",)


@pytest.mark.parametrize(
    ("reply", "kept", "why"),
    [
        ("What does aspirin do?\nMore text", ("What does aspirin do?",), ""),
        ("Which side effects of aspirin are there in old people?", (), "it is not more general"),
        ("What is the career of Lionel Messi?", (), "it has no word of the question"),
    ],
)
def test_step_back(docs: llar.Collection, reply: str, kept: tuple[str, ...], why: str) -> None:
    result = ask(docs, QUESTION, "step-back", reply)
    assert result.query.variants == kept
    assert why in str(about(result, "the model's general question").get("refused", ""))


BOTH = "What is the dose of paracetamol for adults and for children?"


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (
            "1. What is the dose of paracetamol for adults?\n"
            "2. What is the dose of paracetamol for children?\n"
            "3. In which year was the first dose of the new medicine taken?",
            (
                "What is the dose of paracetamol for adults?",
                "What is the dose of paracetamol for children?",
            ),
        ),
        ("SINGLE", ()),
        ("What is the dose of paracetamol for adults?", ()),
    ],
)
def test_decompose(docs: llar.Collection, reply: str, kept: tuple[str, ...]) -> None:
    result = ask(docs, BOTH, "decompose", reply)
    assert result.query.variants == kept
    shown = about(result, "the model's parts of the question")
    assert ("result" in shown) == (not kept)


def test_hyde_by_hand(docs: llar.Collection) -> None:
    passage = "Aspirin may lead to bleeding, ulcers and nausea in some patients."
    result = ask(docs, QUESTION, "hyde", passage, mode="dense")
    asked = docs.embedder.embed_query(QUESTION)
    mean = (asked + docs.embedder.embed_documents([passage])[0]) / 2
    assert result.query.vector is not None
    np.testing.assert_allclose(result.query.vector, mean / np.linalg.norm(mean), atol=1e-6)
    assert result.query.text == QUESTION
    three = ask(docs, QUESTION, "hyde:3", passage, mode="dense")
    weighed = asked + 3 * docs.embedder.embed_documents([passage])[0]
    assert three.query.vector is not None
    np.testing.assert_allclose(three.query.vector, weighed / np.linalg.norm(weighed), atol=1e-6)


def test_hyde_of_a_passage_longer_than_the_embedder_reads(docs: llar.Collection) -> None:
    """An embedder of 256 tokens gets it in halves."""
    from llar.retrieve.rewrite.hyde import _embedded

    text = " ".join(f"word{n}" for n in range(400))
    halves = [" ".join(f"word{n}" for n in part) for part in (range(200), range(200, 400))]
    expected = docs.embedder.embed_documents(halves).sum(axis=0)
    expected /= np.linalg.norm(expected)
    assert float(_embedded(docs.embedder, text) @ expected) > 0.99


@pytest.mark.parametrize(
    "reply", ["", "The answer to this question is no.", "What are the side effects of aspirin?"]
)
def test_hyde_refuses_what_says_nothing(docs: llar.Collection, reply: str) -> None:
    result = ask(docs, QUESTION, "hyde", reply, mode="hybrid")
    assert result.query.vector is None
    shown = about(result, "the model's passage 1")
    assert shown["result"] == "nothing can be used; the question is searched as it is"


def test_hyde_is_nothing_for_a_search_by_words(docs: llar.Collection) -> None:
    result = ask(docs, QUESTION, "hyde", "x")
    assert about(result, "the model's passages") == {"skipped": "the search is by words only"}


@pytest.mark.parametrize(("expected", "question"), CASES)
def test_kinds(expected: str, question: str) -> None:
    assert kind(question) == expected
    assert expected == "fact" or expected in KINDS


def test_intent_is_only_for_the_record(docs: llar.Collection) -> None:
    plain = docs.explain(BOTH, query="none")
    result = docs.explain(BOTH, query="intent")
    assert result.query == plain.query
    assert [h.chunk_id for h in result.hits] == [h.chunk_id for h in plain.hits]
    assert about(result, "kind of question") == {"by rules": "number"}
    assert list(about(result, "fitting collections")["scores"]) == ["notes"]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ('"summary"', "summary"),
        ('"poem"', "unknown: 'poem' is none of fact, small talk, code"),
        ("summary", "unknown: fake:say:summary was asked for JSON"),
        ("3", "unknown: 3 is none of"),
        ('["fact"]', "unknown: ['fact'] is none of"),
    ],
)
def test_intent_by_the_model(docs: llar.Collection, reply: str, told: str) -> None:
    shown = about(ask(docs, BOTH, "intent:model", reply), "kind of question")
    assert shown["by the model"].startswith(told)
    assert shown["by rules"] == "number"


def test_intent_names_the_collection_that_fits(tmp_path: Path) -> None:
    zoo = {"zoo.txt": "The elephant of the zoo is fed at ten in the morning."}
    with made(tmp_path, TEXTS) as here, made(tmp_path, zoo, "zoo") as there:
        shown = about(
            here.explain("When is the elephant fed?", query="intent"), "fitting collections"
        )
        assert list(shown["scores"]) == ["zoo", "notes"]
        assert shown["scores"]["notes"] == 0
        assert shown["elsewhere"] == "it is rather for the collection 'zoo': llar search -c zoo"
        shown = about(
            there.explain("When is the elephant fed?", query="intent"), "fitting collections"
        )
        assert "elsewhere" not in shown


def test_an_own_prompt_is_used(docs: llar.Collection) -> None:
    prompts = docs.config.home / "prompts"
    prompts.mkdir()
    (prompts / "multi.txt").write_text("# user\naspirin and $question $count\n", encoding="utf-8")
    result = docs.explain("kidneys and stomach", query="multi:2", model="fake:echo", mode="lexical")
    assert result.query.variants == ("aspirin and kidneys and stomach 2",)
    (prompts / "multi.txt").unlink()
    prompts.rmdir()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("multi:0", r"'0' is not a whole number from 1 to 20; expected multi\[:questions\]"),
        ("step-back:2", "'2' is too much; expected step-back"),
        ("decompose:x", "'x' is not a whole number"),
        ("hyde:1:2", "'2' is too much"),
        ("intent:rules", "'rules' cannot tell the kind"),
    ],
)
def test_bad_arguments(docs: llar.Collection, steps: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        docs.search(QUESTION, query=steps, model="fake:echo")


@pytest.mark.slow
def test_the_real_model(installed: Path, tmp_path: Path) -> None:
    """Whatever it writes: what is used is not nonsense, and the rest is on record."""
    with made(tmp_path, TEXTS) as docs:
        (docs.config.home / "models").symlink_to(installed / "models", target_is_directory=True)
        result = docs.explain(BOTH, query="multi,step-back,decompose,hyde,intent:model")
        assert "What is the dose of paracetamol for children?" in result.query.variants
        for variant in result.query.variants:
            assert {"paracetamol", "dose", "adults", "children"} & set(
                variant.lower().strip("?").split()
            )
        assert result.query.vector is not None
        assert about(result, "kind of question")["by the model"] in {"fact", *KINDS}
