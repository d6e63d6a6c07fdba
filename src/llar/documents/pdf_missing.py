"""Finds words that stand on a page but are not among those liteparse returned."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from .pdf_library import RawPage
from .pdf_page import Sheet, Word

_TOKEN = re.compile(r"\S+")
# liteparse writes typographic quotes and dashes in ASCII; PDFium marks a hyphen at a line's end.
_PLAIN = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "—": "-", "‐": "-",
     "‑": "-", "−": "-", "\ufffe": "-", "\x02": "-", "\u00ad": "-"}
)  # fmt: skip


def missing_runs(page: RawPage, sheet: Sheet) -> list[list[Word]]:
    """The words of the page that no word of the sheet accounts for, one per run.

    A character is accounted for where a word with that character in it stands at its place.
    """
    text = _plain(page.text)
    words = sheet.words
    if "".join(text.split()) == _plain("".join([w.text for w in words])).replace(" ", ""):
        return []
    have = Counter(_plain(w.text) for w in words)
    suspects: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        if have[token.group()] > 0:
            have[token.group()] -= 1
        else:
            suspects.append(token)
    runs: list[list[Word]] = []
    for token in suspects:
        run = _lost_part(page, token, words, sheet)
        if run is not None:
            runs.append([run])
    for run in runs:
        _let_touch(run[0], words)
    return runs


def _plain(text: str) -> str:
    return text if text.isascii() else text.translate(_PLAIN)


def _lost_part(
    page: RawPage, token: re.Match[str], words: Sequence[Word], sheet: Sheet
) -> Word | None:
    """The characters of a token that no word accounts for, as one word."""
    core = _core(token.group())
    same = [(w, _plain(w.text)) for w in words if _alike(core, _core(_plain(w.text)))]
    lost = ""
    boxes = []
    for offset, character in enumerate(token.group(), token.start()):
        if not character.isprintable() or (character == "-" and offset == token.end() - 1):
            continue  # a control character, or a hyphen that a line ended in
        box = page.box(offset)
        if box is None or box[2] - box[0] <= 0.01 or box[3] - box[1] <= 0.01:
            continue
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if not (0 <= x <= sheet.width and 0 <= y <= sheet.height):
            continue  # outside the page, where nobody reads it
        if not any(
            w.x0 - 2 <= x <= w.x1 + 2 and w.y0 - 2 <= y <= w.y1 + 2 and character in text
            for w, text in same
        ):
            lost += page.text[offset]
            boxes.append(box)
    if not boxes or not any(c.isalnum() for c in lost):
        return None
    x0, y0 = min(b[0] for b in boxes), min(b[1] for b in boxes)
    x1, y1 = max(b[2] for b in boxes), max(b[3] for b in boxes)
    after_space = page.text[token.start() - 1 : token.start()] == " "
    return Word(lost, x0, y0, x1, y1, (y1 - y0) / 1.2, spaced=after_space or None)


def _core(text: str) -> str:
    """Letters and digits of a text in one Unicode form."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return "".join(c for c in text if c.isalnum())


def _alike(token: str, word: str) -> bool:
    """Whether one may be the other or a part of it; right-to-left text may stand in any order."""
    if not token or not word:
        return not token
    if token in word or word in token:
        return True
    return unicodedata.bidirectional(token[0]) in ("R", "AL") and set(token) <= set(word)


def _let_touch(word: Word, words: Sequence[Word]) -> None:
    """Words right behind a recovered one no longer have a space before them."""
    for other in words:
        near = -0.3 * other.size < other.x0 - word.x1 < 0.12 * other.size
        if other.spaced and near and other.y0 < word.middle < other.y1:
            other.spaced = None
