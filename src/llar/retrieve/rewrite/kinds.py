"""The kinds of questions, and the words and turns that show which kind one is.

English, Spanish, Catalan and Hungarian.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _rule(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# The first that is found says what kind it is; "fact" is what is left.
KINDS: Mapping[str, re.Pattern[str]] = {
    "small talk": _rule(
        r"^\W*(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks|thank you|bye|goodbye)\b"
        r"(?!.*\b(?:what|how|who|when|where|which|why)\b.*\?)",
        r"^\W*(?:how are you|who are you|what(?:'s| is) up)\b",
        r"^\W*(?:hola|buen[oa]s (?:días|tardes|noches)|(?:muchas )?gracias|adiós)\W*(?:$|qué tal)",
        r"^\W*(?:bon dia|bona (?:tarda|nit)|(?:moltes )?gràcies|adéu|com estàs)\W*$",
        r"^\W*(?:szia|sziasztok|jó (?:napot|reggelt|estét)(?: kívánok)?|köszönöm(?: szépen)?"
        r"|viszlát|hogy vagy)\W*$",
    ),
    "code": _rule(
        r"\w+\(\w*\)|\b\w+_\w+\b|\bdef \w|\b(?:sql|json|api|regex|stack ?trace|compiler)\b",
        r"\b(?:function|method|class|subroutine|variable)\b.*\b(?:defined|called|implement\w*"
        r"|returns?|reads?|writes?|raises?|in the code)\b",
        r"\b(?:which|what) (?:function|method|class)\b",
        r"\b(?:función|método|funció|mètode|függvény|metódus)\b",
    ),
    "summary": _rule(
        r"\b(?:summar(?:y|ise|ize)\w*|overview|gist|main (?:points?|conclusions?|ideas?|findings?)"
        r"|key (?:points|takeaways)|in short)\b|\bwhat\b.*\babout\s*\?",
        r"\b(?:resum\w*|visión general|visió general|de qué (?:trata|va)|de què (?:tracta|va))\b",
        r"\b(?:foglal\w* össze|összefoglal\w*|miről szól)\b",
    ),
    "comparison": _rule(
        r"\b(?:compar(?:e|ed|ison|ing)|differ(?:s|ences?|ent from)?|versus|vs)\b"
        r"|\b(?:more|less|\w{3,}er) than (?!\d)",
        r"\b(?:compar\w+|diferencias?|diferències?|diferència|más \w+ que|més \w+ que)\b",
        r"\b(?:hasonlít\w*|különbség\w*)\b",
    ),
    "table": _rule(
        r"\b(?:rows?|columns?|tables?|spreadsheet|cells?)\b",
        r"\b(?:sum|average|mean|total) (?:of )?the\b",
        r"\b(?:highest|lowest|largest|smallest|most expensive|cheapest)\b",
        r"\b(?:greater|higher|lower|less|more) than \d",
        r"\b(?:filas?|columnas?|tablas?|taules?|taula|columnes|promedio|mitjana)\b"
        r"|\b(?:más|més) (?:alt[oa]?|baj[oa]|baix|baixa|car[oa]?|barat[oa]?)\b",
        r"\b(?:sor(?:ban|ok|a)?|oszlop\w*|táblázat\w*|átlag\w*|legnagyobb|legkisebb|leg\w{4,}bb)\b",
    ),
    "how-to": _rule(
        r"^\W*how (?:do|can|should|could|would|to|must)\b(?! (?:\w+ )*differ)",
        r"\bwhat (?:should|must|do|can) (?:i|we) do\b",
        r"^\W*(?:steps|instructions|procedure) (?:to|for)\b",
        r"\bcómo (?:puedo|podemos|se (?!llam|denomin)|debo|hay que|hacer|\w+r\b)",
        r"\bqué (?:debo|tengo que) hacer\b",
        r"\bcom (?:puc|podem|es (?!diu|va dir|anomen)|he de|s'ha de|fer|\w+r\b)",
        r"\bquè (?:he de|cal) fer\b",
        r"\bhogyan (?:kell|lehet|tudok|tudom|kérhet\w*|\w+hat\w*)|\bmit kell tenn\w*",
    ),
    "list": _rule(
        r"^\W*(?:list|name|enumerate|give me (?:all|every|a list))\b",
        r"\ball (?:the )?\w+s\b|\bevery\b|^\W*(?:what|which) (?:are|were)\b",
        r"^\W*(?:what|which) \w+(?:ies|ves|[^s'\W]s) (?:are|were|have)\b",
        r"\b(?:enumera|lista|listar|nombra|cuáles son|qué \w+s son|todos los|todas las)\b",
        r"\b(?:llista|enumera|anomena|quin(?:s|es) són|tots els|totes les)\b",
        r"\b(?:sorol\w+|listá\w*|melyek|mik az?|az összes)\b",
    ),
    "number": _rule(
        r"\bhow (?:many|much|long|old|far|often|big|large|tall|high|fast|heavy)\b",
        r"(?:^|, )\W*when\b",
        r"\b(?:what|which|in what|on what) (?:year|date|day|month|time|percentage|percent|number"
        r"|amount|price|age|size|rate)\b",
        r"\bwhat (?:is|was) the (?:\w+ )?(?:number|amount|price|cost|dose|date|percentage|age|rate"
        r"|temperature|speed|length|weight|height|deadline)\b",
        r"\bcuánt[oa]s?\b|\bcuándo\b|\b(?:qué|cuál es la|cuál es el) (?:año|fecha|día|precio|número"
        r"|porcentaje|dosis|cantidad)\b",
        r"\bquant(?:s|es|a)?\b|\bquan\b",
        r"\b(?:quin|quina|quin és el|quina és la) (?:any|data|dia|preu|nombre|percentatge|dosi"
        r"|quantitat)\b",
        r"\b(?:hány\w*|mennyi\w*|mikor|meddig|hányadik|melyik évben)\b",
    ),
}
FACT = "fact"


def kind(question: str) -> str:
    """The kind of a question by the rules."""
    return next((name for name, rule in KINDS.items() if rule.search(question)), FACT)
