"""Makes a page's words whole: those liteparse left out come back, and so do replaced characters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from .pdf_library import RawPage
from .pdf_page import Box, Sheet, Word

_TOKEN = re.compile(r"[^\s\ufffe\x02]+[\ufffe\x02]?")  # PDFium marks hyphens at a line's end
# liteparse writes typographic quotes and dashes in ASCII.
_PLAIN = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "—": "-", "‐": "-",
     "‑": "-", "−": "-", "\ufffe": "-", "\x02": "-", "\u00ad": "-"}
)  # fmt: skip


def complete(page: RawPage, sheet: Sheet) -> None:
    """Compare the sheet's words with the page's own characters and mend the sheet.

    liteparse drops text that it takes for a second drawing or for page chrome: numerators, lines
    set very close, page numbers. A character is there where a word that may be its own stands at
    its place; what is not there is added, one run per word.
    """
    words = sheet.words
    have = Counter("\n".join([w.text for w in words]).split())
    if not Counter(page.text.split()) - have:
        return
    tokens = list(_TOKEN.finditer(page.text))
    _restore(tokens, words)
    have = Counter("\n".join([w.text for w in words]).split())
    suspects: list[re.Match[str]] = []
    for token in tokens:
        for form in (token.group(), _plain(token.group())):
            if have[form] > 0:
                have[form] -= 1
                break
        else:
            suspects.append(token)
    for token in suspects:
        lost = _lost_part(page, token, words, sheet)
        if lost is not None:
            _let_touch(lost, words)
            sheet.runs.append([lost])


def _restore(tokens: Sequence[re.Match[str]], words: Sequence[Word]) -> None:
    """Give words the quotes and dashes back that the file has."""
    typeset: dict[str, list[str]] = {}
    for token in tokens:
        text = token.group()
        if not text.isascii() and text[-1] not in "\ufffe" and (plain := _plain(text)) != text:
            typeset.setdefault(plain, []).append(text)
    if not typeset:
        return

    def form(text: str) -> str:
        forms = typeset.get(text)
        if not forms:
            return text
        return forms.pop(0) if len(forms) > 1 else forms[0]

    for word in words:
        word.text = " ".join(map(form, word.text.split(" ")))


def _plain(text: str) -> str:
    return text if text.isascii() else text.translate(_PLAIN)


def _lost_part(
    page: RawPage, token: re.Match[str], words: Sequence[Word], sheet: Sheet
) -> Word | None:
    """The characters of a token that no word accounts for, as one word."""
    found = [
        (offset, box)
        for offset in range(*token.span())
        if page.text[offset].isprintable() and (box := page.box(offset)) and _is_seen(box, sheet)
    ]
    if not found:
        return None
    core = _core(_plain(token.group()))
    top, bottom = min(b[1] for _, b in found), max(b[3] for _, b in found)
    same = [
        (w, text)
        for w in words
        if w.y0 - 2 <= bottom and w.y1 + 2 >= top and _alike(core, _core(text := _plain(w.text)))
    ]
    lost = ""
    boxes: list[Box] = []
    for offset, box in found:
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if not any(
            w.x0 - 2 <= x <= w.x1 + 2
            and w.y0 - 2 <= y <= w.y1 + 2
            and _plain(page.text[offset]) in text
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


def _is_seen(box: Box, sheet: Sheet) -> bool:
    """Whether a character has a size and its middle is on the page."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    sized = box[2] - box[0] > 0.01 and box[3] - box[1] > 0.01
    return sized and 0 <= x <= sheet.width and 0 <= y <= sheet.height


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
