"""Prices: exact amounts, the same as genai-prices' own arithmetic, and the user's contracts."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from llar.cli import cli
from llar.config import Config, load
from llar.errors import PlanError
from llar.plan.costs import own_prices, price_table, prices
from llar.plan.costs.rates import Rate, Rates, Use

DAY = date(2026, 11, 21)


@pytest.fixture
def config(home: Path) -> Config:
    return load()


def use(input_: int, output: int, cached: int = 0, written: int = 0, requests: int = 1) -> Use:
    return Use(*(Decimal(n) for n in (input_, output, cached, written, requests)))


def test_a_price_is_exact(config: Config) -> None:
    price = prices.find(config, "openai:gpt-4o", on=DAY)
    # 10 x (600 x 2.50 + 400 cached x 1.25 + 500 x 10.00) / 1M = 10 x 7,000 / 1M
    assert price.standard.of(use(1000, 500, cached=400, requests=10)) == Decimal("0.07")
    assert (price.currency, price.context) == ("USD", 128_000)
    assert price.source.startswith("genai-prices 0.2.")


def test_a_long_input_is_dearer_for_all_of_its_tokens(config: Config) -> None:
    rates = prices.find(config, "anthropic:claude-sonnet-4-5", on=DAY).standard
    # up to 200,000 tokens 3 USD and 15 USD per 1M, beyond it 6 and 22.50 for every one of them
    assert rates.of(use(200_000, 1000)) == Decimal("0.6") + Decimal("0.015")
    assert rates.of(use(200_001, 1000)) == Decimal("1.200006") + Decimal("0.0225")


def test_a_batch_costs_half(config: Config) -> None:
    price = prices.find(config, "anthropic:claude-haiku-4-5", on=DAY)
    assert price.batch is not None
    assert price.standard.of(use(1_000_000, 0)) == 1
    assert price.batch.of(use(1_000_000, 0)) == Decimal("0.5")
    assert price.batch.of(use(0, 1_000_000)) == Decimal("2.5")


def test_storing_in_the_cache_is_dearer_than_input(config: Config) -> None:
    rates = prices.find(config, "anthropic:claude-haiku-4-5", on=DAY).standard
    # 100 x 1 + 800 read x 0.10 + 100 written x 1.25 = 305 per 1M
    assert rates.of(use(1000, 0, cached=800, written=100)) == Decimal("0.000305")


def test_a_price_for_each_request(config: Config) -> None:
    rates = prices.find(config, "perplexity:sonar", on=DAY).standard
    # 12 USD for 1,000 requests, and 1,000 x 1 + 100 x 1 per 1M
    assert rates.of(use(1000, 100)) == Decimal("0.0131")
    assert rates.of(use(1000, 100, requests=1000)) == Decimal("13.1")


def test_what_has_no_cache_price_is_input() -> None:
    rates = Rates(input=Rate(Decimal(2)), output=Rate(Decimal(3)))
    assert rates.of(use(1_000_000, 0, cached=500_000, written=250_000)) == 2


def test_a_price_that_changes_with_the_hour_is_the_dearest(config: Config) -> None:
    price = prices.find(config, "deepseek:deepseek-chat", on=DAY)
    assert price.standard.input == Rate(Decimal("0.27"))  # 0.135 from 16:30 to 00:30
    assert any("0.135" in note for note in price.notes)


def test_a_price_holds_from_its_day(config: Config) -> None:
    old = prices.find(config, "anthropic:claude-sonnet-4-6", on=date(2026, 1, 1)).standard
    new = prices.find(config, "anthropic:claude-sonnet-4-6", on=DAY).standard
    assert old.input == Rate(Decimal(3), ((200_000, Decimal(6)),))
    assert new.input == Rate(Decimal(3))


def test_every_price_is_that_of_genai_prices(config: Config) -> None:
    """The same requests, priced by the package itself, which the product never imports."""
    from genai_prices import Usage
    from genai_prices.data import providers

    # 02:00 UTC is a dear hour of every model whose price depends on the hour
    when = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
    found = {p.name: p for p in prices.search(config, on=DAY)}
    assert len(found) == sum(len({m.id for m in p.models}) for p in providers)
    compared = 0
    for provider in providers:
        for model in provider.models:
            ours = found[f"{provider.id}:{model.id}"]
            for context, rates in (({}, ours.standard), ({"processing": "batch"}, ours.batch)):
                if rates is None or not (rates.input and rates.output):
                    continue  # free, embeddings, pictures, sound
                for size in (1_000, 500_001):
                    theirs = model.calc_price(
                        Usage(
                            input_tokens=size,
                            output_tokens=700,
                            cache_read_tokens=300,
                            cache_write_tokens=200,
                        ),
                        provider,
                        genai_request_timestamp=when,
                        price_context=context,
                    )
                    mine = rates.of(use(size, 700, cached=300, written=200))
                    assert mine == theirs.total_price, (ours.name, context, size)
                    compared += 1
    assert compared > 4000


@pytest.mark.parametrize("name", prices.DEFAULT)
def test_what_is_compared_without_being_asked_has_a_price(config: Config, name: str) -> None:
    price = prices.find(config, name)
    assert price.standard.input
    assert price.standard.output
    assert not price.deprecated


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt-5.4-mini", "several providers: github-copilot:gpt-5.4-mini, openai:gpt-5.4-mini"),
        ("openai:gpt-4oo", "did you mean openai:gpt-4o"),
        ("opnai:gpt-4o", "did you mean openai:gpt-4o"),
        ("gpt-5.4-minni", "did you mean openai:gpt-5.4-mini"),
        ("google:gemma-3", "has no price per token"),
        ("", "is empty"),
        ("qqqqqqqq", "no provider has a price for 'qqqqqqqq'"),
    ],
)
def test_a_name_that_is_none_or_several(config: Config, name: str, said: str) -> None:
    with pytest.raises(PlanError) as e:
        prices.find(config, name)
    assert said in e.value.message
    assert e.value.fix


def test_other_names_of_a_model_find_it(config: Config) -> None:
    assert prices.find(config, "openai:gpt-4o-2024-08-06").model == "gpt-4o"
    assert prices.find(config, "OPENAI:GPT-4O").model == "gpt-4o"
    azure = prices.find(config, "azure:gpt-5.4")
    assert azure.provider == "azure"
    assert "at the price of openai" in azure.notes[-1]


def test_a_search_takes_every_word(config: Config) -> None:
    found = prices.search(config, "mistral small 2603")
    assert "mistral:mistral-small-2603" in [p.name for p in found]
    assert all("small" in f"{p.name} {p.title}".lower() for p in found)
    assert prices.search(config, "no such model") == []


OWN = """
[[price]]
provider = "openai"
model = "gpt-5"
input = 1.0
output = 8.000001
cache_read = 0.1
tiers = [{ above = 200_000, input = 2.5 }]
batch = { input = 0.5 }
dated = 2026-11-01
source = "contract 17"

