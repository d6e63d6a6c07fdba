"""What stands on a PDF page: words and drawn rules, in points from the top left."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liteparse.types import ParsedPage, TextItem, VectorGraphics

Box = tuple[float, float, float, float]  # left, top, right, bottom

_BOLD = re.compile(r"bold|black|heavy|demi|(?:^|\+)(?:sf|cm|lm)b|[-,]bd?$", re.IGNORECASE)
_MONOSPACED = re.compile(r"cour|mono|consol|typewriter|menlo|sf[bt]?tt|cmtt", re.IGNORECASE)
_NO_COMMENT = ("widget", "link", "popup")
_THIN = 3.2  # a shape at most this thick is a rule, not an area
_SHORT = 4.0  # shorter rules are dots, dashes or corners


@dataclass(slots=True)
class Word:
    """One word, or the whole of a run that cannot be cut (right-to-left or vertical text)."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float  # em, in points
    bold: bool = False
    mono: bool = False
    spaced: bool | None = None  # whether a space stands before it; None where only the gap tells
    upright: bool = True

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2

    @property
    def middle_x(self) -> float:
        return (self.x0 + self.x1) / 2


@dataclass(slots=True)
class Rule:
    """A straight horizontal or vertical line: `at` on its own axis, `start` to `end` along it."""

    at: float
    start: float
    end: float


@dataclass(slots=True)
class Sheet:
    """One page's content, ready for layout."""

    number: int
    width: float
    height: float
    label: str | None
    runs: list[list[Word]]  # each on one line, in the file's order
    horizontal: list[Rule]
    vertical: list[Rule]
    filled: list[str]  # what form fields hold unseen, and comments

    @property
    def words(self) -> list[Word]:
        """All words, in the file's order."""
        return [w for run in self.runs for w in run]


def read_sheet(page: ParsedPage) -> Sheet:
    """Take words and rules from a parsed page (word boxes, text metadata, vector graphics on)."""
    runs: list[list[Word]] = []
    ended_in_space = False
    for item in page.text_items:
        own = _words(item)
        if own and (ended_in_space or item.text[0].isspace()):
            own[0].spaced = True
        ended_in_space = item.text[-1:].isspace() and not item.trailing_space_generated
        if own:
            runs.append(own)
    horizontal, vertical = read_rules(page.vector_graphics, page.width, page.height)
    return Sheet(
        page.page_num,
        page.width,
        page.height,
        page.page_label,
        runs,
        horizontal,
        vertical,
        _entries(page),
    )


def _entries(page: ParsedPage) -> list[str]:
    """Form values that the page's own text does not show, and comments."""
    shown = " ".join(item.text for item in page.text_items) if page.form_fields else ""
    entries: list[str] = []
    for entry in page.form_fields or []:
        ticked = entry.type in ("checkbox", "radio", "radiobutton")
        value = entry.export_value if ticked else entry.value
        if ticked and not (entry.checked and entry.value not in (None, "", "Off")):
            continue
        value = " ".join((value or "").split())
        if value and (ticked or value not in shown):
            entries.append(f"{entry.alternate_name or entry.name or entry.type}: {value}")
    entries += [
        f"{note.title}: {note.contents}" if note.title else note.contents
        for note in page.annotations or []
        if note.contents and note.contents.strip() and note.subtype not in _NO_COMMENT
    ]
    return [" ".join(entry.split()) for entry in entries]


def _words(item: TextItem) -> list[Word]:
    text = item.text.strip()
    if not text:
        return []
    turned = abs(item.rotation) % 180
    upright = turned < 45 or turned > 135
    thickness = item.height if upright else item.width
    size = item.font_height or 0.0
    if not 0.4 * thickness < size < 1.5 * thickness:
        size = thickness / 1.2
    font = item.font_name or ""
    bold = (item.font_weight or 0) >= 600 or _BOLD.search(font) is not None
    mono = _MONOSPACED.search(font) is not None
    right, bottom = item.x + item.width, item.y + item.height
    pieces = None
    if upright and " " in text:
        pieces = _pieces(item, text) if item.words else _first_and_rest(item, text)
    if pieces is None:
        return [Word(text, item.x, item.y, right, bottom, size, bold, mono, None, upright)]
    return [
        Word(t, x0, item.y, x1, bottom, size, bold, mono, True if i else None)
        for i, (t, x0, x1) in enumerate(pieces)
    ]


