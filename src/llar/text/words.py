"""Words as they are indexed and searched: found, folded and stemmed the same way on both sides.

A term holds only letters, digits, `_` and private-use characters (which stand for the vowel signs
of Indic scripts), so SQLite's unicode61 tokenizer with `tokenchars '_'` keeps it in one piece.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

import Stemmer

from .stopwords import stop_words

__all__ = [
    "STEMMED",
    "QueryWord",
    "fold",
    "highlight",
    "query_terms",
    "query_words",
    "stop_words",
    "terms",
    "written",
]

# ISO 639-1 code -> Snowball algorithm.
STEMMED = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german",
    "el": "greek", "en": "english", "eo": "esperanto", "es": "spanish", "et": "estonian",
    "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian",
    "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian",
    "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish",
    "yi": "yiddish",
}  # fmt: skip

# Written without spaces between words (and Korean, whose particles cling): pairs of characters.
_PAIRED = (
    "\u0e01-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029"
    "\u3041-\u30fa\u30fc-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    "\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_MARKS = "".join(  # combining characters, which Python's \w leaves out
    chr(c)
    for blocks in ((0x300, 0x1E00), (0x3099, 0x309B), (0xA66F, 0xAC00), (0x11000, 0x11A00))
    for c in range(*blocks)
    if unicodedata.category(chr(c)) in ("Mn", "Mc")
)
_HIDDEN = "\u00ad\u200b\u200c\u200d\u2060"  # soft hyphen, zero-width characters: not seen
_W = rf"[\w{_MARKS}]"
_WS = rf"(?:\w++|[^\x00-\x7f](?<=[{_MARKS}]))++"  # _W+, four times as fast: few are no \w
# A run of word characters with single joining marks inside. It is taken apart by _PIECE; the run
# is only what the cache is keyed by.
_RUN = re.compile(
    rf"{_WS}(?:[.,'’ʼ·\u00a0\u2009\u202f{_HIDDEN}]{_WS})*+"
    r"(?:(?=[+#])(?<=\b[A-Za-z])(?:\+\+|#)(?!\w))?"
)
_UNITS = (
    "[kcmµμndhMG]?[gmlLWVAJB]|[mµμn]s|mcg|ug|min|[kKMGT]i?B|[kKMGT]b|k?cal|kWh|MWh|[kMG]?Hz|m?mol|mEq"
    "|U?UI|IU|h?Pa|kPa|bar|psi|px|rpm|dpi|h|t|ha"
)
_PIECE = re.compile(
    rf"(?P<symbol>(?<!\w)[A-Za-z](?:\+\+|#))"
    rf"|(?P<acronym>(?<![\w.])[^\W\d_](?:\.[^\W\d_])+(?![\w.]))"
    rf"|(?P<number>(?<![\w.,])[1-9]\d{{0,2}}(?:[\u00a0\u2009\u202f]\d{{3}})+(?!\d)"
    rf"|\d+(?:[.,'’]\d+)+|\d+(?=(?:{_UNITS})(?!{_W})))"
    rf"|(?P<paired>[{_PAIRED}]+)"
    rf"|(?P<word>(?:(?!\d{{1,9}}[.,]\d)(?![{_PAIRED}])[\w{_MARKS}{_HIDDEN}])+"
    rf"(?:['’ʼ·](?:(?![{_PAIRED}])[\w{_MARKS}{_HIDDEN}])+)*)"
)
_ALL_PAIRED = re.compile(rf"[{_PAIRED}]+")
_ELIDED = re.compile(
    r"(?:[ldnmtscj]|qu|lorsqu|puisqu|jusqu|quelqu|dell|nell|sull|dall|coll|all|quell|quest|sant)"
    r"['’ʼ](?=\w\w)",
    re.IGNORECASE,
)
_ENCLITIC = re.compile(r"'(?:[mtsnl]|ls|ns|en|hi|ho|us|ens|vos)$")  # Catalan: dona'm
_NOTE_MARK = re.compile(r"(?<=[^\W\d_]{4})[¹²³⁰⁴-⁹]+$")  # a footnote number stuck to a word

# Accents carry no meaning for search in these scripts; vowel signs elsewhere do.
_DROPPED = dict.fromkeys(
    [*range(0x300, 0x370), *range(0x483, 0x488), *range(0x591, 0x5C8), *range(0x610, 0x61B),
     *range(0x64B, 0x660), 0x670, *range(0x6D6, 0x6EE), 0x640]
)  # fmt: skip
_SIGNS = {ord(c): 0xE000 + ord(c) - 0x700 if 0x700 <= ord(c) < 0x2000 else None for c in _MARKS}
_UNWORDLY = re.compile(rf"[^\w{_MARKS}'·⁄]")  # what compatibility forms bring along: ⒈ is "1."
_FOLDED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
    | dict.fromkeys("'ʼ·", "")
    | {"⁄": "_"}
)
_PLAIN = str.maketrans(dict.fromkeys(_HIDDEN) | {"’": "'", "ʼ": "'", "ŀ": "l·", "Ŀ": "l·"})

# An unaccented word gets back the accent its ending always carries, before it is stemmed: people
# type "informacion" and mean "información", and the stemmers know only the latter.
_RESTORED = {
    "es": (
        (re.compile(r"(?<=\w[csxg])ion$"), "ión"),
        (re.compile(r"(?<=\w)(log|graf|sof|nom|metr)ia(s?)$"), r"\1ía\2"),
    ),
    "ca": (
        (re.compile(r"(?<=\w[csxg])io$"), "ió"),
        (re.compile(r"(?<=\w)ancia$"), "ància"),
        (re.compile(r"(?<=\w)encia$"), "ència"),
        (re.compile(r"(?<=\w)ancies$"), "àncies"),
        (re.compile(r"(?<=\w)encies$"), "ències"),
    ),
    "hu": (
        (re.compile(r"(?<=\w\w)([brt])ol$"), r"\1ól"),
        (re.compile(r"(?<=\w\w[^n])nal$"), "nál"),
        (re.compile(r"(?<=\w\w[^n])nel$"), "nél"),
        (re.compile(r"(?<=\w\w)o(val|nak|ban|ba|ja|ig)?$"), r"ó\1"),
    ),
    "pt": ((re.compile(r"(?<=\w)cao$"), "ção"), (re.compile(r"(?<=\w)coes$"), "ções")),
}


class _Piece(NamedTuple):
    """A word of a run: offsets in it, terms taken as they are, and forms still to be stemmed."""

    start: int
    end: int
    literal: tuple[str, ...] = ()
    stemmed: tuple[str, ...] = ()
    lone: bool = False  # one character of an unspaced run: indexed, but not asked for


def terms(text: str, language: str | None) -> list[str]:
    """The terms of `text` in order, as the index stores them; stop words are kept.

    `language` (ISO 639-1) chooses the stemmer; None or one without a Snowball algorithm leaves
    words unstemmed. A word whose unaccented spelling has another stem gives that stem too.
    """
    return " ".join(map(_stems(language).__getitem__, _RUN.findall(text))).split()


def query_terms(text: str, languages: Sequence[str]) -> list[list[str]]:
    """For each word of a query, its distinct terms under the collection's languages.

    Stop words of the language(s) that most of the query's stop words belong to are left out,
    unless nothing would remain. No `languages` means unstemmed.
    """
    return [list(word.terms) for word in query_words(text, languages)]


class QueryWord(NamedTuple):
    """A word of a query: where it stands, as it is written, and its distinct terms.

    `form` is in lower case with its accents, "" for what `written` leaves out and names with `_`.
    """

    start: int
    end: int
    form: str
    terms: tuple[str, ...]


def query_words(
    text: str, languages: Sequence[str], *, stop_words_too: bool = False
) -> list[QueryWord]:
    """The words that `query_terms` gives the terms of, with `stop_words_too` all words."""
    words = _query_words(text, languages)
    if stop_words_too:
        return words
    lists = [stop_words(language) for language in languages]
    counts = [sum(w.form in stops for w in words) for stops in lists]
    top = max(counts, default=0)
    stops = frozenset().union(*(s for s, n in zip(lists, counts, strict=True) if n == top))
    return [w for w in words if w.form not in stops] or words


def written(texts: Iterable[str]) -> Counter[str]:
    """How often each word stands in `texts`: in lower case, with its accents, not stemmed.

    Numbers with separators or units, names such as C++ and scripts without spaces between words
    are left out.
    """
    spaced: Counter[str] = Counter()
    for text in texts:
        spaced.update(text.split())  # each different one is then looked at once
    found: Counter[str] = Counter()
    for between, count in spaced.items():
        for form in _written(between):
            found[form] += count
    return found


@lru_cache(maxsize=200_000)
def _written(text: str) -> tuple[str, ...]:
    runs = _RUN.findall(text)
    return tuple(form for run in runs for piece in _pieces(run) for form in piece.stemmed)


def highlight(text: str, query: str, languages: Sequence[str]) -> list[tuple[int, int]]:
    """Offsets of the words of `text` that share a term with a word of `query`, in order."""
    wanted = _wanted(query, tuple(languages))
    tables = [_stems(language) for language in languages] or [_stems(None)]
    spans: list[tuple[int, int]] = []
    for run in _RUN.finditer(text):
        found = run.group()
        for table in tables:
            joined = table[found]  # mostly a single term
            if joined in wanted or (" " in joined and not wanted.isdisjoint(joined.split(" "))):
                break
        else:
            continue
        word = found.isascii() and found.isalpha()  # then the run is one piece
        for a, b in ((0, len(found)),) if word else _marks(found, query, tuple(languages)):
            start, end = run.start() + a, run.start() + b
            if spans and start < spans[-1][1]:  # pairs of characters overlap
                start, end = spans[-1][0], max(end, spans.pop()[1])
            spans.append((start, end))
    return spans


@lru_cache(maxsize=4096)
def _marks(run: str, query: str, languages: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Offsets in a run of characters of the words that a query asks for."""
    wanted = _wanted(query, languages)
    tables = [_stems(language) for language in languages] or [_stems(None)]
    return tuple(
        (piece.start, piece.end)
        for piece in _pieces(run)
        if any(not wanted.isdisjoint(table.of(piece)) for table in tables)
    )


