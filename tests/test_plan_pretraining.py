"""What a training takes: against what its makers published, and against hand arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llar.cli import cli
from llar.config import Config, load
from llar.errors import PlanError
from llar.plan.costs import energy, pretraining
from llar.plan.costs.money import Money
from llar.plan.figure import Figure
from llar.plan.hardware import machines
from llar.plan.memory.training import training as memory_of
from llar.plan.shapes.resolve import resolve


@pytest.fixture
def config(home: Path) -> Config:
    return load()


def trained(
    config: Config,
    n: float,
    tokens: float,
    name: str,
    *,
    mfu: float | None = None,
    gpu_hours: float | None = None,
) -> dict[str, Figure]:
    """The figures of a full training on a machine, in dollars."""
    cash = Money()
    found = pretraining.train(
        "x",
        pretraining.flops(n, tokens),
        machines.find(config, name),
        energy.power(config, cash, priced=False),
        cash,
        mfu=mfu,
        gpu_hours=gpu_hours,
        years=machines.defaults(config).years,
    )
    return {f.name: f for f in found.figures}


# against what was published


def test_llama_3_1_405b(config: Config) -> None:
    """6 x 405e9 x 15.6e12 = 3.79e25; the paper says 3.8e25, the model card 30.84 M H100 hours."""
    found = trained(config, 405e9, 15.6e12, "h100-sxm", gpu_hours=30.84e6)
    assert found["FLOPs"].value == 3.7908e25
    # 3.7908e25 / (30.84e6 h x 3600 s x 989e12) = 0.345
    assert found["Implied MFU"].value == pytest.approx(0.3452, abs=1e-4)
    assert found["Rented"].value == pytest.approx(30.84e6 * 3.99)
    # 30.84e6 h x 0.7 kW = 21,588 MWh, and the building's share
    pue = machines.defaults(config).pue.value
    assert found["Energy"].value == pytest.approx(21_588_000 * pue)


def test_hours_follow_from_the_utilisation(config: Config) -> None:
    # 6 x 1e9 x 1e12 = 6e21; / (989e12 x 0.4 x 3600) = 4,213 h
    found = trained(config, 1e9, 1e12, "h100-sxm", mfu=0.4)
    assert found["GPU hours"].value == pytest.approx(6e21 / (989e12 * 0.4 * 3600))
    assert found["GPU hours"].value == pytest.approx(4213, abs=0.5)
    assert found["Time"].value == found["GPU hours"].value
    eight = trained(config, 1e9, 1e12, "8x h100-sxm", mfu=0.4)
    assert eight["GPU hours"].value == found["GPU hours"].value
    assert eight["Time"].value == pytest.approx(found["GPU hours"].value / 8)
    # 30,000 USD over 3 years of 8,760 h: 1.1416 an hour
    assert found["Owned: written off"].value == pytest.approx(4213.01 * 30_000 / 26_280, rel=1e-5)
    assert "MFU" in found
    assert found["MFU"].formula == "given"


def test_every_published_run() -> None:
    """Implied MFU: FLOPs / (hours x 3600 x peak), each worked from the source's own numbers."""
    expected = {
        "gpt-3": 3.1428e23 / (3.552e6 * 3600 * 125e12),  # 0.197: 24.6 of 125 TFLOP/s
        "bloom": 3.87045e23 / (1_082_990 * 3600 * 312e12),  # 0.318
        "llama-2-7b": 8.088e22 / (184_320 * 3600 * 312e12),  # 0.391
        "llama-2-13b": 1.5624e23 / (368_640 * 3600 * 312e12),
        "llama-2-70b": 8.2776e23 / (1_720_320 * 3600 * 312e12),  # 0.428
        "llama-3_1-8b": 7.227e23 / (1.46e6 * 3600 * 989e12),  # 0.139
        "llama-3_1-70b": 6.3495e24 / (7.0e6 * 3600 * 989e12),
        "llama-3_1-405b": 3.7908e25 / (30.84e6 * 3600 * 989e12),  # 0.345
    }
    runs = pretraining.published()
    assert runs.keys() == expected.keys()
    for name, run in runs.items():
        found = {f.name: f.value for f in run.figures()}
        assert found["Implied MFU"] == pytest.approx(expected[name], rel=1e-4), name
        assert 0.1 < found["Implied MFU"] < 0.5
        assert run.source


