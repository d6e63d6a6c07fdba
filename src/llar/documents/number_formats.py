"""Numbers of a workbook as it shows them: dates, times, percent and currency told apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .office import Package
from .zipped import attribute, child, local

# Built-in formats that have a meaning; ECMA-376 part 1, 18.8.30. The others are plain numbers.
_BUILT_IN = {
    5: "$#,##0", 6: "$#,##0", 7: "$#,##0.00", 8: "$#,##0.00", 9: "0%", 10: "0.00%",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm", 19: "h:mm:ss",
    20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss",
}  # fmt: skip
_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.')
_BRACKETS = re.compile(r"\[(?!\$|h+\]|m+\]|s+\])[^\]]*\]", re.IGNORECASE)  # colours, conditions
_CURRENCY = re.compile(r"\[\$([^\]-]+)[^\]]*\]|([$€£¥₹₽₩]|Ft|kr|zł|Kč|CHF)")
_DECIMALS = re.compile(r"[0#?]\.([0#?]+)")
_LATEST = 2_958_465  # 9999-12-31


@dataclass(frozen=True, slots=True)
class _Format:
    """How to show a number; `kind` is "number", "date", "time", "datetime" or "duration"."""

    kind: str = "number"
    percent: bool = False
    prefix: str = ""
    suffix: str = ""
    decimals: int | None = None


@dataclass(slots=True)
class NumberFormats:
    """The number format of each cell style of a workbook."""

    _styles: list[_Format] = field(default_factory=list)
    from_1904: bool = False

    def show(self, raw: str, style: str | None) -> str:
        """A stored number as text, in the format of a cell style."""
        try:
            value = float(raw)
        except ValueError:
            return raw
        index = int(style) if style and style.isdigit() else 0
        form = self._styles[index] if index < len(self._styles) else _Format()
        if form.kind == "duration":
            seconds = round(value * 86_400)
            return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        if form.kind != "number" and 0 <= value <= _LATEST:
            return self._moment(value, form.kind)
        if form.percent or form.prefix or form.suffix:
            return _with_sign(value, form)
        return plain_number(raw, value)

    def _moment(self, value: float, kind: str) -> str:
        # Day 60 of the 1900 system is a 29 February that never was; earlier days are one off.
        day_0 = datetime(1904, 1, 1) if self.from_1904 else datetime(1899, 12, 30)
        if not self.from_1904 and value < 60:
            day_0 += timedelta(days=1)
        moment = day_0 + timedelta(seconds=round(value * 86_400))
        clock = moment.strftime("%H:%M:%S") if moment.second else moment.strftime("%H:%M")
        if kind == "time" and value < 1:
            return clock
        day = moment.date().isoformat()
        at_midnight = moment.hour == moment.minute == moment.second == 0
        return day if kind == "date" or (kind == "datetime" and at_midnight) else f"{day} {clock}"


def plain_number(raw: str, value: float) -> str:
    """A number without the noise that binary fractions add in the 16th and 17th digit."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.15g}" if "." in raw or "e" in raw.lower() else raw


def read_formats(package: Package) -> NumberFormats:
    """The number formats in a workbook's styles."""
    part = package.related(package.main, "styles")
    if part is None:
        return NumberFormats()
    root = package.xml(part)
    codes = dict(_BUILT_IN)
    own = child(root, "numFmts")
    for element in own if own is not None else ():
        number = attribute(element, "numFmtId") or ""
        if number.isdigit():
            codes[int(number)] = attribute(element, "formatCode") or ""
    styles: list[_Format] = []
    holder = child(root, "cellXfs")
    for element in holder if holder is not None else ():
        if local(element) == "xf":
            number = attribute(element, "numFmtId") or "0"
            styles.append(read_format(codes.get(int(number) if number.isdigit() else 0, "")))
    return NumberFormats(styles)


def read_format(code: str) -> _Format:
    """What a format code means for a positive number."""
    positive = code.partition(";")[0]
    currency = _CURRENCY.search(positive.replace('"', "").replace("\\", ""))
    bare = _BRACKETS.sub("", _QUOTED.sub("", positive))
    letters = re.sub(r"\[\$[^\]]*\]|general|am/pm|a/p", "", bare.lower())
    if not re.search(r"[0#?]", letters):
        elapsed = re.search(r"\[(h+|m+|s+)\]", letters)
        day = re.search(r"[yd]", letters) or ("m" in letters and not re.search(r"[hs]", letters))
        clock = re.search(r"[hs]", letters)
        if elapsed:
            return _Format("duration")
        if day or clock:
            return _Format("datetime" if day and clock else "date" if day else "time")
    decimals = _DECIMALS.search(bare)
    places = len(decimals[1]) if decimals else 0
    if "%" in bare:
        return _Format(percent=True, suffix="%", decimals=places)
    if currency:
        sign = (currency[1] or currency[2]).strip()
        first_digit = re.search(r"[0#?]", positive)
        before = first_digit is not None and positive.find(sign) < first_digit.start()
        return _Format(
            prefix=sign if before else "", suffix="" if before else f" {sign}", decimals=places
        )
    return _Format()


def _with_sign(value: float, form: _Format) -> str:
    shown = value * 100 if form.percent else value
    number = f"{abs(shown):.{form.decimals or 0}f}"
    minus = "-" if shown < 0 and float(number) else ""
    return f"{minus}{form.prefix}{number}{form.suffix}"
