"""Questions to tables: what is computed, from which cells, and what is not computed at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from llar import Collection
from llar.config import load
from llar.documents import load as read_file
from llar.errors import QueryError
from llar.records import Answer, Document
from llar.retrieve.strategy.table_conditions import NotUnderstood
from llar.retrieve.strategy.table_engine import Engine
from llar.retrieve.strategy.table_grid import Grid, read, tables
from llar.retrieve.strategy.table_plan import NoPlan, Plan
from llar.retrieve.strategy.table_question import plan
from llar.retrieve.strategy.table_result import Outcome, run
from llar.retrieve.strategy.table_values import Notation, is_empty, notation, read_date, read_number

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


def document(path: Path) -> Document:
    return read_file(path, load({"home": path.parent}, env={}))


@pytest.fixture(scope="module")
def inventory() -> tuple[Document, Grid]:
    """Five assets with prices 18400, 6250, 1490, 2875 and 22300 EUR."""
    return _first(ROOT / "samples" / "inventory.xlsx")


def _first(path: Path, number: int = 0, *, turned: bool = False) -> tuple[Document, Grid]:
    found = document(path)
    grid = read(found, list(tables(found))[number], turned=turned)
    assert grid is not None
    return found, grid


def _table(tmp_path: Path, rows: str, name: str = "table.md") -> tuple[Document, Grid]:
    file = tmp_path / name
    file.write_text(rows, encoding="utf-8")
    return _first(file)


def _answer(question: str, table: tuple[Document, Grid], language: str = "en") -> Outcome:
    doc, grid = table
    made = plan(question, grid, doc.language, f"{grid.caption} {doc.title or ''}")
    assert isinstance(made, Plan), made
    return run(grid, made, "T", language)


def _no(question: str, table: tuple[Document, Grid]) -> str:
    doc, grid = table
    made = plan(question, grid, doc.language, f"{grid.caption} {doc.title or ''}")
    if isinstance(made, NoPlan):
        return made.reason
    with pytest.raises(NotUnderstood) as refused:
        run(grid, made, "T", "en")
    return str(refused.value)


# -- cells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "decimal", "value", "unit"),
    [
        ("1.234,56", ".", "1234.56", ""),
        ("1,234.56", ",", "1234.56", ""),
        ("1 234,5 €", ".", "1234.5", "€"),
        ("1.234", ",", "1234", ""),
        ("1.234", ".", "1.234", ""),
        ("1,234", ".", "1234", ""),
        ("0.125", ",", "0.125", ""),  # no group begins with 0
        ("1.000.000", ".", "1000000", ""),
        ("1'234.50", ".", "1234.50", ""),
        ("$1,200.00", ".", "1200.00", "$"),
        ("(1,234)", ".", "-1234", ""),
        ("−5", ".", "-5", ""),
        ("5-", ".", "-5", ""),
        ("12,5 %", ".", "12.5", "%"),
        ("12*", ".", "12", ""),
        ("3.5 (1)", ".", "3.5", ""),
        ("200 (as BTEX)", ".", "200", ""),
        ("100 million", ".", "100000000", ""),
        ("2 millones de euros", ",", "2000000", "euros"),
        ("12 m²", ".", "12", "m²"),
        ("4 g/día", ",", "4", "g/día"),
        ("45 EUR", ".", "45", "EUR"),
        ("1e5", ".", "100000", ""),
    ],
)
def test_numbers(text: str, decimal: str, value: str, unit: str) -> None:
    found = read_number(text, decimal)
    assert found is not None
    assert (found.value, found.unit) == (Decimal(value), unit)


@pytest.mark.parametrize(
    "text",
    ["325-650mg", "10-15", "Room 12", "9.30 a 13.30", "229.077.5154", "12.3.4", "1/2", "(78)",
     "412,413,414,417,421,423,428", "", "abc", "€ 5 kg"],
)  # fmt: skip
def test_no_numbers(text: str) -> None:
    assert read_number(text) is None


def test_ambiguous_number_is_not_read_where_both_marks_are_used() -> None:
    assert read_number("1.234", "") is None
    assert read_number("1.5", "") is not None


def test_a_cell_that_can_only_be_read_one_way_decides_for_its_column() -> None:
    assert notation(["1.234", "12,5"], [], "docx", "en").decimal == ","
    assert notation(["1.234", "0.5"], [], "docx", "es").decimal == "."
    assert notation(["1.234"], ["1,5"], "docx", "en") == Notation(
        ",", None, "the other columns of the table"
    )
    assert notation(["1.234"], [], "docx", "es").decimal == ","
    assert notation(["1.234"], [], "xlsx", "es").decimal == "."  # workbooks store numbers
    assert notation(["1.234", "1,5", "2.5"], [], "docx", "en").decimal == ""


@pytest.mark.parametrize("text", ["", "-", "–", "n/a", "N.A.", "n.d.", "s/d", "nincs adat", ".."])
def test_empty_cells(text: str) -> None:
    assert is_empty(text)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2023-05-04", date(2023, 5, 4)),
        ("14/05/2023", date(2023, 5, 14)),
        ("05/14/2023", date(2023, 5, 14)),
        ("4.5.2023", date(2023, 5, 4)),
        ("4 de mayo de 2023", date(2023, 5, 4)),
        ("4 d'abril de 2023", date(2023, 4, 4)),
        ("13 de març del 2024", date(2024, 3, 13)),
        ("May 4, 2023", date(2023, 5, 4)),
        ("2023. május 4.", date(2023, 5, 4)),
        ("2023.05.04.", date(2023, 5, 4)),
        ("March 2024", date(2024, 3, 1)),
        ("04/05/2023", None),  # April or May: nothing tells
        ("31/02/2023", None),
        ("2024", None),
    ],
)
def test_dates(text: str, day: date | None) -> None:
    assert read_date(text, Notation()) == day


# -- tables --------------------------------------------------------------------------------------


def test_header_rows_ragged_rows_and_repeated_names(tmp_path: Path) -> None:
    _, grid = _table(
        tmp_path,
        "| Region | Sales | Sales |\n|---|---|---|\n|  | 2022 | 2023 |\n| North | 5 | 7 |\n"
        "| South | 6 |\n| Total | 11 | 7 |\n",
    )
    assert [c.name for c in grid.columns] == ["Region", "Sales 2022", "Sales 2023"]
    assert grid.columns[2].values == (Decimal(7), None, Decimal(7))
    assert [grid.label(r, 0) for r in grid.usable] == ["North", "South"]


def test_every_cell_is_where_it_says(inventory: tuple[Document, Grid]) -> None:
    doc, grid = inventory
    assert len(grid.rows) == 5
    for row in grid.rows:
        for cell in row:
            assert doc.text[cell.start : cell.end] == cell.text
            start, end = grid.lines[cell.line]
            assert start <= cell.start <= cell.end <= end


def test_a_row_that_adds_up_the_others_is_known_by_its_numbers(tmp_path: Path) -> None:
    rows = "| Substance | kg |\n|---|---|\n| Total Nitrogen | 50 |\n| Lead | 20 |\n| Tin | 10 |\n"
    assert _table(tmp_path, rows)[1].aggregates == ()
    rows = "| Country | t |\n|---|---|\n| A | 50 |\n| B | 20 |\n| EU15 Total | 70 |\n"
    assert _table(tmp_path, rows)[1].aggregates == (2,)


# -- computations, worked by hand ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "value", "rows"),
    [
        ("Which item has the highest price?", "22300", {4}),
        ("What is the cheapest item?", "1490", {2}),
        ("Second most expensive item?", "18400", {0}),
        ("How many items are there?", "5", {0, 1, 2, 3, 4}),
        ("What is the total price of the equipment?", "51315", {0, 1, 2, 3, 4}),
        ("What is the average price?", "10263", {0, 1, 2, 3, 4}),
        ("What is the median price?", "6250", {0, 1, 2, 3, 4}),
        ("How many items were bought before 2022?", "2", {1, 4}),
        ("How many items cost between 1000 and 7000?", "3", {1, 2, 3}),
        ("Which items cost more than 5000 EUR?", "3", {0, 1, 4}),
        ("What is the total price of the items in Room 12 and Room 3?", "24650", {0, 1}),
        ("Which item needs its next service first?", "2026-05-20", {4}),
        ("Difference in price between the autoclave and the defibrillator?", "4760", {1, 2}),
        ("Which is more expensive, the autoclave or the defibrillator?", "6250", {1}),
        ("items not in the basement", "4", {0, 1, 2, 3}),
        ("How many scanners are there?", "1", {0}),
        ("¿Qué equipo tiene el precio más alto?", "22300", {4}),
        ("¿Cuál es la suma de los precios?", "51315", {0, 1, 2, 3, 4}),
        ("Quin és l'article més car?", "22300", {4}),
        ("Quina és la mitjana dels preus?", "10263", {0, 1, 2, 3, 4}),
        ("Melyik a legdrágább eszköz?", "22300", {4}),
        ("Mennyi az árak összege?", "51315", {0, 1, 2, 3, 4}),
    ],
)
def test_inventory(
    inventory: tuple[Document, Grid], question: str, value: str, rows: set[int]
) -> None:
    found = _answer(question, inventory)
    assert (found.value, set(found.answering)) == (value, rows)


@pytest.mark.parametrize(
    ("question", "row", "column"),
    [("How much does the autoclave cost?", 1, 4), ("When was the autoclave bought?", 1, 3)],
)
def test_look_ups_quote_a_row_and_state_nothing(
    inventory: tuple[Document, Grid], question: str, row: int, column: int
) -> None:
    found = _answer(question, inventory)
    assert (found.answering, found.statement, found.plan.column) == ((row,), "", column)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("What is the total price of red items?", "'red'"),
        ("How many staplers are there?", "'staplers'"),
        ("Which red item has the highest price?", "'red'"),
        ("cheapest car", "'car'"),
        ("Which is the longest item?", "no column for 'longest'"),
        ("Who is the manager?", "names no row"),
        ("highest and lowest price", "at once"),
        ("How many items are there without a price?", "'without'"),
    ],
)
def test_not_computed(inventory: tuple[Document, Grid], question: str, reason: str) -> None:
    assert reason in _no(question, inventory)


def test_which_column_is_never_guessed(tmp_path: Path) -> None:
    table = _table(
        tmp_path,
        "| Town | Price 2023 | Price 2024 |\n|---|---|---|\n| Vic | 5 | 7 |\n| Olot | 6 | 4 |\n",
    )
    assert _no("Which town has the highest price?", table) == (
        "it is not clear which column is meant; there are 'Price 2023', 'Price 2024'"
    )
    assert _answer("Which town had the highest price in 2024?", table).value == "7"


def test_mixed_units_are_not_compared(tmp_path: Path) -> None:
    rows = "| Sack | Weight |\n|---|---|\n| A | 5 kg |\n| B | 900 g |\n| C | 700 g |\n"
    assert "mixes units ('g', 'kg')" in _no(
        "Which sack has the highest weight?", _table(tmp_path, rows)
    )


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    rows = (
        "| Shop | Sales |\n|---|---|\n| A | 5 |\n| B | n/a |\n| C | (78) |\n| D | 20 |\n"
        "| E | 1 |\n| F | 4 |\n| Total | 30 |\n"
    )
    found = _answer("What are the total sales?", _table(tmp_path, rows))
    assert found.value == "30"
    assert found.statement == (
        "Sum of Sales over 4 rows: 30, computed from the table “T”; without 1 rows that have no "
        "value; without '(78)', which cannot be read as a number; without the row 'Total'."
    )


def test_notations_of_spanish_and_hungarian_tables(tmp_path: Path) -> None:
    spanish = (
        "Las ventas de cada una de nuestras tiendas durante el último año en euros.\n\n"
        "| Tienda | Ventas |\n|---|---|\n| Sur | 1.234,50 € |\n| Norte | 2.000 € |\n"
    )
    found = _answer("¿Cuál es el total de ventas?", _table(tmp_path, spanish), "es")
    assert found.value == "3234,5 €"
    assert found.statement.startswith("Suma de Ventas en 2 filas: 3234,5 €, calculado")
    hungarian = (
        "Az egyes üzletek forgalma az elmúlt évben, ezer forintban megadva, városonként.\n\n"
        "| Város | Forgalom |\n|---|---|\n| Győr | 1 234,5 |\n| Pécs | 2 000 |\n"
    )
    found = _answer("Melyik városban a legnagyobb a forgalom?", _table(tmp_path, hungarian), "hu")
    assert found.value == "2 000"
    assert "(Pécs)" in found.statement


def test_groups_and_places(tmp_path: Path) -> None:
    rows = (
        "| Day | Team | Points |\n|---|---|---|\n| 1 | Red | 3 |\n| 1 | Blue | 5 |\n"
        "| 2 | Red | 4 |\n| 2 | Blue | 1 |\n| 3 | Green | 5 |\n"
    )
    table = _table(tmp_path, rows)
    assert "Red 7; Blue 6; Green 5" in _answer("total points by team", table).statement
    assert _answer("Which team has the highest total points?", table).value == "Red 7"
    assert "Red 3.5; Blue 3; Green 5" in _answer("average points per team", table).statement
    tied = _answer("highest points", table)
    assert set(tied.answering) == {1, 4}
    top = _answer("top 3 by points", table)
    assert top.answering == (1, 4, 2)


def test_a_table_on_its_side(tmp_path: Path) -> None:
    rows = "| Year | 2021 | 2022 | 2023 |\n|---|---|---|---|\n| Visitors | 10 | 35 | 20 |\n"
    doc = document(_written(tmp_path / "v.md", rows))
    grid = read(doc, next(tables(doc)), turned=True)
    assert grid is not None
    found = _answer("Which year had the most visitors?", (doc, grid))
    assert (found.value, grid.label(found.answering[0], 0)) == ("35", "2022")


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


# -- duckdb --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE data",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM information_schema.tables",
        "COPY data TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/other.db'",
        "SET memory_limit = '64GB'",
        "INSTALL httpfs",
        "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT 1 FROM t) SELECT * FROM t",
        "SELECT getvariable('x') FROM data",
        "SELECT * FROM data UNION SELECT * FROM data",
        "SELECT * FROM data AS a, data AS b, data AS c",
        "DESCRIBE data",
        "PRAGMA database_list",
        "SELEC",
    ],
)
def test_queries_refused(inventory: tuple[Document, Grid], sql: str) -> None:
    with Engine(inventory[1], [0, 1]) as engine, pytest.raises(QueryError):
        engine.check(sql)


def test_the_connection_reaches_nothing_even_unchecked(
    inventory: tuple[Document, Grid], tmp_path: Path
) -> None:
    secret = _written(tmp_path / "secret.csv", "a,b\n1,2\n")
    with Engine(inventory[1], [0, 1]) as engine:
        for sql in (
            f"SELECT * FROM read_csv('{secret}')",
            f"SELECT * FROM '{secret}'",
            f"COPY data TO '{tmp_path / 'out.csv'}'",
            "SET enable_external_access = true",
            "INSTALL httpfs",
            "SELECT * FROM inventory",  # a variable of Python
        ):
            with pytest.raises(QueryError):
                engine.rows(sql)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".csv"] == ["secret.csv"]


@pytest.mark.slow
def test_a_query_that_takes_too_long_is_stopped(inventory: tuple[Document, Grid]) -> None:
    joined = ", ".join(f"data AS t{i}" for i in range(14))
    grid = inventory[1]
    with (
        Engine(grid, [0, 1, 2, 3, 4], seconds=0.2) as engine,
        pytest.raises(QueryError, match=r"took more than 0\.2 s"),
    ):
        engine.rows(f"SELECT sum(t0.{engine.names[4]} * t13.{engine.names[4]}) FROM {joined}")


def test_a_checked_query_runs(inventory: tuple[Document, Grid]) -> None:
    sql = 'SELECT max("Price (EUR)") FROM data WHERE "Room" != \'Basement\''
    with Engine(inventory[1], [0, 1, 2, 3, 4]) as engine:
        engine.check(sql)
        assert engine.rows(sql) == [(Decimal(18400),)]


# -- through a collection ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """The samples, which no test changes."""
    home = tmp_path_factory.mktemp("home")
    with Collection("t", config=load({"home": home, "embedder": "fake:hash", "query": ""})) as made:
        made.add([ROOT / "samples"])
        yield made


def _ask(collection: Collection, question: str) -> Answer:
    return collection.ask(question, strategy="table", model="fake:say:NOT FOUND")


def test_ask_shows_a_computed_sentence_with_its_cells(collection: Collection) -> None:
    answer = _ask(collection, "What is the total price of the equipment?")
    assert not answer.abstained
    (sentence,) = answer.sentences
    assert sentence.computed
    assert (
        sentence.text
        == "Sum of Price (EUR) over 5 rows: 51315, computed from the table “Equipment”."
    )
    (cited,) = answer.citations
    text = collection.index.document(cited.document.id).text
    assert cited.quote == text[cited.start : cited.end]
    for price in ("18400", "6250", "1490", "2875", "22300"):
        assert price in cited.quote
    assert answer.prompt == ()  # the model had no part in it


def test_the_first_hit_is_the_row(collection: Collection) -> None:
    found = collection.explain("Which asset has the lowest price?", strategy="table")
    first = found.hits[0]
    assert (
        first.chunk.text == "| A-103 | Defibrillator | Reception | 2024-01-22 | 1490 | 2026-07-01 |"
    )
    assert "| Asset | Item |" in first.chunk.prefix
    text = collection.index.document(first.document.id).text
    assert text[first.chunk.start : first.chunk.end] == first.chunk.text
    assert "1490" in [text[a:b] for a, b in first.highlights]
    assert [c.value for c in found.computed] == ["1490"]
    (step,) = [s for s in found.steps if s.name == "compute"]
    assert step.about["query"].startswith("SELECT _row")


def test_scattered_rows_are_one_hit_of_parts(collection: Collection) -> None:
    found = collection.explain("items bought before 2022", strategy="table")
    chunk = found.hits[0].chunk
    assert [r.split(" | ")[1] for r in chunk.text.split("\n\n")] == [
        "Autoclave",
        "Backup generator",
    ]
    text = collection.index.document(found.hits[0].document.id).text
    assert chunk.text == "\n\n".join(text[a:b] for a, b in chunk.parts)


def test_without_a_rule_the_plain_passages_and_why(collection: Collection) -> None:
    found = collection.explain("Where is the autoclave kept in winter?", strategy="table")
    plain = collection.explain("Where is the autoclave kept in winter?", strategy="single")
    assert [h.chunk_id for h in found.hits] == [h.chunk_id for h in plain.hits]
    (step,) = [s for s in found.steps if s.name == "tables"]
    reasons = {t["table"]: t["no"] for t in step.about["tables"] if "no" in t}
    assert "Equipment" in reasons
    assert found.computed == ()


def test_a_word_nobody_knows_is_not_computed(collection: Collection) -> None:
    answer = _ask(collection, "What is the total price of the microscopes?")
    assert not any(s.computed for s in answer.sentences)


def test_two_tables_alike_both_answer_by_name(tmp_path: Path, home: Path) -> None:
    for year, price in (("2023", 5), ("2024", 9)):
        text = f"# Prices {year}\n\n| Fruit | Price |\n|---|---|\n| Fig | {price} |\n| Lime | 2 |\n"
        _written(tmp_path / f"{year}.md", text)
    with Collection("f", config=load({"home": home, "embedder": "fake:hash", "query": ""})) as made:
        made.add([tmp_path / "2023.md", tmp_path / "2024.md"])
        both = made.explain("Which fruit has the highest price?", strategy="table").computed
        assert sorted(c.value for c in both) == ["5", "9"]
        assert {"Prices 2023" in c.text for c in both} == {True, False}
        (one,) = made.explain(
            "Which fruit has the highest price in 2024?", strategy="table"
        ).computed
        assert one.value == "9"


def test_query_by_the_model_is_checked_and_shown(collection: Collection) -> None:
    say = (
        'fake:say:```sql\nSELECT count(DISTINCT "Room") FROM data WHERE "Price (EUR)" > 2000;\n```'
    )
    found = collection.explain(
        "In how many different places do we keep equipment of a price above 2000?",
        strategy="table:model",
        model=say,
    )
    (computed,) = found.computed
    assert computed.value == "4"  # Room 12, Room 3, Room 7, Basement
    assert 'count(DISTINCT "Room")' in computed.text
    assert "1490" not in "".join(h.chunk.text for h in computed.hits)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DROP TABLE data", "wrote no query"),
        ("SELECT * FROM read_csv('/etc/passwd')", "something else"),
        ("SELECT count(*) FROM data WHERE \"Room\" = 'Room 99'", "stands nowhere"),
        ("NONE", "wrote no query"),
    ],
)
def test_what_the_model_may_not_ask(collection: Collection, sql: str, why: str) -> None:
    found = collection.explain(
        "How do we look after our equipment?", strategy="table:model", model=f"fake:say:{sql}"
    )
    assert found.computed == ()
    (step,) = [s for s in found.steps if s.name == "query by the model"]
    assert why in step.about["result"]


def test_an_unknown_argument_is_refused(collection: Collection) -> None:
    with pytest.raises(QueryError, match="'model'"):
        collection.search("x", strategy="table:sql")


ROWS = (("Fruit", "Kilos"), ("Fig", "1,250.5"), ("Lime", "80"), ("Plum", "20.25"))


def _csv(file: Path) -> None:
    file.write_text("\n".join(";".join(row) for row in ROWS))


def _html(file: Path) -> None:
    rows = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in ROWS)
    file.write_text(f"<html><body><p>Our harvest.</p><table>{rows}</table></body></html>")


def _docx(file: Path) -> None:
    import docx

    made = docx.Document()
    table = made.add_table(rows=0, cols=2)
    for row in ROWS:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    made.save(str(file))


def _xlsx(file: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for fruit, kilos in ROWS:
        number = kilos if kilos == "Kilos" else float(kilos.replace(",", ""))
        book.active.append([fruit, number])
    book.save(file)


def _rst(file: Path) -> None:
    rule = "====== ========\n"
    lines = [f"{fruit:<6} {kilos}\n" for fruit, kilos in ROWS]
    file.write_text("Harvest\n-------\n\n" + rule + lines[0] + rule + "".join(lines[1:]) + rule)


@pytest.mark.parametrize("make", [_csv, _html, _docx, _xlsx, _rst], ids=lambda f: f.__name__[1:])
def test_tables_of_every_format_compute_alike(make: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / f"harvest.{make.__name__[1:]}"
    make(file)
    table = _first(file)
    assert _answer("What is the total of kilos?", table).value == "1350.75"
    assert _answer("Which fruit has the fewest kilos?", table).answering == (2,)


# -- tables of real documents --------------------------------------------------------------------


@cache
def _printed(path: Path, number: int) -> tuple[Document, Grid]:
    return _first(path, number)


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "number", "question", "value", "label"),
    [
        # Read off the printed tables.
        ("eu-004", 0, "Which country has the highest number of retail outlets?", "627.2", "Italy"),
        ("eu-004", 0, "Which country has the lowest population?", "3.6", "Ireland"),
        ("eu-004", 0, "How many countries have a population of more than 50?", "4", ""),
        ("eu-006", 0, "Which has the highest own brands market share?", "28.0", "Franprix"),
        ("eu-020", 1, "What is the total population of female students?", "3640", ""),
        ("eu-021", 0, "highest percentage suffered from", "40.9%", "Back pain"),
    ],
)
def test_icdar(data: Path, file: str, number: int, question: str, value: str, label: str) -> None:
    table = _printed(data / "tables" / "icdar2013_eu" / f"{file}.pdf", number)
    found = _answer(question, table)
    assert found.value == value
    if label:
        assert table[1].label(found.answering[0], 0) == label


@pytest.mark.data
def test_workbook(data: Path) -> None:
    table = _first(data / "formats" / "xlsx" / "sources" / "xlsx_02_sample_sales_data.xlsm")
    assert _answer("What is the total revenue of Widget B?", table).value == "48600"
    assert _answer("How many products are there before 2024-01-05?", table).value == "4"


def test_plans_say_what_they_took_for_granted(inventory: tuple[Document, Grid]) -> None:
    doc, grid = inventory
    made = plan("What is the cheapest item?", grid, doc.language, "")
    assert isinstance(made, Plan)
    assert made.assumed == ("price is the column 'Price (EUR)'",)
    assert replace(made, assumed=()).operation == "min"
