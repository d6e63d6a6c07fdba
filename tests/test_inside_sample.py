"""Decoding with a table worked out by hand, the real model, and a server that tells little."""

from __future__ import annotations

import ctypes
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import STORE
from openai_server import Failure, Handler, OpenAIServer
from table_model import TableModel, formula

from llar.cli import cli
from llar.cli.inside.sample import OPTIONS
from llar.config import Config, load
from llar.errors import (
    ContextTooLong,
    EngineError,
    InsideError,
    PictureError,
    UnknownModel,
)
from llar.inside import decoding
from llar.inside.generation import (
    Distribution,
    Model,
    exactly,
    next_tokens,
    open_model,
    shown,
    take,
    tips,
)
from llar.inside.methods import DEFAULT, METHODS, Continuation, Options
from llar.inside.sample import sample
from llar.models.llama_steps import LlamaSteps
from llar.models.llamacpp import LlamaChat, model_file
from llar.models.vocabulary import vocabulary

PROMPT = "The history of the city of Barcelona begins with"
NAME = "llamacpp:smollm2-135m-instruct"


def by_method(found: list[Continuation]) -> Mapping[str, Continuation]:
    return {each.method: each for each in found}


# --- a table: what comes next depends on the last letter

HALF = math.log(0.5)


def simple() -> TableModel:
    """After b: c .5, d .3, e .2; after c: b; after d and e: the end. 12 letters."""
    rows = np.full((12, 12), -np.inf)
    rows[1, 2:5] = np.log([0.5, 0.3, 0.2])
    rows[2, 1] = rows[3, 0] = rows[4, 0] = 0.0
    rows[[0, *range(5, 12)], 0] = 0.0
    return TableModel(rows.tolist())


def test_greedy_and_its_steps() -> None:
    (found,) = sample(simple(), "b", ["greedy"], tokens=3)
    assert (found.text, found.ids, found.finish) == ("cbc", (2, 1, 2), "length")
    assert found.logprob == pytest.approx(2 * HALF)
    first = found.steps[0]
    assert [(c.text, c.kept, c.chosen) for c in first.candidates] == [
        ("c", True, True), ("d", False, False), ("e", False, False),
    ]  # fmt: skip
    assert [c.before for c in first.candidates] == pytest.approx([0.5, 0.3, 0.2])
    assert [c.after for c in first.candidates] == [1, 0, 0]
    assert (first.kept, first.of, first.chance) == (1, 3, None)
    assert first.entropy == pytest.approx(0.5 + 0.3 * math.log2(1 / 0.3) + 0.2 * math.log2(5))


def test_an_ending_is_not_part_of_the_text() -> None:
    (found,) = sample(simple(), "d", ["greedy"], tokens=5)
    assert (found.text, found.ids, found.finish) == ("", (0,), "stop")


def test_beam_search_sees_further_than_greedy() -> None:
    # cbc is .5 x 1 x .5 = .25, d with its end .3 x 1 = .3.
    greedy, beam = sample(
        simple(), "b", ["greedy", "beam"], tokens=3, given={"beams": 2, "length_penalty": 0}
    )
    assert greedy.ids == (2, 1, 2)
    assert beam.ids == (3, 0)
    assert beam.finish == "stop"
    assert beam.logprob == pytest.approx(math.log(0.3))
    assert [c.beam for c in beam.steps[1].candidates] == [0, 1]
    assert [c.chosen for c in beam.steps[1].candidates] == [False, True]
    assert beam.steps[0].candidates[2].kept is False  # e: the third of two


def test_a_beam_that_may_not_repeat() -> None:
    given = {"no_repeat_ngram": 1, "beams": 2}
    (found,) = sample(simple(), "bc", ["beam-no-repeat"], tokens=3, given=given)
    assert found.finish == "refused"
    assert "every token would repeat an n-gram" in found.refused


