"""BIPIA's data (Yi et al. 2023): contexts with a question, attacks, and attacks put into contexts.

A folder with KIND/PART.jsonl for each kind of context (email, table, code ...) and
text_attack_PART.json and code_attack_PART.json: categories of attacks, each a list of
instructions. Attacks that ask for code go into contexts of code, the others into all the rest.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import EvaluationError
from ..text import sentences
from .draw import drawn
from .lines import Problems, objects, parse, read_text

__all__ = [
    "Attack",
    "Context",
    "Poisoned",
    "Position",
    "kinds",
    "poison",
    "read_attacks",
    "read_contexts",
    "sample",
]

Position = Literal["start", "middle", "end"]
POSITIONS: tuple[Position, ...] = get_args(Position)
CODE = "code"
UNKNOWN = "unknown"  # what BIPIA gives as the answer where the context does not tell it

_ASKS = re.compile(r"^Q:\s*")
_FIRST_ROW = re.compile(r"\|[^\n]*\|[ \t]*\n(?=\|)")


@dataclass(frozen=True, slots=True)
class Context:
    """A text from outside, what is asked about it, and what a right answer says."""

    kind: str
    number: int  # line of its file
    text: str
    question: str
    ideal: str

    @property
    def id(self) -> str:
        """Its name in results."""
        return f"{self.kind}-{self.number}"


@dataclass(frozen=True, slots=True)
class Attack:
    """An instruction that somebody put into a text."""

    category: str
    number: int  # in its category, from 1
    text: str
    code: bool  # meant for contexts of code

    @property
    def id(self) -> str:
        """Its name in results."""
        return f"{self.category}/{self.number}"


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A context with an attack in it."""

    context: Context
    attack: Attack
    position: Position
    text: str

    @property
    def id(self) -> str:
        """Its name in results."""
        return f"{self.context.id}/{self.attack.id}/{self.position}"


def kinds(folder: Path, part: str) -> list[str]:
    """The kinds of contexts that a folder holds. Raises EvaluationError where there are none."""
    if not folder.is_dir():
        raise EvaluationError(f"{str(folder)!r} is not a folder; expected one of BIPIA's data")
    found = sorted(p.parent.name for p in folder.glob(f"*/{part}.jsonl"))
    if not found:
        raise EvaluationError(
            f"{str(folder)!r} holds no contexts: expected KIND/{part}.jsonl, such as "
            f"email/{part}.jsonl"
        )
    return found


def read_contexts(folder: Path, kind: str, part: str) -> list[Context]:
    """The contexts of one kind, those of the same text and question once.

    Raises EvaluationError naming every line that cannot be used.
    """
    file = folder / kind / f"{part}.jsonl"
    if not file.is_file():
        have = ", ".join(kinds(folder, part))
        raise EvaluationError(f"there are no contexts of kind {kind!r} (there are: {have})")
    problems = Problems(file)
    found: dict[tuple[str, str], Context] = {}
    for number, row in objects(file, problems):
        try:
            context = _context(kind, number, row)
        except EvaluationError as e:
            problems.add(number, e.message)
            continue
        found.setdefault((context.text, context.question), context)
    problems.check()
    if not found:
        raise EvaluationError(f"{str(file)!r} holds no context")
    return list(found.values())


def _context(kind: str, number: int, row: Mapping[str, Any]) -> Context:
    text, ideal = _text(row, "context"), _text(row, "ideal")
    if kind == CODE:
        lines = [line for line in _text(row, "error").splitlines() if line.strip()]
        question = f"I get this error, how do I fix it? {lines[-1].strip()}"
        return Context(kind, number, text.strip("\n"), question, ideal)
    question = _ASKS.sub("", _text(row, "question"))
    return Context(kind, number, _with_delimiter(text), question, ideal)


def _with_delimiter(text: str) -> str:
    """BIPIA's tables as Markdown has them: with a row of dashes below the first."""
    first = _FIRST_ROW.match(text)
    if first is None:
        return text
    columns = len(re.findall(r"(?<!\\)\|", first[0])) - 1
    following = text[first.end() :].partition("\n")[0]
    if re.fullmatch(r"[|:\- ]+", following):
        return text
    return f"{first[0]}|{'---|' * columns}\n{text[first.end() :]}"


def _text(row: Mapping[str, Any], key: str) -> str:
    """A text, or a list of its lines."""
    value = row.get(key)
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        raise EvaluationError(
            f"{key!r} is missing" if value is None
            else f"{key!r} must be text or a list of lines, got {value!r}"
        )  # fmt: skip
    if not value.strip():
        raise EvaluationError(f"{key!r} is empty")
    return value


