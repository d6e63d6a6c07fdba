"""What counts as evidence, and when there is enough of it for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from llar import Collection
from llar.answer import readable
from llar.answer.evidence import Evidence
from llar.models.bert import BertEmbedder
from llar.models.interface import EmbedderIdentity, Matrix
from llar.records import Chunk, Hit, Source
from llar.retrieve.late import closeness

WORDS = {"red": (1.0, 0.0), "blue": (0.0, 1.0), "violet": (0.6, 0.8)}


class Colours:
    """An embedder that knows three words and reads one at a time."""

    identity = EmbedderIdentity("test:colours", "", 2, "mean", "", "", ("*",))
    max_tokens = 1

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def embed_tokens(self, text: str) -> tuple[Matrix, list[tuple[int, int]]]:
        assert self.count_tokens(text) <= self.max_tokens
        found = [WORDS[w] for w in text.split()]
        return np.asarray(found, np.float32).reshape(-1, 2), [(0, len(text))] * len(found)

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        raise AssertionError("only tokens are asked for")

    def embed_query(self, text: str) -> Matrix:
        raise AssertionError("only tokens are asked for")

    def close(self) -> None: ...


def test_closeness_by_hand() -> None:
    # Cosines of red to (violet, blue): .6, 0; of blue: .8, 1. Best: .6 and 1, mean .8; all: .6.
    assert closeness(Colours(), "red blue", "violet blue") == pytest.approx((0.8 - 0.6) / 0.4)
    assert closeness(Colours(), "red", "blue") == 0.0
    assert closeness(Colours(), "red", "") == 0.0


@pytest.mark.slow
def test_a_passage_on_another_drug_is_less_close(minilm: BertEmbedder) -> None:
    passage = "Adults may take 1 g of paracetamol every 6 hours, at most 4 g a day."
    same = closeness(minilm, "How much paracetamol may adults take?", passage)
    other = closeness(minilm, "How much ibuprofen may adults take?", passage)
    none = closeness(minilm, "Who designed the library garden?", passage)
    assert same > other + 0.2 > none + 0.3
    assert closeness(minilm, passage, passage) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_a_title_that_repeats_the_question_is_no_evidence(installed: Path, tmp_path: Path) -> None:
    text = "Robert Bond bridge\n\nThe Robert Bond bridge was opened in 1969 by the premier.\n"
    (tmp_path / "bridge.txt").write_text(text)
    with Collection("c") as docs:
        docs.add(tmp_path / "bridge.txt")
        answer = docs.ask("When was the Robert Bond bridge opened?", model="fake:say:NOT FOUND")
    quotes = [c.quote for c in answer.citations]
    assert quotes == ["The Robert Bond bridge was opened in 1969 by the premier."]


@pytest.mark.slow
def test_what_is_on_the_subject_but_does_not_say_it_is_no_answer(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("The river Segre rises in France and flows through Lleida.")
    with Collection("c") as docs:
        docs.add(tmp_path / "a.md")
        known = docs.ask("Where does the river Segre rise?", model="fake:say:NOT FOUND")
        unknown = docs.ask("How many dams hold back the water there?", model="fake:say:NOT FOUND")
    assert not known.abstained
    assert unknown.abstained


@pytest.mark.parametrize(
    ("quote", "shown"),
    [
        ("1. Paracetamol is taken\n   with water.", "Paracetamol is taken with water."),
        ("(b) Wash your hands.", "Wash your hands."),
        ("See :ref:`the settings <settings>` and :setting:`DEBUG`.", "See the settings and DEBUG."),
        ("1.5 mg are enough at 10:30.", "1.5 mg are enough at 10:30."),
        ("- 5 degrees outside", "5 degrees outside"),
    ],
)
def test_a_quote_is_shown_without_marks(quote: str, shown: str) -> None:
    hit = Hit(Source(1, "a.md"), Chunk(quote, 0, len(quote)), 1, 1.0)
    assert readable(Evidence(hit, 1, 0, len(quote), quote)) == shown
