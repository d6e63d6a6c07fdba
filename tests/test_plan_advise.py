"""Advice: worked situations, and what must hold of all of them."""

from __future__ import annotations

import datetime
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from markdown_it import MarkdownIt

from llar.cli import cli
from llar.config import Config, load
from llar.errors import PlanError
from llar.models import catalogue
from llar.plan.advice import rules
from llar.plan.advice.advise import advise
from llar.plan.advice.records import Advice
from llar.plan.advice.report import answers, markdown
from llar.plan.advice.situation import QUESTIONS, Situation, situation
from llar.plan.advice.ways import Search, at_once, pulled
from llar.plan.advice.ways import load as load_of
from llar.plan.amount import shown
from llar.plan.costs.compare import api
from llar.plan.costs.money import Money
from llar.plan.costs.prices import find as find_price
from llar.plan.costs.workload import asked
from llar.plan.hardware.machines import find, machines
from llar.plan.memory.formats import parse_format
from llar.plan.memory.running import running
from llar.plan.shapes.resolve import resolve

DAY = datetime.date(2026, 11, 21)


@pytest.fixture
def config(home: Path) -> Config:
    return load()


def ask(config: Config, **said: object) -> Advice:
    open_licence = bool(said.pop("open_licence", False))
    texts = {key: str(value) for key, value in said.items()}
    return advise(config, situation(texts, open_licence=open_licence), on=DAY)


def reason(advice: Advice, about: str) -> str:
    return " / ".join(r.text for r in advice.reasons if r.about == about)


def figure(advice: Advice, start: str) -> float:
    return next(f.value for f in advice.figures if f.name.startswith(start))


# --- worked situations ---------------------------------------------------------------------------


def test_a_town_hall_with_five_users_and_an_office_pc(config: Config) -> None:
    found = ask(config, data="internal", users=5, documents=500, languages="es", latency=60,
                once=0, monthly=0, hardware="office-ddr5")  # fmt: skip
    assert found.way is not None
    assert (found.way.where, found.way.machine, found.way.model) == (
        "at hand", "office-ddr5", "llamacpp:llama-3.1-8b-instruct"
    )  # fmt: skip
    assert [m.name for m in found.methods] == ["rag"]
    # 500 documents x 10 pages x 1,000 tokens
    assert "5,000,000 tokens" in reason(found, "method")
    shape = resolve(config, "llama-3.1-8b-instruct")
    need = running(shape, parse_format(found.way.format), 4096, 1).total
    assert figure(found, "memory needed") == need
    assert f"{need / 2**30:.2f} GiB" in reason(found, "hardware")
    assert "14.00 GiB" in reason(found, "hardware")  # 16 GiB less 2 for the system
    assert "until an answer begins" in reason(found, "speed")
    assert found.embedder == "ctranslate2:multilingual-e5-small"
    assert found.way.total == 0
    # at most a minute until the first token, and no slower than people read
    assert found.fit is not None
    assert found.fit.first_token is not None
    assert found.fit.decode is not None
    assert found.fit.first_token <= 60
    assert found.fit.decode >= 238 / 60 / 0.75


def test_the_same_town_hall_that_cannot_wait(config: Config) -> None:
    """In 10 s an office PC reads too little: the advice says so, and what would help."""
    found = ask(config, data="internal", users=5, documents=500, languages="es", latency=10,
                once=0, monthly=0, hardware="office-ddr5")  # fmt: skip
    slow = ask(config, data="internal", users=5, documents=500, languages="es", latency=60,
               once=0, monthly=0, hardware="office-ddr5")  # fmt: skip
    assert slow.way is not None
    assert found.way is None or found.way.tier < slow.way.tier
    assert any("--latency 60" in c for c in found.changes)
    assert any("too slow" in a.why_not for a in found.alternatives)
    assert found.way is None or found.warnings


