"""`llar evaluate tune`: parts that share nothing, a search in time, and honest advice."""

from __future__ import annotations

import json
import random
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from commands import command

from llar.config import Config, load
from llar.errors import ConfigError, EvaluationError
from llar.evaluate.beir import read_beir
from llar.evaluate.clock import Clock
from llar.evaluate.compare import opened
from llar.evaluate.questions import Question, QuestionSet, Span
from llar.evaluate.report import Report
from llar.evaluate.retrieval import evaluate_retrieval
from llar.evaluate.split import part, split
from llar.evaluate.tune import OPTIONS, read_options, toml_lines, tune

pytestmark = pytest.mark.slow


@pytest.fixture
def config(home: Path) -> Config:
    return load({"embedder": "fake:hash-2", "mode": "dense", "query": "", "post": ""})


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """60 documents; words find each by its query, the fake vectors of 2 numbers seldom do."""
    folder = tmp_path / "rooms"
    (folder / "qrels").mkdir(parents=True)
    names = ["x" + "".join(random.Random(n).choices("abcdefgh", k=6)) for n in range(60)]
    rows = [{"_id": n, "text": f"The room {n} is up the stairs of {n}."} for n in names]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = [{"_id": f"q-{n}", "text": f"Where is {n}?"} for n in names]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    (folder / "qrels" / "test.tsv").write_text("\n".join(f"q-{n}\t{n}\t1" for n in names))
    return folder


# -- parts


def test_questions_of_one_document_stay_together() -> None:
    questions = [
        Question(f"{d}-{n}", "?", spans=(Span(f"doc{d}", 0, 1),))
        for d in range(10)
        for n in range(4)
    ]
    parts = split(questions, seed=3)
    assert sorted(parts.train + parts.held_out) == sorted(q.id for q in questions)
    assert parts.shared == 0
    assert len(parts.held_out) == 20
    sides = [{i.split("-")[0] for i in ids} for ids in (parts.train, parts.held_out)]
    assert not sides[0] & sides[1]
    assert split(questions, seed=3) == parts
    assert split(questions, seed=4) != parts
    assert len(split(questions, held_out=0.2).held_out) == 8


def test_documents_shared_through_others_join() -> None:
    questions = [Question(str(n), "?", documents={f"d{n}": 1, f"d{n + 1}": 1}) for n in range(4)]
    questions += [Question(f"o{n}", "?", documents={f"o{n}": 1, "d0": 0}) for n in range(6)]
    parts = split(questions)
    together = {"0", "1", "2", "3"}
    assert together <= set(parts.train) or together <= set(parts.held_out)
    assert parts.shared == 0


def test_where_all_hangs_together_it_is_said() -> None:
    questions = [Question(str(n), "?", documents={"all": 1, f"d{n}": 1}) for n in range(10)]
    parts = split(questions)
    assert (len(parts.train), len(parts.held_out), parts.shared) == (5, 5, 1)


def test_too_few_questions() -> None:
    with pytest.raises(EvaluationError, match="3 questions cannot be parted"):
        split([Question(str(n), "?") for n in range(3)])


# -- the search