def test_contrastive_avoids_what_was_said() -> None:
    # After b all of 0..11 are likely in this order; near letters have near states.
    rows = [[-0.1 * ((j - 1) % 12) for j in range(12)] for _ in range(12)]
    model = TableModel(rows)
    given = {"alpha": 1.0, "candidates": 4}
    (found,) = sample(model, "b", ["contrastive"], tokens=1, given=given)
    step = found.steps[0]
    assert [c.id for c in step.candidates[:4]] == [1, 2, 3, 4]
    # The states of 1 and 4 are 3/11 of a right angle apart.
    assert step.candidates[3].likeness == pytest.approx(math.cos(math.pi / 2 * 3 / 11))
    assert step.candidates[3].score == pytest.approx(-math.cos(math.pi / 2 * 3 / 11))
    assert found.ids == (4,)
    assert (step.kept, step.of) == (4, 12)
    (plain,) = sample(model, "b", ["contrastive"], tokens=3, given={"alpha": 0.0})
    (greedy,) = sample(model, "b", ["greedy"], tokens=3)
    assert plain.ids == greedy.ids


def test_the_random_number_decides() -> None:
    model = simple()
    found = next_tokens(model, "b")
    drawn = [take(model, found, decoding.Settings(), chance=c).chosen.text for c in (0.1, 0.6, 0.9)]
    assert drawn == ["c", "d", "e"]
    step = take(model, found, decoding.Settings(top_k=2), chance=0.9)
    assert step.chosen.text == "d"
    assert step.chosen.after == pytest.approx(0.375)
    assert step.chance == 0.9
    likeliest = tips(model, found, 2)
    assert [t.text for t in likeliest] == ["c", "d"]
    assert [t.logprob for t in likeliest] == pytest.approx([HALF, math.log(0.3)])