def test_a_hospital_with_secret_data_and_two_hundred_users(config: Config) -> None:
    found = ask(config, data="secret", users=200, documents=20000, pages=5, languages="es,ca")
    assert found.way is not None
    assert found.way.where == "buy"
    assert found.way.model == "llamacpp:salamandra-7b-instruct"  # its makers name es and ca
    # 200 x 10 / 28,800 s x 200 tokens / 5.29 tokens/s x 3 = 7.9
    assert figure(found, "users at once") == 8
    assert "8 contexts of 4,096 tokens" in reason(found, "hardware")
    assert reason(found, "place").startswith("secret documents stay in the building")
    names = [a.name for a in found.alternatives]
    assert "rented machines" in names
    assert "a provider's model" in names
    assert any("--data internal" in c for c in found.changes)
    assert any(c.startswith("from about") and "users on" in c for c in found.changes)
    machine = find(config, found.way.machine)
    assert machine.price is not None
    price = found.way.copies * (machine.price * machine.count + 1500)
    assert found.way.once == price == figure(found, "to buy")
    assert figure(found, "written off a month") == pytest.approx(price / 36)


def test_a_law_firm_with_catalan_documents(config: Config) -> None:
    found = ask(config, data="personal", users=20, documents=5000, languages="ca")
    assert found.way is not None
    assert found.way.model == "llamacpp:salamandra-7b-instruct"
    assert found.way.place != "api"
    assert "ca" in reason(found, "languages")
    refused = {a.name: a.why_not for a in found.alternatives}
    assert "do not name ca" in refused["llamacpp:llama-3.3-70b-instruct"]
    assert "GDPR" in reason(found, "place")


def test_a_public_faq_with_three_users_and_no_budget(config: Config) -> None:
    found = ask(config, data="public", users=3, once=0, monthly=0)
    assert not found.possible
    assert "Nothing within these limits" in found.headline
    assert "USD 0.00" in reason(found, "limits")
    assert any(c.startswith("with no limit to the budget") for c in found.changes)
    assert figure(found, "documents") == 1_000_000


def test_the_same_faq_with_a_little_money(config: Config) -> None:
    found = ask(config, data="public", users=3, once=0, monthly=5)
    assert found.way is not None
    assert found.way.where == "api"
    # 3 users x 10 questions x 21 days, 900 tokens in and 200 out
    work = asked(3, Decimal(10), Decimal(900), Decimal(200))
    price = find_price(config, found.way.model)
    assert found.way.monthly == pytest.approx(float(api(price, work, Money()).monthly))
    assert figure(found, "a provider's price") == found.way.monthly
    assert found.way.monthly <= 5


def test_a_leaflet_that_fits_into_the_prompt(config: Config) -> None:
    found = ask(config, data="public", users=3, documents=3, pages=1, monthly=5, once=0)
    assert [m.name for m in found.methods] == ["prompting"]
    assert "3,000 tokens" in reason(found, "method")
    assert found.embedder == ""
    # every question reads all of it: 3,000 + 300 tokens
    work = asked(3, Decimal(10), Decimal(3300), Decimal(200))
    assert found.way is not None
    price = find_price(config, found.way.model)
    assert found.way.monthly == pytest.approx(float(api(price, work, Money()).monthly))


def test_a_ministry_writing_in_a_fixed_form(config: Config) -> None:
    found = ask(config, data="secret", users=20, task="write", examples=300, once=0, monthly=0,
                hardware="rtx-3060")  # fmt: skip
    assert found.way is not None
    assert [m.name for m in found.methods] == ["prompting", "fine-tuning"]
    assert "300 examples are enough" in reason(found, "method")
    assert found.way.machine == "rtx-3060"
    assert found.way.tier == 1  # what fits 12 GiB with four contexts is small for it
    assert any("small for this task" in w for w in found.warnings)
    assert any(c.startswith("with no limit to the budget") for c in found.changes)


def test_sorting_in_hungarian_with_many_examples(config: Config) -> None:
    found = ask(config, data="internal", users=10, task="classify", examples=2000,
                languages="hu", once=0, monthly=0, hardware="rtx-4090")  # fmt: skip
    assert found.way is not None
    assert "fine-tuning" in [m.name for m in found.methods]
    entry = catalogue.find(found.way.model)
    assert entry is not None
    assert "hu" in entry.languages
    assert not any("does not have" in w for w in found.warnings)  # QLoRA fits 24 GB
    small = ask(config, data="internal", users=10, task="classify", examples=2000,
                languages="hu", once=0, monthly=0, hardware="office-ddr5", latency=600)  # fmt: skip
    assert any("the fine-tuning takes about" in w for w in small.warnings)