[[price]]
provider = "our-own"
model = "llama"
request = 0.02
currency = "EUR"
"""


def test_own_prices_come_first(config: Config) -> None:
    own_prices.file(config).write_text(OWN)
    price = prices.find(config, "openai:gpt-5")
    assert price.source == "contract 17, 2026-11-01"
    # 1,000 x 1.00 + 10 x 8.000001 per 1M
    assert price.standard.of(use(1000, 10)) == Decimal("0.00108000001")
    assert price.standard.of(use(200_001, 0)) == Decimal("0.5000025")
    assert price.batch is not None
    assert price.batch.of(use(1_000_000, 1_000_000)) == Decimal("8.500001")
    own = prices.find(config, "our-own:llama")
    assert own.currency == "EUR"
    assert own.standard.of(use(5, 5, requests=100)) == 2
    assert [s.id for s in prices.sellers(config)][:2] == ["openai", "our-own"]
    names = [p.name for p in prices.search(config, "gpt-5")]
    assert names.count("openai:gpt-5") == 1
    assert prices.find(config, "llama").name == "our-own:llama"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[price]\n", "is not valid TOML"),
        ("[price]\nmodel = 'x'\n", "expected [[price]] with two brackets"),
        ("[[prices]]\n", "there is no table 'prices'"),
        ("[[price]]\nmodel = 'x'\ninput = 1\n", "price 1: 'provider' is missing"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\n", "price 1: no price"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninptu = 1\n", "did you mean 'input'"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = -1\n", "price 1: input '-1'"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = nan\n", "price 1: input 'NaN'"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = inf\n", "price 1: input 'Infinity'"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = '1'\n", "expected a number"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = true\n", "expected a number"),
        ("[[price]]\nprovider = ''\nmodel = 'y'\ninput = 1\n", "provider ''"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = 1\ncurrency = 'HUF'\n", "'HUF'"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = 1\ncontext = -5\n", "context -5"),
        ("[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = 1\nbatch = 2\n", "batch 2"),
        (
            "[[price]]\nprovider='x'\nmodel='y'\ninput=1\ntiers=[{ above = 10, output = 1 }]",
            "tier 1: 'output' has no price below 10 tokens",
        ),
        (
            "[[price]]\nprovider = 'x'\nmodel = 'y'\ninput = 1\ntiers = [{ input = 1 }]",
            "tier 1: above None",
        ),
        (
            "[[price]]\nprovider='x'\nmodel='y'\ninput=1\n[[price]]\nprovider='X'\nmodel='Y'\ninput=1",
            "price 2: 'X:Y' stands in price 1 already",
        ),
    ],
)
def test_a_wrong_own_price_names_file_row_and_key(config: Config, text: str, said: str) -> None:
    path = own_prices.file(config)
    path.write_text(text)
    with pytest.raises(PlanError) as e:
        prices.find(config, "openai:gpt-5")
    assert said in e.value.message
    assert str(path) in e.value.message


def test_the_data_says_how_old_it_is() -> None:
    table = price_table.table()
    assert table.version.startswith("0.2.")
    assert date(2026, 11, 1) <= table.newest <= date.today()
    assert table.newest.isoformat() in table.source


def test_a_release_laid_out_differently_is_refused(tmp_path: Path) -> None:
    for text in (
        "from .types import *\nproviders = [Provider(id='x', name='x', api_pattern='', colour=1)]",
        "from .types import *\nproviders = [Vendor()]",
        "from .types import *\n",
        "from .kinds import *\n",
        "providers = [\n",
    ):
        file = tmp_path / "data.py"
        file.write_text(text)
        with pytest.raises(PlanError, match="laid out in another way") as e:
            price_table._run(file, "0.9")
        assert e.value.fix == price_table.PULL
    assert not [name for name in sys.modules if name.startswith("_llar_prices")]


NOTHING_LOADED = """
import sys
from llar.config import load
from llar.plan.costs import prices
config = load()
assert prices.find(config, "openai:gpt-4o").standard.input
assert len(prices.search(config)) > 2000
wrong = {"genai_prices", "httpx", "httpx2", "pydantic", "ssl", "socket", "numpy", "tokenizers"}
print(sorted(wrong & {name.partition(".")[0] for name in sys.modules}))
"""


def test_nothing_that_could_fetch_prices_is_loaded(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", NOTHING_LOADED],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


MISSING = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "genai_prices" else real(name, *a)
from llar.cli import main
sys.argv = ["llar", "plan", "prices"]
main()
"""


