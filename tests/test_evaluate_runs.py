"""Runs on disk: kept, gone on with after a kill, taken over, compared and deleted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llar.config import Config, load
from llar.errors import EvaluationError
from llar.evaluate.diff import diff
from llar.evaluate.runs import Plan, Result, begin, delete, find, known, runs

pytestmark = pytest.mark.slow


@pytest.fixture
def config(home: Path) -> Config:
    return load({"embedder": "fake:hash", "chat_model": "fake:quote"})


def _plan(source: str = "s", measured: str = "m") -> Plan:
    return Plan("retrieval", {"of": source}, {"of": measured})


def _result(name: str, value: float = 1.0) -> Result:
    return Result(name, f"{name}?", f"key {name}", {"hits": [["d", 1]]}, {"f1": value}, 0.5, (3, 4))


def test_a_run_is_gone_on_with_and_then_found_finished(config: Config) -> None:
    with begin(config, _plan(), flags=["k=1"], seed=7) as run:
        run.add(_result("a"))
        run.add(_result("b"))
    record = json.loads((run.folder / "run.json").read_text())
    assert record["finished"] is None
    assert (record["flags"], record["seed"], record["settings"]["embedder"]) == (
        ["k=1"],
        7,
        "fake:hash",
    )
    assert {"llar", "python", "numpy"} <= set(record["versions"])
    assert record["machine"]["cores"] >= 1
    with begin(config, _plan()) as again:
        assert again.id == run.id
        assert (again.resumed, again.finished) == (2, False)
        assert again.results["a"] == _result("a")
        again.add(_result("c"))
        again.finish(measures={"f1": [1, 1, 1]})
    with begin(config, _plan()) as third:
        assert third.found_finished
        assert list(third.results) == ["a", "b", "c"]
        assert third.record["measures"] == {"f1": [1, 1, 1]}


def test_another_plan_or_fresh_makes_another_run(config: Config) -> None:
    with begin(config, _plan()) as a, begin(config, _plan("other")) as b:
        assert a.id != b.id
    with begin(config, _plan(), fresh=True) as c:
        assert c.id != a.id
    assert {r.id for r in runs(config)} == {a.id, b.id, c.id}


def test_a_half_written_line_is_cut_off(config: Config) -> None:
    with begin(config, _plan()) as run:
        run.add(_result("a"))
    file = run.folder / "results.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    with begin(config, _plan()) as again:
        assert list(again.results) == ["a"]
        again.add(_result("b"))
    assert [json.loads(x)["id"] for x in file.read_text().splitlines()] == ["a", "b"]


def test_a_result_replaces_an_earlier_one_of_its_question(config: Config) -> None:
    with begin(config, _plan()) as run:
        run.add(_result("a", 0.0))
        run.add(_result("a", 1.0))
    assert find(config, run.id).results["a"].measures == {"f1": 1.0}


def test_outputs_are_taken_over_where_only_the_judging_differs(config: Config) -> None:
    with begin(config, _plan(measured="old")) as old:
        old.add(_result("a"))
    with begin(config, _plan(measured="new")) as new:
        assert list(known(new)) == ["key a"]
        assert new.results == {}
    with begin(config, _plan("other", "new")) as other:
        assert known(other) == {}


def test_names(config: Config) -> None:
    with begin(config, _plan(), name="mine") as run:
        assert run.id == "mine"
    with begin(config, _plan(), name="mine") as again:
        assert again.resumed == 0
    with pytest.raises(EvaluationError, match="there is another run called 'mine'") as caught:
        begin(config, _plan("other"), name="mine")
    assert caught.value.fix is not None
    assert "llar evaluate runs delete mine" in caught.value.fix
    with pytest.raises(EvaluationError, match="cannot name a run"):
        begin(config, _plan("third"), name="../up")


def test_one_process_makes_a_run(config: Config) -> None:
    with begin(config, _plan()), pytest.raises(EvaluationError, match="another process is making"):
        begin(config, _plan())
    begin(config, _plan()).close()


def test_find_and_delete(config: Config) -> None:
    with begin(config, _plan(), name="one-a") as a, begin(config, _plan("b"), name="one-b"):
        a.add(_result("q"))
    assert find(config, "one-a").results["q"].tokens == (3, 4)
    with pytest.raises(EvaluationError, match="several runs begin with 'one'"):
        find(config, "one")
    with pytest.raises(EvaluationError, match="no run begins with 'two'"):
        find(config, "two")
    assert delete(config, "one-b") == "one-b"
    assert [r.id for r in runs(config)] == ["one-a"]


def test_damage_is_told(config: Config) -> None:
    with begin(config, _plan(), name="bad") as run:
        run.add(_result("q"))
    (run.folder / "results.jsonl").write_text('{"id": "q"}\n')
    with pytest.raises(EvaluationError, match=r"line 1 of results\.jsonl cannot be read"):
        find(config, "bad")
    (run.folder / "run.json").write_text("{")
    with pytest.raises(EvaluationError, match=r"run 'bad' is damaged: run\.json") as caught:
        runs(config)
    assert caught.value.fix == f"rm -r {run.folder}"


def test_diff_tells_settings_figures_and_questions(config: Config) -> None:
    with begin(config, _plan("x"), name="a") as a:
        for name, value in (("p", 0.0), ("q", 0.5), ("r", 1.0)):
            a.add(_result(name, value))
    other = load({"embedder": "fake:hash", "chat_model": "fake:quote", "mode": "lexical"})
    with begin(other, _plan("y"), name="b") as b:
        for name, value in (("p", 1.0), ("q", 0.5), ("s", 0.0)):
            b.add(_result(name, value))
    found = diff(find(config, "a"), find(config, "b"))
    assert ("settings.mode", "hybrid", "lexical") in found.made
    assert ("source.of", "x", "y") in found.made
    assert found.questions == 2
    assert found.differences["f1"].mean == 0.5  # p rose by 1, q stayed
    assert [(m.id, m.before, m.after) for m in found.moved] == [("p", 0.0, 1.0)]


KILLED = """
import os, signal, sys
from pathlib import Path
import llar
from llar.evaluate import about, indexed, questions, retrieval