def test_extracting_overnight_on_an_old_pc(config: Config) -> None:
    found = ask(config, data="internal", users=30, task="extract", languages="es", latency=86400,
                once=0, monthly=0, hardware="office-ddr4")  # fmt: skip
    assert found.way is not None
    assert (found.way.machine, found.way.tier) == ("office-ddr4", 2)
    assert at_once(found.situation) == 1
    # too much for a month of nights
    more = ask(config, data="internal", users=3000, task="extract", languages="es",
               latency=86400, once=0, monthly=0, hardware="office-ddr4")  # fmt: skip
    assert more.way is None or more.way.tier < 2


def test_a_university_with_its_own_cards(config: Config) -> None:
    found = ask(config, data="internal", users=2000, documents=50000, languages="en,de,es",
                once=0, monthly=0, hardware="4x l40s")  # fmt: skip
    assert found.way is not None
    assert (found.way.machine, found.way.copies, found.way.where) == ("4x l40s", 1, "at hand")
    assert figure(found, "users at once") == 79  # 2,000 x 10 / 28,800 x 37.8 x 3
    assert found.fit is not None
    assert found.fit.users >= 79


def test_more_users_than_one_machine_serves(config: Config) -> None:
    found = ask(config, data="secret", users=20000)
    assert found.way is not None
    assert found.way.copies > 1
    assert f"{found.way.copies} machines with" in found.headline
    assert found.fit is not None
    assert found.fit.users * found.way.copies >= at_once(found.situation)


def test_why_a_machine_is_too_slow_agrees_with_what_was_wanted(config: Config) -> None:
    """Five ask at once: what each of them waits for is over the limit, not what one would."""
    found = ask(config, data="internal", users=30, task="write", languages="eu,es", once=0,
                monthly=0, hardware="m4-32gb")  # fmt: skip
    slow = next(a.why_not for a in found.alternatives if "m4-32gb" in a.name)
    assert "for each of 5 at once" in slow
    seconds, tokens = (float(number) for number in re.findall(r"([0-9.]+) (?:s|tokens/s)", slow))
    assert seconds > 10 or tokens < rules.READING
    assert "No model large enough" in found.headline
    assert found.way is not None
    assert found.way.tier == 0


def test_every_document_once(config: Config) -> None:
    """Sorting reads each document: 100,000 x (1,500 tokens read + 20 written) at its speeds."""
    found = ask(config, data="secret", users=3, task="classify", documents=100_000, latency=600)
    assert found.fit is not None
    assert found.fit.prefill is not None
    assert found.fit.decode is not None
    seconds = 100_000 * (1500 / found.fit.prefill + 20 / found.fit.decode)
    assert figure(found, "all documents, once") == pytest.approx(seconds / 3600)
    sold = ask(config, data="public", users=3, task="classify", documents=1000, once=0, monthly=9)
    assert sold.way is not None
    # 3 users x 10 a day x 21 days are 630 documents a month
    expected = sold.way.monthly / 630 * 1000
    assert figure(sold, "all documents, once") == pytest.approx(expected)


def test_the_electricity_is_that_of_the_work(config: Config) -> None:
    found = ask(config, data="secret", users=200)
    assert found.way is not None
    assert found.fit is not None
    assert found.fit.prefill is not None
    assert found.fit.throughput is not None
    machine = find(config, found.way.machine)
    assert machine.watts is not None
    requests = 200 * 10 * 21
    hours = requests * (900 / found.fit.prefill + 200 / found.fit.throughput) / 3600
    idle = machine.idle_watts or machine.watts / 10
    watts = idle + (machine.watts - idle) * hours / 730
    kwh = watts * 730 / 1000 * machine.count
    assert figure(found, "electricity a month") == pytest.approx(kwh)
    assert figure(found, "price of the electricity") == pytest.approx(kwh * 0.131)
    assert f"USD {kwh * 0.131:.2f} a month" in reason(found, "cost")
    assert any("nothing takes over" in w for w in found.warnings)


def test_only_open_licences(config: Config) -> None:
    found = ask(config, data="internal", users=5, languages="es", latency=60, once=0, monthly=0,
                hardware="office-ddr5", open_licence=True)  # fmt: skip
    assert found.way is not None
    assert found.way.licence in ("Apache-2.0", "MIT")
    assert any("not an open source one" in a.why_not for a in found.alternatives)


