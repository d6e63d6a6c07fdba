"""The way of retrieving that a question needs: none, one retrieval, or several.

After Jeong et al., "Adaptive-RAG" (2024), which trains a classifier for it. Here it is rules over
the question's form in English, Spanish, Catalan and Hungarian, so that anyone can see why a
question went one way; what they decide is put on record.
"""

from __future__ import annotations

import re

from ...records import Hit
from ...text.language import detect_query
from ...text.stopwords import stop_words
from ..query import Query
from ..searcher import Searcher
from .iterative import iterative

LANGUAGES = ("en", "es", "ca", "hu")

_TALK = re.compile(
    r"\W*(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks?(?: you)?(?: very much| a lot)?"
    r"|bye|goodbye|ok(?:ay)?|how are you|who are you|hola|buen[oa]s (?:días|tardes|noches)"
    r"|(?:muchas )?gracias|adiós|qué tal|cómo estás|quién eres|bon dia|bona (?:tarda|nit)"
    r"|(?:moltes )?gràcies|adéu|com estàs|qui ets|szia|sziasztok"
    r"|jó (?:napot|reggelt|estét)(?: kívánok)?"
    r"|köszönöm(?: szépen)?|viszlát|hogy vagy|ki vagy)\W*",
    re.IGNORECASE,
)
_SUM = re.compile(r"[\s\d.,+*/()x×÷^%=?-]*\d\s*[+*/x×÷^-]\s*\d[\s\d.,+*/()x×÷^%=?-]*")
_SEVERAL = re.compile(
    r"\b(?:compare|comparison|difference between|differences between|both|respectively|versus|vs"
    r"|compara\w*|diferencias? entre|ambos|ambas|diferènci(?:a|es) entre|tots dos|ambdós"
    r"|hasonlít\w*|különbség|mindkettő)\b",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"[?;]\s*\S|\b(?:and|y|i|és)\s+(?:who|what|when|where|why|how|which|qui[eé]n|qué|cuándo|dónde"
    r"|por qué|cómo|cuál|qui|què|quan|on|per què|com|quin\w*|ki|mi|mikor|hol|miért|hogyan"
    r"|melyik)\b",
    re.IGNORECASE,
)
_NESTED = re.compile(  # what is asked for hangs on something the question only describes
    r"\b(?:of|by|in|from|for|with|to) the \w+(?: \w+)? (?:that|which|who|where|whose)\b"
    r"|\b(?:del?|de la|por el|por la|en el|en la|con el|con la) \w+(?: \w+)? (?:que|cuy[oa]s?)\b"
    r"|\b(?:del?|de la|pel|per la|al|a la|amb el|amb la) \w+(?: \w+)? que\b"
    r"|\b(?:annak a|amelyik|amelynek|aki)\b",
    re.IGNORECASE,
)


def adaptive(query: Query, searcher: Searcher, _argument: str) -> list[Hit]:
    """No retrieval, one or several, as the question needs; what was decided is on record."""
    with searcher.step("how much to retrieve") as about:
        decided, why = decide(query.question)
        about.update(decided=decided, why=why)
    if decided == "none":
        return []
    return iterative(query, searcher, "") if decided == "several" else searcher.find(query)


def decide(question: str) -> tuple[str, str]:
    """ "none", "one" or "several" retrievals, and why."""
    if _TALK.fullmatch(question):
        return "none", "it is small talk"
    if _SUM.fullmatch(question):
        return "none", "it is a sum"
    language = detect_query(question, list(LANGUAGES)) or "en"
    words = re.findall(r"\w+", question.casefold())
    if not any(w not in stop_words(language) for w in words):
        return "none", "it has no word to search for"
    for pattern, why in (
        (_SEVERAL, "it compares"),
        (_JOINED, "it asks several things"),
        (_NESTED, "it asks about something that has to be found first"),
    ):
        if pattern.search(question):
            return "several", why
    return "one", "it asks one thing"