def measure(kill_at):
    found = questions.read(Path(sys.argv[1]))
    def told(done, total):
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    with indexed.of_texts(llar.load_config({"embedder": "fake:hash"}), found) as docs:
        report = retrieval.evaluate_retrieval(docs, found, told=told)
        print(report.run.resumed, len(report.results), report.run.id, flush=True)

about.code()  # the same for all, should somebody be working on it
for kill_at in (5, 0, 0):
    child = os.fork()
    if not child:
        measure(kill_at)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_killed_run_is_gone_on_with(home: Path, tmp_path: Path) -> None:
    paragraphs: list[Any] = []
    for n in range(8):
        context = f"The number of room{n} is {n}{n}."
        answer = {"text": f"{n}{n}", "answer_start": context.index(f" {n}{n}") + 1}
        qa = {"id": str(n), "question": f"What number has room{n}?", "answers": [answer]}
        paragraphs.append({"context": context, "qas": [qa]})
    file = tmp_path / "squad.json"
    file.write_text(json.dumps({"version": "1.1", "data": [{"paragraphs": paragraphs}]}))

    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(file)], capture_output=True, text=True, check=False
    )
    [folder] = (home / "runs").iterdir()
    killed, finished = str(-signal.SIGKILL), "0"
    wanted = [killed, f"5 8 {folder.name}", finished, f"8 8 {folder.name}", finished]
    assert done.stdout.splitlines() == wanted, done.stderr
    ids = [json.loads(x)["id"] for x in (folder / "results.jsonl").read_text().splitlines()]
    assert ids == [str(n) for n in range(8)]
