"""Test collections in BEIR's layout: what is read, and every way to be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llar.errors import EvaluationError
from llar.evaluate.beir import read_beir

pytestmark = pytest.mark.slow


def _rows(*rows: Any) -> str:
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "small"
    (made / "qrels").mkdir(parents=True)
    (made / "corpus.jsonl").write_text(
        _rows(
            {"_id": "d1", "title": "Leave", "text": "27 days."},
            {"_id": "d2", "title": "", "text": "Alarms on Mondays.", "metadata": {}},
            {"_id": "d3", "text": " "},
        )
    )
    (made / "queries.jsonl").write_text(
        _rows(
            {"_id": "q1", "text": "How many days?", "answers": ["27"]},
            {"_id": "q2", "text": "When?"},
            {"_id": "q3", "text": "Nobody judged this."},
        )
    )
    (made / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq2\td2\t2\nq1\td1\t1\nq1\td3\t1\nq2\td1\t0\n"
    )
    return made


def test_a_good_folder(folder: Path) -> None:
    found = read_beir(folder)
    assert (found.name, found.form, found.texts_count) == ("small", "BEIR", 2)
    assert [q.id for q in found.questions] == ["q2", "q1"]
    assert found.questions[0].documents == {"d2": 2.0, "d1": 0.0}
    assert found.questions[1].answers == ("27",)
    assert found.texts is not None
    assert [(t.path, t.text) for t in found.texts()] == [
        ("d1", "Leave\n\n27 days."),
        ("d2", "Alarms on Mondays."),
    ]
    assert found.notes == (
        "1 of 3 queries have no judgement in test.tsv",
        "1 of 3 documents are empty and cannot be found",
    )


def test_other_judgements_and_the_hashes(folder: Path) -> None:
    before = read_beir(folder)
    (folder / "qrels" / "dev.tsv").write_text("q1\td1\t-1\n")
    other = read_beir(folder, "dev.tsv")
    assert [dict(q.documents) for q in other.questions] == [{"d1": -1.0}]
    assert other.sha256 != before.sha256
    assert other.texts_sha256 == before.texts_sha256
    by_path = read_beir(folder, str(folder / "qrels" / "dev.tsv"))
    assert by_path.sha256 == other.sha256


BAD: dict[str, list[tuple[str, str | None]]] = {
    "corpus.jsonl": [
        ('{"_id": "d4", "text": 5}', "'text' must be text, got 5"),
        ('{"_id": "d4", "title": "x"}', "'text' must be text, got nothing"),
        ('{"_id": 4, "text": "x"}', "'_id' must be text, got 4"),
        ('{"_id": " ", "text": "x"}', "'_id' is empty"),
        ('{"_id": "d1", "text": "x"}', "the id 'd1' stands in line 1 too"),
        ('{"_id": "d4", "title": [], "text": "x"}', None),
        ('{"_id": "d4", "title": 7, "text": "x"}', "'title' must be text, got 7"),
        ("{", "is not valid JSON"),
    ],
    "queries.jsonl": [
        ('{"_id": "q1", "text": "x"}', "the id 'q1' stands in line 1 too"),
        ('{"_id": "q9", "text": ""}', "query 'q9' is empty"),
        ("[]", "expected a JSON object"),
    ],
    "qrels/test.tsv": [
        ("q1\td1", "expected query-id, corpus-id, score with tabs between, got 'q1\\td1'"),
        ("q9\td1\t1", "there is no query 'q9' in queries.jsonl"),
        ("q1\td9\t1", "there is no document 'd9' in corpus.jsonl"),
        ("q1\td2\t1.5", "the score must be a whole number, got '1.5'"),
        ("q1\td2\t", "the score must be a whole number, got ''"),
        ("q1\td1\t1", "query 'q1' and document 'd1' stand in line 3 too"),
    ],
}


@pytest.mark.parametrize(
    ("file", "line", "said"), [(f, line, said) for f, rows in BAD.items() for line, said in rows]
)
def test_bad_lines_are_named(folder: Path, file: str, line: str, said: str | None) -> None:
    path = folder / file
    path.write_text(path.read_text() + line + "\n")
    if said is None:  # an empty title is none
        assert read_beir(folder).texts_count == 3
        return
    with pytest.raises(EvaluationError) as caught:
        read_beir(folder)
    number = len(path.read_text().splitlines())
    assert caught.value.message.startswith(f"{path}:{number}: ")
    assert said in caught.value.message


def test_all_bad_lines_of_a_file_are_named_at_once(folder: Path) -> None:
    path = folder / "qrels" / "test.tsv"
    path.write_text(path.read_text() + "q9\td1\t1\nq1\td9\t1\n")
    with pytest.raises(EvaluationError, match="2 problems") as caught:
        read_beir(folder)
    assert f"{path}:6:" in caught.value.message
    assert f"{path}:7:" in caught.value.message


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_empty_and_missing_files(folder: Path, file: str) -> None:
    (folder / file).write_text("\n")
    with pytest.raises(EvaluationError, match=r"holds no (document|query|judgement)"):
        read_beir(folder)
    (folder / file).unlink()
    with pytest.raises(EvaluationError, match=r"has no |there are no judgements"):
        read_beir(folder)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "queries", "documents"),
    [("adi", 35, 82), ("cranfield", 225, 1398), ("medline", 30, 1033), ("xquad_es", 1190, 240)],
)
def test_real_sets(data: Path, name: str, queries: int, documents: int) -> None:
    found = read_beir(data / "retrieval" / name)
    assert (len(found.questions), found.texts_count) == (queries, documents)


@pytest.mark.data
def test_the_wrong_judgements_of_cranfield_are_refused(data: Path) -> None:
    with pytest.raises(EvaluationError, match=r"all1837\.tsv:1: expected query-id"):
        read_beir(data / "retrieval" / "cranfield", "all1837.tsv")
