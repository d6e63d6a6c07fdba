"""Question sets made from documents: each rule, each check, the model's part and the review."""

from __future__ import annotations

import json
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from llar import Collection, load_config
from llar.cli import cli
from llar.documents.reading import Limits, read_document
from llar.errors import EvaluationError
from llar.evaluate import make_code, make_tables, make_text
from llar.evaluate.make import Made, make
from llar.evaluate.make_review import as_text, from_text, review, save
from llar.evaluate.make_text import Candidate
from llar.evaluate.make_words import abouts, leaning_start, telling
from llar.evaluate.questions import Question, Span, read, write
from llar.models.fake import FakeChat
from llar.records import Document, Message

pytestmark = pytest.mark.slow

HANDBOOK = """# Staff handbook

## Leave

Full-time members of the staff have 27 days of paid annual leave. A sabbatical is a long period of
unpaid leave for members of the staff who have worked here for ten years. It can be taken after an
interview with Margit Horváth in the office.

## Fire safety

The fire alarm is tested every Monday by the porter of the building. The main staircase was rebuilt
in 1987. The sprinklers of the archive were installed by Nagy Brothers in 1994 at great expense.

## Travel

Journeys by train are paid by the office in Szeged within fourteen working days of the return.

| Rank | Meals | Hotel |
|---|---|---|
| Director | 60 euros | 190 euros |
| Engineer | 45 euros | 130 euros |
| Trainee | 30 euros | 95 euros |
"""
HISTORY = """# The company

## Beginnings

The first workshop of Nagy Brothers was opened in 1921 behind the railway station of the town. The
foundry of Nagy Brothers was sold in 1948 to the state without any compensation.

## Today

The laboratory employs 212 chemists who examine the water of eleven counties every single week.

| Site | Staff | Hotel |
|---|---|---|
| Foundry | 88 people | 250 euros |
| Laboratory | 212 people | 80 euros |
"""
SPANISH = """# Manual

## Vacaciones

El personal a tiempo completo tiene 27 días de vacaciones pagadas al año. Un becario es una persona
que estudia y trabaja durante seis meses en nuestras oficinas. La alarma de incendios se prueba
todos los lunes por la mañana en el edificio principal.
"""
CATALAN = """# Manual

## Vacances

El personal a temps complet té 27 dies de vacances pagades cada any. Un becari és una persona que
estudia i treballa durant sis mesos a les nostres oficines. L'alarma d'incendis es prova cada
dilluns al matí a l'edifici principal de l'empresa.
"""
HUNGARIAN = """# Szabályzat

## Szabadság

A teljes munkaidős dolgozó évente 27 nap fizetett szabadságot kap a cégnél. A gyakornok egy fiatal
munkatárs, aki a tanulmányai mellett dolgozik nálunk. A riasztót minden hétfő délelőtt kipróbálja
a portás az épület bejáratánál.
"""
CODE = '''"""Sums."""


def add_tax(price, rate):
    """Return the price of an article with the tax that its country asks for."""
    return price * (1 + rate)


class Bill:
    def total(self):
        """The sum of all lines of the bill after every discount. Never negative."""
        return max(0, sum(self.lines))

    def _x(self):
        """Short."""
        return 1
'''
FILES = {
    "handbook.md": HANDBOOK, "history.md": HISTORY, "manual.es.md": SPANISH,
    "manual.ca.md": CATALAN, "szabalyzat.md": HUNGARIAN, "bills.py": CODE,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("docs")
    for name, text in FILES.items():
        (where / name).write_text(text, encoding="utf-8")
    return where


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Collection]:
    """They are only read."""
    config = load_config({"home": tmp_path_factory.mktemp("home"), "embedder": "fake:hash-256",
                          "chat_model": "fake:echo", "chunk_tokens": 60})  # fmt: skip
    with Collection("c", config=config) as collection:
        assert not collection.add(folder).failed
        yield collection


def _document(folder: Path, name: str) -> Document:
    return read_document(folder / name, Limits(1 << 20))


def _gaps(folder: Path, name: str) -> dict[str, Candidate]:
    document = _document(folder, name)
    found = make_text.gaps(list(make_text.quoted(1, document)), document.language)
    return {c.question: c for c in found}


# -- rules ---------------------------------------------------------------------------------


