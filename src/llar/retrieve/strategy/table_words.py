"""How people ask for a computation in English, Spanish, Catalan and Hungarian.

The patterns of all four are tried together: a short question rarely shows its language, and the
words seldom mean different things in two of them.
"""

from __future__ import annotations

import re
from typing import Literal

Operation = Literal["max", "min", "mean", "median", "sum", "count", "compare", "list", "look up"]


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


# In the order in which they count where a question has several.
OPERATIONS: tuple[tuple[Operation, re.Pattern[str]], ...] = (
    ("max", _words(
        r"highest|largest|biggest|greatest|maximum|max|most|top|best|longest|tallest|heaviest"
        r"|latest|newest|most recent|last|oldest age|richest|costliest|dearest"
        r"|(?:el|la|los|las) (?:más|mayor(?:es)?)|más (?:alt[oa]s?|grandes?|elevad[oa]s?|car[oa]s?"
        r"|recientes?|larg[oa]s?|pesad[oa]s?|nuev[oa]s?|tardí[oa]s?)|mayor(?:es)?|máxim[oa]s?"
        r"|últim[oa]s?|más"
        r"|més (?:alt[as]?|alts|altes|grans?|elevat|elevada|car[as]?|cars|cares|recents?|llarg"
        r"|llarga|nou|nova|pesat|pesada)|majors?|màxim[as]?|més|darrer[as]?"
        r"|leg(?:magasabb|nagyobb|több|drágább|hosszabb|nehezebb|újabb|később|későbbi|frissebb)\w*"
        r"|maximális|utolsó"
    )),
    ("min", _words(
        r"lowest|smallest|least|minimum|min|fewest|cheapest|shortest|lightest|earliest|oldest|first"
        r"|(?:el|la|los|las) (?:menos|menor(?:es)?)|más (?:baj[oa]s?|pequeñ[oa]s?|barat[oa]s?"
        r"|antigu[oa]s?|cort[oa]s?|liger[oa]s?|viej[oa]s?|tempran[oa]s?|pront[oa])|menor(?:es)?"
        r"|mínim[oa]s?|menos|primer[oa]?s?"
        r"|més (?:baix|baixa|baixos|baixes|petit|petita|petits|barat|barata|barats|antic|antiga"
        r"|curt|curta|vell|vella|aviat)|menors?|mínim[as]?|menys"
        r"|leg(?:alacsonyabb|kisebb|kevesebb|olcsóbb|rövidebb|könnyebb|régebbi|korábbi|korább"
        r"|hamarabb|öregebb|idősebb)\w*|minimális|első"
    )),
    ("median", _words(r"median|mediana|medián\w*")),
    ("mean", _words(
        r"average|mean|avg|on average|promedio|de media|media|medi[oa]|en promedio"
        r"|mitjan[aes]+|mitjà|de mitjana|átlag(?:os|a|ban|osan|ár\w*)?"
    )),
    ("sum", _words(
        r"total|sum|altogether|in total|overall|combined|added up|add up|en total|suma|sumar|suman"
        r"|en conjunto|sumen|conjunt|összesen|összeg\w*|összes|teljes"
    )),
    ("count", _words(
        r"how many|number of|count of|count|cu[áa]nt[oa]s|número de|cantidad de|quant[es]s"
        r"|nombre de|hány|hányan|száma|(?:hány )?darab"
    )),
    ("compare", _words(
        r"compare|comparison|difference|differ|compara(?:r|ción)?|diferencia|comparaci[óo]|diferència"
        r"|hasonlítsd össze|összehasonlít\w*|különbség\w*"
    )),
)  # fmt: skip

# Which of two: only together with both.
COMPARATIVES: tuple[tuple[Operation, re.Pattern[str]], ...] = (
    ("max", _words(r"more expensive|pricier|higher|bigger|larger|greater|more|newer|later|heavier"
                   r"|longer|taller|nagyobb|drágább|több|újabb|magasabb|hosszabb|nehezebb")),
    ("min", _words(r"cheaper|less expensive|lower|smaller|less|fewer|older|earlier|lighter|shorter"
                   r"|kisebb|olcsóbb|kevesebb|régebbi|alacsonyabb|rövidebb|könnyebb")),
)  # fmt: skip

