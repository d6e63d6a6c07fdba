"""Token recall, precision and IoU of chunkers: worked by hand, and against sets of characters."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import llar
from llar import load_config
from llar.chunks import parse_spec, split
from llar.cli import cli
from llar.errors import ConfigError, EvaluationError
from llar.evaluate.chunking import Asked, Pool, evaluate_chunking, measure, read_of, read_set
from llar.models.fake import FakeEmbedder
from llar.records import Chunk, Hit, Source

pytestmark = pytest.mark.slow

TEXT = (
    "# Leave\n\nStaff have 27 days of annual leave. It is asked for in writing.\n\n"
    "# Fire\n\nThe alarm is tested on Mondays. Wardens wear yellow vests.\n"
)
OTHER = "Candles are made of wax. A wick burns down slowly.\n"


def span(text: str, said: str) -> dict[str, Any]:
    start = text.index(said)
    return {"content": said, "start_index": start, "end_index": start + len(said)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set"
    made.mkdir()
    (made / "rules.md").write_text(TEXT)
    (made / "wax.md").write_text(OTHER)
    write(
        made,
        [
            ("How many days of annual leave?", [span(TEXT, "Staff have 27 days")], "rules"),
            ("When is the alarm tested?", [span(TEXT, "The alarm is tested on Mondays.")], "rules"),
            ("What are candles made of?", [span(OTHER, "Candles are made of wax.")], "wax"),
        ],
    )
    return made


def write(folder: Path, rows: list[tuple[str, Any, str]]) -> None:
    with (folder / "questions.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["question", "references", "corpus_id"])
        for question, references, corpus in rows:
            said = references if isinstance(references, str) else json.dumps(references)
            out.writerow([question, said, corpus])


@pytest.fixture
def config(home: Path) -> llar.Config:
    return load_config({"embedder": "fake:hash", "chunk_tokens": 16})


# -- the measures --------------------------------------------------------------------------------


def test_measures_by_hand() -> None:
    """20 characters wanted. Read: 10-30 and 25-45 of the same text (5 twice), 0-10 of another."""
    asked = Asked("?", "a", ((0, 10), (20, 30)))
    found = measure(asked, {"a": [(10, 30), (25, 45)], "b": [(0, 10)]})
    assert found == {
        "recall": 10 / 20,  # 20-30
        "precision": 10 / 50,
        "iou": 10 / (50 + 20 - 10),
    }
    assert measure(asked, {}) == {"recall": 0, "precision": 0, "iou": 0}
    exact = measure(asked, {"a": [(0, 10), (20, 30)]})
    assert exact == {"recall": 1, "precision": 1, "iou": 1}


def test_measures_are_those_of_sets_of_characters() -> None:
    rng = random.Random(3)
    for _ in range(300):
        cuts = sorted(rng.sample(range(100), 4))
        asked = Asked("?", "a", ((cuts[0], cuts[1]), (cuts[2], cuts[3])))
        spans = [(s, s + rng.randrange(1, 30)) for s in rng.choices(range(90), k=4)]
        found = measure(asked, {"a": spans[:3], "b": spans[3:]})
        wanted = {n for a, b in asked.spans for n in range(a, b)}
        read = [n for a, b in spans[:3] for n in range(a, b)]
        total = len(read) + spans[3][1] - spans[3][0]
        got = len(wanted & set(read))
        assert found["recall"] == pytest.approx(got / len(wanted))
        assert found["precision"] == pytest.approx(got / total)
        assert found["iou"] == pytest.approx(got / (total + len(wanted) - got))


def test_precision_omega_by_hand() -> None:
    chunks = [
        Chunk("x" * 10, 0, 10),
        Chunk("x" * 20, 10, 30),
        Chunk("x" * 30, 30, 60, parts=((30, 40), (50, 60))),
        Chunk("x" * 10, 40, 50),
    ]
    assert Pool(chunks).precision([(5, 15)]) == 10 / 30
    assert Pool(chunks).precision([(50, 55)]) == 5 / 20  # both parts are read
    assert Pool(chunks).precision([(42, 44), (58, 60)]) == 4 / 30
    window = [Chunk("x" * 10, 0, 10, context=(0, 40)), Chunk("x" * 10, 10, 20, context=(0, 40))]
    assert Pool(window).precision([(5, 15)]) == 10 / 40  # one parent, read once


def hit(start: int, end: int, **more: Any) -> Hit:
    chunk = Chunk("x" * (end - start), start, end, parts=more.pop("parts", ()))
    return Hit(Source(1, "/a.md"), chunk, 1, 1.0, **more)


def test_what_is_read_of_hits() -> None:
    hits = [hit(0, 10), hit(50, 80, parts=((50, 60), (70, 80))), hit(90, 99, kept=((92, 95),))]
    names = {"/a.md": "a"}
    assert read_of(hits, names, 2, 0) == {"a": [(0, 10), (50, 60), (70, 80)]}
    assert read_of(hits, names, 9, 0) == {"a": [(0, 10), (50, 60), (70, 80), (92, 95)]}
    assert read_of(hits, names, 1, 25) == {"a": [(0, 10), (50, 60), (70, 75)]}
    assert read_of(hits, names, 1, 999)["a"][-1] == (92, 95)


# -- a run ---------------------------------------------------------------------------------------


def test_a_run_by_hand(folder: Path, config: llar.Config) -> None:
    """With 16 tokens, each section and the other text are a chunk; one passage is read."""
    found = read_set(folder, config)
    [result] = evaluate_chunking(found, config, ["structure"], k=1)
    chunks = [
        c for doc in found.documents.values()
        for c in split(doc, parse_spec("structure", 16), FakeEmbedder())
    ]  # fmt: skip
    by_text = {next(k for k in ("27 days", "alarm", "wax") if k in c.text): c for c in chunks}
    assert (result.chunks, len(chunks)) == (len(by_text), 3)
    lengths = [len(by_text[k].text) for k in ("27 days", "alarm", "wax")]
    wanted = [len("Staff have 27 days"), len("The alarm is tested on Mondays."), 24]
    assert result.values["recall"] == [1, 1, 1]
    assert result.values["precision"] == [w / n for w, n in zip(wanted, lengths, strict=True)]
    assert result.values["iou"] == result.values["precision"] == result.values["precision_omega"]
    assert result.measures["recall"].mean == 1
    assert result.tokens == sum(FakeEmbedder().count_tokens(c.content) for c in chunks) / 3


def test_the_table_and_the_json(folder: Path, home: Path) -> None:
    args = ["--set", "embedder=fake:hash", "evaluate", "chunking", "--data", str(folder)]
    args += ["--chunker", "structure", "--chunker", "sentence-window:window=1", "--size", "16"]
    done = CliRunner().invoke(cli, [*args, "--size", "32", "-k", "1"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "3 questions, 1 passages read for each"
    assert [line.split()[:2] for line in lines[2:]] == [
        ["structure", "16"], ["structure", "32"],
        ["sentence-window:window=1", "16"], ["sentence-window:window=1", "32"],
    ]  # fmt: skip
    done = CliRunner().invoke(cli, [*args, "--budget", "60", "--json", "--quiet"])
    report = json.loads(done.stdout)
    assert (report["questions"], report["k"], report["budget"]) == (3, None, 60)
    first, second = report["chunkers"]
    for row in (first, second):
        assert row["intervals"]["iou"][0] <= row["iou"] <= row["intervals"]["iou"][1]
        assert 0 < row["precision"] <= 1
    assert first["against_first"] == {}
    difference = second["against_first"]["recall"]["mean"]
    assert difference == pytest.approx(second["recall"] - first["recall"])
    assert second["parameters"] == {"name": "sentence-window", "max_tokens": 16, "window": 1}
    assert list((home / "collections").glob("*")) == []  # nothing is left behind


def test_a_chunker_that_cannot_be(folder: Path, config: llar.Config) -> None:
    found = read_set(folder, config)
    with pytest.raises(ConfigError, match="no chunker 'axe'"):
        evaluate_chunking(found, config, ["axe"])
    with pytest.raises(ConfigError, match="vector for each token"):
        evaluate_chunking(found, config)  # every chunker, late too


# -- bad input -----------------------------------------------------------------------------------

GOOD = '[{"start_index": 0, "end_index": 7}]'


@pytest.mark.parametrize(
    ("references", "corpus", "said"),
    [
        (GOOD, "none", r"csv:3: there is no text 'none.md' \(there are: rules, wax\)"),
        ("[{", "wax", r"csv:3: references is not valid JSON"),
        ("[]", "wax", r"csv:3: references must be a list of at least one"),
        ("[3]", "wax", r"csv:3: reference 1: expected an object, got 3"),
        ('[{"start_index": 1}]', "wax", r"csv:3: reference 1: start_index and end_index must be"),
        ('[{"start_index": true, "end_index": 7}]', "wax", "must be whole numbers"),
        ('[{"start_index": 9, "end_index": 7}]', "wax", r"reference 1: 9 to 7 is no span of 51"),
        ('[{"start_index": 0, "end_index": 52}]', "wax", r"0 to 52 is no span"),
        (GOOD[:-2] + ', "content": "Other"}]', "wax", r"stands 'Candles', not its content"),
    ],
)
def test_bad_rows_are_named(
    references: str, corpus: str, said: str, folder: Path, config: llar.Config
) -> None:
    write(folder, [("Good?", GOOD, "wax"), ("Bad?", references, corpus)])
    with pytest.raises(EvaluationError, match=said):
        read_set(folder, config)


def test_every_bad_row_is_named_by_its_first_line(folder: Path, config: llar.Config) -> None:
    write(folder, [("Two\nlines?", GOOD, "wax"), (" ", GOOD, "wax"), ("x", GOOD, "gone")])
    with pytest.raises(EvaluationError) as caught:
        read_set(folder, config)
    assert "2 problems" in caught.value.message
    assert "questions.csv:4: the question is empty" in caught.value.message
    assert "questions.csv:5: there is no text 'gone.md'" in caught.value.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"question,corpus_id\n", r"csv:1: has no column 'references'"),
        (b"", r"csv:1: has no column.*got nothing"),
        (b"question,references,corpus_id\n", "holds no question"),
        (b"question,references,corpus_id\na,b\n", r"csv:2: expected 3 fields"),
        (b"question,references,corpus_id\na,b,c,d\n", r"csv:2: expected 3 fields"),
        (b'question,references,corpus_id\n"a"b,c,d\n', "is not valid CSV"),
        (b"question,references,corpus_id\n\xff,c,d\n", r"csv:2: is not UTF-8"),
    ],
)
def test_bad_files(content: bytes, said: str, folder: Path, config: llar.Config) -> None:
    (folder / "questions.csv").write_bytes(content)
    with pytest.raises(EvaluationError, match=said):
        read_set(folder, config)


def test_no_folder(tmp_path: Path, config: llar.Config) -> None:
    with pytest.raises(EvaluationError, match="expected a folder with") as caught:
        read_set(tmp_path / "none", config)
    assert caught.value.fix == "llar evaluate chunking --data DIR"


def test_offsets_hold_where_markdown_is_written_anew(folder: Path, config: llar.Config) -> None:
    text = "<table><tr><td>a</td></tr></table>\n\nWax melts at 60 degrees.\n"
    (folder / "wax.md").write_text(text)
    write(folder, [("When does wax melt?", [span(text, "60 degrees")], "wax")])
    found = read_set(folder, config)
    assert found.documents["wax"].text == text
    assert "wax.md was read as plain text" in found.notes[0]


@pytest.mark.data
@pytest.mark.slow
def test_the_real_set(data: Path, installed: Path) -> None:
    """All 317 questions are read; on those about one text, passages by structure bring back more
    than windows of words, as `bench chunking` measures on all of them (bench/RESULTS.md)."""
    config = load_config()
    found = read_set(data / "chunking", config)
    assert len(found.questions) == 317
    assert found.notes == ()
    name = "wikitexts"
    of_one = tuple(q for q in found.questions if q.corpus == name)
    assert len(of_one) == 144
    one = replace(found, documents={name: found.documents[name]}, questions=of_one)
    structure, words = evaluate_chunking(one, config, ["structure", "word"])
    assert structure.measures["recall"].mean > 0.85
    assert words.against_first["recall"].high < 0