def test_english_sentences(folder: Path) -> None:
    found = _gaps(folder, "handbook.md")
    assert {q: (c.kind, c.answers) for q, c in found.items()} == {
        "How many days of paid annual leave do Full-time members of the staff have?":
            ("number", ("27",)),
        "Which number is missing here: “Full-time members of the staff have ___ days of paid "
        "annual leave”?": ("number", ("27",)),
        "What is a sabbatical?": ("fact", ("a long period of unpaid leave for members of the staff "
                                           "who have worked here for ten years",)),
        "Which date or day is missing here: “The fire alarm is tested every ___ by the porter of "
        "the building”?": ("fact", ("Monday",)),
        "When was the main staircase rebuilt?": ("number", ("1987",)),
        "Which year is missing here: “The main staircase was rebuilt in ___”?":
            ("number", ("1987",)),
        "Which year is missing here: “The sprinklers of the archive were installed by Nagy "
        "Brothers in ___ at great expense”?": ("number", ("1994",)),
        "Which name is missing here: “The sprinklers of the archive were installed by ___ in 1994 "
        "at great expense”?": ("fact", ("Nagy Brothers",)),
        "Which name is missing here: “Journeys by train are paid by the office in ___ within "
        "fourteen working days of the return”?": ("fact", ("Szeged",)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("manual.es.md", {
            "¿Qué número falta aquí: «El personal a tiempo completo tiene ___ días de vacaciones "
            "pagadas al año»?": "27",
            "¿Qué es un becario?": "una persona que estudia y trabaja durante seis meses en "
            "nuestras oficinas",
            "¿Qué fecha o día falta aquí: «La alarma de incendios se prueba todos los ___ por la "
            "mañana en el edificio principal»?": "lunes"}),
        ("manual.ca.md", {
            "Quin número falta aquí: «El personal a temps complet té ___ dies de vacances pagades "
            "cada any»?": "27",
            "Què és un becari?": "una persona que estudia i treballa durant sis mesos a les "
            "nostres oficines",
            "Quina data o quin dia falta aquí: «L'alarma d'incendis es prova cada ___ al matí a "
            "l'edifici principal de l'empresa»?": "dilluns"}),
        ("szabalyzat.md", {
            "Melyik szám hiányzik innen: „A teljes munkaidős dolgozó évente ___ nap fizetett "
            "szabadságot kap a cégnél”?": "27",
            "Mi a gyakornok?": "egy fiatal munkatárs, aki a tanulmányai mellett dolgozik nálunk",
            "Melyik dátum vagy nap hiányzik innen: „A riasztót minden ___ délelőtt kipróbálja a "
            "portás az épület bejáratánál”?": "hétfő"}),
    ],
)  # fmt: skip
def test_sentences_in_other_languages(folder: Path, name: str, wanted: dict[str, str]) -> None:
    assert {q: c.answers[0] for q, c in _gaps(folder, name).items()} == wanted


def test_what_leans_on_a_sentence_before_is_asked_after_it(folder: Path) -> None:
    document = _document(folder, "handbook.md")
    sentences = list(make_text.quoted(1, document))
    (found,) = make_text.dialogues(sentences, "en")
    assert found.question == (
        "Which name is missing here: “It can be taken after an interview with ___ in the office”?"
    )
    assert found.answers == ("Margit Horváth",)
    assert found.history[0] == Message("user", "What is a sabbatical?")
    assert found.history[1].content.startswith("a long period of unpaid leave")


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("by 12 March 2020 or on March 3rd, 2021", "en", ["12 March 2020", "March 3rd, 2021"]),
        ("they may march in May 2019", "en", ["May 2019"]),
        ("el 3 de marzo de 2020, un lunes", "es", ["3 de marzo de 2020", "lunes"]),
        ("el 2 d'abril de 2021", "ca", ["2 d'abril de 2021"]),
        ("2020. március 12. óta", "hu", ["2020. március 12."]),
    ],
)
def test_dates(text: str, language: str, wanted: list[str]) -> None:
    assert [m[0] for m in abouts(language).finditer(text)] == wanted