def test_seeds() -> None:
    model = TableModel(formula(3))
    texts = [sample(model, "b", ["random"], tokens=20, seed=n)[0].ids for n in (0, 0, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 4


def test_side_by_side_is_as_each_alone() -> None:
    together = by_method(sample(TableModel(formula(2)), "fd", tokens=8, seed=7))
    for name in DEFAULT:
        (alone,) = sample(TableModel(formula(2)), "fd", [name], tokens=8, seed=7)
        assert alone == together[name]


def test_one_call_answers_all_methods() -> None:
    model = TableModel(formula(2))
    found = sample(model, "fd", ["greedy", "random", "beam"], tokens=4)
    assert len(found) == 3
    assert len(model.asked) == 4
    assert [len(asked) for asked in model.asked][:2] == [3, 6]  # beam: one, then four


def test_combined_takes_what_is_given() -> None:
    model = TableModel(formula(5))
    given = {"temperature": 0.5, "top_k": 3}
    (found,) = sample(model, "b", ["combined"], tokens=5, given=given)
    assert found.settings == given
    assert all(step.kept == 3 for step in found.steps)
    (plain,) = sample(model, "b", ["combined"], tokens=5)
    assert plain.settings == {}
    assert plain.ids == sample(model, "b", ["random"], tokens=5)[0].ids


@pytest.mark.parametrize(
    ("methods", "given", "why"),
    [
        (["gredy"], {}, "no method 'gredy', only .*; did you mean 'greedy'"),
        (["top-p"], {"top_p": 0.0}, "top-p 0.0: expected more than 0"),
        (["top-k"], {"top_k": 0}, "top-k 0"),
        (["temperature"], {"temperature": -1.0}, "temperature -1.0"),
        (["beam"], {"beams": 0}, "beams 0: expected 1 to 256"),
        (["beam"], {"beams": 10**6}, "beams 1000000: expected 1 to 256"),
        (["contrastive"], {"candidates": 10**6}, "candidates 1000000: expected 1 to 256"),
        (["beam"], {"length_penalty": math.inf}, "length penalty inf: expected a number"),
        (["contrastive"], {"alpha": 2.0}, "alpha 2.0"),
        (["contrastive"], {"candidates": 0}, "candidates 0"),
        (["greedy"], {"warmth": 1.0}, "no option 'warmth'"),
    ],
)
def test_what_is_refused(methods: list[str], given: dict[str, float], why: str) -> None:
    with pytest.raises(InsideError, match=why):
        sample(simple(), "b", methods, given=given)


def test_limits() -> None:
    with pytest.raises(InsideError, match="tokens 0: expected 1 or more"):
        sample(simple(), "b", tokens=0)
    with pytest.raises(InsideError, match="the prompt is empty"):
        sample(simple(), "")
    with pytest.raises(ContextTooLong, match="a prompt of 1 tokens and 50 more do not fit"):
        sample(simple(), "b", tokens=50)


def test_bytes_that_are_no_character_are_shown_as_such() -> None:
    assert shown(b"\xf0\x9f") == "\\xf0\\x9f"
    assert shown("ő".encode()) == "ő"
    assert shown(b"\\x") == "\\x"


# --- the real model


@pytest.fixture(scope="module")
def config() -> Config:
    return load({"home": STORE.parent, "threads": 1}, env={})


@pytest.fixture(scope="module")
def real(config: Config) -> Iterator[Model]:
    model = open_model(config, NAME)
    yield model
    model.close()


@pytest.mark.slow
def test_the_logits_are_those_of_the_server(real: Model, smollm: LlamaChat) -> None:
    # llama.cpp's server tells the likeliest n of one step; the library tells all of them.
    answer = smollm._llama.socket.post(
        "/v1/completions", {"prompt": PROMPT, "max_tokens": 1, "temperature": 0, "n_probs": 200}
    )
    told = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    assert len(told) == 200
    logprobs = decoding.log_softmax(next_tokens(real, PROMPT).row)
    assert len(logprobs) == 49152
    assert [t["logprob"] for t in told] == pytest.approx(
        [float(logprobs[t["id"]]) for t in told], abs=0.01
    )


@pytest.mark.slow
def test_a_second_implementation_finds_nearly_the_same(real: Model) -> None:
    # transformers 5.23 on the same file, its weights taken to float32, on CPU. llama.cpp rounds
    # what goes between the layers to 8 bits, so that the two differ in the second digit.
    top = [(260, -0.258036), (624, -2.44858), (253, -3.797725), (30010, -5.077576),
           (15144, -5.115025), (36209, -5.466222), (32689, -5.535715)]  # fmt: skip
    logprobs = decoding.log_softmax(next_tokens(real, PROMPT).row)
    for token, logprob in top:
        assert float(logprobs[token]) == pytest.approx(logprob, abs=0.2)
    state = [-1.503789, -2.061451, -1.043695, 0.850585, 1.474691, -1.380803]
    assert real.states(real.tokens(PROMPT))[-1, :6].tolist() == pytest.approx(state, abs=0.15)
    found = by_method(sample(real, PROMPT, ["greedy", "repetition-penalty"], tokens=12))
    assert found["greedy"].ids == (260, 216, 33, 34, 373, 2070, 28, 645, 260, 1065, 83, 28922)
    assert found["repetition-penalty"].ids == (
        260, 216, 33, 34, 373, 2070, 28, 645, 357, 436, 7498, 411,
    )  # fmt: skip


@pytest.mark.slow
def test_greedy_is_what_the_engine_writes(real: Model, smollm: LlamaChat) -> None:
    from llar.models.interface import Options

    (found,) = sample(real, PROMPT, ["greedy"], tokens=12)
    assert smollm.complete(PROMPT, Options(max_tokens=12)).text == found.text


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads are pinned on Linux")
def test_threads_follow_the_free_cores(config: Config) -> None:
    cores = os.sched_getaffinity(0)
    for threads, expected in ((0, 1), (3, 3)):
        steps = LlamaSteps(model_file(config, NAME.partition(":")[2]), name="x", threads=threads)
        count = steps._llama.llama_n_threads
        count.argtypes, count.restype = [ctypes.c_void_p], ctypes.c_int32
        try:
            steps.next([[1, 2]])
            # As if it had begun with more: it is chosen anew at each step.
            steps._llama.llama_set_n_threads(steps._contexts[0], 2, 2)
            os.sched_setaffinity(0, {min(cores)})
            steps.next([[1, 2, 3]])
            assert count(steps._contexts[0]) == expected
        finally:
            os.sched_setaffinity(0, cores)
            steps.close()


@pytest.mark.slow
def test_branches_do_not_matter(config: Config) -> None:
    # The same sequences, with room for all, for three and for one at a time: what is kept in
    # memory and what is computed together must not change a bit.
    file = model_file(config, "smollm2-135m-instruct")
    prompt = [504, 1463, 282, 30010]
    asked = [prompt, [*prompt, 5], [*prompt, 5, 9], [*prompt[:2], 7], [*prompt, 5], [12]]
    rows = []
    for branches in (8, 3, 1):
        steps = LlamaSteps(file, name="x", threads=1, branches=branches)
        first = steps.next(asked, states=True)
        again = steps.next(asked[::-1], states=True)[::-1]
        for a, b in zip(first, again, strict=True):
            assert np.array_equal(a.logits, b.logits)
            assert a.state is not None
            assert b.state is not None
            assert np.array_equal(a.state, b.state)
        rows.append([each.logits for each in first])
        last = first[2].state
        assert last is not None
        assert np.array_equal(steps.states(asked[2])[-1], last)
        steps.close()
    for other in rows[1:]:
        for one, another in zip(rows[0], other, strict=True):
            assert np.abs(one - another).max() < 1e-3


@pytest.mark.slow
def test_all_methods_on_the_real_model(real: Model) -> None:
    first = sample(real, PROMPT, tokens=7, seed=1)
    assert [c.method for c in first] == list(DEFAULT)
    assert not any(c.refused for c in first)
    assert sample(real, PROMPT, tokens=7, seed=1) == first
    other = by_method(sample(real, PROMPT, tokens=7, seed=2))
    found = by_method(first)
    drawn = {"random", "temperature", "top-k", "top-p", "min-p", "typical"}
    for name in DEFAULT:
        if name not in drawn:
            assert other[name] == found[name]
    assert sum(other[name].ids != found[name].ids for name in drawn) >= 4
    assert found["beam"].logprob >= found["greedy"].logprob
    ids = found["beam-no-repeat"].ids
    assert len(set(pairwise(ids))) == len(ids) - 1
    for name in ("top-p", "top-k", "min-p", "typical", "random"):
        for step in found[name].steps:
            assert step.chosen.kept
            assert sum(c.after for c in step.candidates) <= 1 + 1e-9
    assert all(step.kept == 50 for step in found["top-k"].steps)


@pytest.mark.slow
def test_another_process_writes_the_same(real: Model, config: Config) -> None:
    (here,) = sample(real, PROMPT, ["random"], tokens=8, seed=5)
    again = open_model(config, NAME, branches=2)
    (there,) = sample(again, PROMPT, ["random"], tokens=8, seed=5)
    again.close()
    assert here == there


@pytest.mark.slow
def test_pieces_are_those_of_the_vocabulary(real: Model, config: Config) -> None:
    words = vocabulary(config, NAME)
    for token in range(0, 49152, 97):
        assert real.piece(token) == words.piece(token)
    assert real.ends(2)
    assert not real.ends(260)


@pytest.mark.slow
def test_limits_of_the_real_model(
    real: Model, config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InsideError, match="something to go on from"):
        next_tokens(real, [])
    with pytest.raises(InsideError, match=r"49152 is no token .* expected 0 to 49151"):
        next_tokens(real, [49152])
    with pytest.raises(InsideError, match="which is no character"):
        next_tokens(real, "a\ud800")
    small = open_model(load({"home": STORE.parent, "threads": 1, "context": 300}, env={}), NAME)
    with pytest.raises(ContextTooLong, match="301 tokens are more than the context of 300"):
        next_tokens(small, [5] * 301)
    row = next_tokens(small, [5] * 300).row  # more than one batch, and all the room
    assert np.isfinite(row).all()
    small.close()
    with pytest.raises(EngineError, match="is closed"):
        next_tokens(small, "a")
    assert capfd.readouterr().err == ""


# --- a server, which tells only the likeliest


def telling(rows: Any, count: int) -> Failure:
    """Answers completions from a table: what may come after the prompt's last letter."""
    model = TableModel(rows)

    def answer(handler: Handler) -> None:
        prompt = handler.owner.last("/v1/completions")["prompt"]
        found = next_tokens(model, [model.tokens(prompt)[-1]])
        logprobs = decoding.log_softmax(found.row)
        top = {shown(model.piece(n)): float(logprobs[n]) for n in found.best(count)}
        first = next(iter(top))
        ends = first == "a"
        choice = {
            "text": "" if ends else first, "finish_reason": "stop" if ends else "length",
            "logprobs": {"tokens": [first], "token_logprobs": [top[first]], "top_logprobs": [top]},
        }  # fmt: skip
        handler.json({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    return answer


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer("vllm") as server:
        yield server


def remote(server: OpenAIServer, rows: Any, count: int) -> Model:
    server.failures["/v1/completions"] = [telling(rows, count)] * 500
    return open_model(load({"openai_base_url": server.url, "home": "/nowhere"}, env={}),
                      "openai:echo")  # fmt: skip


EXACT = ("greedy", "beam", "top-k")


@pytest.mark.slow
def test_what_a_server_tells_is_enough_for(server: OpenAIServer) -> None:
    rows = formula(4)
    given = {"top_k": 3, "beams": 2}
    far = by_method(sample(remote(server, rows, 8), "fd", EXACT, tokens=5, given=given, seed=3))
    near = by_method(sample(TableModel(rows), "fd", EXACT, tokens=5, given=given, seed=3))
    for name in EXACT:
        assert far[name].text == near[name].text, name
        assert far[name].refused == ""
        assert far[name].logprob == pytest.approx(near[name].logprob)
        assert far[name].steps[0].tail > 0
        assert far[name].steps[0].entropy is None
        before = [c.before for c in near[name].steps[0].candidates[:8]]
        assert [c.before for c in far[name].steps[0].candidates] == pytest.approx(before)


@pytest.mark.slow
def test_what_it_is_not_enough_for_is_refused(server: OpenAIServer) -> None:
    found = by_method(sample(remote(server, formula(4), 5), "fd", tokens=4))
    expected = {
        "random": "drawing from all tokens needs all of them; the server tells 5 tokens, which hold"
                  " 0.",
        "temperature": "drawing from all tokens needs all of them",
        "top-k": "top-k 50 needs as many tokens",
        "typical": "needs the entropy of all tokens",
        "repetition-penalty": "a penalty changes every token's share",
        "contrastive": "tells no hidden states",
        "beam": "4 beams compare 8 tokens after each; the server tells 5",
        "beam-no-repeat": "does not tell the prompt's tokens",
    }  # fmt: skip
    for name, why in expected.items():
        assert found[name].finish == "refused"
        assert why in found[name].refused, name
    assert found["greedy"].refused == ""


@pytest.mark.slow
def test_top_p_and_min_p_as_far_as_they_go(server: OpenAIServer) -> None:
    rows = [[math.log(p) for p in (0.02, 0.4, 0.25, 0.15, *[0.18 / 8] * 8)]] * 12
    near = sample(TableModel(rows), "b", ["top-p"], tokens=4, given={"top_p": 0.7}, seed=2)
    model = remote(server, rows, 4)
    far = sample(model, "b", ["top-p", "min-p"], tokens=4, given={"top_p": 0.7, "min_p": 0.3},
                 seed=2)  # fmt: skip
    assert far[0].text == near[0].text
    assert [s.kept for s in far[0].steps] == [s.kept for s in near[0].steps] == [3] * 4
    after = [c.after for c in near[0].steps[0].candidates[:3]]
    assert [c.after for c in far[0].steps[0].candidates[:3]] == pytest.approx(after)
    assert [s.kept for s in far[1].steps] == [3] * 4
    for given, why in (
        ({"top_p": 0.9}, "top-p 0.9 reaches further; the server tells 4 tokens, which hold 0.82"),
        ({"min_p": 0.01}, "min-p 0.01 reaches further"),
        ({"top_p": 0.7, "temperature": 0.5}, "a temperature changes every token's share"),
    ):
        (found,) = sample(model, "b", ["combined"], tokens=2, given=given)
        assert why in found.refused


def test_a_server_that_tells_nothing(server: OpenAIServer) -> None:
    model = open_model(load({"openai_base_url": server.url, "home": "/x"}, env={}), "openai:echo")
    silent = {"choices": [{"text": "a", "finish_reason": "length", "logprobs": None}]}
    server.failures["/v1/completions"] = [lambda handler: handler.json(silent)]
    (found,) = sample(model, "hello", ["greedy"], tokens=2)
    assert "tells no logprobs" in found.refused


def test_half_a_character_cannot_be_sent_back(server: OpenAIServer) -> None:
    model = open_model(load({"openai_base_url": server.url, "home": "/x"}, env={}), "openai:echo")
    half = {"tokens": ["\ufffd"], "token_logprobs": [-0.1], "top_logprobs": [{"\ufffd": -0.1}]}
    answer = {"choices": [{"text": "\ufffd", "finish_reason": "length", "logprobs": half}]}
    server.failures["/v1/completions"] = [lambda handler: handler.json(answer)] * 2
    (found,) = sample(model, "hello", ["greedy"], tokens=3)
    assert "part of a character" in found.refused
    assert len(found.ids) == 1


def test_what_is_exact_is_decided_by_numbers() -> None:
    row = np.log([0.5, 0.3, 0.1])
    told = Distribution(row, tail=0.1, complete=False)
    exactly(told, decoding.Settings(top_p=0.9))
    exactly(told, decoding.Settings(top_k=3, temperature=0.3))
    exactly(told, decoding.Settings(min_p=0.21))
    exactly(told, decoding.Settings(temperature=0))
    for settings in (
        decoding.Settings(top_p=0.91), decoding.Settings(top_k=4), decoding.Settings(min_p=0.19),
        decoding.Settings(), decoding.Settings(typical=0.5),
        decoding.Settings(min_p=0.21, temperature=2), decoding.Settings(no_repeat_ngram=2),
        decoding.Settings(frequency_penalty=1, top_k=1),
    ):  # fmt: skip
        with pytest.raises(InsideError):
            exactly(told, settings)
    assert told.probabilities.tolist() == pytest.approx([0.5, 0.3, 0.1])


def test_other_backends() -> None:
    config = load({"home": "/nowhere"}, env={})
    with pytest.raises(InsideError, match="the backend 'fake' does not tell probabilities"):
        open_model(config, "fake:echo")
    with pytest.raises(UnknownModel):
        open_model(config, "llamacpp:nope")


# --- the command


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--set", "threads=1", "sample", *arguments],
                              catch_exceptions=False)  # fmt: skip


@pytest.mark.slow
def test_side_by_side(installed: Path) -> None:
    found = run(PROMPT, "--tokens", "3")
    lines = found.stdout.splitlines()
    assert lines[0] == PROMPT
    heads = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
    assert heads == list(DEFAULT)
    assert "logprob" in lines[2]


@pytest.mark.slow
def test_steps_and_json(installed: Path) -> None:
    arguments = (PROMPT, "--method", "top-k", "--top-k", "3", "--tokens", "2", "--seed", "4")
    out = run(*arguments, "--steps").stdout
    assert "step 1: keeps 3 of 49,152" in out
    assert "drawn with 0.2360" in out  # random.Random(4).random()
    found = json.loads(run(*arguments, "--json").stdout)
    assert (found["model"], found["prompt"], found["seed"]) == (NAME, PROMPT, 4)
    (method,) = found["methods"]
    assert method["settings"] == {"top_k": 3}
    assert len(method["steps"]) == 2
    first = method["steps"][0]
    assert len(first["candidates"]) == 10
    assert [c["kept"] for c in first["candidates"]] == [True] * 3 + [False] * 7
    assert sum(c["after"] for c in first["candidates"]) == pytest.approx(1)
    assert [c["chosen"] for c in first["candidates"]].count(True) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("methods", "name", "begins"),
    [
        (("greedy",), "a.png", b"\x89PNG"),
        (("beam", "contrastive", "typical"), "b.svg", b"<?xml"),
    ],
)
def test_pictures(
    installed: Path, tmp_path: Path, methods: tuple[str, ...], name: str, begins: bytes
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / name
    chosen = [part for method in methods for part in ("--method", method)]
    found = run(PROMPT, "--tokens", "2", *chosen, "--plot", str(file))
    assert f"wrote {file}" in found.stderr
    assert file.read_bytes().startswith(begins)
    assert name == "a.png" or b"<svg" in file.read_bytes()


def test_an_option_that_nothing_uses_is_refused(installed: Path) -> None:
    found = run("a", "--method", "top-k", "--top-p", "0.5")
    assert found.exit_code == 2
    assert "--top-p is of no use to top-k; --method combined takes all filters" in found.output


def test_bad_input_of_the_command(installed: Path) -> None:
    for arguments in (("a", "--method", "gredy"), ("a", "--plot", "x.gif")):
        with pytest.raises((InsideError, PictureError)):
            run(*arguments)
    assert run("a", "--tokens", "0").exit_code == 2
    assert run("a", "--seed", "-1").exit_code == 2  # would draw as 1 does


def test_the_help_tells_the_defaults() -> None:
    told = {name.replace("-", "_"): default for name, default, _ in OPTIONS}
    options = asdict(Options())
    del options["given"]
    assert told == options
    assert {option for method in METHODS.values() for option in method.uses} == set(told)


def test_every_method_says_what_it_is() -> None:
    for name, method in METHODS.items():
        assert method.about, name
    assert set(DEFAULT) | {"combined"} == set(METHODS)
