"""What the cells of a table say: numbers in every notation, dates, and cells that say nothing.

"1.234" is 1234 in a Spanish report and 1.234 in an English one, so notation is a matter of the
whole column: any cell that can only be read one way decides for the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

COMMA_LANGUAGES = frozenset(
    ("bg", "ca", "cs", "da", "de", "el", "es", "et", "fi", "fr", "gl", "hr", "hu", "id", "it", "lt",
     "lv", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk")
)  # fmt: skip
MOST_GROUPS = 5
REMEMBERED = 1 << 16  # cells whose reading is kept
_EMPTY = re.compile(
    r"[-–—.·…_/\\ ]*|n\.?\s?[ad]\.?|n/[ad]|s/d|s\.d\.|none|null|nincs adat|n\.\s?é\.|\(?missing\)?",
    re.IGNORECASE,
)
_GROUP = r"\d{1,3}(?:[.,'’ \u00a0\u2009\u202f]\d{3})+(?:[.,]\d+)?"
_BODY = rf"{_GROUP}|\d+(?:[.,]\d+)?|[.,]\d+"
_SIGN = r"[-−–+~≈]?"
_SYMBOL = r"US\$|A\$|C\$|[$€£¥₹₽₩]|(?:EUR|USD|GBP|HUF|CHF|JPY|Ft)(?![^\W\d_])"
_NUMBER = re.compile(
    rf"(?P<sign>{_SIGN})\s*(?P<before>(?:{_SYMBOL})?)\s*(?P<sign2>{_SIGN})(?P<body>{_BODY})"
    r"(?P<power>(?:[eE][-+]?\d{1,2}(?!\w))?)(?P<minus>-?)\s*(?P<after>[^\d].*)?",
    re.DOTALL,
)
_UNIT = re.compile(  # a unit, which may be written as a product or ratio and have an exponent
    r"%|‰|°\s?[CFK]?|(?:US\$|[$€£¥₹₽₩])(?:/[^\W\d_]+)?"
    r"|[^\W\d_]+(?:[²³]|[23](?!\d))?(?:[/·.]\s?[^\W\d_]+[²³]?)*(?:/[^\W\d_]+)*"
)
_MARK = re.compile(
    r"[*†‡§#]+|(?<![^\W\d_])[¹²³⁰⁴-⁹ªº]+|\((?:[a-z]|\d{1,2}|[ivx]{1,4})\)|\[\w{1,3}\]|(?<=\d)[a-d]\)"
)
# Accountants write negatives in brackets; but "(78)" alone may as well be an estimate or a note.
_ACCOUNTS = re.compile(r"\(\s*((?=[^()]*[1-9])(?=[^()]*[.,$€£%])[^()]*?)\s*\)")
_NOTE = re.compile(r"\([^()]*\)")
_POWERS = {
    "thousand": 3, "mil": 3, "milers": 3, "miles": 3, "ezer": 3, "million": 6, "millions": 6,
    "millón": 6, "millones": 6, "milió": 6, "milions": 6, "millió": 6, "mn": 6, "billion": 9,
    "billions": 9, "bn": 9, "milliárd": 9,
}  # fmt: skip

_MONTHS = {
    1: "january jan enero ene gener gen január",
    2: "february feb febrero febrer febr február",
    3: "march mar marzo març márc március",
    4: "april apr abril abr ápr április",
    5: "may mayo maig máj május",
    6: "june jun junio juny jún június",
    7: "july jul julio juliol júl július",
    8: "august aug agosto ago agost ag augusztus",
    9: "september sep sept septiembre setiembre setembre set szept szeptember",
    10: "october oct octubre okt október",
    11: "november nov noviembre novembre",
    12: "december dec diciembre dic desembre des december",
}
MONTHS = {name: number for number, names in _MONTHS.items() for name in names.split()}
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?")
_SLASHED = re.compile(r"(\d{1,2})\s?([/.\-])\s?(\d{1,2})\s?\2\s?(\d{4})\.?")
_HUNGARIAN = re.compile(
    r"(\d{4})\.\s?(\d{1,2}|[^\W\d_]+)\.?\s(\d{1,2})\.?|(\d{4})\.(\d\d)\.(\d\d)\.?"
)
_NAMED = re.compile(
    r"(?:(?P<day>\d{1,2})(?:st|nd|rd|th|º|\.)?\s(?:(?:de|del|of)\s|d['’])?)?(?P<month>[^\W\d_]+)\.?"
    r"(?:\s(?P<day2>\d{1,2})(?:st|nd|rd|th)?,)?[\s-](?:(?:de|del|of)\s)?(?P<year>\d{4})",
    re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """A cell that is a number: its value, the currency before or unit after it."""

    value: Decimal
    unit: str = ""
    before: bool = False  # the unit stands before the number


@dataclass(frozen=True, slots=True)
class Notation:
    """How the numbers and dates of a column are written.

    `decimal` is "." or ","; "" where both are used and "1.234" cannot be read. `day_first` is
    None where nothing tells 3/4/2024 from 4/3/2024. `assumed` names what a choice was based on
    that no cell of the column proves.
    """

    decimal: str = "."
    day_first: bool | None = None
    assumed: str = ""


def is_empty(text: str) -> bool:
    """Does a cell say nothing, or that there is nothing to say ("-", "n/a")?"""
    return _EMPTY.fullmatch(text.strip()) is not None


def notation(
    column: Sequence[str], table: Iterable[str], kind: str, language: str | None
) -> Notation:
    """How a column is written: by its own cells, else the table's, else format and language."""
    day_first = _day_first(column, language)
    marks = {m for cell in column if (m := _decimal_mark(cell))}
    if len(marks) == 1:
        return Notation(marks.pop(), day_first)
    if len(marks) == 2:
        return Notation("", day_first, "both . and , as decimal marks")
    if not any(_doubtful(cell) for cell in column):
        return Notation(_usual(kind, language), day_first)
    marks = {m for cell in table if (m := _decimal_mark(cell))}
    if len(marks) == 1:
        return Notation(marks.pop(), day_first, "the other columns of the table")
    why = "the stored numbers of a workbook" if kind in ("xlsx", "xls", "ods") else ""
    why = why or (f"the document's language, {language}" if language else "English notation")
    return Notation(_usual(kind, language), day_first, why)