# Adjectives that name what is compared: "cheapest" is the lowest price.
CONCEPTS: dict[str, re.Pattern[str]] = {
    "price": _words(
        r"prices?|costs?|cost price|precios?|costes?|costos?|importes?|preus?|imports?"
        r"|árak?|ára|árat|költség\w*"
    ),
    "date": _words(
        r"dates?|days?|years?|fechas?|años?|dates?|anys?|dátum\w*|év\w*"
    ),
    "age": _words(r"age|edad|edat|kor|életkor\w*"),
    "weight": _words(r"weights?|pesos?|pes|súly\w*|tömeg\w*|kg"),
    "length": _words(r"lengths?|long|duration|longitud|llargada|duraci[óo]n?|durada|hossz\w*"),
    "height": _words(r"heights?|altura|alçada|alçària|magasság\w*"),
    "percent": _words(r"percentages?|per ?cent|pct|%|porcentajes?|percentatges?|százalék\w*"),
    "thing": _words(
        r"items?|products?|articles?|assets?|goods|equipment|devices?|productos?|artículos?"
        r"|equipos?|aparatos?|objetos?|productes?|equips?|aparells?|objectes?|termék\w*|cikk\w*"
        r"|eszköz\w*|áru\w*"
    ),
    "person": _words(
        r"persons?|people|employees?|staff|workers?|members?|personas?|emplead[oa]s?|trabajador\w*"
        r"|persones|empleats?|treballador\w*|személy\w*|dolgozó\w*|munkatárs\w*"
    ),
    "country": _words(r"countr(?:y|ies)|países|país|països|ország\w*"),
    "city": _words(r"cit(?:y|ies)|towns?|ciudad(?:es)?|ciutats?|város\w*"),
    "room": _words(r"rooms?|salas?|habitaci(?:ón|ones)|sala|sales|habitacions?|terem|szob\w*"),
    "quantity": _words(
        r"quantit(?:y|ies)|qty|stock|units?|cantidad(?:es)?|existencias|unidades|quantitat\w*"
        r"|estoc|unitats|mennyiség\w*|készlet\w*|darab\w*"
    ),
}  # fmt: skip
IMPLIED: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (_words(r"cheapest|most expensive|(?:more |less )?expensive|cheap|cheaper|pricier|costliest"
            r"|dearest|más (?:car|barat)[oa]s?"
            r"|car[oa]s?|barat[oa]s?|cuesta(?:n)?|vale|costs?|més (?:car|barat)[as]?|cars|barats"
            r"|cares|barates|costa|costen|val|legdrágább\w*|legolcsóbb\w*|drágább|olcsóbb|kerül|kerülnek"),
     ("price",)),
    (_words(r"latest|newest|most recent|earliest|recient[es]+|nuev[oa]s?|antigu[oa]s?|recents?"
            r"|antic|antiga|legújabb\w*|legrégebbi\w*|legkorábbi\w*|legkésőbbi\w*|first|last"
            r"|primer[oa]?|últim[oa]|darrer[as]?|első|utolsó"), ("date",)),
    (_words(r"oldest|youngest|viej[oa]s?|jov[ea]n[es]*|vell|vella|legöregebb|legidősebb"
            r"|legfiatalabb"), ("age", "date")),
    (_words(r"heaviest|lightest|pesad[oa]s?|liger[oa]s?|pesat|pesada|legnehezebb|legkönnyebb"),
     ("weight",)),
    (_words(r"longest|shortest|larg[oa]s?|cort[oa]s?|llarg|llarga|curt|curta|leghosszabb"
            r"|legrövidebb"), ("length",)),
    (_words(r"tallest|legmagasabb"), ("height",)),
)  # fmt: skip

