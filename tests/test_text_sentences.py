"""Sentence boundaries: written by hand, `|` marks where a sentence must end."""

from __future__ import annotations

import time

import pytest

from llar.text.sentences import split

CASES = {
    "en": [
        "Dr. Smith met Mr. Jones at 5 p.m. on Monday.| They left.",
        "The U.S. Senate voted.| It failed.",
        "He moved to the U.S.| The weather was better.",
        "See No. 5 and Fig. 3.| Then stop.",
        "Is it true?| No.| It is not.",
        "The answer is no.| Nobody knew.",
        "Use fruit, e.g. Apples or pears, i.e. The sweet kind.",
        "J. R. R. Tolkien wrote it.| C. S. Lewis did not.",
        "Version 3.2.1 costs 4.50 euros.| See https://example.org/a.b.html for more.",
        'She said "Stop." |He stopped.',
        "Wait...| What was that?!| Nothing.",
        "Well... maybe not.",
        "Apples, pears, etc. are fruit.| Stones, etc.| Others are not.",
        "In 1999.| The next year was 2000.",
        "He earned a Ph.D. in physics.| She has one too.",
        "It ended.[3]| The next one began.",
        "Both J. A. Hobson and W. E. B. Du Bois wrote.| I am here to . . . submit.",
        "Jones et al. 1998 agree.| The oxygen is O\n2.| This is so.",
        "Smith et al. (2010) showed it.| Others followed.",
        "Take vitamin C.| It helps.",
        "Yahoo! is a company.| Jeopardy! is a show.",
        "Acme Inc. makes it.| Foo Ltd.| This is new.",
    ],
    "es": [
        "El presidente de EE. UU. Barack Obama vino.| Y se fue.",
        "El Sr. Pérez y la Dra. Gómez vinieron.| Después se fueron.",
        "Véase el art. 5 de la Ley.| Consta en la pág. 3.",
        "¿Qué hora es?| ¡Tarde!| Vámonos.",
        "Fruta, p. ej. manzanas, o p. ej. Peras.| Nada más.",
        "Nació en EE. UU. en 1990.| Vive en EE.UU.| El otro no.",
        "La dosis núm. 3 es de 4,5 mg.| No la supere.",
        "Si llueve, ¿qué hacemos?| Nada.",
        "En el s. XX hubo guerras.| En el siglo III a. C. no hubo menos.",
        "—¿Vienes? —dijo ella—.| No contestó.",
        "Tomó agua, pan, etc.| Luego durmió.",
        "Llegó a las 5 p.m.| María no estaba.",
        "La empresa Gas S.A. cerró.| La otra no.",
        "Dijo que no.| Nadie lo creyó.",
        "El 1.er piso y el n.º 5 son suyos.| El resto no.",
    ],
    "ca": [
        "El Sr. Puig i la Dra. Roca van venir.| Després van marxar.",
        "Vegeu la pàg. 3 i l'art. 5 de la llei.| Núm. 7 també.",
        "Fruita, p. ex. pomes, o p. ex. Peres.| Res més.",
        "Què vols?| Res!| Doncs anem.",
        "L'aigua bull a 100,5 graus.| D'això no n'hi ha dubte.",
        "Va néixer als EUA, etc.| Ara viu aquí.",
        "Viu a l'av. Diagonal, al c/ Major i a la pl. Catalunya.| És ric.",
        "Al s. XIX hi havia reis.| Ara no.",
        "No ho sé...| Potser sí.",
        "Mossèn J. Verdaguer va escriure molt.| A. Guimerà també.",
    ],
    "hu": [
        "Dr. Kovács 2023. január 5-én érkezett.| Másnap elment.",
        "Kb. 5 perc múlva, pl. Budapesten.| Nem tudom.",
        "IV. Béla a 13. században élt.| A fia nem.",
        "A 3. fejezet rövid.| Az 5. § hosszú.",
        "Alma, körte stb.| Ezek gyümölcsök.",
        "Ki az?| Senki!| Jó.",
        "A Magyar Kft. nyert.| Az Első Zrt. vesztett.",
        "Lásd a 12. old. alján.| Vö. Nagy (2001).",
        "Kr. e. 44. március 15-én halt meg.| Rómában.",
        "Az ún. Arany-féle kiadás ritka.| Drága is.",
        "Hát... nem tudom.| Talán...| Majd meglátjuk.",
        "Ifj. Szabó Pál az 1. emeleten lakik.| Özv. Tóthné nem.",
    ],
    "de": ["Am 3. Oktober kam Dr. Weiß, z. B. aus Bonn.| Er blieb.", "Siehe S. 5.| Ende."],
    "fr": ["M. Dupont et Mme. Durand, cf. art. 5, sont là.| Ils partent."],
    "it": ["Il sig. Rossi, cfr. pag. 3, arriva.| Poi parte."],
    "pt": ["O Sr. Silva viu a pág. 3.| Depois saiu."],
    "ja": ["今日は晴れです。|明日は雨でしょうか？|わかりません。"],
    "ar": ["كيف حالك؟| أنا بخير."],
    "hi": ["यह घर है।| वह पेड़ है।"],
}


@pytest.mark.parametrize(
    ("language", "marked"), [(lang, case) for lang, cases in CASES.items() for case in cases]
)
def test_sentences(language: str, marked: str) -> None:
    expected = [part.strip() for part in marked.split("|")]
    text = marked.replace("|", "")
    assert [text[start:end] for start, end in split(text, language)] == expected


def test_enough_cases_in_each_of_our_languages() -> None:
    assert sum(len(CASES[language]) for language in ("en", "es", "ca", "hu")) >= 40


def test_markup_separates_sentences() -> None:
    text = """# Paracetamol. Uso

Primer párrafo que sigue
en otra línea. Y acaba aquí
- punto uno sin final
- punto dos. Con dos frases.
1. Abrir la caja. Leer el prospecto
| Edad | Dosis |
|---|---|
| Niños | 10 mg. Máx. 60 mg |

Título
======
```
x = 1. + 2
y = 3
```
> Una cita. Otra más.
"""
    assert [text[start:end] for start, end in split(text, "es")] == [
        "Paracetamol.",
        "Uso",
        "Primer párrafo que sigue\nen otra línea.",
        "Y acaba aquí",
        "punto uno sin final",
        "punto dos.",
        "Con dos frases.",
        "1. Abrir la caja.",
        "Leer el prospecto",
        "| Edad | Dosis |",
        "| Niños | 10 mg. Máx. 60 mg |",
        "Título",
        "x = 1. + 2",
        "y = 3",
        "Una cita.",
        "Otra más.",
    ]


def test_windows_line_ends() -> None:
    text = "Uno\r\n\r\nDos\r\nsigue. Tres\r\n- Cuatro\r\n"
    found = [text[start:end] for start, end in split(text, "es")]
    assert found == ["Uno", "Dos\r\nsigue.", "Tres", "Cuatro"]


def test_nothing_to_split() -> None:
    assert split("", "en") == []
    assert split(" \n\t\n", "es") == []
    assert split("---\n\n===\n", None) == []
    assert split("no stop", None) == [(0, 7)]


def test_time_grows_with_length_only() -> None:
    for text in (
        "a" + "." * 200_000,
        "a. " + ".. " * 60_000,
        "a" * 200_000,
        "a. " * 70_000,
        "A. B" * 50_000,
        "\n" * 200_000,
    ):
        started = time.process_time()
        split(text, "en")
        assert time.process_time() - started < 2