def test_words_of_a_text_and_of_what_stood_before() -> None:
    assert telling("According to the passage, who came?", "en")
    assert telling("¿Qué dice el texto?", "es")
    assert telling("Què diu el passatge?", "ca")
    assert telling("Mi történt a szöveg szerint?", "hu")
    assert not telling("Who wrote the constitution?", "en")
    assert leaning_start("However, they came.", "en")
    assert leaning_start("Ez a szabály", "hu")
    assert not leaning_start("El personal viene.", "ca")


def test_cells_of_a_table(folder: Path) -> None:
    document = _document(folder, "handbook.md")
    cells = make_tables.cells_of(1, document)
    assert [(c.row, c.column, c.text) for c in cells][:3] == [
        ("Director", "Meals", "60 euros"), ("Director", "Hotel", "190 euros"),
        ("Engineer", "Meals", "45 euros"),
    ]  # fmt: skip
    for c in cells:
        assert document.text[c.start : c.end] == c.line
    asked = list(make_tables.looked_up(cells, "en"))
    assert asked[0].question == "What is the Meals for Director?"
    assert asked[0].otherwise == "What is the Meals for Director? (“Travel”)"
    follow = next(iter(make_tables.followed(cells, "en")))
    assert (follow.question, follow.answers) == ("And for Engineer?", ("45 euros",))
    assert follow.history[1].content == "60 euros"


def test_rows_of_two_tables_are_compared(folder: Path) -> None:
    import random

    cells = [c for n, name in ((1, "handbook.md"), (2, "history.md"))
             for c in make_tables.cells_of(n, _document(folder, name))]  # fmt: skip
    found = {
        c.question: c.answers[0]
        for c in make_tables.compared(cells, {1: "en", 2: "en"}, random.Random(0))
    }
    # Every pair of one column and unit: 3 meals, 10 hotels, 2 staff.
    assert len(found) == 3 + 10 + 1
    either = {found.get(f"Which has the higher Hotel, {a} or {b}?")
              for a, b in (("Director", "Foundry"), ("Foundry", "Director"))}  # fmt: skip
    assert either == {"Foundry", None}


def test_functions_by_their_docstrings(folder: Path) -> None:
    document = _document(folder, "bills.py")
    found = {c.answers[0]: c for c in make_code.functions(1, document)}
    assert set(found) == {"add_tax", "total"}
    assert found["total"].question == (
        "Which function does this: “The sum of all lines of the bill after every discount”?"
    )
    _, start, end = found["add_tax"].spans[0]
    text = document.text[start:end]
    assert text.startswith("def add_tax")
    assert text.endswith("return price * (1 + rate)")


def test_functions_by_their_comments(tmp_path: Path) -> None:
    (tmp_path / "a.go").write_text(
        "package a\n\n// Dose reads the dose of a patient from the chart.\n// It may be empty.\n"
        "func Dose(c Chart) string {\n\tif c.open {\n\t\treturn c.text\n\t}\n\treturn \"\"\n}\n\n"
        "func other() {}\n"
    )  # fmt: skip
    document = _document(tmp_path, "a.go")
    (found,) = make_code.functions(1, document)
    assert found.answers == ("Dose",)
    assert "Dose reads the dose of a patient from the chart" in found.question
    _, start, end = found.spans[0]
    assert document.text[start:end].endswith('return ""\n}')


# -- whole sets ----------------------------------------------------------------------------


def _check(made: Made, docs: Collection) -> None:
    """Every span is a quote of its document; every answer stands in one."""
    by_path = {f.path: docs.index.text(f.document_id) for f in docs.index.files()}
    for q in made.questions:
        assert q.language in ("en", "es", "ca", "hu", None)
        for span in q.spans:
            assert by_path[span.path][span.start : span.end] == span.quote != ""
        held = " ".join(" ".join(s.quote for s in q.spans).split())
        if q.kind not in ("unanswerable", "classification"):
            assert all(a in held for a in q.answers), q
        assert (q.kind == "unanswerable") == (not q.spans)
    assert len({q.id for q in made.questions}) == len(made.questions)
    assert len({(q.question, q.history) for q in made.questions}) == len(made.questions)