class _Measure:
    """Measures a set as the command does, and remembers what was asked with what."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.asked: list[tuple[dict[str, Any], set[str]]] = []

    def __call__(self, settings: dict[str, Any], asked: QuestionSet) -> Report:
        self.asked.append((settings, {q.id for q in asked.questions}))
        with opened(self.config, settings, asked, None, Clock()) as docs:
            return evaluate_retrieval(docs, asked)


def test_a_better_setting_is_found_and_confirmed(config: Config, rooms: Path) -> None:
    found, measure = read_beir(rooms), _Measure(config)
    options = {"mode": ("dense", "lexical"), "chunk_tokens": (160, 64)}
    result = tune(config, found, measure, options=options, minutes=5)
    assert result.chosen == {"mode": "lexical"}
    assert result.settings == {"mode": "lexical"}
    assert result.after is not None
    assert result.before is not None
    assert result.after.mean == 1.0
    assert result.before.mean < 0.9
    assert result.difference is not None
    assert result.difference.low > 0
    held = set(result.parts.held_out)
    tried = [(s, ids) for s, ids in measure.asked[1:-2] if s]
    assert tried
    assert all(not ids & held for _, ids in tried)  # nothing was chosen by what is held out
    assert [ids for _, ids in measure.asked[-2:]] == [held, held]
    assert json.dumps(result.as_json())
    assert {(t.setting, t.value) for t in result.tried if not t.kept} >= {("chunk_tokens", 64)}


def test_what_makes_no_difference_changes_nothing(config: Config, rooms: Path) -> None:
    options = {"dense_weight": (0.0, 5.0), "passages": (4, 2), "post": ("", "nonsense")}
    result = tune(config, read_beir(rooms), _Measure(config), options=options, minutes=5)
    assert result.chosen == {}
    assert result.settings == {}
    assert result.difference is not None
    assert result.difference.mean == 0
    assert "there is no step 'nonsense'" in result.left["post = 'nonsense'"]
    assert not any(t.setting == "dense_weight" for t in result.tried)  # nothing beside dense


def test_a_gain_within_noise_is_not_recommended(config: Config, rooms: Path) -> None:
    found = read_beir(rooms)
    few = part(found, [q.id for q in found.questions[:6]])
    result = tune(config, few, _Measure(config), options={"mode": ("lexical",)}, minutes=5)
    assert result.difference is not None
    assert result.settings == (result.chosen if result.difference.low > 0 else {})


def test_the_time_is_kept(config: Config, rooms: Path) -> None:
    start = time.monotonic()
    result = tune(config, read_beir(rooms), _Measure(config), minutes=0.001)
    assert time.monotonic() - start < 20
    assert result.left["mode = 'lexical'"] == "the time was spent"
    assert result.chosen == {}


def test_the_same_again_is_quick_and_equal(config: Config, rooms: Path) -> None:
    found, options = read_beir(rooms), {"mode": ("dense", "lexical")}
    first = tune(config, found, _Measure(config), options=options, minutes=5)
    clock = Clock()

    def measure(settings: dict[str, Any], asked: QuestionSet) -> Report:
        with opened(config, settings, asked, None, Clock()) as docs:
            return evaluate_retrieval(docs, asked, clock=clock)

    again = tune(config, found, measure, options=options, minutes=5)
    assert clock.work_seconds == 0
    assert (again.chosen, again.tried, again.difference) == (
        first.chosen,
        first.tried,
        first.difference,
    )


def test_options_are_checked(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "o.toml"
    file.write_text('mode = ["dense", "lexical"]\nchunk_tokens = [96]')
    assert read_options(file, config) == {"mode": ("dense", "lexical"), "chunk_tokens": (96,)}
    file.write_text('mode = "dense"')
    with pytest.raises(EvaluationError, match="mode: expected a list of values, got 'dense'"):
        read_options(file, config)
    file.write_text('chunk_tokens = ["many"]')
    with pytest.raises(ConfigError, match=r"o\.toml: chunk_tokens: expected int"):
        read_options(file, config)


def test_every_option_is_a_setting_and_has_its_default(home: Path) -> None:
    config = load()
    for name, values in OPTIONS.items():
        assert getattr(config, name) in values
        assert len(set(values)) == len(values)


def test_the_lines_to_adopt_are_toml() -> None:
    settings = {"mode": "dense", "chunk_tokens": 96, "dense_weight": 0.4, "query": 'say "a\\b"'}
    assert tomllib.loads("\n".join(toml_lines(settings))) == settings


@pytest.mark.slow
def test_the_command(home: Path, rooms: Path, tmp_path: Path) -> None:
    options = tmp_path / "o.toml"
    options.write_text('mode = ["dense", "lexical"]')
    given = ["embedder=fake:hash-2", "mode=dense", "query=", "post="]
    call = ["--home", str(home), *(x for s in given for x in ("--set", s))]
    call += ["evaluate", "tune", "--data", str(rooms), "--options", str(options)]
    done = command(*call)
    assert done.returncode == 0, done.stderr
    assert 'Put into llar.toml:\n\nmode = "lexical"' in done.stdout
    assert "ndcg@10 of 30 held out" in done.stdout
    assert not (home / "runs").exists()  # its runs are none of the user's
    done = command(*call, "--json")
    assert json.loads(done.stdout)["adopt"] == {"mode": "lexical"}
