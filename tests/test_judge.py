"""G-Eval: scores weighted by probability, from servers that say them and from samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer, answer

from llar.config import Config, load
from llar.errors import ConfigError, EvaluationError
from llar.evaluate.exam import Marks, examine
from llar.evaluate.judge import BUILT_IN, Rubric, Verdict, ask, grade, read_rubric, with_steps
from llar.models.fake import FakeChat
from llar.models.interface import ChatModel
from llar.models.openai import OpenAIChat
from llar.models.remote import Remote
from llar.records import Message

PATH = "/v1/chat/completions"
CLARITY = Rubric("clarity", "Is it clear?")


@pytest.fixture
def config(home: Path) -> Config:
    return load()


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def chat(server: OpenAIServer) -> OpenAIChat:
    return OpenAIChat(Remote(server.url, key="", timeout=5.0, retries=0), "echo")


Tokens = Sequence[tuple[str, Mapping[str, float]]]


def reply(text: str, tokens: Tokens | None) -> Any:
    """A completion as a server sends it; `tokens` are (chosen, probability of each token)."""
    content = [
        {
            "token": chosen,
            "logprob": math.log(top[chosen]),
            "top_logprobs": [{"token": t, "logprob": math.log(p)} for t, p in top.items()],
        }
        for chosen, top in tokens or ()
    ]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "logprobs": {"content": content} if tokens else None,
    }
    return answer({"choices": [choice], "model": "echo",
                   "usage": {"prompt_tokens": 1, "completion_tokens": 1}})  # fmt: skip


def judged(server: OpenAIServer, config: Config, text: str, tokens: Tokens | None) -> Verdict:
    server.failures[PATH] = [reply(text, tokens)]
    return grade(chat(server), config, CLARITY, "A text.")


# --- from probabilities


def test_the_score_by_hand(server: OpenAIServer, config: Config) -> None:
    # On the scale: 3 with 0.2, 4 with 0.5 + 0.1 (with a space before), 5 with 0.1: 0.9 in all.
    top = {"4": 0.5, "3": 0.2, " 4": 0.1, "5": 0.1, "The": 0.06, "7": 0.04}
    found = judged(server, config, "4", [("4", top)])
    assert found.score == pytest.approx((3 * 0.2 + 4 * 0.6 + 5 * 0.1) / 0.9)
    assert found.mass == pytest.approx(0.9)
    assert found.distribution == pytest.approx({1: 0, 2: 0, 3: 2 / 9, 4: 6 / 9, 5: 1 / 9})
    assert (found.valid, found.method, found.reply, found.reason) == (
        True, "probabilities", "4", "")  # fmt: skip
    body = server.last(PATH)
    assert body["logprobs"] is True
    assert body["top_logprobs"] == 20
    assert body["temperature"] == 0.0


def test_words_before_the_score_are_passed_over(server: OpenAIServer, config: Config) -> None:
    tokens = [("Score", {"Score": 0.9, "1": 0.1}), (":", {":": 1.0}),
              (" ", {" ": 1.0}), ("2", {"2": 0.75, "3": 0.25})]  # fmt: skip
    found = judged(server, config, "Score: 2", tokens)
    assert found.score == pytest.approx(2.25)
    assert found.mass == 1.0


def test_a_chosen_token_that_is_not_among_the_likeliest_counts(
    server: OpenAIServer, config: Config
) -> None:
    content = [{"token": "1", "logprob": math.log(0.3),
                "top_logprobs": [{"token": "5", "logprob": math.log(0.6)}]}]  # fmt: skip
    choice = {"index": 0, "message": {"content": "1"}, "finish_reason": "stop",
              "logprobs": {"content": content}}  # fmt: skip
    server.failures[PATH] = [answer({"choices": [choice]})]
    found = grade(chat(server), config, CLARITY, "A text.")
    assert found.score == pytest.approx((1 * 0.3 + 5 * 0.6) / 0.9)


@pytest.mark.parametrize(
    ("text", "tokens", "mass"),
    [
        ("Well", [("Well", {"Well": 0.7, "4": 0.2, "5": 0.1})], 0.3),  # it was not scoring
        ("I like it", [("I", {"I": 1.0}), (" like", {" like": 1.0})], 0.0),
        ("10", [("1", {"1": 1.0}), ("0", {"0": 1.0})], 0.0),  # ten is not on the scale, nor is it 1
        ("4.5", [("4", {"4": 1.0}), (".", {".": 1.0}), ("5", {"5": 1.0})], 0.0),
        ("7", [("7", {"7": 0.9, "5": 0.1})], 0.0),
        ("\n", [("\n", {"\n": 1.0})], 0.0),
    ],
)
def test_a_reply_off_the_scale_is_not_valid(
    server: OpenAIServer, config: Config, text: str, tokens: Tokens, mass: float
) -> None:
    found = judged(server, config, text, tokens)
    assert (found.valid, found.score) == (False, None)
    assert found.mass == pytest.approx(mass)
    assert repr(text) in found.reason


def test_a_full_stop_after_the_score_is_no_fraction(server: OpenAIServer, config: Config) -> None:
    tokens = [("4", {"4": 1.0}), (".", {".": 1.0}), (" It", {" It": 1.0})]
    assert judged(server, config, "4. It", tokens).score == pytest.approx(4.0)


# --- from samples


def test_without_probabilities_replies_are_drawn(server: OpenAIServer, config: Config) -> None:
    drawn = ["4", "5", "Score: 4", "I would say 3.", "no idea"]
    server.failures[PATH] = [reply("4", None), *(reply(text, None) for text in drawn)]
    found = grade(chat(server), config, CLARITY, "A text.", samples=5, seed=7)
    assert found.method == "samples"
    assert found.mass == pytest.approx(4 / 5)
    assert found.score == pytest.approx((4 + 5 + 4 + 3) / 4)
    assert found.valid
    sent = [r.body for r in server.requests if r.path == PATH][1:]
    assert [body["seed"] for body in sent] == [7, 8, 9, 10, 11]
    assert {body["temperature"] for body in sent} == {1.0}


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("4", 4), (" 4.", 4), ("**4**", 4), ("4/5", 4), ("Rating: 2 out of 5", 2), ("(3)", 3),
        ("I give it a 5", 5), ("4, since the 2 parts fit", 4),
        ("4.5", None), ("10", None), ("between 2 and 3", None), ("", None), ("four", None),
        ("-3", None), ("100 %", None),
    ],
)  # fmt: skip
def test_what_a_drawn_reply_says(config: Config, written: str, number: int | None) -> None:
    found = grade(FakeChat(replies=[written]), config, CLARITY, "x", probabilities=False, samples=1)
    assert found.score == number
    assert found.valid == (number is not None)
    assert found.mass == float(number is not None)


def test_a_scale_of_two_digits_is_sampled(config: Config) -> None:
    rubric = Rubric("long", "How good?", (1, 10))
    found = grade(FakeChat(replies=["10", "9", "10", "8"]), config, rubric, "x", samples=4)
    assert (found.method, found.score) == ("samples", 9.25)


def test_no_samples_is_an_error(config: Config) -> None:
    with pytest.raises(EvaluationError, match="at least one sample"):
        grade(FakeChat(), config, CLARITY, "x", probabilities=False, samples=0)


# --- rubrics and prompts


def test_the_fake_is_sure(config: Config) -> None:
    found = grade(FakeChat("fake:say:4"), config, CLARITY, "A text.")
    assert (found.score, found.mass, found.method) == (4.0, 1.0, "probabilities")
    assert not grade(FakeChat("fake:say:good"), config, CLARITY, "A text.").valid


def test_a_text_too_long_for_the_judge_is_not_valid(config: Config) -> None:
    found = grade(FakeChat("fake:say:4", context=100), config, CLARITY, "A text.")
    assert (found.score, found.valid, found.mass) == (None, False, 0.0)
    assert "do not fit the context of 100" in found.reason


def test_the_judge_sees_rubric_scale_and_texts(config: Config) -> None:
    model = FakeChat("fake:say:2")
    rubric = Rubric("care", "Is it kind?", (0, 3))
    grade(model, config, rubric, "Go away. <|im_end|>", question="May I?", context="Be kind.")
    shown = model.asked[-1][-1].content
    for part in ("Is it kind?", "from 0 (worst) to 3 (best)", "Question:\nMay I?",
                 "Source text:\nBe kind.", "Text to judge:\nGo away."):  # fmt: skip
        assert part in shown
    assert "<|im_end|>" not in shown  # a text cannot end its own turn
    grade(model, config, rubric, "")
    shown = model.asked[-1][-1].content
    assert "Text to judge:\n" in shown  # an empty text is judged as one
    assert "Question:" not in shown


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_rubrics(config: Config, name: str) -> None:
    rubric = read_rubric(config, name)
    assert rubric.text.lower().startswith(name)
    assert rubric.scale == (1, 5)


def test_rubrics_of_ones_own(config: Config, tmp_path: Path) -> None:
    (tmp_path / "tone.txt").write_text("Ist es höflich?\n", encoding="utf-8")
    rubric = read_rubric(config, str(tmp_path / "tone.txt"), (0, 2))
    assert rubric == Rubric("tone", "Ist es höflich?", (0, 2))
    (config.home / "prompts").mkdir()
    (config.home / "prompts" / "rubric-fluency.txt").write_text("# user\nShort words?")
    assert read_rubric(config, "fluency").text == "Short words?"
    (config.home / "prompts" / "rubric-fluency.txt").write_text("Short words?")
    with pytest.raises(ConfigError, match="rubric-fluency"):
        read_rubric(config, "fluency")


def test_a_rubric_that_is_not_there(config: Config, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no rubric 'coherense': expected coherence, "):
        read_rubric(config, "coherense")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvaluationError, match=r"no rubric .*bad\.txt"):
        read_rubric(config, str(tmp_path / "bad.txt"))
    (tmp_path / "blank.txt").write_text(" \n")
    with pytest.raises(EvaluationError, match="'blank' has no text"):
        read_rubric(config, str(tmp_path / "blank.txt"))
    for scale in ((5, 1), (3, 3), (-1, 5)):
        with pytest.raises(EvaluationError, match="scale"):
            Rubric("x", "y", scale)


def test_steps_the_model_wrote_are_shown_to_the_judge(config: Config) -> None:
    rubric = with_steps(FakeChat("fake:say:1. Read it."), config, CLARITY)
    assert rubric.steps == "1. Read it."
    model = FakeChat("fake:say:3")
    grade(model, config, rubric, "A text.")
    assert "Is it clear?\n\n1. Read it." in model.asked[-1][-1].content
    with pytest.raises(EvaluationError, match="wrote no steps"):
        with_steps(FakeChat("fake:say:"), config, CLARITY)


@pytest.mark.parametrize(
    ("written", "verdict"),
    [("Yes", True), ("no.", False), ("**Yes**, it does", True), ("NO", False), ("Not sure", None),
     ("Yesterday", None), ("Sí.", True), ("Nem", False), ("maybe", None), ("", None), ("1", None)],
)  # fmt: skip
def test_yes_and_no(written: str, verdict: bool | None) -> None:
    model = FakeChat(replies=[written])
    assert ask(model, [Message("user", "Well?")]) == (verdict, written)


# --- the real model


@pytest.mark.slow
def test_the_real_model_scores_by_probability(smollm: ChatModel, config: Config) -> None:
    text = "The library opens at nine. It closes at six. Members may borrow five books."
    for name in BUILT_IN:
        found = grade(smollm, config, read_rubric(config, name), text, question="When is it open?")
        assert found.method == "probabilities"
        assert 0.0 < found.mass <= 1.0
        assert found.valid == (found.mass >= 0.5)
        if found.valid:
            assert found.score is not None
            assert 1.0 < found.score < 5.0  # never wholly sure
            assert sum(found.distribution.values()) == pytest.approx(1.0)
        again = grade(smollm, config, read_rubric(config, name), text, question="When is it open?")
        # What is cached of the prompt is not computed in the same order again.
        assert again.score == pytest.approx(found.score, abs=0.1)


@pytest.mark.slow
def test_probabilities_are_near_the_share_of_samples(smollm: ChatModel, config: Config) -> None:
    text = "Library the open nine is at is and."
    sure = grade(smollm, config, read_rubric(config, "fluency"), text)
    drawn = grade(
        smollm, config, read_rubric(config, "fluency"), text, probabilities=False, samples=40
    )
    assert drawn.method == "samples"
    assert sure.valid
    assert drawn.valid
    assert sure.score is not None
    assert drawn.score == pytest.approx(sure.score, abs=0.8)  # 40 draws of a spread of about 1.3


# --- examining the judge


def test_marks_by_hand(config: Config) -> None:
    # Of 8 passages the first statement is supported, the second not; one reply is neither.
    right = FakeChat(replies=["yes", "no"] * 8)
    assert examine(right, config) == Marks(1.0, 1.0, 1.0, 0, 16)
    assert examine(FakeChat("fake:say:no"), config) == Marks(0.0, 1.0, 0.5, 0, 16)
    assert examine(FakeChat("fake:say:perhaps"), config) == Marks(0.0, 0.0, 0.0, 16, 16)
    mixed = FakeChat(replies=["yes", "yes", "hm", "no"] + ["yes", "no"] * 6)
    assert examine(mixed, config) == Marks(7 / 8, 7 / 8, 7 / 8, 1, 16)


@pytest.mark.slow
def test_the_small_model_is_told_to_be_no_judge(smollm: ChatModel, config: Config) -> None:
    marks = examine(smollm, config)
    assert marks.asked == 16
    assert marks.accuracy < 0.75
