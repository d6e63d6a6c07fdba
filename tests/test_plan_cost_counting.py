"""Tokens of texts, files and training examples."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llar.config import load
from llar.errors import LlarError, PlanError, UnknownModel
from llar.models.interface import ChatModel
from llar.plan.costs import counting

SAMPLES = Path(__file__).parent.parent / "samples"
TEXTS = [
    "Staff have 27 days of annual leave.",
    "Adultos: 325-650mg/4-6h o 500-1000mg/6-8h, máximo 4 g/día",
    "Az ügyfélszolgálat hétköznap nyolctól négyig hívható.",
    "",
    "  two  spaces\n\nand lines\t",
]


def test_texts_have_the_tokens_the_model_itself_counts(installed: Path, smollm: ChatModel) -> None:
    by = counting.counter(load())
    found = counting.texts(TEXTS, by)
    assert [d.tokens for d in found.documents] == [smollm.count_tokens(t) for t in TEXTS]
    assert found.exact
    assert found.counter == "llamacpp:smollm2-135m-instruct"


def test_another_model_counts_differently(installed: Path) -> None:
    found = counting.texts(TEXTS[:1], counting.counter(load(), "all-minilm-l6-v2"))
    # staff have 27 days of annual leave .
    assert found.tokens == 8


def test_without_a_model_it_is_an_estimate(home: Path) -> None:
    by = counting.counter(load())
    assert not by.exact
    found = counting.texts(["one two three", "one"], by)
    # 3 / 0.75, and 1 / 0.75 rounded up
    assert [d.tokens for d in found.documents] == [4, 2]
    figure = next(f for f in found.figures() if f.name == "Tokens")
    assert not figure.exact
    assert "0.75 English words" in figure.source


def test_a_named_tokenizer_must_be_there(home: Path) -> None:
    with pytest.raises(LlarError):
        counting.counter(load(), "smollm2-135m-instruct")
    with pytest.raises(UnknownModel):
        counting.counter(load(), "no-such-model")


@pytest.mark.slow
def test_documents_are_read_and_failures_named(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    shutil.copy(SAMPLES / "paracetamol.pdf", folder / "a.pdf")
    shutil.copy(SAMPLES / "biblioteca.docx", folder / "below" / "b.docx")
    (folder / "c.txt").write_text("Staff have 27 days of annual leave.")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing")
    (folder / "empty.txt").write_bytes(b"")
    told: list[tuple[int, int]] = []
    by = counting.counter(load())
    found = counting.files(load(), [folder], by, lambda n, of: told.append((n, of)))
    assert [Path(d.source).name for d in found.documents] == ["a.pdf", "b.docx", "c.txt"]
    assert found.documents[0].pages == 1
    assert found.documents[2].tokens == by.counts(["Staff have 27 days of annual leave."])[0]
    assert found.tokens == sum(d.tokens for d in found.documents) > 500
    assert len(found.failed) == 2
    assert "broken.pdf" in found.failed[0]
    assert "empty.txt" in found.failed[1]
    assert told == [(n, 5) for n in range(1, 6)]
    rows = {f.name: f for f in found.figures()}
    assert rows["Documents"].value == 3
    assert rows["Tokens per page"].value == found.documents[0].tokens  # the PDF alone has pages


def test_a_folder_of_nothing(home: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no file"):
        counting.files(load(), [tmp_path / "llar-home"], counting.counter(load()))
    missing = counting.files(load(), [tmp_path / "none"], counting.counter(load()))
    assert "does not exist" in missing.failed[0]
    assert missing.documents == ()


def test_examples_of_each_kind(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(
        '{"messages": [{"role": "system", "content": "A"}, {"role": "user", "content": "B"}]}\n'
        "\n"
        '{"prompt": "C", "completion": "D", "id": "17"}\n'
        '{"instruction": "E", "input": "", "output": "F", "n": 3}\n'
        '{"text": "Ünï"}\n'
    )
    assert list(counting.examples(file)) == ["A\nB", "C\nD", "E\n\nF", "Ünï"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no examples"),
        ("\n\n", "has no examples"),
        ('{"text": "a"}\n{"text": \n', "line 2 is no JSON"),
        ("[1, 2]\n", "line 1: expected an object"),
        ('{"n": 1}\n', "line 1 has no text"),
    ],
)
def test_wrong_examples_name_their_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(text)
    with pytest.raises(PlanError, match=said):
        list(counting.examples(file))


def test_examples_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        list(counting.examples(tmp_path / "none.jsonl"))
    (tmp_path / "x.jsonl").write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(PlanError, match="cannot be read"):
        list(counting.examples(tmp_path / "x.jsonl"))


@pytest.mark.slow
@pytest.mark.data
def test_the_rules_of_thumb_on_real_documents(installed: Path, data: Path) -> None:
    """A page is about 1,000 tokens, a token about 0.75 English words, as the lectures say."""
    config = load()
    by = counting.counter(config)
    files = [data / "tables" / "icdar2013_eu" / f"eu-0{n}.pdf" for n in (11, 12, 17)]
    reports = counting.files(config, files, by)
    pages = sum(d.pages for d in reports.documents)
    assert pages == 14
    assert 500 < reports.tokens / pages < 1000  # 633: reports with tables and white space
    speech = data / "chunking" / "state_of_the_union.md"
    exact = counting.files(config, [speech], by)
    rule = counting.texts([speech.read_text()], counting.counter(load({"home": data})))
    assert not rule.exact
    assert rule.tokens == pytest.approx(exact.tokens, rel=0.05)  # 11,291 and 11,754
