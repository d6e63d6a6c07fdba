"""What an organisation says of itself before it gets advice: the questions, and checked answers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, get_args

from ...errors import PlanError
from ..costs.money import CURRENCIES, Currency, Money, decimal
from ..units import parse_count

__all__ = ["QUESTIONS", "Question", "Situation", "checked", "situation"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the interview; its answer is a text."""

    key: str  # also the flag: --key
    text: str
    default: str = ""  # "" for one that must be answered
    choices: tuple[tuple[str, str], ...] = ()  # (answer, what it means); empty: free text
    about: str = ""  # what is expected, for --help


QUESTIONS = (
    Question("data", "How sensitive are the documents?", choices=(
        ("public", "anybody may read them"),
        ("internal", "for the organisation; providers under contract may process them"),
        ("personal", "about people: data protection law applies"),
        ("secret", "must not leave the building: health, defence, professional secrecy"),
    )),
    Question("users", "How many people will use it?", about="a number"),
    Question("task", "What should it do?", default="questions", choices=(
        ("questions", "answer questions from the documents, with citations"),
        ("chat", "hold conversations about them"),
        ("classify", "sort documents into categories"),
        ("extract", "take facts out of them into fields"),
        ("write", "write in a fixed style or form"),
        ("sql", "turn questions into database queries"),
    )),
    Question("documents", "How many documents are there?", "100", about="a number"),
    Question("pages", "How many pages has one, on average?", "10", about="a number"),
    Question("languages", "In which languages?", "en", about="codes, by commas: en,es,ca,hu"),
    Question("latency", "How many seconds may pass before an answer begins?", "10",
             about="seconds; 600 and more: nobody waits for it"),
    Question("once", "How much may be spent once?", "any", about="an amount, 0, or any"),
    Question("monthly", "How much may be spent a month?", "any", about="an amount, 0, or any"),
    Question("hardware", "Which machine is there already?", "none",
             about='names of llar plan machines, "this", or none'),
    Question("examples", "How many examples of good results are there to learn from?", "0",
             about="a number"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Situation:
    """The answers. Amounts are in `money`'s currency; None is no limit."""

    data: str
    users: int
    task: str = "questions"
    documents: int = 100
    pages: int = 10
    languages: tuple[str, ...] = ("en",)
    latency: float = 10.0  # seconds to the first token
    once: Decimal | None = None
    monthly: Decimal | None = None
    hardware: tuple[str, ...] = ()
    examples: int = 0
    open_licence: bool = False  # only licences that the Open Source Initiative approved
    questions_a_day: float = 10.0  # of each user
    money: Money = field(default_factory=Money)

    @property
    def waits(self) -> bool:
        """Somebody waits for the answer; from ten minutes on nobody does."""
        return self.latency < 600


_MOST = {"users": 10**7, "documents": 10**9, "pages": 10**5, "examples": 10**9}


def situation(
    answers: Mapping[str, str | None],
    *,
    open_licence: bool = False,
    questions_a_day: str = "10",
    currency: Currency = "USD",
    eur_per_usd: str | None = None,
) -> Situation:
    """Check the answers to QUESTIONS, as texts by their keys; None and "" take the default.

    Raises PlanError for an answer that is missing, unknown or makes no sense.
    """
    known = {q.key: q for q in QUESTIONS}
    for key in answers:
        if key not in known:
            raise PlanError(f"there is no question {key!r}; expected one of {', '.join(known)}")
    said = {key: checked(q, answers.get(key)) for key, q in known.items()}
    rate = None
    if eur_per_usd is not None:
        rate = decimal(eur_per_usd, "the rate of exchange", least=0.01, most=Decimal(100))
    per_day = decimal(questions_a_day, "questions a day", least=0.01, most=Decimal(10_000))
    if currency not in get_args(Currency):
        raise PlanError(f"currency {currency!r}; expected one of {', '.join(CURRENCIES)}")
    return Situation(
        **said,
        open_licence=open_licence,
        questions_a_day=float(per_day),
        money=Money(currency, rate),
    )


def checked(question: Question, answer: str | None) -> Any:
    """The answer to one question as the situation holds it; None and "" take the default.

    Raises PlanError for an answer that is missing, unknown or makes no sense.
    """
    key, text = question.key, _said(question, answer)
    if key in _MOST:
        return _number(key, text, least=1 if key in ("users", "pages") else 0)
    if key in ("once", "monthly"):
        return _money(key, text)
    if key == "latency":
        return float(decimal(text, "latency", least=0.1, most=Decimal(10**7)))
    read = {"languages": _languages, "hardware": _hardware}.get(key)
    return read(text) if read else text


def _said(question: Question, answer: str | None) -> str:
    text = (answer or "").strip() or question.default
    if not text:
        expected = ", ".join(c for c, _ in question.choices) or question.about
        raise PlanError(
            f"nothing was said to: {question.text} Expected {expected}",
            fix=f"llar plan advise --{question.key} ...",
        )
    choices = [c for c, _ in question.choices]
    if choices and text.lower() not in choices:
        near = difflib.get_close_matches(text.lower(), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; expected {', '.join(choices)}"
        raise PlanError(f"{question.key} {text!r} is no answer{hint}")
    return text.lower() if choices else text


def _number(key: str, text: str, least: int = 1) -> int:
    number = parse_count(text, f"the number of {key}")
    if not least <= number <= _MOST[key]:
        raise PlanError(f"the number of {key} is {text!r}; expected {least} to {_MOST[key]:,}")
    return number


def _languages(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip().lower() for part in text.replace(";", ",").split(",")
                                if part.strip()))  # fmt: skip
    for code in found:
        if not (len(code) in (2, 3) and code.isascii() and code.isalpha()):
            raise PlanError(f"language {code!r} is no code; expected en, es, ca, hu ... by commas")
    if not found:
        raise PlanError(f"languages {text!r} name none; expected en, es, ca, hu ... by commas")
    return found


def _money(key: str, text: str) -> Decimal | None:
    if text.lower() in ("any", "no limit", "unlimited"):
        return None
    return decimal(text, f"the budget ({key})")


def _hardware(text: str) -> tuple[str, ...]:
    if text.lower() in ("none", "no", "-"):
        return ()
    return tuple(part.strip() for part in text.split(",") if part.strip())