def _usual(kind: str, language: str | None) -> str:
    """The decimal mark to expect; workbooks store numbers, which llar writes with a point."""
    return "," if language in COMMA_LANGUAGES and kind not in ("xlsx", "xls", "ods") else "."


def read_number(text: str, decimal: str = ".") -> Number | None:
    """The number that a cell is, with its unit; None for what is none, ranges among them.

    `decimal` is the column's decimal mark; with "" a cell that can be read two ways is none.
    """
    return _read_number(text.strip(), decimal)


@lru_cache(maxsize=REMEMBERED)
def _read_number(text: str, decimal: str) -> Number | None:
    negative = False
    if inner := _ACCOUNTS.fullmatch(text):
        text, negative = inner[1], True
    found = _NUMBER.fullmatch(text)
    if not found:
        return None
    mark = _decimal_mark(text) or decimal
    if not mark and _doubtful(text):
        return None
    after = _unit_and_power(found["after"] or "")
    value = _value(found["body"], mark or ".")
    if after is None or value is None:
        return None
    unit, power = after
    value *= Decimal(10) ** power
    if found["power"]:
        value *= Decimal(10) ** int(found["power"][1:])
    signs = found["sign"] + found["sign2"] + found["minus"]
    negative ^= sum(sign in "-−–" for sign in signs) % 2 == 1
    before = found["before"].strip()
    if before and unit:
        return None
    return Number(-value if negative else value, before or unit, bool(before))