def test_a_rented_card_for_personal_data_is_in_a_data_centre(config: Config) -> None:
    found = ask(config, data="personal", users=50, languages="hu", monthly=500, once=0)
    assert found.way is not None
    assert found.way.where == "rent"
    machine = find(config, found.way.machine)
    assert "hosts of third parties" not in machine.sources["rent"]
    assert machine.rent_per_hour is not None
    expected = machine.rent_per_hour * machine.count * found.way.copies * 730
    assert found.way.monthly == pytest.approx(expected)
    assert found.way.monthly <= 500


def test_amounts_in_euros_take_a_rate(config: Config) -> None:
    said = {"data": "secret", "users": "20", "once": "3000"}
    with pytest.raises(PlanError, match="an exchange rate is never assumed"):
        advise(config, situation(said, currency="EUR"), on=DAY)
    found = advise(config, situation(said, currency="EUR", eur_per_usd="0.9"), on=DAY)
    dollars = advise(config, situation({**said, "once": str(3000 / 0.9)}), on=DAY)
    assert found.way is not None
    assert dollars.way is not None
    assert found.way.machine == dollars.way.machine
    assert found.way.once == pytest.approx(dollars.way.once * 0.9)


def test_machines_of_ones_own_count(home: Path, config: Config) -> None:
    (home / "machines.toml").write_text("""
        [gift]
        kind = "gpu"
        memory = "48 GiB"
        bandwidth_gb = 1000
        tflops = { fp16 = 300 }
        price = 10
        """)
    found = ask(config, data="secret", users=200)
    assert found.way is not None
    assert found.way.machine == "gift"


# --- what must hold of every advice --------------------------------------------------------------

DATA = ("public", "internal", "personal", "secret")
WORK = ((1, "questions"), (300, "write"), (1, "write"), (300, "questions"))
LANGUAGES = ("en", "ca,es", "hu")
HARDWARE = ((), ("office-ddr4",), ("rtx-4090",))
BUDGET = (("0", "0"), ("2500", "0"), ("any", "any"))
# Every data with every languages, hardware and budget; users and task go round, so that they meet
# every three of the others as well: a quarter of all combinations.
GRID = [
    (data, *WORK[(d + n + h + b) % 4], languages, hardware, budget)
    for (d, data), (n, languages), (h, hardware), (b, budget) in product(
        enumerate(DATA), enumerate(LANGUAGES), enumerate(HARDWARE), enumerate(BUDGET)
    )
]


def test_the_grid_holds_every_three_values_together() -> None:
    assert len(GRID) == 4 * 3 * 3 * 3
    for data in DATA:
        assert {(row[1], row[2]) for row in GRID if row[0] == data} == set(WORK)
    for one in product(LANGUAGES, HARDWARE, BUDGET):
        assert {(row[1], row[2]) for row in GRID if row[3:] == one} == set(WORK)


Row = tuple[str, int, str, str, tuple[str, ...], tuple[str, str]]


def of_grid(row: Row) -> Situation:
    data, users, task, languages, hardware, (once, monthly) = row
    return situation({
        "data": data, "users": str(users), "task": task, "languages": languages,
        "hardware": ",".join(hardware) or "none", "once": once, "monthly": monthly,
        "latency": "30",
    })  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("data", ["public", "internal", "personal", "secret"])
def test_what_holds_of_every_advice(config: Config, data: str) -> None:
    check(config, [row for row in GRID if row[0] == data])


def test_what_holds_of_some_advice(config: Config) -> None:
    check(config, GRID[3::11])


def check(config: Config, rows: Sequence[Row]) -> None:
    """What must hold whatever was asked."""
    for row in rows:
        data = row[0]
        said = of_grid(row)
        found = advise(config, said, on=DAY)
        assert found.possible == (found.way is not None)
        assert found.reasons
        assert found.methods
        if found.way is None:
            assert "Nothing within these limits" in found.headline
            continue
        way = found.way
        assert way.place in rules.PLACES[data], row
        if data in ("personal", "secret"):
            assert way.where != "api", row
        if data == "secret":
            assert way.where in ("at hand", "buy"), row
        assert said.once is None or way.once <= said.once, row
        assert said.monthly is None or way.monthly <= said.monthly, row
        if way.where == "at hand":
            assert way.machine in said.hardware, row
        if way.where == "api":
            continue
        entry = catalogue.find(way.model)
        assert entry is not None
        assert entry.licence in rules.LICENCES, row
        assert "*" in entry.languages or set(said.languages) <= set(entry.languages), row
        assert entry.context >= way.context, row
        fitted = found.fit
        assert fitted is not None
        assert fitted.how == "whole", row
        assert fitted.left >= 0, row
        assert fitted.users * way.copies >= at_once(said), row
        assert fitted.first_token is not None
        assert fitted.first_token <= said.latency, row
        assert f"{fitted.there / 2**30:.2f} GiB" in reason(found, "hardware"), row


