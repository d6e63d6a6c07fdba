"""`llar plan cost` as people and programs meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llar.cli import PARTLY, cli

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
[toy.sources]
price = "an offer"
"""
OWN = """
[[price]]
provider = "acme"
model = "one"
input = 2.5
output = 10
source = "contract"
dated = 2026-11-01
"""
ASKED = ("--users", "20", "--questions-per-day", "50", "--input-tokens", "1000",
         "--output-tokens", "200")  # fmt: skip
MACHINE = ("--machine", "toy", "--prefill", "5000", "--decode", "100", "--electricity", "0.20",
           "--co2", "200", "--pue", "1.5", "--hosting", "30", "--hours-per-month", "2",
           "--hourly-wage", "50")  # fmt: skip


@pytest.fixture(autouse=True)
def files(home: Path) -> None:
    (home / "machines.toml").write_text(TOY)
    (home / "prices.toml").write_text(OWN)


def llar(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["plan", "cost", *map(str, args)])


def test_providers_without_a_machine() -> None:
    done = llar(*ASKED)
    assert done.exit_code == 0, done.stderr
    assert "21 k requests  20 users x 50 questions x 21 workdays" in done.stdout
    assert done.stdout.count("openai:gpt-5-mini") == 2  # in the comparison, and with its formula
    # 21 M x 0.25 + 4.2 M x 2
    assert "USD 13.65  (21 M x 0.25 + 4.2 M out x 2) per 1M" in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


def test_everything_together() -> None:
    """The numbers of test_plan_cost.py: 94.50 at a provider, 340.146 owned, 465 rented."""
    done = llar(*ASKED, *MACHINE, "--api", "acme:one", "--sources")
    assert done.exit_code == 0, done.stderr
    text = done.stdout
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("What it costs"))
    table = [line.split() for line in lines[first + 2 : first + 6]]
    assert [row[:-4] for row in table] == [
        ["acme:one"], ["rent", "toy,", "168", "h"], ["own", "toy"], ["rent", "toy,", "730", "h"],
    ]  # fmt: skip
    assert [row[-4] for row in table] == ["94.50", "~184.00", "~340.15", "~465.00"]
    assert table[0][-3:] == ["3.75", "4.50", "4.72"]  # / 25.2, / 21, / 20 = 4.725
    assert "never: running it costs 140.15 a month, the other 94.50" in " ".join(text.split())
    assert "[contract, 2026-11-01]" in text
    assert "[an offer (2026-11-01)]" in text
    assert "~50.73 kWh" not in text
    assert "~50.7 kWh" in text
    assert "(21 M / 5,000 + 4.2 M / 100 tokens/s) / 3600" in text
    assert all(len(line) <= 100 for line in lines)


def test_json_has_every_number() -> None:
    done = llar(*ASKED, *MACHINE, "--api", "acme:one", "--json")
    found = json.loads(done.stdout)
    assert found["currency"] == "USD"
    assert found["workload"]["input_tokens"] == 21e6
    options = {o["name"]: o for o in found["options"]}
    assert options["acme:one"]["a_month"] == 94.5
    assert options["acme:one"]["units"]["user"]["value"] == 4.725
    own = {f["name"]: f for f in options["own toy"]["figures"]}
    assert own["Energy"]["value"] == pytest.approx(50.73)
    assert own["CO2"]["value"] == pytest.approx(10.146)
    pair = next(b for b in found["break_even"] if b["other"] == "acme:one")
    assert pair["months"]["value"] is None  # never
    assert pair["monthly_tokens"]["value"] == pytest.approx(91.68e6, rel=1e-3)
    assert "Infinity" not in done.stdout


def test_euros_need_a_rate() -> None:
    done = llar(*ASKED, *MACHINE, "--api", "acme:one", "--currency", "EUR")
    assert done.exit_code == 1
    assert "an exchange rate is never assumed" in str(done.exception)
    done = llar(*ASKED, "--api", "acme:one", "--currency", "EUR", "--eur-per-usd", "0.9", "--json")
    assert json.loads(done.stdout)["options"][0]["a_month"] == pytest.approx(85.05)