def _unit_and_power(text: str) -> tuple[str, int] | None:
    """The unit behind a number and its power of ten; None for anything else."""
    text = _NOTE.sub(" ", _MARK.sub(" ", text)).strip()
    power = 0
    first, _, rest = text.partition(" ")
    if first.casefold().rstrip(".") in _POWERS:
        power, text = _POWERS[first.casefold().rstrip(".")], rest.strip()
        text = re.sub(r"^(?:de|d['’])\s*", "", text)
    if not text:
        return "", power
    text = text.rstrip(".") if len(text) > 1 else text
    whole = _UNIT.fullmatch(text) and len(text) <= 16
    return (text, power) if whole else None


def _value(body: str, decimal: str) -> Decimal | None:
    if body.startswith((".", ",")):
        return Decimal(f"0.{body[1:]}")
    whole, _, fraction = body.rpartition(decimal)
    if not whole:
        whole, fraction = body, ""
    if decimal in whole and fraction:
        return None
    groups = re.split(r"[.,'’ \u00a0\u2009\u202f]", whole)
    if len(groups) > 1 and (len(groups[0]) > 3 or any(len(g) != 3 for g in groups[1:])):
        return None
    if len(groups) > MOST_GROUPS:  # a list of three-digit codes
        return None
    return Decimal("".join(groups) + (f".{fraction}" if fraction else ""))


@lru_cache(maxsize=REMEMBERED)
def _decimal_mark(cell: str) -> str:
    """The decimal mark that a cell must have, "" where it could be either or has none."""
    found = _NUMBER.fullmatch(cell.strip().strip("()"))
    if not found or _unit_and_power(found["after"] or "") is None:
        return ""
    body = found["body"]
    marks = [c for c in body if c in ".,"]
    if len(set(marks)) == 2:
        return marks[-1]
    if len(marks) > 1:
        decimal = "," if marks[0] == "." else "."
        return decimal if _value(body, decimal) is not None else ""
    if not marks:
        return ""
    before, _, after = body.partition(marks[0])
    spaced = re.search(r"['’ \u00a0\u2009\u202f]", before)
    if spaced or len(after) != 3 or before in ("", "0") or len(before) > 3:
        return marks[0]
    return ""


def _doubtful(cell: str) -> bool:
    """Can a number be read two ways?"""
    return bool(re.search(r"(?<![\d.,])\d{1,3}[.,]\d{3}(?![\d.,])", cell)) and not _decimal_mark(
        cell
    )


def read_date(text: str, notation: Notation) -> date | None:
    """The day that a cell is, the first of a month where it names only that; None for others."""
    text = " ".join(text.split())
    if found := _ISO.fullmatch(text):
        return _day(int(found[1]), int(found[2]), int(found[3]))
    if found := _HUNGARIAN.fullmatch(text):
        year, month, day = (found[1], found[2], found[3]) if found[1] else found.groups()[3:]
        number = int(month) if month.isdigit() else MONTHS.get(month.casefold())
        return _day(int(year), number, int(day))
    if found := _SLASHED.fullmatch(text):
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        if found[2] == "." or first > 12 or notation.day_first:
            return _day(year, second, first)
        return _day(year, first, second) if second > 12 or notation.day_first is False else None
    if found := _NAMED.fullmatch(text):
        number = MONTHS.get(found["month"].casefold())
        return _day(int(found["year"]), number, int(found["day"] or found["day2"] or 1))
    return None


def _day(year: int, month: int | None, day: int) -> date | None:
    try:
        return date(year, month or 0, day)
    except ValueError:
        return None


def _day_first(column: Sequence[str], language: str | None) -> bool | None:
    """Does the day come before the month? By a day over 12, else by language; English has both."""
    for cell in column:
        found = _SLASHED.fullmatch(" ".join(cell.split()))
        if found and int(found[1]) > 12:
            return True
        if found and int(found[3]) > 12:
            return False
    return None if language in (None, "en") else True
