"""Question sets: read strictly, written back, and found again in a collection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llar
from llar.config import load
from llar.errors import EvaluationError
from llar.evaluate.places import Place, locate
from llar.evaluate.questions import Question, Span, read, write
from llar.records import Message


def _file(tmp_path: Path, *rows: Any) -> Path:
    file = tmp_path / "set.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _refused(file: Path) -> str:
    with pytest.raises(EvaluationError) as caught:
        read(file)
    return caught.value.message


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    questions = [
        Question(
            id="1",
            question="¿Cuántos días?",
            answers=("27 días", "veintisiete"),
            kind="number",
            spans=(Span("handbook.txt", 3, 10, "27 días"), Span("x/y.md", None, None, "siete")),
            language="es",
            history=(Message("user", "Hola"), Message("assistant", "Buenas")),
            reviewed=True,
            about={"model": "m", "score": 0.5},
        ),
        Question(id="2", question="Who?", kind="unanswerable"),
        Question(id="3", question="Which?", documents={"a": 2.0, "b": 0.0}),
        Question(id="4", question="What is it?", label="leave", kind="classification"),
    ]
    file = tmp_path / "set.jsonl"
    write(file, questions)
    found = read(file)
    assert list(found.questions) == questions
    assert found.form == "questions"
    assert found.texts is None
    assert [q.answerable for q in found.questions] == [True, False, True, True]


def test_the_same_question_has_the_same_key_and_a_history_changes_it() -> None:
    a, b = Question("1", "Who?"), Question("2", "Who?", answers=("me",))
    assert a.key == b.key
    assert a.key != Question("1", "Who?", history=(Message("user", "Hi"),)).key


def test_every_line_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        {"id": "a", "question": "One?", "answers": ["x"]},
        "",
        "nonsense",
        ["a", "list"],
        {"id": "a", "question": "Two?"},
        {"id": "b", "qestion": "Three?"},
        {"id": "c"},
        {"id": "d", "question": "Four?", "answers": "text"},
        {"id": "e", "question": "Five?", "kind": "unanswerable", "answers": ["x"]},
        {"id": "f", "question": "Six?", "kind": "unanserable"},
        {"id": "g", "question": "Seven?", "kind": "fact"},
        {"id": "h", "question": "Eight?", "spans": [{"path": "p", "start": 5, "end": 5}]},
        {"id": "i", "question": "Nine?", "spans": [{"path": "p"}]},
        '{"id": "j", "id": "k", "question": "Ten?"}',
        '{"id": "l", "question": "Eleven?", "about": {"x": NaN}}',
        {
            "id": "m",
            "question": "12?",
            "spans": [{"path": "p", "start": 0, "end": 2, "quote": "x"}],
        },
        {"id": "n", "question": "13?", "history": [{"role": "system", "content": "x"}]},
        {"id": "o", "question": "14?", "documents": {"a": "much"}},
        {"id": "p", "question": "15?", "kind": "classification", "answers": ["x"]},
    )
    said = _refused(file).splitlines()
    assert said[0] == f"17 problems in {str(file)!r}:"
    wanted = {
        3: "is not valid JSON",
        4: "expected a JSON object",
        5: "the id 'a' stands in line 1 too",
        6: "a question has no key 'qestion'; did you mean 'question'?",
        7: "'question' is missing",
        8: "'answers' must be a list, got 'text'",
        9: "it is unanswerable and has answers",
        10: "did you mean 'unanswerable'?",
        11: "it is of kind 'fact' and has no answers",
        12: "must end behind its start, got 5 and 5",
        13: "needs start and end, or a quote",
        14: "the key 'id' stands there twice",
        15: "NaN is no JSON number",
        16: "the quote has 1 characters and the span 2",
        17: "must be user or assistant, got 'system'",
        18: "'documents' must be a list of paths",
        19: "needs its label",
    }
    assert len(said) == 1 + len(wanted)
    for line, (number, what) in zip(said[1:], wanted.items(), strict=True):
        assert line.strip().startswith(f"{file}:{number}: ")
        assert what in line


def test_many_bad_lines_are_counted(tmp_path: Path) -> None:
    said = _refused(_file(tmp_path, *["bad"] * 25))
    assert said.startswith("25 problems")
    assert said.endswith("... and 5 more")


def test_an_empty_set_and_one_that_is_no_text(tmp_path: Path) -> None:
    assert "holds no question" in _refused(_file(tmp_path, ""))
    file = tmp_path / "latin.jsonl"
    file.write_bytes('{"id": "1",\n"question": "¿Qué?"}'.encode("latin-1"))
    assert _refused(file).startswith(f"{file}:2: is not UTF-8 text")
    assert "cannot be read" in _refused(tmp_path)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    file.write_bytes(
        b'\xef\xbb\xbf{"id": "1", "question": "Who?"}\r\n\r\n{"id": "2", "question": "?"}'
    )
    assert [q.id for q in read(file).questions] == ["1", "2"]


def _squad(tmp_path: Path, *paragraphs: Any, version: str = "1.1") -> Path:
    file = tmp_path / "squad.json"
    table = {"version": version, "data": [{"title": "The_Title", "paragraphs": list(paragraphs)}]}
    file.write_text(json.dumps(table), encoding="utf-8")
    return file


def _qa(name: str, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    said = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": name, "question": f"{name}?", "answers": said, **more}


def test_squad(tmp_path: Path) -> None:
    answers = [("Ada", 14), ("Ada", 0), ("Ada", 0)]
    file = _squad(
        tmp_path,
        {"context": "Ada wrote it. Ada died.", "qas": [_qa("a", *answers)]},
        {"context": "Nothing here.", "qas": [_qa("b", is_impossible=True)]},
        {"context": "Ada wrote it. Ada died.", "qas": [_qa("c", ("", -1), ("it", 10))]},
        {"context": " ", "qas": []},
    )  # fmt: skip
    found = read(file)
    assert found.form == "SQuAD 2"
    assert found.questions[0] == Question(
        "a", "a?", answers=("Ada",), spans=(Span("1/1.txt", 0, 3, "Ada"),)
    )
    assert found.questions[1] == Question("b", "b?", kind="unanswerable")
    assert found.questions[2].spans == (Span("1/1.txt", 10, 12, "it"),)
    assert found.texts is not None
    assert [(t.path, t.title) for t in found.texts()] == [
        ("1/1.txt", "The Title"),
        ("1/2.txt", "The Title"),
    ]
    assert len(found.notes) == 2


def test_bad_squad_is_named_by_its_place(tmp_path: Path) -> None:
    file = _squad(
        tmp_path,
        {"context": "x", "qas": [_qa("a"), _qa("b", ("x", 0)), _qa("b", ("x", 0)), {"id": "c"}]},
        {"qas": []},
        {"context": "y", "qas": [_qa("d", ("", 0)), _qa("e", ("y", -1))]},
    )
    said = _refused(file)
    assert "paragraph 1, question 1: has no answers and is not marked is_impossible" in said
    assert "paragraph 1, question 3: the id 'b' was there before" in said
    assert "paragraph 1, question 4: needs an id and a question" in said
    assert "paragraph 2: needs a context and a list of qas" in said
    assert "paragraph 3, question 1: all its answers are empty" in said
    assert "paragraph 3, question 2: an answer needs answer_start, got -1" in said


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "form", "questions", "answerable", "documents"),
    [
        ("xquad.en.json", "SQuAD 1", 1190, 1190, 240),
        ("squad_es_v2.json", "SQuAD 2", 3597, 1984, 607),
    ],
)
def test_real_squad_files(
    data: Path, file: str, form: str, questions: int, answerable: int, documents: int
) -> None:
    found = read(data / "qa" / file)
    assert (found.form, len(found.questions), found.texts_count) == (form, questions, documents)
    assert sum(q.answerable for q in found.questions) == answerable
    assert found.texts is not None
    texts = {t.path: t.text for t in found.texts()}
    for question in found.questions:
        for span in question.spans:
            assert texts[span.path][span.start : span.end] == span.quote


# -- in a collection


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[llar.Collection]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "files"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    (folder / "a" / "leave.txt").write_text("Staff have 27 days of leave.\n\nStaff may\nask.")
    (folder / "a" / "fire.txt").write_text("The alarm is tested on Mondays.")
    (folder / "b" / "fire.txt").write_text("Drills are on Fridays.")
    config = load({"home": home, "embedder": "fake:hash"}, env={})
    with llar.Collection("c", config=config) as found:
        found.add(folder)
        yield found


def test_spans_are_checked_and_found_again(docs: llar.Collection) -> None:
    ids = {f.path.rsplit("/", 2)[-2:][0] + "/" + f.path.rsplit("/", 1)[-1]: f.document_id
           for f in docs.index.files()}  # fmt: skip
    leave = ids["a/leave.txt"]

    def spans(*of: Span) -> Question:
        return Question(str(len(of)) + of[0].path + of[0].quote, "?", spans=of)

    good = spans(Span("leave.txt", 11, 18, "27 days"))
    moved = spans(Span("a/leave.txt", 0, 8, "days of "), Span("leave.txt", 1, 6, "Staff"))
    wrapped = spans(Span("leave.txt", None, None, "Staff may ask."))
    twice = spans(Span("leave.txt", None, None, "Staff"))
    gone = spans(Span("leave.txt", 0, 7, "28 days"))
    beyond = spans(Span("leave.txt", 10, 1000))
    unknown = spans(Span("nothing.txt", 0, 1, "x"))
    several = spans(Span("fire.txt", 0, 3, "The"))
    whole = spans(Span("a/fire.txt", 0, 3, "The"))
    every = [good, moved, wrapped, twice, gone, beyond, unknown, several, whole]
    places = locate(docs.index, every)
    assert places.spans[good.id] == (Place(leave, 11, 18),)
    assert places.spans[moved.id] == (Place(leave, 14, 21), Place(leave, 0, 5))
    assert places.moved[moved.id] == [
        "'days of ' stands in 'a/leave.txt' at 14, not at 0",
        "'Staff' stands in 'leave.txt' at 0, not at 1",
    ]
    assert places.spans[wrapped.id] == (Place(leave, 30, 44),)
    assert places.spans[whole.id] == (Place(ids["a/fire.txt"], 0, 3),)
    lost = {name: of[0] for name, of in places.lost.items()}
    assert set(lost) == {q.id for q in (twice, gone, beyond, unknown, several)}
    assert lost[twice.id] == "'Staff' stands in 'leave.txt' 2 times; give its start"
    assert lost[gone.id] == "'28 days' does not stand in 'leave.txt'"
    assert lost[beyond.id] == "'leave.txt' has 44 characters, the span ends at 1000"
    assert lost[unknown.id] == "'nothing.txt' is not in collection 'c'"
    assert lost[several.id].startswith("'fire.txt' could be 2 documents, such as ")
    assert places.missing(gone) == 1
    assert places.missing(good) == 0


def test_documents_are_found_and_missing_ones_told(docs: llar.Collection) -> None:
    question = Question("1", "?", documents={"leave.txt": 2.0, "gone.txt": 1.0, "old.txt": 0.0})
    places = locate(docs.index, [question])
    assert list(places.gains["1"].values()) == [2.0]
    assert places.lost["1"] == ["'gone.txt' is not in collection 'c'"]
