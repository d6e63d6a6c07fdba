"""Passages scored by the chat model: its grades, and how likely it finds the question."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from post_hits import apply, collection, found, searcher, told

from llar.config import load
from llar.errors import ContextTooLong, QueryError
from llar.models.fake import FakeChat
from llar.models.interface import DEFAULTS, ChatModel, LikelihoodModel, Options
from llar.records import Completion, Message, TokenProbability
from llar.retrieve.post.graded import SCALES, expected, grade

pytestmark = pytest.mark.slow

YES_NO, DIGITS = SCALES["yes-no"][1], SCALES["0-3"][1]


def token(**shares: float) -> TokenProbability:
    """A first token that is each of these with its probability."""
    top = tuple((text.replace("_", " "), math.log(p)) for text, p in shares.items())
    return TokenProbability(top[0][0], top[0][1], top)


def test_the_expected_grade_by_hand() -> None:
    assert expected(token(Yes=0.4, _yes=0.2, no=0.2, maybe=0.2), YES_NO) == pytest.approx(0.75)
    digits = {"3": 0.1, "_2": 0.3, "1": 0.4, "0": 0.2}
    assert expected(token(**digits), DIGITS) == pytest.approx((0.1 + 0.3 * 2 / 3 + 0.4 / 3) / 1.0)
    assert expected(token(no=0.5, yess=0.5), YES_NO) == 0.0
    assert expected(TokenProbability("yes", -0.1), YES_NO) == 1.0  # no alternatives told


def test_a_token_that_is_hardly_a_grade_is_none() -> None:
    found = expected(token(The=0.91, yes=0.05, No=0.04), YES_NO)
    assert found == "only 0.090 of its probability is on yes, no"
    assert expected(token(The=0.9, yes=0.1), YES_NO) == pytest.approx(1.0)


class Judge(FakeChat):
    """Says how many letters `a` a passage has, as a grade from 0 to 3; "?" for none."""

    def chat(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Completion:
        assert options.max_tokens == 1
        passage = messages[-1].content.partition("Passage:\n")[2].partition("\n")[0]
        if "xxx" in passage:
            raise ContextTooLong("too much to read")
        said = str(passage.count("a")) if "a" in passage else "?"
        return Completion(said, self.name, "length", tokens=(TokenProbability(said, 0.0),))


def test_grades_are_scores_and_what_is_none_keeps_its_own() -> None:
    index = collection(["a", "b", "aaa", "xxx", "aa aa"])
    search = searcher(index, chat=Judge())
    hits = found(index, [0.9, 0.8, 0.7, 0.6, 0.5])
    ranked = apply("graded:0-3:4", hits, search)
    # Grades 1/3, none, 1, too long, and not asked for: that one goes behind all others.
    assert [(h.chunk_id, round(h.score, 3)) for h in ranked] == [
        (3, 1.0), (2, 0.8), (4, 0.6), (1, 0.333), (5, 0.333),
    ]  # fmt: skip
    assert [h.parts.get("graded") for h in ranked] == [1.0, None, None, pytest.approx(1 / 3), None]
    about = told(search, "graded by")
    assert about["passages"] == 4
    assert [row["chunk_id"] for row in about["invalid"]] == [2, 4]
    assert about["invalid"][1]["why"] == "too much to read"


@pytest.mark.parametrize(("reply", "score"), [("yes", 1.0), ("No", 0.0), ("perhaps", 0.4)])
def test_yes_and_no(reply: str, score: float) -> None:
    index = collection(["the passage"])
    search = searcher(index, chat=FakeChat(f"fake:say:{reply}"))
    (ranked,) = apply("graded", found(index, [0.4]), search, "the <|im_end|> question")
    assert ranked.score == score
    assert len(told(search, "graded by")["invalid"]) == (reply == "perhaps")


def test_the_judge_sees_question_and_passage_without_control_tokens() -> None:
    chat = FakeChat("fake:say:yes")
    grade(chat, load(), "yes-no", "who <|im_end|>?", "it was </s> Ana")
    ((system, user),) = chat.asked
    assert "yes or no" in system.content
    assert "who < |im_end|>?" in user.content
    assert "it was < /s> Ana" in user.content


@pytest.mark.parametrize(
    "post", ["graded:1-5", "graded:yes-no:0", "graded:0-3:x", "graded:0-3:1:2"]
)
def test_arguments_of_graded(post: str) -> None:
    index = collection(["a"])
    with pytest.raises(QueryError, match=r"--post graded: .*expected graded\[:yes-no\|0-3"):
        apply(post, found(index, [1.0]), searcher(index))


def test_likelihood_by_hand() -> None:
    # The fake finds words that were read before easier: e^-1 each, else e^-(their letters).
    index = collection(["the old bridge", "cats"])
    search = searcher(index, chat=FakeChat())
    ranked = apply("likelihood", found(index, [0.3, 0.9]), search, "old bridge")
    assert [h.chunk_id for h in ranked] == [1, 2]
    assert ranked[0].score == pytest.approx(math.exp(-(1 + 1) / 2))
    assert ranked[1].score == pytest.approx(math.exp(-(3 + 6) / 2))
    assert ranked[0].parts["likelihood"] == ranked[0].score
    limited = apply("likelihood:1", found(index, [0.3, 0.9]), search, "old bridge")
    assert [h.chunk_id for h in limited] == [2, 1]  # only the first of them was read
    assert "likelihood" not in limited[1].parts


@pytest.mark.slow
def test_the_real_model_finds_the_question_likelier_after_its_passage(
    smollm: LikelihoodModel,
) -> None:
    index = collection([
        "The garden of the library was laid out by an architect from Lisbon.",
        "The fire alarm is tested on the first Monday of every month at ten o'clock.",
    ])  # fmt: skip
    search = searcher(index, chat=smollm)
    question = "When is the fire alarm tested?"
    ranked = apply("likelihood", found(index, [0.9, 0.1]), search, question)
    assert [h.chunk_id for h in ranked] == [2, 1]
    assert 0 < ranked[1].score < ranked[0].score < 1


@pytest.mark.slow
def test_the_real_model_gives_grades(smollm: ChatModel) -> None:
    passage = "The alarm is tested daily."
    found = grade(smollm, load(), "yes-no", "When is the alarm tested?", passage)
    assert isinstance(found, float)
    assert 0 < found < 1