def test_flops_of_the_papers() -> None:
    runs = pretraining.published()
    for name, said in (("gpt-3", 3.14e23), ("llama-3_1-405b", 3.8e25)):
        run = runs[name]
        assert run.flops == said
        assert run.figures()[0].value == pytest.approx(said, rel=0.005)


def test_llama_3_1_in_all() -> None:
    """The model card's 39.3 M hours and 11,390 t are the sums of its three sizes."""
    sizes = [r for name, r in pretraining.published().items() if name.startswith("llama-3_1")]
    assert sum(r.gpu_hours for r in sizes) == pytest.approx(39.3e6)
    assert sum(r.tonnes or 0 for r in sizes) == 11_390


def test_llama_2_in_all() -> None:
    """Its card's total of 3,311,616 h has a 34 B that was never published: 1,038,336 h."""
    sizes = [r for name, r in pretraining.published().items() if name.startswith("llama-2")]
    assert sum(r.gpu_hours for r in sizes) == 3_311_616 - 1_038_336
    # the energy of the cards at 400 W and the published CO2 agree on one grid
    for run in sizes:
        found = {f.name: f.value for f in run.figures()}
        assert found["Implied CO2 of electricity"] == pytest.approx(0.4235, abs=1e-4)


def test_energy_of_bloom_and_gpt_3() -> None:
    runs = pretraining.published()
    bloom = {f.name: f.value for f in runs["bloom"].figures()}
    # 1,082,990 h x 0.4 kW = 433,196 kWh; 24.69 t / 433.196 MWh = 57 g, France's grid
    assert bloom["Energy of the GPUs"] == 433_196
    assert bloom["Implied CO2 of electricity"] == pytest.approx(0.057, abs=1e-4)
    gpt = {f.name: f.value for f in runs["gpt-3"].figures()}
    # 3.552 M h x 0.33 kW x 1.1 = 1,289 MWh; published 1,287
    assert gpt["Energy of the GPUs"] == pytest.approx(1_287_000, rel=0.003)
    assert gpt["Implied CO2 of electricity"] == pytest.approx(0.429, abs=0.001)


# operations


def test_lora_needs_no_gradients_of_frozen_weights() -> None:
    (found,) = pretraining.flops(1e9, 1e6, method="lora", adapter=1e7)
    # 4 x 1e9 x 1e6 + 6 x 1e7 x 1e6
    assert found.value == 4.06e15
    (full,) = pretraining.flops(1e9, 1e6)
    assert full.value == 6e15
    assert pretraining.flops(1e9, 1e6, method="qlora", adapter=1e7)[0].value == found.value


def test_adapters_of_a_real_model(installed: Path) -> None:
    config = load()
    shape = resolve(config, "smollm2-135m-instruct")
    # in each of 30 layers q, o 576 -> 576, k, v 576 -> 192, gate, up 576 -> 1536, down 1536 -> 576:
    # 2 x 1152 + 2 x 768 + 3 x 2112 = 10,176; x 30 layers x rank 8
    assert pretraining.adapters(shape, 8) == 10_176 * 30 * 8 == 2_442_240
    assert pretraining.adapters(shape, 8, used=True) == 2_442_240  # it has no experts
    with pytest.raises(PlanError, match="rank of 0"):
        pretraining.adapters(shape, 0)


def test_adapters_of_experts(config: Config) -> None:
    shape = resolve(config, "mixtral-8x7b")
    # each of 32 layers: q, o 4096 -> 4096, k, v 4096 -> 1024, the router 4096 -> 8, and in each of
    # 8 experts gate, up and down between 4096 and 14336: 3 x 18,432 = 55,296
    attention = 2 * 8192 + 2 * 5120 + 4104
    assert pretraining.adapters(shape, 16) == 32 * 16 * (attention + 8 * 55_296)
    assert pretraining.adapters(shape, 16, used=True) == 32 * 16 * (attention + 2 * 55_296)