@pytest.mark.slow
def test_more_money_or_hardware_never_makes_it_worse(config: Config) -> None:
    def tier(**said: object) -> int:
        found = ask(config, data="secret", users=50, latency=20, **said)
        return -1 if found.way is None else found.way.tier

    for languages, task in (("en", "questions"), ("hu", "chat")):
        base = {"languages": languages, "task": task}
        rising = [
            tier(once=amount, monthly=0, **base) for amount in (0, 500, 2000, 6000, 100000, "any")
        ]
        assert rising == sorted(rising), (base, rising)
        cards = [
            tier(once=0, monthly=0, hardware=names, **base)
            for names in ("none", "raspberry-pi-5-8gb", "raspberry-pi-5-8gb,rtx-3060",
                          "raspberry-pi-5-8gb,rtx-3060,h100-sxm")
        ]  # fmt: skip
        assert cards == sorted(cards), (base, cards)
        assert cards[0] == -1
        assert cards[-1] == 2


@pytest.mark.slow
def test_more_time_never_makes_it_worse(config: Config) -> None:
    for hardware in ("raspberry-pi-5-16gb", "office-ddr4", "l4"):
        tiers = []
        for latency in (1, 5, 20, 60, 599):
            found = ask(config, data="secret", users=5, once=0, monthly=0, hardware=hardware,
                        latency=latency)  # fmt: skip
            tiers.append(-1 if found.way is None else found.way.tier)
        assert tiers == sorted(tiers), (hardware, tiers)


def test_from_so_many_users_on_it_really_no_longer_does(config: Config) -> None:
    for users, hardware in ((5, "office-ddr5"), (200, "l4")):
        said = {"data": "secret", "latency": 60, "once": 0, "monthly": 0, "hardware": hardware}
        found = ask(config, users=users, **said)
        assert found.way is not None
        search = Search(config, found.situation)
        most = search.most(found.way, found.situation)
        said_users = int(users * most / load_of(found.situation))
        assert f"from about {said_users:,} users on" in found.changes[0]
        more = situation({k: str(v) for k, v in {**said, "users": said_users + 1}.items()})
        assert at_once(more) > most
        held = search.candidate(search.entry(found.way), found.way.format, most + 1)
        assert not search._does(held, search.machine(found.way), more, most + 1)


def test_the_same_answers_give_the_same_advice(config: Config) -> None:
    said = {"data": "internal", "users": 40, "languages": "es,ca"}
    assert ask(config, **said) == ask(config, **said)


def test_the_model_file_that_is_pulled_is_what_is_planned_with() -> None:
    known = {m.name: pulled(m) for m in catalogue.models().values() if m.kind == "chat"}
    assert known["qwen3-8b"] == "Q4_K_M"
    assert known["qwen3-0.6b"] == "Q8_0"
    assert known["smollm2-135m-instruct"] == "Q4_1"
    assert known["salamandra-7b-instruct"] == "Q8_0"
    for fmt in known.values():
        parse_format(fmt)


def test_every_licence_of_the_catalogue_is_known() -> None:
    for model in catalogue.models().values():
        if model.kind == "chat":
            assert model.licence in rules.LICENCES, model.name


def test_every_task_has_a_question_of_its_own() -> None:
    tasks = next(q for q in QUESTIONS if q.key == "task")
    assert [c for c, _ in tasks.choices] == list(rules.TASKS)
    data = next(q for q in QUESTIONS if q.key == "data")
    assert [c for c, _ in data.choices] == list(rules.PLACES) == list(rules.WHY_PLACES)


def test_it_is_quick(config: Config) -> None:
    start = time.process_time()
    ask(config, data="internal", users=200, languages="es,ca")
    assert time.process_time() - start < 1.5  # about 0.2 s alone


