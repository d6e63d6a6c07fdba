"""How questions are worded, and what answers look like, in the languages llar knows best."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "LANGUAGES",
    "Wording",
    "abouts",
    "leaning_start",
    "pronoun_start",
    "telling",
    "wording",
]


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of rule-made questions in one language. `{...}` is filled in."""

    number: str
    year: str
    date: str
    name: str
    definition: str  # of a thing
    person: str  # of what may be a person
    cell: str
    where: str  # put behind a question that several tables or sections could answer
    higher: str
    earlier: str
    summary: str
    section: str
    follow: str
    label: str
    heading: str
    code: str


WORDINGS = {
    "en": Wording(
        number="Which number is missing here: “{gap}”?",
        year="Which year is missing here: “{gap}”?",
        date="Which date or day is missing here: “{gap}”?",
        name="Which name is missing here: “{gap}”?",
        definition="What {verb} {subject}?",
        person="Who or what {verb} {subject}?",
        cell="What is the {column} for {row}?",
        where="{question} (“{place}”)",
        higher="Which has the higher {column}, {first} or {second}?",
        earlier="Which year belongs to the earlier of these: “{first}” or “{second}”?",
        summary="Summarise what is said under “{heading}”.",
        section="What is said about “{heading}”?",
        follow="And for {row}?",
        label="Which {key} does this belong to: “{text}”?",
        heading="Under which heading does this stand: “{text}”?",
        code="Which function does this: “{text}”?",
    ),
    "es": Wording(
        number="¿Qué número falta aquí: «{gap}»?",
        year="¿Qué año falta aquí: «{gap}»?",
        date="¿Qué fecha o día falta aquí: «{gap}»?",
        name="¿Qué nombre falta aquí: «{gap}»?",
        definition="¿Qué {verb} {subject}?",
        person="¿Quién o qué {verb} {subject}?",
        cell="¿Cuál es el valor de «{column}» para «{row}»?",
        where="{question} («{place}»)",
        higher="¿Cuál tiene el valor más alto de «{column}», «{first}» o «{second}»?",
        earlier="¿Qué año corresponde al más antiguo de estos hechos: «{first}» o «{second}»?",
        summary="Resume lo que se dice en «{heading}».",
        section="¿Qué se dice sobre «{heading}»?",
        follow="¿Y para «{row}»?",
        label="¿A qué {key} pertenece esto: «{text}»?",
        heading="¿Bajo qué título está esto: «{text}»?",
        code="¿Qué función hace esto: «{text}»?",
    ),
    "ca": Wording(
        number="Quin número falta aquí: «{gap}»?",
        year="Quin any falta aquí: «{gap}»?",
        date="Quina data o quin dia falta aquí: «{gap}»?",
        name="Quin nom falta aquí: «{gap}»?",
        definition="Què {verb} {subject}?",
        person="Qui o què {verb} {subject}?",
        cell="Quin és el valor de «{column}» per a «{row}»?",
        where="{question} («{place}»)",
        higher="Quin té el valor més alt de «{column}», «{first}» o «{second}»?",
        earlier="Quin any correspon al més antic d'aquests fets: «{first}» o «{second}»?",
        summary="Resumeix el que es diu a «{heading}».",
        section="Què es diu sobre «{heading}»?",
        follow="I per a «{row}»?",
        label="A quin valor de {key} pertany això: «{text}»?",
        heading="Sota quin títol està això: «{text}»?",
        code="Quina funció fa això: «{text}»?",
    ),
    "hu": Wording(
        number="Melyik szám hiányzik innen: „{gap}”?",
        year="Melyik évszám hiányzik innen: „{gap}”?",
        date="Melyik dátum vagy nap hiányzik innen: „{gap}”?",
        name="Melyik név hiányzik innen: „{gap}”?",
        definition="Mi {subject}?",
        person="Ki vagy mi {subject}?",
        cell="Mi a(z) „{column}” értéke itt: „{row}”?",
        where="{question} („{place}”)",
        higher="Melyiknél nagyobb a(z) „{column}” értéke: „{first}” vagy „{second}”?",
        earlier="Melyik év tartozik a korábbihoz: „{first}” vagy „{second}”?",
        summary="Foglald össze, mi áll itt: „{heading}”.",
        section="Mit mondanak a dokumentumok erről: „{heading}”?",
        follow="És itt: „{row}”?",
        label="Melyik {key} értékhez tartozik ez: „{text}”?",
        heading="Melyik cím alatt áll ez: „{text}”?",
        code="Melyik függvény teszi ezt: „{text}”?",
    ),
}
LANGUAGES = tuple(WORDINGS)

