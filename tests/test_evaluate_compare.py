"""`llar evaluate compare`: variants, paired differences, gates and the picture."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import command

from llar.config import Config, load
from llar.errors import ConfigError, EvaluationError, PictureError
from llar.evaluate.beir import read_beir
from llar.evaluate.clock import Clock
from llar.evaluate.compare import Comparison, Variant, compare, opened, read_gate, read_variant
from llar.evaluate.indexed import cached_names
from llar.evaluate.plot import plot
from llar.evaluate.questions import QuestionSet
from llar.evaluate.report import Report
from llar.evaluate.retrieval import evaluate_retrieval
from llar.evaluate.statistics import Interval
from llar.pictures.style import THEMES

pytestmark = pytest.mark.slow


@pytest.fixture
def config(home: Path) -> Config:
    return load({"embedder": "fake:hash", "mode": "lexical", "query": "", "post": ""})


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """20 documents of one word each in common with their query, and 20 queries."""
    folder = tmp_path / "rooms"
    (folder / "qrels").mkdir(parents=True)
    names = [f"w{chr(97 + n)}{chr(97 + n)}x" for n in range(20)]
    rows = [{"_id": n, "title": "", "text": f"The room {n} is on floor {n}."} for n in names]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = [{"_id": f"q-{n}", "text": f"Where is {n}?"} for n in names]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    (folder / "qrels" / "test.tsv").write_text("\n".join(f"q-{n}\t{n}\t1" for n in names))
    return folder


def _compared(
    config: Config, rooms: Path, *variants: dict[str, Any], measures: tuple[str, ...] = ()
) -> Comparison:
    found = read_beir(rooms)

    def measure(variant: Variant) -> Report:
        with opened(config, variant.settings, found, None, Clock()) as docs:
            return evaluate_retrieval(docs, found)

    named = [Variant(f"v{n}", settings) for n, settings in enumerate(variants)]
    return compare(named, measure, measures)


def test_variants_are_paired_with_the_first(config: Config, rooms: Path) -> None:
    result = _compared(
        config, rooms, {}, {"mode": "dense", "embedder": "fake:hash-2"}, {"mode": "lexical"}
    )
    assert result.measures == ["ndcg@10", "hit@10", "recall@10", "mrr@10"]
    first, dense, same = (r.measures["ndcg@10"].mean for r in result.reports)
    assert first == same == 1.0
    assert dense < 0.9
    assert result.differences[1]["ndcg@10"].mean == pytest.approx(dense - first)
    assert result.differences[1]["ndcg@10"].high < 0
    assert result.differences[2]["ndcg@10"].mean == 0
    assert result.p[2]["ndcg@10"] == 1.0
    assert result.p[1]["ndcg@10"] == pytest.approx(2 * result.differences[1]["ndcg@10"].p)  # Holm
    worst = result.moved[1][0]
    assert worst.before == 1.0
    assert worst.after == min(r.measures["ndcg@10"] for r in result.reports[1].results)
    assert result.moved[2] == []
    found = result.as_json()
    assert found["variants"][1]["changed"]["mode"] == "dense"
    assert found["variants"][1]["questions_that_differ"][0]["id"] == worst.id
    assert json.dumps(found)


def test_another_chunker_or_embedder_is_a_collection_of_its_own(
    config: Config, rooms: Path
) -> None:
    other = ({"chunk_tokens": 16}, {"embedder": "fake:hash-32"})
    _compared(config, rooms, {}, *other, {"mode": "dense"})
    assert len(cached_names(config)) == 3


def test_of_a_named_collection(config: Config, rooms: Path, tmp_path: Path) -> None:
    import llar

    file = tmp_path / "a.txt"
    file.write_text("Room waax is on floor 1.")
    with llar.Collection("own", config=config) as docs:
        docs.add(file)
    found = QuestionSet("s", "questions", (), "h")
    with opened(config, {"mode": "dense"}, found, "own", Clock()) as same:
        assert (same.name, same.config.mode) == ("own", "dense")
    with opened(config, {"chunk_tokens": 20}, found, "own", Clock()) as other:
        assert other.name != "own"
        assert other.index.spec.max_tokens == 20
        assert other.index.embedder.name == "fake:hash"
        assert [Path(f.path).name for f in other.index.files()] == ["a.txt"]


def test_bad_variants_are_named(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('modus = "dense"')
    with pytest.raises(ConfigError, match=r"a\.toml: modus: there is no setting 'modus'; did you"):
        read_variant(file, config)
    file.write_text("passages = 0")
    with pytest.raises(ConfigError, match=r"a\.toml: passages: must be at least 1"):
        read_variant(file, config)
    file.write_text('openai_api_key = "x"')
    with pytest.raises(ConfigError, match=r"a\.toml: 'openai_api_key' cannot be set here"):
        read_variant(file, config)
    file.write_text("mode = ")
    with pytest.raises(EvaluationError, match=r"a\.toml' is not valid TOML"):
        read_variant(file, config)
    file.write_text('mode = "dense"\nchunk_tokens = 96')
    assert read_variant(file, config) == Variant("a", {"mode": "dense", "chunk_tokens": 96})


def test_unknown_measures_and_equal_names(config: Config, rooms: Path) -> None:
    with pytest.raises(EvaluationError, match="there is no measure 'ndcg@11'; did you mean"):
        _compared(config, rooms, {}, measures=("ndcg@11",))
    with pytest.raises(EvaluationError, match="two variants are called 'v'"):
        compare([Variant("v", {}), Variant("v", {})], lambda v: pytest.fail("it was run"))


def test_gates(config: Config, rooms: Path) -> None:
    result = _compared(config, rooms, {}, {"mode": "dense", "embedder": "fake:hash-2"})
    fell = 1 - result.reports[1].measures["ndcg@10"].mean
    assert read_gate("ndcg@10=0.99", drop=False).broken(result)[0].startswith("v1: ndcg@10 is 0.")
    assert read_gate("ndcg@10=0.01", drop=False).broken(result) == []
    assert read_gate(f"ndcg@10={fell + 0.01}", drop=True).broken(result) == []
    assert "fell by" in read_gate(f"ndcg@10={fell - 0.01}", drop=True).broken(result)[0]
    with pytest.raises(EvaluationError, match="expected MEASURE=VALUE"):
        read_gate("ndcg@10", drop=False)


def test_the_picture(tmp_path: Path) -> None:
    from PIL import Image

    found = [{"f1": Interval(0.5, 0.4, 0.6)}, {"f1": Interval(0.7, 0.65, 0.75)}]
    file = tmp_path / "p.png"
    plot(file, ["one", "two"], ["f1"], found)
    with Image.open(file) as picture:
        picture.load()
        assert picture.format == "PNG"
        shades = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    colours = THEMES["light"]
    for colour in (colours.muted, colours.series_colour(0)):  # of the first variant, of others
        wanted = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
        assert int((shades == wanted).all(axis=1).sum()) > 100
    dark = tmp_path / "dark.png"
    plot(dark, ["one", "two"], ["f1"], found, "dark")
    with Image.open(dark) as picture:
        assert picture.convert("RGB").getpixel((3, 3)) == (0x12, 0x16, 0x1C)
    with pytest.raises(PictureError, match=r"ends in \.png"):
        plot(tmp_path / "p.jpeg", ["one"], ["f1"], found[:1])


@pytest.mark.slow
def test_the_command(home: Path, rooms: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('mode = "lexical"')
    bad.write_text('mode = "dense"\nembedder = "fake:hash-2"')

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        given = ["--set", "embedder=fake:hash", "--set", "query=", "--set", "post="]
        files = (str(good), str(bad), "--data", str(rooms))
        return command("--home", str(home), *given, "evaluate", "compare", *files, *more)

    picture = tmp_path / "p.png"
    done = run("--differences", "2", "--plot", str(picture), "--fail-drop", "ndcg@10=0.05")
    assert done.returncode == 4, done.stderr
    assert "failed: bad: ndcg@10 fell by" in done.stderr
    assert "against good" in done.stdout
    assert done.stdout.count(" -> ") == 2
    assert picture.stat().st_size > 1000
    kept = run("--json", "--measure", "mrr@10", "--fail-below", "mrr@10=0.0")
    assert kept.returncode == 0
    found = json.loads(kept.stdout)
    assert (found["measures"], found["failed"]) == (["mrr@10"], [])
    assert found["variants"][1]["run"]["reused"] == 0
    bad.write_text("moed = 1")
    assert "there is no setting 'moed'" in run().stderr