# --- answers that make no sense ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"users": "5"}, "nothing was said to: How sensitive"),
        ({"data": "public"}, "nothing was said to: How many people"),
        ({"data": "secrt", "users": "5"}, "did you mean 'secret'"),
        ({"data": "public", "users": "0"}, "the number of users is '0'"),
        ({"data": "public", "users": "-3"}, "negative"),
        ({"data": "public", "users": "many"}, "cannot be understood"),
        ({"data": "public", "users": "1e12"}, "expected 1 to 10,000,000"),
        ({"data": "public", "users": "5", "task": "dance"}, "task 'dance' is no answer"),
        ({"data": "public", "users": "5", "languages": "spanish"}, "'spanish' is no code"),
        ({"data": "public", "users": "5", "languages": ","}, "name none"),
        ({"data": "public", "users": "5", "latency": "nan"}, "latency 'nan'"),
        ({"data": "public", "users": "5", "latency": "0"}, "latency '0'"),
        ({"data": "public", "users": "5", "once": "-5"}, "budget .once. '-5'"),
        ({"data": "public", "users": "5", "monthly": "lots"}, "budget .monthly. 'lots' is no"),
        ({"data": "public", "users": "5", "pages": "0"}, "the number of pages is '0'"),
        ({"data": "public", "users": "5", "colour": "red"}, "there is no question 'colour'"),
    ],
)
def test_answers_that_make_no_sense(said: dict[str, str], error: str) -> None:
    with pytest.raises(PlanError, match=error):
        situation(said)


def test_hardware_that_is_no_machine(config: Config) -> None:
    with pytest.raises(PlanError, match="there is no machine 'l44'; did you mean"):
        ask(config, data="public", users=5, hardware="l44")


def test_rates_and_numbers_beside_the_questions() -> None:
    said = {"data": "public", "users": "5"}
    with pytest.raises(PlanError, match="questions a day"):
        situation(said, questions_a_day="0")
    with pytest.raises(PlanError, match="rate of exchange"):
        situation(said, eur_per_usd="-1")


# --- the report and the command ------------------------------------------------------------------


def test_the_report_holds_everything(config: Config) -> None:
    found = ask(config, data="secret", users=200, documents=20000, languages="es,ca")
    text = markdown(found)
    assert text.startswith("# ")
    assert "2026-11-21" in text
    html = MarkdownIt("commonmark").enable("table").render(text)
    for part in ("Recommendation", "Why", "What would change it", "Figures", "Assumptions",
                 "What else was considered", "Situation"):  # fmt: skip
        assert f"<h2>{part}</h2>" in html
    for item in found.figures:
        assert item.name in html
        assert shown(item) in html
    for assumption in found.assumptions:
        assert assumption.split(":")[0] in text
    rows = html.count("<tr>")
    parts = 3 + len(found.methods)  # model, licence, embedder; what is paid once
    assert rows == sum((
        1 + parts + 1, 1 + len(found.alternatives), 1 + len(found.figures),
        1 + len(answers(found)),
    ))  # fmt: skip


def test_the_report_of_nothing(config: Config) -> None:
    text = markdown(ask(config, data="public", users=3, once=0, monthly=0))
    assert "Within these limits, none" in text
    assert "with no limit to the budget" in text


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["plan", "advise", *words], standalone_mode=False)


def test_the_command_with_flags(home: Path) -> None:
    found = run("--data", "secret", "--users", "20", "--hardware", "l4", "--sources")
    assert found.exception is None
    assert "on l4 (NVIDIA L4), which is there already" in found.output
    assert "What would change it" in found.output
    assert "assumed:" in found.output


def test_the_command_as_json(home: Path) -> None:
    found = json.loads(run("--data", "secret", "--users", "20", "--json").output)
    assert found["way"]["where"] == "buy"
    assert found["situation"]["data"] == "secret"
    assert found["fit"]["how"] == "whole"
    assert {f["name"] for f in found["figures"]} >= {"documents", "memory needed", "to buy"}


