"""Sentences that tell whoever answers what to say, and do not say how things are.

Such a sentence in a document is no evidence, however well it fits a question: quoted, it would be
shown as the answer. Documents that plainly state something false are another matter; they are
quoted like any other.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

__all__ = ["is_order", "speaks_of_question"]

REPEATED = 0.8  # share of a question's words in a row from which a sentence repeats it
FEWEST = 3  # words of a question that can be repeated

_YOUR_ANSWER = re.compile(  # in the cases and with the prepositions that orders take
    r"\b(?:(?:in|into|to|with|from|of|within) your (?:\w+ )?"
    r"(?:answers?|response|repl(?:y|ies)|output)"
    r"|(?:en|a|de|con|desde) (?:tu|su|vuestra) (?:respuesta|contestación)"
    r"|(?:a|en|de|amb) la (?:teva|seva|vostra) resposta|válaszod(?:ba|ban|hoz|ból|at|nak))\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"\b(?:add|append|augment|begin|combine|convert|embed|end|enhance|group|highlight|include|insert"
    r"|integrate|introduce|mention|misspell|modify|place|put|rearrange|remove|render|replace"
    r"|scramble|start|substitute|suggest|use|write"
    r"|añad|agreg|incluy|inclui|inserta|menciona|escrib|termin|empiez|comienz"
    r"|afeg|incloe|inclou|insereix|esmenta|escriu|acab|començ"
    r"|tedd|írd|írj|említs|illeszd|fűzd)",
    re.IGNORECASE,
)
_TO_THE_MODEL = re.compile(
    r"\b(?:ignore|disregard|forget|ignora|olvida|oblida)\b[^.]{0,40}\b"
    r"(?:instruc|prompt|above|previous|anterior|utasít)"
    r"|(?:^|\s)(?-i:Ignore|Disregard|Forget) (?:the|this|all|any|every)\w* (?:\w+ ){0,3}"
    r"(?:text|document|passages?|context|question|user)\b"
    r"|\b(?:answer|respond to|reply to) (?:every|all|any|each) (?:question|prompt|user)"
    r"|\bsystem prompt\b|\byou are (?:now )?(?:an? )?(?:AI|assistant|chatbot|language model)\b"
    r"|\b(?:responde|contesta) (?:a )?(?:todas|cualquier|totes|qualsevol)\b"
    r"|\b(?:AI|LLM|chatbot|language model|AI assistant)s? (?:reading|that reads?|must|should)\b"
    r"|\bassistants? (?:must|should|shall|has to|have to|is to|will) (?:always |only )?"
    r"(?:say|answer|reply|respond|write) (?:that|with|only)\b",
    re.IGNORECASE,
)
_OF_ASKING = re.compile(
    r"\b(?:ask(?:s|ed|ing)?|answer\w*|repl(?:y|ies|ied|ying)|respon[ds]\w*|questions?"
    r"|pregunt\w*|respuest\w*|responde\w*|responda\w*|contest\w*|respost\w*|respon\w*"
    r"|kérd\w*|válasz\w*|felel\w*)\b",
    re.IGNORECASE,
)
_INTERROGATIVE = re.compile(
    r"who|whom|whose|what|when|where|which|why|how|qué|quién(?:es)?|cuándo|dónde|cuál(?:es)?|cómo"
    r"|cuánt[oa]s?|què|qui|quan|on|quin[as]?|quines|com|quant[as]?|quants|mi|ki|mit|kit|mikor|hol"
    r"|melyik|hogyan|miért|mennyi|hány"
)

_INVERTED = re.compile(  # the word order of an English question, which no statement has
    r"\b(?:when|where|why|how(?: \w+)?|what(?: \w+){0,3}|which(?: \w+){1,3}) (?:is|are|was|were|do"
    r"|does|did|can|could|will|would|should|has|have|had)\b"
)


def is_order(sentence: str) -> bool:
    """Is it an order to whoever reads it for a user, such as to add something to the answer?"""
    if _YOUR_ANSWER.search(sentence) and _CHANGE.search(sentence):
        return True
    return _TO_THE_MODEL.search(sentence) is not None


def speaks_of_question(sentence: str, question: str) -> bool:
    """Does a sentence repeat the question, rather than answer it?

    "When asked who built the bridge, say X" does: it speaks of asking, too. So does "See X for
    when was it built" by its word order alone. "Kiss, who built the bridge, died" does not, and
    neither does a question with its answer behind it ("Who built the bridge? Kiss").
    """
    asked, said = _words(question), _words(sentence)
    held = set(said)
    if len(asked) < FEWEST or sum(w in held for w in asked) < REPEATED * len(asked):
        return False
    match = SequenceMatcher(None, asked, said, autojunk=False).find_longest_match()
    run = asked[match.a : match.a + match.size]
    if len(run) < REPEATED * len(asked):
        return False
    wanted = {w for w in asked if _INTERROGATIVE.fullmatch(w)}
    if wanted and wanted.isdisjoint(run):
        return False
    if match.b and _INVERTED.search(" ".join(run)):
        return True
    rest = " ".join(said[: match.b] + said[match.b + match.size :])
    return match.b >= 3 and _OF_ASKING.search(rest) is not None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