def test_a_set_of_every_kind(docs: Collection, tmp_path: Path) -> None:
    made = make(docs, count=36, seed=3)
    _check(made, docs)
    assert set(made.counts) == {"fact", "number", "table", "multi-passage", "unanswerable",
                                "dialogue", "code", "classification"}  # fmt: skip
    assert any("'summary'" in note for note in made.notes)  # no section is long enough
    languages = {q.language for q in made.questions if q.kind in ("fact", "number")}
    assert languages == {"en", "es", "ca", "hu"}
    for q in made.questions:
        if q.kind == "multi-passage":
            assert len(q.spans) == 2
        if q.kind == "dialogue":
            assert [m.role for m in q.history] == ["user", "assistant"]
    file = tmp_path / "set.jsonl"
    save(file, made.questions)
    assert list(read(file).questions) == made.questions


def test_the_seed_decides(docs: Collection) -> None:
    kinds = ("fact", "number", "table")
    first, same, other = (make(docs, kinds=kinds, count=9, seed=s).questions for s in (1, 1, 2))
    assert first == same
    assert {q.id for q in first} != {q.id for q in other}


def test_what_is_unanswerable_stands_nowhere(docs: Collection) -> None:
    made = make(docs, kinds=("unanswerable",), count=8, seed=1)
    text = {f.path: " ".join(docs.index.text(f.document_id).split()) for f in docs.index.files()}
    for q in made.questions:
        assert q.answers == ()
        assert not q.answerable
        if q.about["made"] == "rule: row of another table":
            column, row = re.fullmatch(r"What is the (.+) for (.+)\?", q.question).groups()  # type: ignore[union-attr]
            header = {line for t in text.values() for line in t.split("|---|")[0].split("\n")}
            assert header
            both = [t for t in text.values() if f"| {row} |" in t and f" {column} |" in t]
            assert both == []
        else:
            taken = q.about["instead of"]
            sentence = re.search("[“«„](.+)[”»]", q.question)[1]  # type: ignore[index]
            assert taken not in sentence
            assert not any(sentence.partition("___")[0] in t for t in text.values()
                           if sentence.partition("___")[0].strip())  # fmt: skip


def test_ambiguous_questions_are_not_kept(home: Path, tmp_path: Path) -> None:
    for n, days in enumerate((27, 30)):
        (tmp_path / f"branch{n}.md").write_text(
            f"# Branch {n}\n\nThe members of the staff in this branch have {days} days of leave.\n"
        )
    config = load_config({"embedder": "fake:hash-256", "chat_model": "fake:echo"})
    with Collection("c", config=config) as docs:
        docs.add(tmp_path / "branch0.md")
        assert make(docs, kinds=("number",), count=2).questions
        docs.add(tmp_path / "branch1.md")
        with pytest.raises(EvaluationError, match="another passage answers it as well"):
            make(docs, kinds=("number",), count=2)


LABELLED = (
    ("fire", "The alarm is tested by the porter every single week."),
    ("fire", "Hydrants stand behind both gates of the yard."),
    ("leave", "A sabbatical has to be asked for three months before."),
    ("leave", "Public holidays are listed on the board of each floor."),
)


@pytest.mark.slow
def test_metadata_is_a_class(home: Path, tmp_path: Path) -> None:
    config = load_config({"embedder": "fake:hash-256", "chat_model": "fake:echo"})
    with Collection("c", config=config) as docs:
        for n, (area, text) in enumerate(LABELLED):
            (tmp_path / area).mkdir(exist_ok=True)
            (tmp_path / area / f"{n}.txt").write_text(text)
        for area in ("fire", "leave"):
            docs.add(tmp_path / area, metadata={"area": area})
        made = make(docs, kinds=("classification",), count=4)
    assert Counter(q.label for q in made.questions) == {"fire": 2, "leave": 2}
    assert all(q.question.startswith("Which area does this belong to: “") for q in made.questions)


def test_bad_wishes_are_errors(docs: Collection, home: Path) -> None:
    with pytest.raises(EvaluationError, match="there is no kind 'facts'"):
        make(docs, kinds=("facts",))
    with pytest.raises(EvaluationError, match="at least one question"):
        make(docs, count=0)
    with pytest.raises(EvaluationError, match="could be made"):
        make(docs, kinds=("summary",))


# -- the model's part ----------------------------------------------------------------------


SENTENCE = "The fire alarm of the main building is tested every Monday by the porter."


@pytest.fixture(scope="module")
def alarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    home = tmp_path_factory.mktemp("alarm")
    (home / "alarm.txt").write_text(SENTENCE)
    config = load_config({"home": home, "embedder": "fake:hash-256", "chat_model": "fake:echo"})
    with Collection("c", config=config) as docs:
        docs.add(home / "alarm.txt")
        yield docs