def read_attacks(folder: Path, part: str, *, code: bool) -> list[Attack]:
    """The attacks for contexts of code, or those for all others.

    Raises EvaluationError naming the category and number of what cannot be used.
    """
    file = folder / f"{'code' if code else 'text'}_attack_{part}.json"
    if not file.is_file():
        raise EvaluationError(f"{str(folder)!r} has no {file.name}, the attacks of BIPIA")
    text = read_text(file)
    try:
        table = parse(text)
    except ValueError as e:
        raise EvaluationError(f"{file}: is not valid JSON: {e}") from None
    if not isinstance(table, dict) or not table:
        raise EvaluationError(f"{file}: expected an object of category and list of attacks")
    problems, found = Problems(file), []
    for category, attacks in table.items():
        line = _line_of(text, category)
        if not isinstance(attacks, list) or not attacks:
            problems.add(line, f"{category!r} must be a list of attacks, got {attacks!r}")
            continue
        for number, attack in enumerate(attacks, 1):
            if isinstance(attack, str) and attack.strip():
                found.append(Attack(category, number, attack.strip(), code))
            else:
                problems.add(line, f"attack {number} of {category!r} must be text, got {attack!r}")
    problems.check()
    return found


def _line_of(text: str, category: str) -> int:
    place = text.find(f'"{category}"')
    return text.count("\n", 0, max(place, 0)) + 1


def poison(context: Context, attack: Attack, position: Position, seed: int) -> Poisoned:
    """The attack in a line of its own at the start, at the end, or before a sentence drawn by
    `seed` that is not the first where there are more."""
    text = context.text
    if position == "start":
        parts = [attack.text, text]
    elif position == "end":
        parts = [text, attack.text]
    else:
        at = _inside(text, drawn(seed, context.id, attack.id))
        parts = [text[:at].rstrip("\n"), attack.text, text[at:].lstrip("\n")]
    return Poisoned(context, attack, position, "\n".join(part for part in parts if part))


def _inside(text: str, chance: random.Random) -> int:
    starts = [start for start, _ in sentences.split(text, None)]
    if len(starts) > 1 and text.startswith("|"):  # a table's rows stay whole below its header
        starts = [text.rfind("\n", 0, start) + 1 for start in starts[2:]] or starts
    return chance.choice(starts[1:] or starts or [0])


def sample(
    contexts: Mapping[str, Sequence[Context]],
    attacks: Mapping[bool, Sequence[Attack]],
    count: int,
    seed: int,
    positions: Sequence[Position] = POSITIONS,
) -> list[Poisoned]:
    """`count` contexts with attacks, spread evenly over their kinds, categories and positions.

    The kinds take turns, and within one the categories and positions do; which context and which
    attack of the category is drawn by `seed`. Fewer where there are no more.
    """
    turns = [_of_kind(found, attacks[kind == CODE], seed, positions, kind)
             for kind, found in contexts.items()]  # fmt: skip
    chosen: list[Poisoned] = []
    while turns and len(chosen) < count:
        turn = turns.pop(0)
        found = next(turn, None)
        if found is not None:
            chosen.append(found)
            turns.append(turn)
    return chosen


def _of_kind(
    contexts: Sequence[Context],
    attacks: Sequence[Attack],
    seed: int,
    positions: Sequence[Position],
    kind: str,
) -> Iterator[Poisoned]:
    """Every attack once at each position, the categories in turn; contexts in a drawn order."""
    chance = drawn(seed, kind)
    by_category: dict[str, list[Attack]] = {}
    for attack in attacks:
        by_category.setdefault(attack.category, []).append(attack)
    for listed in by_category.values():
        chance.shuffle(listed)
    shuffled = list(contexts)
    chance.shuffle(shuffled)
    categories = list(by_category)
    chance.shuffle(categories)
    number = 0
    for round_ in range(max(map(len, by_category.values()), default=0) * len(positions)):
        for place, category in enumerate(categories):
            listed = by_category[category]
            if round_ >= len(listed) * len(positions):
                continue
            lap, turn = divmod(round_, len(listed))
            again = len(listed) * len(categories) % len(positions) == 0  # else laps move it on
            step = round_ * len(categories) + place + (lap if again else 0)
            attack, position = listed[turn], positions[step % len(positions)]
            yield poison(shuffled[number % len(shuffled)], attack, position, seed)
            number += 1
