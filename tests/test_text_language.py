"""Languages of texts and of questions; the sentences were written for this test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llar.text.language import detect, detect_query

TEXTS = {
    "en": [
        "The patient should take one tablet every eight hours, always after eating something.",
        "Rooms that are not collected before six in the evening will be given to other guests.",
        "Please read the whole manual before you plug the machine in for the first time.",
    ],
    "es": [
        "El paciente debe tomar un comprimido cada ocho horas, siempre después de comer algo.",
        "Las habitaciones que no se recojan antes de las seis pasarán a otros huéspedes.",
        "Lea todo el manual antes de enchufar la máquina por primera vez, por favor.",
    ],
    "ca": [
        "El pacient ha de prendre un comprimit cada vuit hores, sempre després de menjar.",
        "Les habitacions que no es recullin abans de les sis passaran a altres hostes.",
        "Llegiu tot el manual abans d'endollar la màquina per primera vegada, si us plau.",
        "L'ajuntament ha aprovat els pressupostos de l'any vinent amb els vots de l'oposició.",
    ],
    "hu": [
        "A betegnek nyolcóránként egy tablettát kell bevennie, mindig étkezés után.",
        "A hat óráig át nem vett szobákat más vendégeknek adjuk ki.",
        "Kérjük, olvassa el a teljes kézikönyvet, mielőtt először bekapcsolja a gépet.",
    ],
    "fr": [
        "Le patient doit prendre un comprimé toutes les huit heures, toujours après le repas.",
        "Les chambres qui ne sont pas occupées avant six heures seront données à d'autres.",
    ],
    "pt": [
        "O doente deve tomar um comprimido de oito em oito horas, sempre depois de comer.",
        "Os quartos que não forem ocupados antes das seis serão dados a outros hóspedes.",
    ],
    "it": [
        "Il paziente deve prendere una compressa ogni otto ore, sempre dopo aver mangiato.",
        "Le camere che non vengono ritirate prima delle sei saranno date ad altri ospiti.",
    ],
    "de": [
        "Der Patient soll alle acht Stunden eine Tablette nehmen, immer nach dem Essen.",
        "Zimmer, die bis sechs Uhr nicht bezogen sind, werden an andere Gäste vergeben.",
    ],
    "gl": ["Os cuartos que non se recollan antes das seis pasarán a outros hóspedes. Lea todo "
           "o manual antes de enchufar a máquina por primeira vez, e garde a chave nun lugar."],
    "ja": ["この薬は食後に一日三回飲んでください。"],
    "zh": ["请在饭后服用此药，每天三次。"],
    "ru": ["Пациент должен принимать одну таблетку каждые восемь часов после еды."],
    "ar": ["يجب على المريض تناول قرص واحد كل ثماني ساعات بعد الأكل."],
}  # fmt: skip

QUESTIONS = {
    "ca": [
        "Quina dosi ha de prendre un adult?",
        "Quan obre la piscina?",
        "Qui va escriure Tirant lo Blanc?",
        "Quants dies de vacances tinc?",
        "On puc aparcar el cotxe?",
        "Com es canvia la contrasenya?",
        "Per què no funciona la impressora?",
        "Què he de fer si perdo la targeta?",
        "Es poden portar gossos?",
        "Quin és el preu del dinar?",
        "A quina hora tanca la biblioteca?",
        "Quant costa l'entrada?",
        "Hi ha wifi a les habitacions?",
        "Cal reservar taula?",
        "Qui és el responsable de l'arxiu?",
        "Termini de presentació de sol·licituds",
    ],
    "hu": [
        "Mennyi a felnőtt adag?",
        "Mikor nyit az uszoda?",
        "Ki írta az Egri csillagokat?",
        "Hány nap szabadságom van?",
        "Hol parkolhatok?",
        "Hogyan kell megváltoztatni a jelszót?",
        "Miért nem működik a nyomtató?",
        "Mit tegyek, ha elvesztem a kártyát?",
        "Lehet kutyát hozni?",
        "Mennyibe kerül az ebéd?",
        "Mikor zár a könyvtár?",
        "Van wifi a szobákban?",
        "Kell asztalt foglalni?",
        "Kinek kell leadni a kulcsot?",
        "A kérelmek benyújtásának határideje",
        "Ki a levéltár vezetője?",
    ],
    "es": [
        "¿Qué cantidad puede tomar un adulto?",
        "cuando abre la piscina",
        "precio de la entrada",
        "¿Hay wifi en las habitaciones?",
        "plazo de presentación de solicitudes",
        "¿Quién firma el contrato?",
        "donde puedo aparcar",
        "Se admiten perros",
    ],
    "en": [
        "How much may an adult take?",
        "when does the pool open",
        "ticket price",
        "Is there wifi in the rooms?",
        "deadline for applications",
        "Who signs the contract?",
        "parking near the office",
        "Are dogs allowed?",
    ],
}


@pytest.mark.parametrize(
    ("language", "text"), [(k, t) for k, texts in TEXTS.items() for t in texts]
)
def test_detect(language: str, text: str) -> None:
    assert detect(text) == language


def test_too_little_to_tell() -> None:
    for text in ("", "   ", "1234 5678 90", "OK", "Paracetamol", "| --- | --- |", "A B C D", "¿?"):
        assert detect(text) is None


def test_markup_code_and_addresses_do_not_decide() -> None:
    text = (
        "# Guía\n\nVea [la ayuda](https://example.org/the/quick/brown/fox/and/the/other) y "
        "`if the_value is not None: return the_other_value` antes de empezar; luego escriba a "
        "the.quick.brown.fox@example.org con sus dudas sobre la instalación.\n"
    )
    assert detect(text) == "es"


def test_a_long_text_is_judged_by_its_parts() -> None:
    spanish = " ".join(TEXTS["es"]) + "\n"
    assert detect(spanish * 5000) == "es"
    assert detect("Copyright notice of the publisher.\n" + spanish * 100) == "es"


@pytest.mark.parametrize("language", QUESTIONS)
def test_detect_query(language: str) -> None:
    asked = QUESTIONS[language]
    found = [detect_query(question, ["en", "es", "ca", "hu"]) for question in asked]
    missed = [(q, f) for q, f in zip(asked, found, strict=True) if f != language]
    assert len(missed) <= len(asked) // 10, missed


def test_detect_query_keeps_to_the_candidates() -> None:
    assert detect_query("¿Qué dosis?", []) is None
    assert detect_query("2023?", ["en", "es"]) is None
    assert detect_query("¿Qué dosis?", ["en"]) == "en"
    assert detect_query("Wie heißt der Direktor?", ["de", "nl"]) == "de"
    assert detect_query("Где находится библиотека?", ["en", "ru"]) == "ru"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "es"])
def test_detect_query_on_xquad(language: str, data: Path) -> None:
    """Measured 1.000 for both among four languages."""
    lines = (data / "retrieval" / f"xquad_{language}" / "queries.jsonl").read_text("utf-8")
    asked = [json.loads(line)["text"] for line in lines.splitlines()]
    right = [detect_query(q, ["ca", "en", "es", "hu"]) == language for q in asked]
    assert sum(right) / len(right) >= 0.998


def test_the_model_is_loaded_only_when_needed() -> None:
    code = (
        "import sys; from llar.text.language import detect_query\n"
        "assert detect_query('What is the dose for adults?', ['en', 'es']) == 'en'\n"
        "assert detect_query('¿Qué dosis toma un adulto?', ['en', 'es']) == 'es'\n"
        "assert 'py3langid' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
