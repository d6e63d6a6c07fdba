"""What a workload costs: every number worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from llar.config import Config, load
from llar.errors import PlanError
from llar.plan.amount import amount, money, shown
from llar.plan.costs import compare as cost
from llar.plan.costs import energy, prices, workload
from llar.plan.costs.money import Money, decimal, share
from llar.plan.costs.owning import Option, Speed, Terms, own, rent, working_hours
from llar.plan.costs.rates import Price, Rate, Rates
from llar.plan.figure import Figure
from llar.plan.hardware import machines

D = Decimal
TOY = """
[toy]
title = "Toy machine"
kind = "gpu"
family = "gddr"
memory = "24 GiB"
bandwidth_gb = 1000
tflops = { bf16 = 100 }
watts = 400
idle_watts = 40
price = 7200
rent_per_hour = 0.5
years = 3
dated = "2026-11-01"
"""
# 20 x 50 x 21 = 21,000 questions: 21 M tokens in, 4.2 M out
WORK = workload.asked(20, D(50), D(1000), D(200))
SPEED = Speed(5000, 100, "measured", exact=True)
# 21 M / 5,000 + 4.2 M / 100 = 4,200 + 42,000 s = 12.8333 h
HOURS = 46_200 / 3600


@pytest.fixture
def config(home: Path) -> Config:
    (home / "machines.toml").write_text(TOY)
    return load()


@pytest.fixture
def toy(config: Config) -> machines.Machine:
    return machines.find(config, "toy")


@pytest.fixture
def terms(config: Config) -> Terms:
    known = machines.defaults(config)
    cash = Money()
    power = energy.power(config, cash, electricity=D("0.20"), grams=D(200), pue=D("1.5"))
    assert power.price is not None
    return Terms(
        money=cash,
        electricity=power.price,
        co2=power.co2,
        pue=power.pue,
        years=known.years,
        utilisation=known.utilisation,
        hosting=D(30),
        people_hours=D(2),
        wage=D(50),
    )


def named(option: Option, name: str) -> Figure:
    return next(f for f in option.figures if f.name == name)


def price(in_: str, out: str, **more: object) -> Price:
    rates = Rates(input=Rate(D(in_)), output=Rate(D(out)))
    return Price("acme", "one", "One", rates, source="list of May", **more)  # type: ignore[arg-type]


# workloads


def test_people_asking() -> None:
    assert WORK.requests == 21_000
    assert (WORK.input, WORK.output, WORK.tokens) == (D(21_000_000), D(4_200_000), D(25_200_000))
    assert WORK.hours == 168  # 21 days of 8 hours
    assert WORK.figures[0].formula == "20 users x 50 questions x 21 workdays"


def test_documents_keep_their_own_lengths() -> None:
    work = workload.processed([100, 900], D(50), instructions=D(20), times=D(3))
    # 3 x (120 + 920) in, 6 x 50 out
    assert (work.requests, work.input, work.output) == (D(6), D(3_120), D(300))


def test_a_question_to_llar_as_it_is_set(config: Config) -> None:
    in_, out = workload.question(config)
    # 4 passages of 160 tokens; the prompt has 56 words, a question 15: 71 / 0.75 = 95
    assert (in_.value, out.value) == (735, 200)
    assert not in_.exact
    assert in_.formula == "4 passages x 160 tokens + 71 words of prompt / 0.75"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: workload.monthly(D(0), D(1), D(1)), "at least some requests"),
        (lambda: workload.monthly(D(1), D(0), D(0)), "needs tokens"),
        (lambda: workload.monthly(D(10) ** 15, D(10) ** 6, D(1)), "ever be processed"),
        (lambda: workload.asked(0, D(1), D(1), D(1)), "at least some requests"),
        (lambda: workload.processed([], D(1)), "no document"),
        (
            lambda: workload.monthly(D(1), D(1), D(1), cached=D("0.7"), written=D("0.4")),
            "more than all of it",
        ),
    ],
)
def test_a_workload_of_nothing(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(PlanError, match=said):
        make()


# providers


def test_a_provider() -> None:
    found = cost.api(price("2.50", "10"), WORK, Money())
    # 21 x 2.50 + 4.2 x 10 = 52.50 + 42
    assert found.monthly == D("94.5")
    (month,) = found.figures
    assert month.formula == "(21 M x 2.5 + 4.2 M out x 10) per 1M"
    assert (month.value, month.unit, month.source) == (94.5, "USD", "list of May")
    units = cost.units_of(found, WORK, "USD")
    assert units["tokens"].value == 94.5 / 25.2
    assert units["requests"].value == 4.5  # 94.50 for 21 thousand
    assert units["user"].value == 4.725


def test_cached_input_and_batch() -> None:
    work = workload.asked(20, D(50), D(1000), D(200), cached=D("0.4"), batch=D("0.5"))
    rates = Rates(Rate(D("2.5")), Rate(D(10)), cache_read=Rate(D("1.25")))
    half = Rates(Rate(D("1.25")), Rate(D(5)), cache_read=Rate(D("0.625")))
    found = cost.api(Price("acme", "one", "One", rates, batch=half), work, Money())
    # standard: 12.6 x 2.5 + 8.4 x 1.25 + 4.2 x 10 = 31.5 + 10.5 + 42 = 84; a half of it, and a
    # half of 42 as batch
    assert found.monthly == 63
    assert found.figures[0].formula == (
        "(6.3 M x 2.5 + 4.2 M cached x 1.25 + 2.1 M out x 10) per 1M"
        " + batch (6.3 M x 1.25 + 4.2 M cached x 0.625 + 2.1 M out x 5) per 1M"
    )


def test_each_document_is_charged_by_its_own_length() -> None:
    rates = Rates(Rate(D(3), ((200_000, D(6)),)), Rate(D(15)))
    work = workload.processed([100_000, 300_000], D(1000))
    found = cost.api(Price("acme", "long", "Long", rates, context=250_000), work, Money())
    # 0.1 x 3 + 0.3 x 6 + 0.002 x 15
    assert found.monthly == D("2.13")
    assert any("1 of 2 documents a month are longer" in note for note in found.notes)


def test_what_a_price_leaves_out_is_said() -> None:
    work = workload.monthly(D(10), D(1000), D(10), cached=D("0.5"), batch=D("0.5"))
    notes = " ".join(cost.api(price("1", "2"), work, Money()).notes)
    assert "no batch price is known" in notes
    assert "no price of cached input is known" in notes
    embedder = Price("acme", "embed", "Embed", Rates(input=Rate(D(1))))
    assert "no price of output is known: counted as free" in cost.api(embedder, work, Money()).notes
    rates = Rates(Rate(D(1)), Rate(D(5)), Rate(D("0.1")), Rate(D("1.25")))
    found = cost.api(Price("acme", "one", "One", rates), work, Money())
    assert "storing input in the cache is not counted, at 1.25 per 1M" in " ".join(found.notes)


def test_a_price_in_another_currency_needs_a_rate() -> None:
    euros = price("2", "8", currency="EUR")
    with pytest.raises(PlanError, match="an exchange rate is never assumed") as e:
        cost.api(euros, WORK, Money())
    assert e.value.fix is not None
    assert "--eur-per-usd" in e.value.fix
    # 21 x 2 + 4.2 x 8 = 75.60 EUR; at 0.90 EUR for a dollar 84 USD
    assert cost.api(euros, WORK, Money("USD", D("0.90"))).monthly == 84
    assert cost.api(euros, WORK, Money("EUR")).monthly == D("75.6")
    dollars = price("2", "8")
    assert cost.api(dollars, WORK, Money("EUR", D("0.90"))).monthly == D("68.04")


def test_real_prices(config: Config) -> None:
    found = cost.api(prices.find(config, "openai:gpt-4o"), WORK, Money())
    assert found.monthly == D("94.5")  # 2.50 and 10 USD since 2024-10
    assert "genai-prices" in found.figures[0].source


# owning and renting


def test_hours_of_work() -> None:
    found = working_hours(WORK, SPEED)
    assert found.value == HOURS
    assert found.formula == "(21 M / 5,000 + 4.2 M / 100 tokens/s) / 3600"
    with pytest.raises(PlanError, match="does no work"):
        working_hours(WORK, Speed(0, 100))


def test_owning(toy: machines.Machine, terms: Terms) -> None:
    found = own(toy, WORK, terms, SPEED)
    assert named(found, "To buy").value == 7200
    assert named(found, "Depreciation").value == 200  # over 36 months
    assert named(found, "Machines needed").value == 1
    # (0.4 kW x 12.8333 h + 0.04 kW x 717.1667 h) x 1.5 = (5.13333 + 28.68667) x 1.5
    assert named(found, "Energy").value == pytest.approx(50.73)
    assert named(found, "Electricity").value == pytest.approx(10.146)
    assert named(found, "CO2").value == pytest.approx(10.146)  # 0.2 kg for each kWh
    assert (named(found, "Hosting").value, named(found, "People").value) == (30, 100)
    assert float(found.monthly) == pytest.approx(340.146)
    assert found.investment == 7200
    # 25.2 M tokens in 12.8333 h of the 168 in which people ask
    assert float(found.capacity or 0) == pytest.approx(25.2e6 * 168 / HOURS)
    assert not [note for note in found.notes if "assumed" in note]


def test_owning_names_what_it_leaves_out(toy: machines.Machine, terms: Terms) -> None:
    bare = Terms(
        terms.money, terms.electricity, terms.co2, terms.pue, terms.years, terms.utilisation
    )
    notes = " ".join(own(toy, WORK, bare, SPEED).notes)
    for missing in ("--server-price", "--hours-per-month", "--hosting"):
        assert missing in notes


def test_a_server_around_the_cards(toy: machines.Machine, terms: Terms) -> None:
    more = replace(terms, server_price=D(3600), server_watts=D(100))
    found = own(toy.together(2), WORK, more, SPEED)
    assert found.investment == 2 * 7200 + 3600
    assert named(found, "Depreciation").value == 500
    # two cards at 33.82 kWh each, and 100 W for 730 h: (67.64 + 73) x 1.5
    assert named(found, "Energy").value == pytest.approx(210.96)


def test_the_idle_power_that_nobody_states_is_assumed_and_said(
    config: Config, terms: Terms
) -> None:
    path = config.home / "machines.toml"
    path.write_text(TOY.replace("idle_watts = 40\n", ""))
    found = own(machines.find(config, "toy"), WORK, terms, SPEED)
    assert named(found, "Energy").value == pytest.approx(50.73)  # a tenth of 400 W
    assert "assumed: a tenth" in " ".join(found.notes)
    assert not named(found, "Energy").exact


def test_more_work_than_one_machine_does(toy: machines.Machine, terms: Terms) -> None:
    # 100 times the work: 1283.33 h, in 168 h a month: 7.64, so 8 machines
    much = workload.asked(2000, D(50), D(1000), D(200))
    found = own(toy, much, terms, SPEED)
    assert named(found, "Machines needed").value == 8
    assert found.investment == 8 * 7200
    assert found.name == "own 8x toy"
    assert "one toy cannot deliver this workload: 8 are needed" in found.notes
    assert named(found, "Share of the hours it works").value == pytest.approx(1283.333 / (8 * 730))
    peak = replace(terms, peak=D(2))
    assert named(own(toy, much, peak, SPEED), "Machines needed").value == 16  # 15.3


def test_without_a_speed_the_use_is_assumed(toy: machines.Machine, terms: Terms) -> None:
    found = own(toy, WORK, terms)
    # 24 % of 730 h at 400 W, the rest at 40: (0.24 x 400 + 0.76 x 40) x 0.73 x 1.5
    assert named(found, "Energy").value == pytest.approx(126.4 * 0.73 * 1.5)
    assert found.capacity is None
    assert "is not checked" in " ".join(found.notes)


def test_renting(toy: machines.Machine, terms: Terms) -> None:
    always = rent(toy, WORK, terms, SPEED)
    assert named(always, "Rent").value == 365  # 730 x 0.50
    assert always.monthly == 365 + 100  # and people's time
    assert rent(toy, WORK, terms, SPEED, hours=D(168)).monthly == 84 + 100
    busy = rent(toy, WORK, terms, SPEED, while_busy=True)
    assert named(busy, "Rent").value == 6.5  # 13 hours begun
    with pytest.raises(PlanError, match="how long the work takes"):
        rent(toy, WORK, terms, while_busy=True)


def test_a_machine_without_price_rent_or_watts(config: Config, terms: Terms) -> None:
    path = config.home / "machines.toml"
    for key, value, run in (("price", "7200", own), ("rent_per_hour", "0.5", rent)):
        path.write_text(TOY.replace(f"{key} = {value}\n", ""))
        with pytest.raises(PlanError, match="is not known") as e:
            run(machines.find(config, "toy"), WORK, terms, SPEED)
        assert e.value.fix is not None
        assert "[toy]" in e.value.fix
    path.write_text(TOY.replace("watts = 400\n", "").replace("idle_watts = 40\n", ""))
    with pytest.raises(PlanError, match="watts of Toy machine are not known"):
        own(machines.find(config, "toy"), WORK, terms, SPEED)


# what pays off


def test_break_even(toy: machines.Machine, terms: Terms) -> None:
    mine = own(toy, WORK, terms, SPEED)
    dear = cost.api(price("25", "100"), WORK, Money())
    assert dear.monthly == 945
    found = cost.break_even(mine, dear, WORK)
    # running it costs 140.146; 7,200 / (945 - 140.146)
    assert found.months.value == pytest.approx(7200 / 804.854)
    assert found.tokens.value == pytest.approx(25.2e6 * 7200 / 804.854)
    # of 340.146 a month 0.36 kW x 12.8333 h x 1.5 x 0.20 = 1.386 grow with the tokens:
    # 338.76 / (945 - 1.386) of 25.2 M tokens
    assert found.monthly_tokens.value == pytest.approx(25.2e6 * 338.76 / 943.614)
    assert found.why == ()


def test_it_never_pays_off_where_running_it_costs_more(toy: machines.Machine, terms: Terms) -> None:
    mine = own(toy, WORK, terms, SPEED)
    cheap = cost.api(price("2.50", "10"), WORK, Money())
    found = cost.break_even(mine, cheap, WORK)
    assert math.isinf(found.months.value)
    assert shown(found.months) == "never"
    assert found.why == ("never: running it costs 140.15 a month, the other 94.50",)
    # with more tokens it would: 338.76 / 93.114 x 25.2 M = 91.7 M, of 329.9 M it can do
    assert found.monthly_tokens.value == pytest.approx(25.2e6 * 338.76 / 93.114)


def test_it_never_pays_off_beyond_what_it_can_do(toy: machines.Machine, terms: Terms) -> None:
    mine = own(toy, WORK, terms, SPEED)
    cheapest = cost.api(price("0.25", "1"), WORK, Money())  # 9.45 a month
    found = cost.break_even(mine, cheapest, WORK)
    # 338.76 / 8.064 x 25.2 M = 1.06 B tokens, and it does 329.9 M
    assert math.isinf(found.monthly_tokens.value)
    assert "it delivers 329.9 M" in found.monthly_tokens.formula


def test_it_pays_off_too_late(toy: machines.Machine, terms: Terms) -> None:
    mine = own(toy, WORK, terms, SPEED)
    other = cost.api(price("8", "3"), WORK, Money())  # 168 + 12.6 = 180.60
    found = cost.break_even(mine, other, WORK)
    assert found.months.value == pytest.approx(7200 / (180.6 - 140.146))  # 178 months
    assert found.why == ("longer than the 36 months over which the machine is written off",)


def test_against_a_rent_that_is_always_paid(toy: machines.Machine, terms: Terms) -> None:
    mine, other = own(toy, WORK, terms, SPEED), rent(toy, WORK, terms, SPEED)
    found = cost.break_even(mine, other, WORK)
    assert found.months.value == pytest.approx(7200 / (465 - 140.146))
    assert found.monthly_tokens.value == 0  # 465 is more than owning ever costs
    assert found.monthly_tokens.formula == "any number"
    office = rent(toy, WORK, terms, SPEED, hours=D(168))
    less = cost.break_even(mine, office, WORK)
    assert less.why[-1] == "not cheaper a month: 340.15, the other always 184.00"


def test_against_a_flat_price_between(toy: machines.Machine, terms: Terms) -> None:
    """Owning costs 338.76 and 1.386 for each 25.2 M tokens; it can do 329.9 M."""
    mine = own(toy, WORK, terms, SPEED)

    def against(monthly: str) -> cost.BreakEven:
        return cost.break_even(mine, Option("flat", "rent", D(monthly), ()), WORK)

    # (345.69 - 338.76) / 1.386 = 5 times the work: 126 M tokens
    assert against("345.69").monthly_tokens.value == 0
    assert against("345.69").monthly_tokens.formula == "up to 126 M tokens"
    # half of the work
    assert math.isinf(against("339.453").monthly_tokens.value)
    assert against("339.453").why[-1] == "cheaper a month only up to 12.6 M tokens"
    assert against("400").monthly_tokens.formula == "any number"


def test_options_are_in_order_of_their_cost(toy: machines.Machine, terms: Terms) -> None:
    options = [own(toy, WORK, terms, SPEED), cost.api(price("2.50", "10"), WORK, Money())]
    found = cost.compare(WORK, options, Money(), ["a note"])
    assert [o.kind for o in found.options] == ["api", "own"]
    assert [(b.own, b.other) for b in found.break_even] == [("own toy", "acme:one")]
    assert found.notes == ("a note",)


# energy


def test_energy_and_co2_of_a_country(config: Config) -> None:
    power = energy.power(config, Money("EUR"), country="France")
    assert power.co2.value == 0.056
    assert "Ember" in power.co2.source
    # 27 Mt over 148,999 GWh / 0.568
    assert energy.grids("es").value == pytest.approx(27e9 / (148_999e6 / 0.568), abs=0.0005)
    assert energy.grids("us").value == pytest.approx(1532e9 / 4_183_271e6, abs=0.0005)
    used = energy.consumption(Figure("P", 500, "W"), Figure("t", 100, "h"), Figure("PUE", 1.2, ""))
    assert (used.value, used.unit) == (60, "kWh")
    assert energy.emission(used, power.co2).value == pytest.approx(3.36)


def test_each_currency_has_a_default_price_of_electricity(config: Config) -> None:
    price = energy.power(config, Money()).price
    assert price is not None
    assert (price.value, price.unit) == (0.131, "USD/kWh")  # EIA, commercial: 13.10 cents
    assert "0.131 USD/kWh, by U.S. Energy" in energy.assumed(price)[0]
    given = energy.power(config, Money(), electricity=D("0.3")).price
    assert energy.assumed(given) == []
    # Eurostat's average of non-households, in euros; in dollars where a rate is given
    euros = energy.power(config, Money("EUR")).price
    dollars = energy.power(config, Money("USD", D("0.80"))).price
    assert euros is not None
    assert dollars is not None
    assert dollars.value == pytest.approx(euros.value / 0.80)
    assert dollars.unit == "USD/kWh"


def test_a_price_of_ones_own_is_never_replaced_by_a_default(home: Path, config: Config) -> None:
    """In euros it takes a rate to dollars; also where llar's own file was copied and changed."""
    ours = "[defaults.electricity]\nvalue = 0.3\n"
    copied = ours + "[defaults.electricity_usd]\nvalue = 0.131\nunit = 'USD/kWh'\n"
    for text in (ours, copied):
        (home / "machines.toml").write_text(text)
        with pytest.raises(PlanError, match="default price of electricity is in EUR"):
            energy.power(config, Money())
        assert energy.power(config, Money(), priced=False).price is None
        dollars = energy.power(config, Money("USD", D("0.80"))).price
        assert dollars is not None
        assert dollars.value == pytest.approx(0.3 / 0.80)
    (home / "machines.toml").write_text(ours + "[defaults.electricity_usd]\nvalue = 0.4\n")
    both = energy.power(config, Money()).price
    assert both is not None
    assert both.value == 0.4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"country": "Spian"}, "did you mean 'spain'"),
        ({"country": "Atlantis"}, "is not known"),
        ({"grams": D(100), "country": "es"}, "given twice"),
        ({"grams": D(-1)}, "CO2 per kWh"),
        ({"grams": D(9999)}, "CO2 per kWh"),
        ({"pue": D("0.5")}, "PUE"),
        ({"electricity": D(-1)}, "price of electricity"),
        ({"electricity": D(1000)}, "price of electricity"),
    ],
)
def test_wrong_energy(config: Config, given: dict[str, object], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        energy.power(config, Money("EUR"), **given)  # type: ignore[arg-type]


# numbers


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "ten", "", "1e99"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(PlanError, match="--hosting"):
        decimal(text, "--hosting")


@pytest.mark.parametrize(
    ("text", "value"), [("0.4", "0.4"), ("40%", "0.4"), ("1", "1"), ("100%", "1"), ("0", "0")]
)
def test_shares(text: str, value: str) -> None:
    assert share(text, "--cached") == D(value)


@pytest.mark.parametrize("text", ["1.5", "140%", "-0.1", "nan", "half"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(PlanError, match="--cached"):
        share(text, "--cached")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (0.1, "0.10"),
        (94.5, "94.50"),
        (1234.5, "1,234.50"),
        (0.0123456, "0.0123"),
        (0.00000123, "0.00000123"),
        (0.05, "0.05"),
        (106_205_005, "106.2 M"),
    ],
)
def test_money_is_never_rounded_to_zero(value: float, text: str) -> None:
    assert money(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (13.49 * 2**30, "bytes", "13.49 GiB"),
        (1.2e-7, "USD", "USD 0.00000012"),
        (0.1902, "EUR/kWh", "EUR 0.19/kWh"),
        (3.791e25, "FLOPs", "3.791e+25 FLOPs"),
        (30.84e6, "GPU h", "30.84 M GPU h"),
        (21_588_000, "kWh", "21.59 GWh"),
        (433_196, "kWh", "433.2 MWh"),
        (8_930_000, "kg CO2", "8,930 t CO2"),
        (0.233, "kg CO2", "0.233 kg CO2"),
        (math.inf, "months", "never"),
        (0.00139, "", "0.00139"),
        (1536, "tokens", "1,536 tokens"),
    ],
)
def test_amounts_for_people(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


def test_an_estimate_is_marked() -> None:
    assert shown(Figure("x", 5, "kWh", exact=False)) == "~5 kWh"
    assert shown(Figure("x", 5, "kWh")) == "5 kWh"