def _first_and_rest(item: TextItem, text: str) -> list[tuple[str, float, float]] | None:
    """Without word boxes only the first word is told apart, its end put by the share of letters."""
    if not text.isascii() and _is_right_to_left(text):
        return None
    first, _, rest = text.partition(" ")
    end = item.x + item.width * len(first) / len(text)
    start = item.x + item.width * (len(first) + 1) / len(text)
    return [(first, item.x, end), (rest.strip(), start, item.x + item.width)]


def _pieces(item: TextItem, text: str) -> list[tuple[str, float, float]] | None:
    """The item's words as its own text spaces them; None where boxes and text disagree.

    They disagree in right-to-left text, whose boxes come in visual and text in logical order.
    """
    pieces: list[tuple[str, float, float]] = []
    position = 0
    for box in item.words:
        found = text.find(box.text, position)
        if found < 0 or text[position:found].strip():
            return None
        if pieces and found == position:
            previous = pieces[-1]
            pieces[-1] = (previous[0] + box.text, previous[1], max(previous[2], box.x + box.width))
        else:
            pieces.append((box.text, box.x, box.x + box.width))
        position = found + len(box.text)
    return None if text[position:].strip() else pieces


def read_rules(
    graphics: VectorGraphics | None, width: float, height: float
) -> tuple[list[Rule], list[Rule]]:
    """Horizontal and vertical rules of a page, collinear neighbours joined.

    Sources: thin filled or stroked shapes, stroked segments, and the outline of stroked boxes.
    """
    if graphics is None:
        return [], []
    horizontal: list[Rule] = []
    vertical: list[Rule] = []
    for line in graphics.lines:
        if not line.stroke:
            continue
        dx, dy = abs(line.x1 - line.x2), abs(line.y1 - line.y2)
        if dy <= 1 and dx >= _SHORT:
            horizontal.append(
                Rule((line.y1 + line.y2) / 2, min(line.x1, line.x2), max(line.x1, line.x2))
            )
        elif dx <= 1 and dy >= _SHORT:
            vertical.append(
                Rule((line.x1 + line.x2) / 2, min(line.y1, line.y2), max(line.y1, line.y2))
            )
    for shape in graphics.shapes:
        if shape.has_curve or not (shape.fill or shape.stroke):
            continue
        x, y, w, h = shape.bbox
        if h <= _THIN and w >= max(_SHORT, h):
            horizontal.append(Rule(y + h / 2, x, x + w))
        elif w <= _THIN and h >= max(_SHORT, w):
            vertical.append(Rule(x + w / 2, y, y + h))
    inside = Rule(0, -5, max(width, height) + 5)
    return (
        join_rules([r for r in horizontal if inside.start < r.at < inside.end]),
        join_rules([r for r in vertical if inside.start < r.at < inside.end]),
    )


def join_rules(rules: Sequence[Rule], *, apart: float = 2.0, gap: float = 3.0) -> list[Rule]:
    """Join rules that lie on one line (within `apart`) and touch (within `gap`)."""
    joined: list[Rule] = []
    for group in cluster(sorted(rules, key=lambda r: r.at), apart):
        line: list[Rule] = []
        for rule in sorted(group, key=lambda r: r.start):
            if line and rule.start <= line[-1].end + gap:
                line[-1].end = max(line[-1].end, rule.end)
            else:
                line.append(Rule(rule.at, rule.start, rule.end))
        joined.extend(line)
    return joined


def cluster(rules: Sequence[Rule], apart: float) -> list[list[Rule]]:
    """Split rules sorted by `at` where a cluster would grow wider than `apart`."""
    groups: list[list[Rule]] = []
    for rule in rules:
        if groups and rule.at - groups[-1][0].at <= apart:
            groups[-1].append(rule)
        else:
            groups.append([rule])
    return groups


def in_lines(words: Sequence[Word]) -> list[list[Word]]:
    """Group words into visual lines, top to bottom, each in x order."""
    if words and all(w.y0 == words[0].y0 and w.y1 == words[0].y1 for w in words):
        return [sorted(words, key=lambda w: w.x0)]
    return run_lines([[w] for w in words])


