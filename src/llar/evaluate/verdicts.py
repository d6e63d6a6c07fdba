"""What a judge says of answers, each thing asked once and kept with the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..models.interface import ChatModel, Embedder
from ..records import Hit
from . import about, grounding
from .judge import Rubric, grade
from .stored import plain

__all__ = ["JUDGED", "Judge"]

JUDGED = ("answer-relevance", "judged-faithfulness", "judged-context-relevance", "rubrics")

Verdict = tuple[float | None, int, str]  # value, invalid replies, the first of them


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that judges, its name and hash, and what it is to judge: names of JUDGED."""

    chat: ChatModel
    embedder: Embedder
    config: Config
    identity: Mapping[str, str]
    measures: tuple[str, ...]
    rubrics: tuple[Rubric, ...]
    seed: int

    def values(
        self, question: str, text: str, shown: Sequence[Hit], kept: dict[str, Any]
    ) -> dict[str, float]:
        """The figures of one answer, by measure; one without a value had no valid verdict.

        `kept` are notes on the answer: this judge's verdicts are taken from there and put there,
        and `invalid` tells how many replies of each measure were none.
        """
        code = about.code("evaluate/judge.py", "evaluate/grounding.py", "prompts/")
        depends = [self.identity, self.seed, code, about.prompts(self.config)]
        verdicts = kept.setdefault("verdicts", {})
        values: dict[str, float] = {}
        invalid: dict[str, Any] = {}
        for measure, what, ask in self._asked(question, text, shown):
            key = about.digest([measure, what, depends])[:16]
            if key not in verdicts:
                verdicts[key] = list(ask())
            value, bad, reply = verdicts[key]
            if value is not None:
                values[measure] = value
            if bad:
                invalid[measure] = {"count": bad, "reply": reply}
        kept.pop("invalid", None)
        if invalid:
            kept["invalid"] = invalid
        return values

    def _asked(
        self, question: str, text: str, shown: Sequence[Hit]
    ) -> Iterator[tuple[str, Any, Callable[[], Verdict]]]:
        """(measure, what it depends on besides, how to ask) of everything to be judged."""
        chat, config = self.chat, self.config
        if "answer-relevance" in self.measures and text:
            yield (
                "answer_relevance",
                self.embedder.identity.name,
                lambda: _figure(
                    grounding.answer_relevance(
                        question, text, chat, self.embedder, config, seed=self.seed
                    )
                ),
            )
        if "judged-faithfulness" in self.measures:
            yield (
                "judged_faithfulness",
                "",
                lambda: _figure(
                    grounding.judged_faithfulness(grounding.statements(text), shown, chat, config)
                ),
            )
        if "judged-context-relevance" in self.measures:
            yield (
                "judged_context_relevance",
                "",
                lambda: _figure(grounding.judged_context_relevance(question, shown, chat, config)),
            )
        for rubric in self.rubrics if text else ():
            yield (
                f"rubric_{rubric.name}",
                plain(rubric),
                self._graded(rubric, question, text, shown),
            )

    def _graded(
        self, rubric: Rubric, question: str, text: str, shown: Sequence[Hit]
    ) -> Callable[[], Verdict]:
        def ask() -> Verdict:
            context = "\n\n".join(hit.content for hit in shown)
            found = grade(
                self.chat, self.config, rubric, text, question=question, context=context,
                seed=self.seed,
            )  # fmt: skip
            return found.score, int(not found.valid), found.reason

        return ask


def _figure(found: grounding.Figure) -> Verdict:
    bad = next((item.reason for item in found.items if item.value is None), "")
    return found.value, found.invalid, bad
