"""What Word's styles and numbering say about a paragraph: heading level, list marker."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .office import Package
from .zipped import attribute, child, local

_LIST = re.compile(r"list (?:bullet|number|continue) ([2-5])$", re.IGNORECASE)
_HEADING = re.compile(r"heading\s*([1-9])$", re.IGNORECASE)
_PLACE = re.compile(r"%(\d)")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
          (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Style:
    """A paragraph style with what it inherits."""

    name: str = ""
    level: int = 0  # of a heading, 0 for none
    numbering: tuple[str, int] | None = None  # list and level in it
    depth: int = 0  # of a list, where the style's name tells: "List Bullet 2" is one deep


@dataclass(frozen=True, slots=True)
class _Level:
    start: int
    form: str
    text: str


@dataclass(slots=True)
class Styles:
    """The paragraph styles and lists of one document; counts list items as they come."""

    _styles: dict[str, Any]
    _lists: dict[str, dict[int, _Level]]
    _shared: dict[str, str]  # list -> the definition whose count it continues
    _restarts: dict[str, dict[int, int]]
    _counts: dict[str, dict[int, int]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _known: dict[str, Style] = field(default_factory=dict)

    def style(self, name: str | None) -> Style:
        """The style with an identifier; the default where there is none."""
        key = name or ""
        if key not in self._known:
            self._known[key] = self._resolve(key)
        return self._known[key]

    def marker(self, numbering: tuple[str, int]) -> str | None:
        """The marker of the next item of a list ("-", "3.", "2.1"), None for none at all."""
        number, depth = numbering
        levels = self._lists.get(number)
        level = levels.get(depth) if levels else None
        if levels is None or level is None:
            return "-"
        counts = self._counts.setdefault(self._shared[number], {})
        if number not in self._seen:
            self._seen.add(number)
            counts.update({d: start - 1 for d, start in self._restarts[number].items()})
        counts[depth] = counts.get(depth, level.start - 1) + 1
        for deeper in [d for d in counts if d > depth]:
            del counts[deeper]
        if level.form == "bullet":
            return "-"
        if level.form == "none" or not level.text.strip():
            return None

        def figure(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            upper = levels.get(at, level)
            return _written(counts.get(at, upper.start), upper.form)

        return _PLACE.sub(figure, level.text).strip()

    def _resolve(self, key: str) -> Style:
        name, level, numbering = "", 0, None
        seen: set[str] = set()
        while key in self._styles and key not in seen:
            seen.add(key)
            element = self._styles[key]
            own = child(element, "name")
            own_name = (attribute(own, "val") or "") if own is not None else ""
            name = name or own_name
            match = _HEADING.match(own_name)
            level = level or (int(match[1]) if match else 1 if own_name.lower() == "title" else 0)
            level = level or outline_level(child(element, "pPr"))
            numbering = numbering or numbering_of(child(element, "pPr"))
            base = child(element, "basedOn")
            key = (attribute(base, "val") or "") if base is not None else ""
        deep = _LIST.match(name)
        return Style(name.lower(), level, numbering, int(deep[1]) - 1 if deep else 0)


def read_styles(package: Package) -> Styles:
    """Styles and numbering of a Word document; empty where it has none."""
    styles: dict[str, Any] = {}
    part = package.related(package.main, "styles")
    if part:
        for element in package.xml(part):
            if local(element) == "style":
                styles[attribute(element, "styleId") or ""] = element
                if (
                    attribute(element, "default") == "1"
                    and attribute(element, "type") == "paragraph"
                ):
                    styles.setdefault("", element)
    found = Styles(styles, {}, {}, {})
    part = package.related(package.main, "numbering")
    if part:
        _read_lists(package.xml(part), found)
    return found


def outline_level(properties: Any) -> int:
    """The heading level that paragraph properties set directly, 0 for body text."""
    outline = child(properties, "outlineLvl")
    value = (attribute(outline, "val") or "9") if outline is not None else "9"
    return int(value) + 1 if value.isdigit() and int(value) < 9 else 0


def numbering_of(properties: Any) -> tuple[str, int] | None:
    """The list and level that paragraph properties set; list "0" takes a style's list away."""
    holder = child(properties, "numPr")
    number = child(holder, "numId")
    if number is None:
        return None
    depth = child(holder, "ilvl")
    value = (attribute(depth, "val") or "0") if depth is not None else "0"
    return attribute(number, "val") or "0", int(value) if value.isdigit() else 0


def _read_lists(root: Any, styles: Styles) -> None:
    definitions: dict[str, dict[int, _Level]] = {}
    linked: dict[str, str] = {}  # style link -> definition
    borrowed: dict[str, str] = {}  # definition -> style link it takes its levels from
    for element in root:
        if local(element) != "abstractNum":
            continue
        key = attribute(element, "abstractNumId") or ""
        definitions[key] = dict(_levels(element))
        for mark, table in (("styleLink", linked), ("numStyleLink", borrowed)):
            link = child(element, mark)
            if link is not None:
                name = attribute(link, "val") or ""
                if mark == "styleLink":
                    table[name] = key
                else:
                    table[key] = name
    for element in root:
        if local(element) != "num":
            continue
        number = attribute(element, "numId") or ""
        holder = child(element, "abstractNumId")
        key = (attribute(holder, "val") or "") if holder is not None else ""
        if not definitions.get(key) and key in borrowed:
            key = linked.get(borrowed[key], key)
        levels = dict(definitions.get(key, {}))
        restarts: dict[int, int] = {}
        for override in element:
            if local(override) == "lvlOverride":
                depth = int(attribute(override, "ilvl") or 0)
                levels.update(_levels(override))
                start = child(override, "startOverride")
                if start is not None:
                    restarts[depth] = int(attribute(start, "val") or 1)
        styles._lists[number] = levels
        styles._shared[number] = key
        styles._restarts[number] = restarts


def _levels(element: Any) -> list[tuple[int, _Level]]:
    found: list[tuple[int, _Level]] = []
    for level in element:
        if local(level) != "lvl":
            continue

        def value(name: str, default: str, level: Any = level) -> str:
            holder = child(level, name)
            return default if holder is None else attribute(holder, "val") or default

        start = value("start", "1")
        found.append(
            (
                int(attribute(level, "ilvl") or 0),
                _Level(
                    int(start) if start.isdigit() else 1,
                    value("numFmt", "decimal"),
                    value("lvlText", ""),
                ),
            )
        )
    return found


def _written(number: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter") and number > 0:
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letter.upper() if form == "upperLetter" else letter
    if form in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        roman = ""
        for value, sign in _ROMAN:
            roman += sign * (number // value)
            number %= value
        return roman.upper() if form == "upperRoman" else roman
    if form == "decimalZero":
        return f"{number:02d}"
    return str(number)