def test_without_the_package_the_error_says_what_to_do(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "prices are not installed" in done.stderr
    assert "fix: pip install 'genai-prices" in done.stderr


def test_an_answer_is_fast(home: Path) -> None:
    """CPU seconds, since others may keep the cores busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "llar", "plan", "prices", "claude"],
        capture_output=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.5


def test_the_command_lists_prices(home: Path) -> None:
    done = CliRunner().invoke(cli, ["plan", "prices", "anthropic", "haiku-5-5"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    row = next(line for line in lines if line.startswith("anthropic:claude-haiku-5-5"))
    assert row.split() == [
        "anthropic:claude-haiku-5-5", "0.1", "0.5", "0.01", "0.05", "/", "0.25", "USD", "1,000,000",
    ]  # fmt: skip
    above = next(line for line in lines if line.startswith("  above 100,000"))
    assert above.split()[5:8] == ["0.5", "2.5", "0.05"]
    assert all(len(line) <= 100 for line in lines)


def test_the_command_lists_providers(home: Path) -> None:
    done = CliRunner().invoke(cli, ["plan", "prices"])
    assert done.exit_code == 0
    assert "Anthropic" in done.output
    assert "newest price of 2026-" in done.output
    found = json.loads(CliRunner().invoke(cli, ["plan", "prices", "--json"]).output)
    assert len(found["providers"]) > 40


def test_the_command_gives_json(home: Path) -> None:
    done = CliRunner().invoke(cli, ["plan", "prices", "openai gpt-4o-2024-05-13", "--json"])
    price = json.loads(done.stdout)["prices"][0]
    assert price["name"] == "openai:gpt-4o-2024-05-13"
    assert price["standard"]["input"] == {"price": 5.0, "tiers": []}
    assert price["batch"]["output"]["price"] == 7.5


def test_the_command_guesses_at_a_wrong_name(home: Path) -> None:
    done = CliRunner().invoke(cli, ["plan", "prices", "gptt-5.4"])
    assert isinstance(done.exception, PlanError)
    assert "did you mean openai:gpt-5.4" in str(done.exception)
