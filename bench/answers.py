"""Answers of the default model on ../shared/data/qa: truth, abstention, citations, gold spans.

    python bench/answers.py [--part tune|test] [--questions N] [--no-model] [SET ...]

Thresholds are chosen on the part "tune" and reported on "test"; a set's questions are drawn with a
fixed seed. The passages of each set are one collection. --no-model measures the quotes alone.

Besides the set's own unanswerable questions, each answerable one is asked again with its passage
hidden: then the documents do not say it, whatever else they say on the subject.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
import sys
import time
import unicodedata
from dataclasses import dataclass

import qa_data

import llar
from llar import Answer
from llar.index.filters import Filter


@dataclass(frozen=True)
class Outcome:
    """What happened to one question."""

    question: qa_data.Question
    answer: Answer
    verbatim: int  # quotes that equal the document's text at their offsets
    seconds: float

    @property
    def gold_contained(self) -> bool:
        """Does the shown answer contain a gold answer?"""
        said = f" {_normal(self.answer.answer)} "
        return any(f" {_normal(g)} " in said for g in self.question.golds)

    @property
    def gold_quoted(self) -> bool:
        """Does a quote contain a gold answer?"""
        quotes = " ".join(f" {_normal(c.quote)} " for c in self.answer.citations)
        return any(f" {_normal(g)} " in quotes for g in self.question.golds)

    @property
    def right_passage(self) -> bool:
        """Is the first citation from the passage that holds the answer?"""
        cited = [c.document.path.rsplit("/", 1)[-1] for c in self.answer.citations]
        return bool(cited) and cited[0] == self.question.passage

    @property
    def supported(self) -> int:
        """Sentences shown whose every long word stands in the quotes they cite or the question.

        Not the check of the package: words of five letters and more and all numbers, by their
        first five letters, so that inflections agree."""
        quotes = {c.n: c for c in self.answer.citations}
        good = 0
        for s in self.answer.sentences:
            if s.supported:
                cited = " ".join(
                    f"{quotes[n].quote} {quotes[n].document.title}" for n in s.citations
                )
                good += _stems(s.text) <= _stems(f"{cited} {self.question.text}")
        return good

    @property
    def token_f1(self) -> float:
        """SQuAD's token F1 of the answer without its citation marks, the best over the golds."""
        said = _normal(re.sub(r"\[\d+\]", "", self.answer.answer)).split()
        return max((_f1(said, _normal(g).split()) for g in self.question.golds), default=0.0)


def _normal(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", text))


def _stems(text: str) -> set[str]:
    words = _normal(text).split()
    return {w[:5] for w in words if len(w) >= 5 or any(c.isdigit() for c in w)}


def _f1(said: list[str], gold: list[str]) -> float:
    shared = sum((collections.Counter(said) & collections.Counter(gold)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(said), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def ask(
    docs: llar.Collection, question: qa_data.Question, model: str | None, hidden: str = ""
) -> Outcome:
    """Ask one question, one file hidden or none, and check every quote against the document."""
    start = time.perf_counter()
    filters = [Filter("path", "!=", hidden)] if hidden else []
    answer = docs.ask(question.text, model=model, filters=filters)
    seconds = time.perf_counter() - start
    verbatim = sum(
        docs.index.text(c.document.id)[c.start : c.end] == c.quote for c in answer.citations
    )
    return Outcome(question, answer, verbatim, seconds)


def report(name: str, outcomes: list[Outcome], hidden: list[Outcome]) -> None:
    """One line per measure; `hidden` are the answerable questions without their passage."""
    yes = [o for o in outcomes if o.question.answerable]
    no = [o for o in outcomes if not o.question.answerable]
    silent = [o for o in outcomes if o.answer.abstained]
    right_silence = [o for o in silent if not o.question.answerable]
    answered = [o for o in yes if not o.answer.abstained]
    quotes = sum(len(o.answer.citations) for o in outcomes)
    shown = sum(s.supported for o in outcomes for s in o.answer.sentences)
    cited = sum(bool(s.citations) for o in outcomes for s in o.answer.sentences if s.supported)
    precision = len(right_silence) / len(silent) if silent else 0.0
    recall = len(right_silence) / len(no) if no else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    print(f"== {name}: {len(yes)} answerable, {len(no)} not")
    print(f"quotes verbatim          {sum(o.verbatim for o in outcomes)}/{quotes}")
    print(f"shown sentences cited    {cited}/{shown}")
    print(f"shown sentences backed   {sum(o.supported for o in outcomes)}/{shown}")
    print(f"answered if answerable   {_share(answered, yes)}")
    print(f"gold span in the answer  {_share([o for o in yes if o.gold_contained], yes)}")
    print(f"gold span in a quote     {_share([o for o in yes if o.gold_quoted], yes)}")
    print(f"right passage cited      {_share([o for o in yes if o.right_passage], yes)}")
    print(f"  of those answered      {_share([o for o in answered if o.right_passage], answered)}")
    print(f"token F1                 {sum(o.token_f1 for o in yes) / max(len(yes), 1):.3f}")
    if no:
        print(f"abstention               P {precision:.3f}  R {recall:.3f}  F1 {f1:.3f}")
    if hidden:
        kept = sum(o.answer.abstained for o in hidden)
        p, r = kept / (kept + len(yes) - len(answered) or 1), kept / len(hidden)
        print(f"abst., passage hidden    P {p:.3f}  R {r:.3f}  F1 {2 * p * r / (p + r or 1):.3f}")
    print(f"seconds per question     {sum(o.seconds for o in outcomes) / len(outcomes):.2f}")


def _share(some: list[Outcome], of: list[Outcome]) -> str:
    return f"{len(some) / len(of):.3f}" if of else "-"


def main() -> None:
    """Run the sets named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--part", default="test", choices=["tune", "test"])
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--no-model", action="store_true")
    options = parser.parse_args()
    model = "fake:say:NOT FOUND" if options.no_model else None
    for name in options.sets or qa_data.SETS:
        passages, questions = qa_data.load(name)
        chosen = [q for q in questions if q.part == options.part]
        chosen = random.Random(1).sample(chosen, min(options.questions, len(chosen)))
        with qa_data.collection(name, passages) as docs:
            outcomes = [ask(docs, q, model) for q in chosen]
            paths = {f.path.rsplit("/", 1)[-1]: f.path for f in docs.index.files()}
            silent = "fake:say:NOT FOUND"  # whether it abstains does not depend on the model
            hidden = [ask(docs, q, silent, paths[q.passage]) for q in chosen if q.answerable]
            report(f"{name}, {options.part}", outcomes, hidden)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