_DAYS = {
    "en": "monday tuesday wednesday thursday friday saturday sunday",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "ca": "dilluns dimarts dimecres dijous divendres dissabte diumenge",
    "hu": "hétfő kedd szerda csütörtök péntek szombat vasárnap",
}
_MONTHS = {
    "en": "january february march april may june july august september october november december",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre"
    " diciembre",
    "ca": "gener febrer març abril maig juny juliol agost setembre octubre novembre desembre",
    "hu": "január február március április május június július augusztus szeptember október november"
    " december",
}
_LEANING = {  # a sentence that begins with one goes on from something before it
    "en": "it its he she his her they their them this these that those such here there then "
    "however but and or so also thus therefore instead otherwise moreover both another other",
    "es": "él ella ellos ellas esto este esta estos estas eso ese esa esos esas aquello aquel "
    "aquella su sus así pero y o además también entonces aquí allí ambos otro otra",
    "ca": "ell ella ells elles això aquest aquesta aquests aquestes allò aquell aquella així però "
    "i o també tanmateix llavors aquí allà ambdós altre altra",
    "hu": "ő ők ez az ezek azok ezt azt ezzel azzal itt ott így úgy de és vagy azonban ezért "
    "továbbá emellett mindkettő ebben abban ennek annak ilyen olyan másik",
}
_PRONOUNS = {  # of which a follow-up begins
    "en": "it he she they",
    "es": "él ella ellos ellas este esta estos estas",
    "ca": "ell ella ells elles aquest aquesta aquests aquestes",
    "hu": "ő ők",
}
_TELLING = {  # questions that speak of a text rather than of its matter
    "en": r"according to|(?:in|from|of) (?:the|this) (?:\w+ )?(?:passage|text|document|article"
    r"|section|paragraph|excerpt|sentence|statement|author)|\bthe (?:passage|text|author|article)\b"
    r"|mentioned (?:above|below|here)|\bthe following\b",
    "es": r"según (?:el|la|este|esta)|(?:en|del?) (?:el |este )?(?:texto|pasaje|documento|artículo"
    r"|párrafo)|\bel (?:texto|pasaje|autor)\b|mencionad[oa]s? (?:arriba|aquí)|siguiente",
    "ca": r"segons (?:el|la|aquest|aquesta)|(?:en|del?) (?:el |aquest )?(?:text|passatge|document"
    r"|article|paràgraf)\b|\bel (?:text|passatge|autor)\b|esmenta\w* (?:aquí|a dalt)|següent",
    "hu": r"a szöveg szerint|a (?:szöveg|szakasz|dokumentum|cikk|bekezdés|szerző)\w*\b|a következő"
    r"|fent említett",
}


def wording(language: str | None) -> Wording:
    """The wording of a language, English for one that has none."""
    return WORDINGS.get(language or "", WORDINGS["en"])


def abouts(language: str | None) -> re.Pattern[str]:
    """Days and dates: "Monday", "12 March 2020", "12 de marzo", "2020. március 12."."""
    known = language if language in _DAYS else "en"
    days, months = (names[known].replace(" ", "|") for names in (_DAYS, _MONTHS))
    year = r"(?:,?\s(?:de\s|del\s)?\d{4}\b)?"
    if known == "hu":
        dates = rf"(?:\d{{4}}\.\s)?(?:{months})\s\d{{1,2}}\b\.?"
    else:
        dates = rf"\d{{1,2}}(?:º|th|st|nd|rd)?\s(?:de\s|d'|d’|of\s)?(?:{months})\b{year}"
    if known == "en":
        dates += rf"|(?:{months})\s\d{{1,2}}(?:th|st|nd|rd)?\b{year}|(?:{months})\s\d{{4}}\b"
    return re.compile(rf"\b(?:{dates})|\b(?:{days})\b", re.IGNORECASE)


def leaning_start(sentence: str, language: str | None) -> bool:
    """Does a sentence begin with a word that stands for something before it?"""
    return _starts(sentence, _LEANING.get(language or "", _LEANING["en"]))


def pronoun_start(sentence: str, language: str | None) -> bool:
    """Does a sentence begin with a personal pronoun?"""
    return _starts(sentence, _PRONOUNS.get(language or "", _PRONOUNS["en"]))


def _starts(sentence: str, listed: str) -> bool:
    first = re.match(r"\W*([^\W\d_]+)", sentence)
    return first is not None and first[1].casefold() in listed.split()


def telling(question: str, language: str | None) -> bool:
    """Does a question speak of "the text" or "the passage" rather than of its matter?"""
    pattern = _TELLING.get(language or "", _TELLING["en"])
    return re.search(pattern, question, re.IGNORECASE) is not None