def test_attention_over_a_long_sequence(installed: Path) -> None:
    shape = resolve(load(), "smollm2-135m-instruct")
    rows = pretraining.flops(134.5e6, 1e6, shape=shape, sequence=2048)
    # 12 x 30 layers x 9 heads x 64 x 2,048 x 1e6 tokens
    assert rows[1].value == 12 * 30 * 9 * 64 * 2048 * 1e6
    assert rows[2].value == 6 * 134.5e6 * 1e6 + rows[1].value
    with pytest.raises(PlanError, match="needs the model's layers"):
        pretraining.flops(1e9, 1e6, sequence=2048)


def test_compute_optimal_tokens() -> None:
    found = pretraining.optimal(70e9, 1.4e12)  # Chinchilla itself
    assert found.value == 1.4e12
    assert "20 for each parameter" in found.formula
    assert "2203.15556" in found.source


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"mfu": 0.0}, "use of 0.0 of the peak"),
        ({"mfu": 1.5}, "use of 1.5"),
        ({"mfu": float("nan")}, "use of nan"),
        ({"gpu_hours": 1.0}, "do not fit into 1 GPU hours"),
        ({"gpu_hours": -1.0}, "-1.0 GPU hours"),
        ({"gpu_hours": float("nan")}, "nan GPU hours"),
        ({"gpu_hours": 1e6, "mfu": 0.4}, "one follows from the other"),
    ],
)
def test_shares_and_hours_that_cannot_be(config: Config, more: dict[str, float], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        trained(config, 1e9, 1e12, "h100-sxm", **more)


@pytest.mark.parametrize(("n", "tokens"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1), (1e40, 1)])
def test_numbers_that_cannot_be(n: float, tokens: float) -> None:
    with pytest.raises(PlanError, match="expected more than 0"):
        pretraining.flops(n, tokens)


def test_a_machine_whose_compute_nobody_states(config: Config) -> None:
    machine = machines.find(config, "h100-sxm")
    with pytest.raises(PlanError, match="in fp4 is not known") as e:
        pretraining.train(
            "x",
            pretraining.flops(1e9, 1e9),
            machine,
            energy.power(config, Money(), priced=False),
            Money(),
            number_type="fp4",
        )
    assert e.value.fix is not None
    assert "[h100-sxm]" in e.value.fix


# the command


def llar(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, ["plan", "training", *map(str, args)])


def test_the_command(home: Path) -> None:
    done = llar("405B", "--tokens", "15.6T", "--hours", "30.84M", "--currency", "USD")
    assert done.exit_code == 0, done.output
    text = done.output
    assert "3.791e+25 FLOPs" in text
    assert "6 x 405 B parameters x 15.6 T tokens" in text
    assert "30.84 M GPU h" in text
    assert "0.345" in text
    # 30.84 M h x 700 W x PUE 1.54 x USD 0.131: 4.355 M
    assert "USD 4.355 M" in text
    assert "electricity is taken at 0.131 USD/kWh" in text
    assert "6,035" in text or "5.89 TiB" in text  # 405 B x 16 bytes
    assert "from about 77 of" in text.replace("\n  ", " ")  # of 79.15 GiB each
    assert all(len(line) <= 100 for line in text.splitlines())


def test_the_command_gives_json_with_sources(home: Path) -> None:
    done = llar("8B", "--tokens", "15T", "--machine", "h100-sxm", "--electricity", "0.1", "--json")
    found = json.loads(done.stdout)
    rows = {f["name"]: f for f in found["figures"]}
    assert rows["FLOPs"]["value"] == 7.2e23
    assert "2001.08361" in rows["FLOPs"]["source"]
    assert rows["MFU"]["exact"] is False
    energy_ = rows["Energy"]["value"]
    assert rows["Owned: electricity"]["value"] == pytest.approx(energy_ * 0.1)