def test_the_command_writes_a_report_once(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    words = ("--data", "secret", "--users", "20", "--markdown", str(file))
    assert run(*words).exception is None
    assert "## Recommendation" in file.read_text()
    assert isinstance(run(*words).exception, PlanError)
    assert run(*words, "--force").exception is None
    lost = run(*words[:-1], str(tmp_path / "no" / "where.md"))
    assert isinstance(lost.exception, PlanError)


def test_the_command_says_what_is_missing(home: Path) -> None:
    found = run("--users", "5")
    assert isinstance(found.exception, PlanError)
    assert "--data" in str(found.exception)


def test_the_interview_on_a_terminal(home: Path) -> None:
    """A real terminal: every question is asked, an empty answer takes the default.

    A wrong answer is told at once, and for euros the rate is asked for at the end.
    """
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "llar", "plan", "advise", "--currency", "EUR"],
        stdin=child, stderr=child, stdout=subprocess.PIPE, env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip
    os.close(child)
    replies = {"sensitive": "secret", "people": "20", "machine is there": "l4"}
    wrong = {"sensitive": "secrt", "once": "lots", "machine is there": "l44"}
    seen = ""
    asked_for = complaints = 0
    end = time.monotonic() + 60
    while asked_for < len(QUESTIONS) and time.monotonic() < end:
        if select.select([parent], [], [], 0.2)[0]:
            seen += os.read(parent, 4096).decode()
        if seen.rstrip(" ").endswith((">", "]")) and "> " in seen.splitlines()[-1]:
            question = QUESTIONS[asked_for]
            assert question.text in seen
            mistake = next((k for k in wrong if k in question.text), None)
            if mistake:  # is told at once, and asked again
                os.write(parent, f"{wrong.pop(mistake)}\n".encode())
                complaints += 1
                seen = question.text
                continue
            reply = next((r for k, r in replies.items() if k in question.text), "")
            os.write(parent, f"{reply}\n".encode())
            asked_for += 1
            seen = ""
    while "one dollar cost" not in seen and time.monotonic() < end:
        if select.select([parent], [], [], 0.2)[0]:
            seen += os.read(parent, 4096).decode()
    os.write(parent, b"0.9\n")
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        os.close(parent)
    assert (asked_for, complaints) == (len(QUESTIONS), 3)
    assert process.returncode == 0
    assert "on l4 (NVIDIA L4), which is there already" in out.decode()
    assert "electricity about EUR" in out.decode()


def test_machines_that_may_be_bought_are_sold(config: Config) -> None:
    for machine in machines(config).values():
        if machine.name.startswith(("m1", "m2", "rtx-30", "t4")):
            assert not machine.sold


def test_the_index_takes_memory_too(config: Config) -> None:
    """500 documents x 10 pages x 1,000 tokens / 160 = 31,250 passages of 384 x 4 bytes."""
    said = {"data": "secret", "users": 5, "latency": 60, "once": 0, "monthly": 0,
            "hardware": "office-ddr5"}  # fmt: skip
    found = ask(config, documents=500, **said)
    assert figure(found, "passages") == 31_250
    assert figure(found, "index, in RAM") == 31_250 * 384 * 4
    # 200 times as many: 6.25 M passages, 9.6 GB, which leaves too little of 14 GiB for 8 B
    many = ask(config, documents=100_000, **said)
    assert any("measure the search at that size" in w for w in many.warnings)
    assert found.way is not None
    assert many.way is None or many.way.parameters < found.way.parameters


def test_no_rate_is_asked_for_where_nothing_is_paid(config: Config) -> None:
    said = {"data": "secret", "users": "5", "once": "0", "monthly": "0", "hardware": "l4"}
    found = advise(config, situation(said, currency="EUR"), on=DAY)
    assert found.way is not None
    assert found.way.machine == "l4"


def test_a_load_beyond_all_machines(config: Config) -> None:
    found = ask(config, data="secret", users=10_000_000, task="write", hardware="rtx-4090")
    assert found.way is None
    cheap = ask(config, data="public", users=10_000_000, task="write")
    assert cheap.way is not None
    assert cheap.way.where == "api"


def test_hardware_whose_speed_is_not_known(home: Path, config: Config) -> None:
    (home / "machines.toml").write_text('[box]\nkind = "cpu"\nmemory = "64 GiB"\n')
    found = ask(config, data="secret", users=5, once=0, monthly=0, hardware="box")
    assert found.way is None
    assert any("is not known" in a.why_not for a in found.alternatives)


def test_the_providers_models_of_the_rules_have_prices(config: Config) -> None:
    for name in rules.APIS:
        assert find_price(config, name).name == name
    found = ask(config, data="public", users=3)
    assert not any(name in w for name in rules.APIS for w in found.warnings)