@lru_cache(maxsize=16)
def _wanted(query: str, languages: tuple[str, ...]) -> frozenset[str]:
    return frozenset(term for found in query_terms(query, languages) for term in found)


def _query_words(text: str, languages: Sequence[str]) -> list[QueryWord]:
    tables = [_stems(language) for language in languages] or [_stems(None)]
    words = []
    for run in _RUN.finditer(text):
        for piece in _pieces(run.group()):
            found = dict.fromkeys(term for table in tables for term in table.of(piece))
            if found and not piece.lone:
                form = piece.stemmed[0] if piece.stemmed and not piece.literal else ""
                start, end = run.start() + piece.start, run.start() + piece.end
                words.append(QueryWord(start, end, form, tuple(found)))
    return words


def _pieces(run: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    for match in _PIECE.finditer(run):
        start, end = match.span()
        found = match.group()
        if match.lastgroup == "word":
            elided = _ELIDED.match(found)
            skipped = elided.end() if elided else 0
            pieces.append(_word(found[skipped:], start + skipped, end))
        elif match.lastgroup == "paired":
            pieces.extend(_paired(found, start))
        elif match.lastgroup == "number":
            pieces.append(_Piece(start, end, (_number(found),)))
        elif match.lastgroup == "acronym":
            pieces.append(_Piece(start, end, (fold(found.replace(".", "").casefold()),)))
        else:
            name = "plusplus" if found.endswith("+") else "sharp"
            pieces.append(_Piece(start, end, (found[0].lower() + name,)))
    return pieces


def _word(found: str, start: int, end: int) -> _Piece:
    if found.isascii():
        form = found.lower()
    else:
        form = unicodedata.normalize("NFC", _NOTE_MARK.sub("", found)).translate(_PLAIN)
        form = _UNWORDLY.sub("", unicodedata.normalize("NFKC", form)).casefold()
    if "_" not in form:
        return _Piece(start, end, (), (form,))
    parts = tuple(part for part in form.split("_") if part)
    whole = ("_".join(map(fold, parts)),) if len(parts) > 1 else ()
    return _Piece(start, end, whole, parts)


def _paired(found: str, start: int) -> list[_Piece]:
    single = [_character(c) for c in found]
    if len(single) == 1:
        return [_Piece(start, start + 1, (single[0],))]
    pieces = []
    for i, term in enumerate(single):
        pieces.append(_Piece(start + i, start + i + 1, (term,), lone=True))
        if i + 1 < len(single):
            pieces.append(_Piece(start + i, start + i + 2, (term + single[i + 1],)))
    return pieces


def _paired_terms(found: str) -> str:
    """The same terms without their places, ten times as fast."""
    single = [_character(c) for c in found]
    both = [f"{a} {a}{b}" for a, b in pairwise(single)]
    return " ".join([*both, single[-1]])


@cache
def _character(character: str) -> str:
    return fold(_UNWORDLY.sub("", unicodedata.normalize("NFKC", character)).casefold())


_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[.,'’\u00a0\u2009\u202f]\d{3})+")
_NOT_DIGIT = re.compile(r"\D")


def _number(found: str) -> str:
    """One spelling for a number: 1.000 and 1,000 and 1000; 4,5 and 4.5 (as 4_5); 3.2.1 (3_2_1)."""
    if not found.isascii():
        found = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in found)
    if _THOUSANDS.fullmatch(found):
        return _NOT_DIGIT.sub("", found)
    whole, mark, rest = found.rpartition("," if found.rfind(",") > found.rfind(".") else ".")
    if mark and mark not in whole and _THOUSANDS.fullmatch(whole):  # 1.234,56
        return f"{_NOT_DIGIT.sub('', whole)}_{rest}"
    return _NOT_DIGIT.sub("_", found)


def fold(word: str) -> str:
    """A word without accents and without characters that the index's tokenizer would split at."""
    return word if word.isascii() and "'" not in word else _bare(word).translate(_SIGNS)


def _bare(word: str) -> str:
    """A word without accents, still readable by a stemmer."""
    bare = unicodedata.normalize("NFKD", word).translate(_DROPPED).translate(_FOLDED)
    return unicodedata.normalize("NFC", bare)


class _Stems(dict[str, str]):
    """Run of characters -> its terms joined by spaces, worked out once."""

    LARGEST = 200_000  # entries; then it starts anew
    LONGEST = 40  # characters of a run worth remembering

    def __init__(self, language: str | None) -> None:
        super().__init__()
        self._language = language
        self._restored = _RESTORED.get(language or "", ())
        name = STEMMED.get(language or "")
        self._stemmer = Stemmer.Stemmer(name, 0) if name else None
        self._lock = threading.Lock()  # a stemmer is not safe to share

    def __missing__(self, run: str) -> str:
        if _ALL_PAIRED.fullmatch(run):
            joined = _paired_terms(run)
        else:
            joined = " ".join(term for piece in _pieces(run) for term in self.of(piece))
        if len(run) <= self.LONGEST:
            if len(self) >= self.LARGEST:
                self.clear()
            self[run] = joined
        return joined

    def of(self, piece: _Piece) -> list[str]:
        """The distinct terms of one piece, the likeliest first; none for marks alone."""
        found = dict.fromkeys(piece.literal)
        for form in piece.stemmed:
            found[self._stem(form)] = None
            if not form.isascii():
                found[self._stem(_bare(form))] = None
        found.pop("", None)
        return list(found)

    def _stem(self, form: str) -> str:
        if self._stemmer is None:
            return fold(form)
        if self._language == "ca":
            form = _ENCLITIC.sub("", form).replace("·", "")
        if form.isascii():
            for ending, accented in self._restored:
                form = ending.sub(accented, form)
        with self._lock:
            stem: str = self._stemmer.stemWord(form)
        return fold(stem)


@cache
def _stems(language: str | None) -> _Stems:
    return _Stems(language)