def test_a_good_question_of_the_models_is_kept(alarm: Collection) -> None:
    asked = "On which day is the fire alarm of the main building tested?"
    chat = FakeChat(replies=[f"Question: {asked} It is an easy one.", "It is tested every Monday."])
    made = make(alarm, kinds=("fact",), count=1, chat=chat)
    (question,) = made.questions
    assert question.question == asked
    assert question.answers == ("Monday",)
    assert question.spans[0].quote == SENTENCE
    assert question.about["made"] == "model: fake:echo"
    assert made.rejected == {}


@pytest.mark.parametrize(
    ("replies", "why"),
    [
        (["I do not know."], "the model wrote no question"),
        (["When is the fire alarm tested, on what day?", "On Friday."],
         "asked itself, the model answers otherwise"),
        (["According to the passage, when is the fire alarm tested?", "Monday"],
         'it speaks of "the text" or "the passage"'),
        (["When is it tested by the porter of the building?", "Monday"],
         "its subject is only a pronoun"),
        (["The fire alarm of the main building is tested every day by the porter?", "Monday"],
         "it is the passage's own sentence"),
        (["Is the fire alarm of the building tested every Monday?", "Monday"],
         "the answer stands in the question"),
        (["¿En qué día de la semana se prueba la alarma del edificio?", "Monday"],
         "it is not in the document's language (en)"),
        (["What is tested?", "Monday"], "it has too few words to stand alone"),
    ],
)  # fmt: skip
def test_a_bad_question_of_the_models_is_counted(
    alarm: Collection, replies: list[str], why: str
) -> None:
    made = make(alarm, kinds=("fact",), count=1, chat=FakeChat(replies=replies))
    assert made.rejected == {("fact", "model"): {why: 1}}
    assert [q.about["made"] for q in made.questions] == ["rule: gap"]  # the rule's own, instead


# -- review --------------------------------------------------------------------------------


QUESTIONS = (
    Question("a", "When is it?\nOr not?", ("Monday", "on\\off"), "fact",
             (Span("h.md", 0, 3, "x\ny"),), about={"made": "rule: gap"}),
    Question("b", "Which class?", (), "classification", (Span("h.md", 0, 1, "x"),), label="fire"),
    Question("c", "What about mice?", (), "unanswerable"),
    Question("d", "And she?", ("Ann",), "dialogue", (Span("h.md", 0, 1, "x"),),
             history=(Message("user", "Who?"), Message("assistant", "Bob"))),
)  # fmt: skip


def test_a_sheet_comes_back_as_it_was() -> None:
    found = from_text(as_text(QUESTIONS), QUESTIONS, Path("s"))
    assert found.questions == QUESTIONS
    assert (found.kept, found.dropped, found.later) == (0, 0, 4)
    seen = tuple(replace(q, reviewed=True) for q in QUESTIONS)
    assert from_text(as_text(seen), seen, Path("s")).questions == seen


def test_marks_and_changes_are_applied() -> None:
    text = as_text(QUESTIONS)
    text = text.replace("[later] a", "[keep] a").replace("[later] c", "[ drop ] c")
    text = text.replace("answer: Ann", "answer: Anna\nanswer: Ann")
    text = text.replace("label: fire", "label: safety").replace("[later] b", "[keep] b")
    found = from_text(text, QUESTIONS, Path("s"))
    a, b, d = found.questions
    assert (a.reviewed, b.reviewed, d.reviewed) == (True, True, False)
    assert a.question == "When is it?\nOr not?"
    assert a.answers == ("Monday", "on\\off")
    assert b.label == "safety"
    assert d.answers == ("Anna", "Ann")
    assert (found.kept, found.dropped, found.later) == (2, 1, 1)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[later] b", "[maybe] b", "the mark 'maybe' must be one of keep, drop, later"),
        ("[later] b", "[keep] x", "there is no question 'x' in the set"),
        ("[later] b", "[keep] a", "the question 'a' stands in line 5 as well"),
        ("question: Which class?", "question:", "'b' needs exactly one line 'question:'"),
        ("question: Which class?", "Which class?", "expected [mark] id, question:"),
        ("label: fire", "label:", "'b' needs exactly one line 'label:'"),
        ("answer: Ann", "answer: ", "an answer of 'd' is empty"),
        ("answer: Ann\n", "", "'d' has no answer left"),
        ("answer: Ann", r"answer: A\nn\x", r"'\\x' is no line break"),
        ("# unanswerable", "answer: x", "'c' is unanswerable and has answers"),
        ("[later] a", "answer: early\n[later] a", "stands before the first question"),
    ],
)
def test_a_malformed_block_is_named_by_its_line(before: str, after: str, said: str) -> None:
    text = as_text(QUESTIONS)
    assert before in text
    with pytest.raises(EvaluationError) as e:
        from_text(text.replace(before, after), QUESTIONS, Path("sheet"))
    assert said in e.value.message
    assert re.search(r"sheet:\d+: ", e.value.message)