@pytest.mark.parametrize(
    ("method", "sequence", "machine", "said"),
    [
        ("full", 2048, "4x h100-sxm", "it fits only split among them"),
        ("full", 2048, "rtx-4090", "it does not fit"),
        ("qlora", 2048, "rtx-4090", ""),
        ("lora", 65536, "rtx-4090", "it does not fit"),
    ],
)
def test_whether_a_training_fits_the_cards(
    home: Path, method: str, sequence: int, machine: str, said: str
) -> None:
    """The same bytes as `llar plan memory --train` tells, against what the cards have."""
    found = json.loads(
        llar("llama-3.1-8b", "--tokens", "1M", "--method", method, "--machine", machine,
             "--sequence", str(sequence), "--json").stdout
    )  # fmt: skip
    least = next(f for f in found["figures"] if f["name"] == "Memory, at least")
    plan = memory_of(
        resolve(load(), "llama-3.1-8b"), method, checkpointing=True, rank=16, sequence=sequence
    )
    assert least["value"] == plan.peak.value
    fits = [note for note in found["notes"] if note.startswith("it ")]
    assert [note.startswith(said) for note in fits] == ([True] if said else [])


def test_an_example_has_tokens(home: Path) -> None:
    done = llar("8B", "--tokens", "1M", "--sequence", "0")
    assert isinstance(done.exception, PlanError)
    assert "--sequence '0'" in str(done.exception)


def test_adapters_on_a_bare_number_take_memory_nobody_knows(home: Path) -> None:
    found = json.loads(llar("8B", "--tokens", "1M", "--method", "lora", "--json").stdout)
    assert not any(f["name"].startswith("Memory") for f in found["figures"])


def test_several_machines(home: Path) -> None:
    one = json.loads(llar("8B", "--tokens", "15T", "--json").stdout)
    for args in (("--count", "8"), ("--machine", "8x h100-sxm")):
        eight = json.loads(llar("8B", "--tokens", "15T", *args, "--json").stdout)
        assert eight["title"] == "8B parameters, full, 8x h100-sxm"
        hours = [{f["name"]: f["value"] for f in x["figures"]} for x in (one, eight)]
        assert hours[1]["GPU hours"] == hours[0]["GPU hours"]
        assert hours[1]["Time"] == pytest.approx(hours[0]["Time"] / 8)


def test_a_dataset_is_counted(installed: Path, tmp_path: Path) -> None:
    lines = [
        {"messages": [{"role": "user", "content": "Hello world"}]},
        {"prompt": "Hello", "completion": " world"},
    ]
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    done = llar(
        "smollm2-135m-instruct", "--dataset", file, "--epochs", "3", "--method", "lora",
        "--rank", "8", "--machine", "rtx-4090", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    counted = next(f for f in found["dataset"] if f["name"] == "Tokens")
    # "Hello world" is 2 tokens, "Hello\n world" 3
    assert counted["value"] == 5
    flops = next(f for f in found["figures"] if f["name"] == "FLOPs")
    n = resolve(load(), "smollm2-135m-instruct").parameters
    assert flops["value"] == 4 * n * 15 + 6 * 2_442_240 * 15


def test_published_runs_are_shown(home: Path) -> None:
    done = llar("--published")
    assert done.exit_code == 0
    assert "BLOOM 176B" in done.output
    assert "433.2 MWh" in done.output
    assert len(json.loads(llar("--published", "--json").stdout)["runs"]) == 8


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("70B",), "either --tokens or --dataset"),
        (("70B", "--tokens", "1T", "--dataset", "x"), "either --tokens or --dataset"),
        ((), "name a MODEL"),
        (("70B", "--tokens", "-1"), "negative"),
        (("70B", "--tokens", "many"), "cannot be understood"),
        (("70B", "--tokens", "1T", "--machine", "h1000-sxm"), "did you mean"),
        (("70B", "--tokens", "1T", "--count", "0"), "0 times"),
        (("70B", "--tokens", "1T", "--count", "2", "--machine", "4x h100-sxm"), "both say"),
        (("70B", "--tokens", "1T", "--mfu", "2"), "--mfu '2'"),
        (("70B", "--tokens", "1T", "--mfu", "0"), "use of 0.0"),
        (("70B", "--tokens", "1T", "--hours", "1"), "do not fit"),
        (("70B", "--tokens", "1T", "--epochs", "nan"), "--epochs 'nan'"),
        (("70B", "--tokens", "1T", "--country", "Spian"), "did you mean 'spain'"),
        (("llama-3.1-8x", "--tokens", "1T"), "did you mean"),
    ],
)
def test_wrong_use(home: Path, args: tuple[str, ...], said: str) -> None:
    done = llar(*args)
    assert done.exit_code in (1, 2)
    assert said in done.output + str(done.exception)