@pytest.mark.slow
def test_a_folder_is_counted_and_failures_named(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("Staff have 27 days of annual leave.")  # 10 tokens
    (folder / "b.txt").write_bytes(b"\x00\x01\x02" * 50)
    done = llar(folder, "--output-tokens", "100", "--times", "1000", "--api", "acme:one", "--json")
    assert done.exit_code == 0  # click's runner gives the command's own return value below
    found = json.loads(done.stdout)
    (document,) = found["documents"]["documents"]
    tokens = document["tokens"]
    assert document["source"].endswith("a.txt")
    assert found["options"][0]["a_month"] == pytest.approx(
        (1000 * tokens * 2.5 + 1000 * 100 * 10) / 1e6
    )
    assert "b.txt" in done.stderr
    run = subprocess.run(
        [sys.executable, "-m", "llar", "plan", "cost", folder, "--output-tokens", "100"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == PARTLY
    assert "b.txt" in run.stderr
    assert "counted by llamacpp:smollm2-135m-instruct" in run.stdout


def test_a_text_without_a_model_is_an_estimate() -> None:
    done = llar("--text", "one two three four", "--output-tokens", "10", "--api", "acme:one")
    assert done.exit_code == 0, done.stderr
    # 4 / 0.75 = 5.33, rounded up
    assert "~6 tokens" in done.stdout
    assert "no tokenizer is installed" in done.stdout


def test_a_model_gives_the_speed() -> None:
    done = llar(
        *ASKED, "--machine", "h100-sxm", "--model", "llama-3.1-8b", "--electricity", "0.2",
        "--no-api", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, (done.stderr, done.exception)
    found = json.loads(done.stdout)
    own = next(o for o in found["options"] if o["kind"] == "own")
    rows = {f["name"]: f for f in own["figures"]}
    assert 0.05 < rows["Hours of work a month"]["value"] < 50
    assert not rows["Hours of work a month"]["exact"]
    assert "at once" in rows["Hours of work a month"]["source"]


def test_a_model_that_does_not_fit_is_not_compared() -> None:
    done = llar(
        *ASKED, "--machine", "t4", "--model", "llama-3.1-70b", "--electricity", "0.2",
        "--api", "acme:one",
    )  # fmt: skip
    assert done.exit_code == 0, (done.stderr, done.exception)
    assert "fits" in done.stdout
    assert "not compared" in done.stdout
    assert "own t4" not in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "say what is asked"),
        (("--users", "5", "--requests", "7"), "say what is asked"),
        (("--users", "5"), "also needs --questions-per-day"),
        (("--users", "-5", "--questions-per-day", "1"), "negative"),
        (("--users", "0", "--questions-per-day", "1"), "at least some requests"),
        (("--users", "5", "--questions-per-day", "nan"), "--questions-per-day 'nan'"),
        (("--users", "5", "--questions-per-day", "1", "--workdays", "40"), "--workdays '40'"),
        (("--users", "5", "--questions-per-day", "1", "--hours-per-day", "25"), "--hours-per-day"),
        (("--requests", "7", "--questions-per-day", "1"), "is of --users"),
        (("--requests", "1e99"), "larger than anything"),
        (("--requests", "7", "--cached", "2"), "--cached '2'"),
        (("--requests", "7", "--cached", "0.6", "--cache-written", "0.6"), "more than all of it"),
        (("--requests", "7", "--api", "acme:tow"), "acme has no price for 'tow'; it has acme:one"),
        (("--requests", "7", "--api", "opnai:gpt-4o"), "did you mean openai:gpt-4o"),
        (("--requests", "7", "--no-api"), "nothing to compare"),
        (("--requests", "7", "--no-api", "--api", "x"), "contradict"),
        (("--requests", "7", "--machine", "tyo"), "did you mean"),
        (("--requests", "7", "--model", "llama-3.1-8b"), "also need a --machine"),
        (("--requests", "7", "--machine", "toy", "--prefill", "5"), "together"),
        (
            ("--requests", "7", "--machine", "toy", "--prefill", "0", "--decode", "1",
             "--electricity", "1"),
            "--prefill '0'",
        ),
        (("--requests", "7", "--eur-per-usd", "0"), "--eur-per-usd '0'"),
        (("--requests", "7", "--machine", "toy", "--electricity", "x"), "--electricity 'x'"),
        (("--requests", "7", "--machine", "toy", "--electricity", "1", "--hours", "800"),
         "--hours '800'"),
        (("--text", "x"), "also need --output-tokens"),
        (("no-such-folder", "--output-tokens", "1"), "no document"),
    ],
)  # fmt: skip
def test_wrong_use(args: tuple[str, ...], said: str) -> None:
    done = llar(*args)
    assert done.exit_code in (1, 2)
    assert said in done.stderr + str(done.exception)


def test_a_wrong_price_names_its_file(home: Path) -> None:
    (home / "prices.toml").write_text(OWN.replace("input = 2.5", "input = -2.5"))
    done = llar("--requests", "7")
    assert "prices.toml, price 1: input '-2.5'" in str(done.exception)


LIGHT = """
import resource, sys
from llar.cli import cli
cli.main(sys.argv[1:], standalone_mode=False)
heavy = {"numpy", "tokenizers", "xllamacpp", "ctranslate2", "httpx", "httpx2", "pydantic", "ssl"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "args",
    [
        ("cost", *ASKED, "--machine", "h100-sxm", "--model", "llama-3.1-8b", "--electricity", "1"),
        ("training", "llama-3.1-70b", "--tokens", "15T", "--count", "64"),
    ],
    ids=["cost", "training"],
)
def test_an_answer_is_fast_and_imports_no_engine(args: tuple[str, ...]) -> None:
    """CPU seconds, since others may keep the cores busy."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIGHT, "plan", *args],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy, seconds = done.stderr.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 0.5


def test_a_machines_price_can_be_given() -> None:
    args = ("--requests", "1000", "--input-tokens", "500", "--output-tokens", "100", "--no-api",
            "--machine", "office-ddr5", "--electricity", "0.2")  # fmt: skip
    failed = llar(*args)
    assert "--machine-price" in str(failed.exception)
    done = llar(*args, "--machine-price", "720")
    assert "720 / (3 years x 12)" in " ".join(done.output.split())  # 20 a month
    assert llar(*args, "--machine", "l4", "--machine-price", "720").exit_code == 2


def test_a_small_amount_is_never_told_as_nothing(home: Path) -> None:
    """1 request of 1,000 and 100 tokens at 0.15 and 0.60 per 1M: USD 0.00021 a month."""
    done = llar("--requests", "1", "--input-tokens", "1000", "--output-tokens", "100",
                "--machine", "rtx-4090", "--prefill", "5000", "--decode", "100",
                "--api", "mistral:mistral-small-2603")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "the other 0.00021 (against" in done.output.replace("\n  ", " ")