def _editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    script = tmp_path / "editor.py"
    script.write_text(
        f"#!{sys.executable}\nimport sys\np = sys.argv[-1]\nt = open(p, encoding='utf-8').read()\n"
        f"{code}\nopen(p, 'w', encoding='utf-8').write(t)\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", f"{script} --wait")


def test_a_review_in_an_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, sheet = tmp_path / "set.jsonl", tmp_path / "set.jsonl.review"
    write(file, QUESTIONS)
    _editor(tmp_path, monkeypatch, "t = t.replace('[later] a', '[kep] a')")
    with pytest.raises(EvaluationError, match="the mark 'kep'") as e:
        review(file)
    assert e.value.fix == f"llar evaluate make --review {file}"
    assert list(read(file).questions) == list(QUESTIONS)
    assert "[kep] a" in sheet.read_text()  # what was edited is gone on with
    _editor(
        tmp_path, monkeypatch, "t = t.replace('[kep] a', '[keep] a').replace('[later]', '[drop]')"
    )
    found = review(file)
    assert (found.kept, found.dropped) == (1, 3)
    assert [q.id for q in read(file).questions] == ["a"]
    assert read(file).questions[0].reviewed
    assert not sheet.exists()


def test_an_editor_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "set.jsonl"
    write(file, QUESTIONS)
    before = file.read_bytes()
    _editor(tmp_path, monkeypatch, "t = t.replace('[later]', '[drop]')")
    with pytest.raises(EvaluationError, match="every question is marked drop"):
        review(file)
    (tmp_path / "set.jsonl.review").unlink()
    _editor(tmp_path, monkeypatch, "sys.exit(3)")
    with pytest.raises(EvaluationError, match="ended with 3"):
        review(file)
    monkeypatch.setenv("VISUAL", str(tmp_path / "none"))
    with pytest.raises(EvaluationError, match="cannot be started"):
        review(file)
    monkeypatch.delenv("VISUAL")
    monkeypatch.setenv("EDITOR", "")
    with pytest.raises(EvaluationError, match="no editor is named"):
        review(file)
    assert file.read_bytes() == before


def test_the_command(docs: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "set.jsonl"
    monkeypatch.setenv("LLAR_HOME", str(docs.config.home))
    call = ["--set", "embedder=fake:hash-256", "evaluate", "make", "-c", "c", "-o", str(file)]
    _editor(tmp_path, monkeypatch, "t = t.replace('[later]', '[keep]')")
    done = CliRunner().invoke(
        cli, [*call, "--count", "6", "--kind", "fact", "--kind", "table", "--review"],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0
    assert "6 questions in" in done.stdout
    assert all(q.reviewed for q in read(file).questions)
    with pytest.raises(EvaluationError, match="exists already"):
        CliRunner().invoke(cli, call, catch_exceptions=False)
    found = CliRunner().invoke(cli, [*call, "--force", "--json", "--count", "4"])
    assert json.loads(found.stdout)["questions"] == len(read(file).questions)
    again = CliRunner().invoke(cli, ["evaluate", "make", "--review", str(file)])
    assert again.exit_code == 0
    assert all(q.reviewed for q in read(file).questions)
    both = CliRunner().invoke(cli, ["evaluate", "make", str(file)])
    assert "FILE is the set to go through" in both.output
    usage = CliRunner().invoke(cli, ["evaluate", "make", "-c", "c"])
    assert "Missing option '-o'" in usage.output