def run_lines(runs: Sequence[Sequence[Word]]) -> list[list[Word]]:
    """Like in_lines for words that come in runs, each in x order and of one height.

    A run belongs to the line it overlaps by half of the smaller of both heights, so raised and
    lowered small print stays with its line.
    """
    lines: list[list[Word]] = []
    boxes: list[list[Box]] = []  # of the runs in each line
    cores: list[tuple[float, float]] = []  # top and bottom of each line's tallest run
    placed = [((r[0].x0, r[0].y0, r[-1].x1, r[0].y1), r) for r in runs if r]
    for box, run in sorted(placed, key=lambda p: (p[0][1] + p[0][3], p[0][0])):
        height = box[3] - box[1]
        for back in range(1, min(4, len(lines)) + 1):
            top, bottom = cores[-back]
            shared = min(bottom, box[3]) - max(top, box[1])
            if shared >= 0.5 * min(bottom - top, height) and _beside(boxes[-back], box):
                lines[-back].extend(run)
                boxes[-back].append(box)
                if height > bottom - top and shared > 0.7 * (bottom - top):
                    cores[-back] = (box[1], box[3])
                break
        else:
            lines.append(list(run))
            boxes.append([box])
            cores.append((box[1], box[3]))
    order = sorted(range(len(lines)), key=lambda i: cores[i])
    return [sorted(lines[i], key=lambda w: w.x0) for i in order]


def bands(lines: Sequence[list[Word]]) -> list[list[list[Word]]]:
    """Neighbouring lines that overlap in height, as cells centred on their row do, together."""
    found: list[list[list[Word]]] = []
    bottom = 0.0
    for line in lines:
        _, y0, _, y1 = bounds(line)
        if found and bottom - y0 > 0.25 * min(y1 - y0, line[0].size):
            found[-1].append(line)
            bottom = max(bottom, y1)
        else:
            found.append([line])
            bottom = y1
    return found


def _beside(line: Sequence[Box], box: Box) -> bool:
    """Whether the box stands next to the line's boxes and not over or under one of them."""
    for other in line:
        shared = min(other[2], box[2]) - max(other[0], box[0])
        if shared > 0.5 * min(other[2] - other[0], box[2] - box[0]):
            down = min(other[3], box[3]) - max(other[1], box[1])
            if down < 0.7 * min(other[3] - other[1], box[3] - box[1]):
                return False
    return True


def free_height(above: Sequence[Word], below: Sequence[Word]) -> float:
    """The free height between two lines, in ems; negative where they overlap."""
    size = max(above[len(above) // 2].size, below[len(below) // 2].size, 1.0)
    return (min([w.y0 for w in below]) - max([w.y1 for w in above])) / size


def line_text(words: Sequence[Word]) -> str:
    """The words of one line as text, spaced as drawn; right-to-left lines in logical order."""
    if not words:
        return ""
    ordered = sorted(words, key=lambda w: w.x0)
    if is_right_to_left(ordered):
        ordered.reverse()
        return " ".join(w.text for w in ordered)
    parts = [ordered[0].text]
    for before, word in itertools.pairwise(ordered):
        gap = (word.x0 - before.x1) / min(before.size, word.size)
        apart = word.spaced or gap >= 0.12 or gap < -0.6  # words drawn over each other are two
        parts.append(" " + word.text if apart else word.text)
    return "".join(parts)


def is_right_to_left(words: Sequence[Word]) -> bool:
    """Whether most letters of these words are Hebrew, Arabic or another right-to-left script."""
    text = "".join([w.text for w in words])
    return not text.isascii() and _is_right_to_left(text)


def _is_right_to_left(text: str) -> bool:
    classes = [unicodedata.bidirectional(c) for c in text]
    right = sum(c in ("R", "AL") for c in classes)
    return right > sum(c == "L" for c in classes)


def bounds(words: Sequence[Word]) -> Box:
    """The box around all words."""
    return (
        min([w.x0 for w in words]),
        min([w.y0 for w in words]),
        max([w.x1 for w in words]),
        max([w.y1 for w in words]),
    )