_NUMBER = r"(?P<{0}>[-−]?[$€£]?\s?\d+(?:[.,  ’']\d+)*(?:\s?(?:%|€|\$|£|million|millones|milions))?)"
_DAY = r"(?P<{0}>\d{{4}}-\d\d-\d\d|\d{{4}}(?:-\d\d)?|(?:\d{{1,2}} )?[^\W\d_]{{3,}} \d{{4}})"
_ONE = _NUMBER.format("a")
# Comparison -> patterns with the number in group a (and b).
COMPARISONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("between", _words(
        rf"(?:between|from|entre|de|desde)\s+{_ONE}\s+(?:and|to|y|i|a|hasta|fins a)\s+"
        + _NUMBER.format("b")
    )),
    (">=", _words(
        rf"(?:at least|no less than|not less than|from|al menos|como mínimo|almenys|com a mínim"
        rf"|legalább|>=|≥)\s*{_ONE}"
    )),
    ("<=", _words(
        rf"(?:at most|no more than|not more than|up to|como máximo|com a màxim|hasta|fins a"
        rf"|legfeljebb|<=|≤)\s*{_ONE}"
    )),
    (">", _words(
        rf"(?:more than|over|above|greater than|higher than|larger than|bigger than|exceeding"
        rf"|exceeds?|más de|más que|superior(?:es)? a|mayor(?:es)? (?:de|que|a)|por encima de"
        rf"|més de|més que|superiors? a|majors? (?:de|que)|per sobre de"
        rf"|több,? mint|nagyobb,? mint|magasabb,? mint|drágább,? mint|>)\s*{_ONE}"
    )),
    ("<", _words(
        rf"(?:less than|fewer than|under|below|smaller than|lower than|cheaper than|menos de"
        rf"|menos que|inferior(?:es)? a|menor(?:es)? (?:de|que|a)|por debajo de|menys de"
        rf"|menys que|inferiors? a|menors? (?:de|que)|per sota de|kevesebb,? mint|kisebb,? mint"
        rf"|alacsonyabb,? mint|olcsóbb,? mint|<)\s*{_ONE}"
    )),
    ("=", _words(
        rf"(?:exactly|equal to|equals|exactamente|igual a|exactament|pontosan|=)\s*{_ONE}"
    )),
    (">=", _words(rf"{_ONE}\s+(?:or more|or over|o más|o més|vagy több)")),
    ("<=", _words(rf"{_ONE}\s+(?:or less|or fewer|o menos|o menys|vagy kevesebb)")),
    (">", _words(rf"{_ONE}(?:-?\S{{1,4}})?\s+(?:felett|fölött|feletti)"
                 rf"|{_ONE.replace('<a>', '<a2>')}"
                 r"-?n[áé]l (?:több|nagyobb|magasabb|drágább)\w*")),
    ("<", _words(rf"{_ONE}(?:-?\S{{1,4}})?\s+(?:alatt|alatti)|{_ONE.replace('<a>', '<a2>')}"
                 r"-?n[áé]l (?:kevesebb|kisebb|alacsonyabb|olcsóbb)\w*")),
)  # fmt: skip
DATE_COMPARISONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("<", _words(rf"(?:before|earlier than|prior to|antes del?|anterior(?:es)? al?|abans del?"
                 rf"|anteriors? a)\s+(?:el |l['’])?{_DAY.format('a')}")),
    (">", _words(rf"(?:after|later than|después del?|posterior(?:es)? al?|després del?"
                 rf"|posteriors? a)\s+(?:el |l['’])?{_DAY.format('a')}")),
    (">=", _words(rf"(?:since|from|desde|des del?)\s+(?:el |l['’])?{_DAY.format('a')}")),
    ("<=", _words(rf"(?:until|till|by|hasta|fins (?:al?|el))\s+{_DAY.format('a')}")),
    ("in", _words(rf"(?:in|during|en|durante|durant|el|del|on|of)\s+{_DAY.format('a')}")),
    ("<", _words(rf"{_DAY.format('a')}(?:\.|-?\S{{1,3}})?\s+előtt")),
    (">", _words(rf"{_DAY.format('a')}(?:\.|-?\S{{1,3}})?\s+után")),
    ("in", _words(rf"{_DAY.format('a')}\.?-?(?:ban|ben|as|es|os|ös)")),
)  # fmt: skip

GROUPING = _words(
    r"by|per|for each|for every|in each|of each|por|por cada|para cada|per cada|de cada|cada"
)
GROUPED = _words(r"szerint|szerinti")  # stands behind what it groups by
NEGATION = _words(
    r"not|except(?: for)?|excluding|without|other than|no|excepto|salvo|sin|excepte|tret de"
    r"|llevat de|\w+n['’]t|sense|nem|kivéve|nélkül|apart from|but not"
)
ALTERNATIVE = _words(r"or|o|vagy|either|u")
AMOUNT = _words(r"number|no|count|amount|cantidad|número|nombre|quantitat|szám\w*|mennyiség\w*")
WHICH = _words(r"which|what|whose|qu[ée]|cu[áa]l(?:es)?|quin[as]?|quins|quines|mely\w*|mi|ki|who")
# Words for what every table has; they say nothing about which one.
GENERIC = frozenset(
    [
        "row",
        "rows",
        "table",
        "list",
        "listed",
        "entry",
        "entries",
        "record",
        "records",
        "value",
        "values",
        "item",
        "items",
        "thing",
        "things",
        "need",
        "needs",
        "needed",
        "made",
        "done",
        "contain",
        "contains",
        "hold",
        "holds",
        "belong",
        "belongs",
        "appear",
        "appears",
        "stand",
        "stands",
        "located",
        "kept",
        "stored",
        "registered",
        "come",
        "comes",
        "happen",
        "happens",
        "contiene",
        "contienen",
        "está",
        "están",
        "figura",
        "figuran",
        "aparece",
        "aparecen",
        "necesita",
        "necesitan",
        "conté",
        "contenen",
        "figuren",
        "apareix",
        "necessita",
        "kell",
        "szerepel",
        "cell",
        "column",
        "columns",
        "data",
        "show",
        "give",
        "tell",
        "find",
        "answer",
        "name",
        "names",
        "overall",
        "each",
        "every",
        "all",
        "there",
        "any",
        "number",
        "amount",
        "altogether",
        "respectively",
        "please",
        "according",
        "document",
        "file",
        "sheet",
        "together",
        "fila",
        "filas",
        "tabla",
        "lista",
        "listado",
        "entrada",
        "entradas",
        "registro",
        "registros",
        "valor",
        "valores",
        "dato",
        "datos",
        "elemento",
        "elementos",
        "dime",
        "muestra",
        "hay",
        "todos",
        "todas",
        "cada",
        "cuál",
        "cuáles",
        "nombre",
        "documento",
        "tiene",
        "tienen",
        "files",
        "taula",
        "llista",
        "entrades",
        "registre",
        "registres",
        "valors",
        "dades",
        "element",
        "elements",
        "hi",
        "ha",
        "tots",
        "totes",
        "quin",
        "quina",
        "té",
        "tenen",
        "digues",
        "mostra",
        "quant",
        "quanta",
        "mucho",
        "mucha",
        "cuánto",
        "cuánta",
        "sor",
        "sorok",
        "táblázat",
        "lista",
        "elem",
        "elemek",
        "érték",
        "értékek",
        "adat",
        "adatok",
        "van",
        "vannak",
        "melyik",
        "mennyi",
        "milyen",
        "minden",
        "összes",
        "mutasd",
        "mondd",
        "név",
        "neve",
        "lehet",
        "volt",
        "voltak",
    ]
)

NUMBER_WORDS = {
    word: number
    for number, words in {
        1: "one un una uno egy", 2: "two dos dues két kettő", 3: "three tres három",
        4: "four cuatro quatre négy", 5: "five cinco cinc öt", 6: "six seis sis hat",
        7: "seven siete set hét", 8: "eight ocho vuit nyolc", 9: "nine nueve nou kilenc",
        10: "ten diez deu tíz",
    }.items()
    for word in words.split()
}  # fmt: skip
ORDINALS = {
    word: number
    for number, words in {
        2: "second segundo segunda segon segona második",
        3: "third tercer tercero tercera tercer harmadik",
        4: "fourth cuarto cuarta quart quarta negyedik",
    }.items()
    for word in words.split()
}
