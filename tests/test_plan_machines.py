"""The known machines, the user's own, and what is found out about this one."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llar.cli import cli
from llar.config import Config, load
from llar.errors import PlanError
from llar.plan.hardware.benchmark import bandwidth, compute
from llar.plan.hardware.gpus import Gpu, gpus
from llar.plan.hardware.here import here, measure
from llar.plan.hardware.machines import Machine, defaults, find, machines, usable_of, write_copy

GIB = 2**30


@pytest.fixture
def config(home: Path) -> Config:
    return load()


def own(home: Path, text: str) -> None:
    (home / "machines.toml").write_text(text, encoding="utf-8")


def everything(config: Config) -> object:
    return machines(config), defaults(config)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["plan", "machines", *words], standalone_mode=False)


# --- the file that comes with llar -------------------------------------------------------------


def test_every_machine_states_where_its_numbers_stand(config: Config) -> None:
    for machine in machines(config).values():
        assert machine.sources["specifications"], machine.name
        assert machine.bandwidth is not None
        assert machine.flops, machine.name
        if machine.price is not None:
            assert machine.sources["price"], machine.name
            assert machine.dated, machine.name
        if machine.rent_per_hour is not None:
            assert machine.sources["rent"], machine.name
            assert machine.dated, machine.name


def test_the_machines_asked_for_are_there(config: Config) -> None:
    known = machines(config)
    for name in (
        "t4", "l4", "l40s", "a10", "a40", "a100-40gb", "a100-80gb", "h100-pcie", "h100-sxm",
        "h200", "b200", "rtx-3060", "rtx-3090", "rtx-4060-ti-16gb", "rtx-4090", "rtx-5090",
        "rtx-a6000", "rtx-6000-ada", "mi300x", "m1-8gb", "m2-ultra-192gb", "m4-max-128gb",
        "jetson-agx-orin-64gb", "office-ddr4", "office-ddr5", "workstation", "server-8ch",
        "server-12ch", "raspberry-pi-5-8gb",
    ):  # fmt: skip
        assert name in known, name


def test_numbers_of_data_sheets(config: Config) -> None:
    known = machines(config)
    h100 = known["h100-sxm"]
    assert (h100.bandwidth, h100.flops["bf16"], h100.watts) == (3.35e12, 989e12, 700)
    assert h100.memory == 81559 * 2**20  # nvidia-smi's total
    assert known["rtx-4090"].bandwidth == 1008e9  # 384 bits x 21 Gbit/s / 8
    assert known["office-ddr4"].bandwidth == pytest.approx(2 * 8 * 2.6e9, rel=0.01)
    assert known["server-12ch"].bandwidth == 2 * 12 * 8 * 4.8e9
    assert known["m2-ultra-192gb"].memory == 192 * GIB


def test_dense_compute_is_never_that_with_sparsity(config: Config) -> None:
    """Data sheets print twice the dense figure; fp8 and int8 are at most four times fp16's half."""
    for machine in machines(config).values():
        flops = machine.flops
        if "fp16" in flops and "int8" in flops:
            assert flops["int8"] <= 2.05 * flops["fp16"], machine.name


def test_what_a_model_may_take() -> None:
    assert usable_of("gpu", 24 * GIB) == 24 * GIB - GIB // 2
    assert usable_of("cpu", 16 * GIB) == 14 * GIB
    # llama.cpp's logs of recommendedMaxWorkingSetSize: 11453.25 MB of 16 GiB
    assert usable_of("apple", 16 * GIB) == pytest.approx(11453.25e6, rel=1e-6)
    # 14302.25 MB of 18 GiB, 26800.60 MB of 32 GiB, 30150.67 MB of 36 GiB
    for size, logged in ((18, 14302.25e6), (32, 26800.60e6), (36, 30150.67e6)):
        assert usable_of("apple", size * GIB) <= logged * 1.001


def test_names_and_how_many(config: Config) -> None:
    two = find(config, "2x H100 SXM")
    assert (two.name, two.count, two.called) == ("h100-sxm", 2, "2x h100-sxm")
    assert two.usable_memory == 2 * machines(config)["h100-sxm"].usable
    assert find(config, "rtx_4090").name == "rtx-4090"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("h100", "comes in several kinds; name one: h100-pcie, h100-sxm"),
        ("l40", "did you mean 'l40s'"),
        ("m2-ultra", "m2-ultra-64gb, m2-ultra-128gb, m2-ultra-192gb"),
        ("a100", "a100-40gb"),
        ("toaster", "there is no machine 'toaster'"),
        ("0x t4", "expected 1 to 100,000"),
        ("-2x t4", "expected 1 to 100,000"),
        ("2x this", "this machine is one"),
        ("", "there is no machine ''"),
    ],
)
def test_names_that_mean_nothing(config: Config, text: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        find(config, text)


def test_defaults_have_a_source_and_a_date(config: Config) -> None:
    found = defaults(config)
    assert (found.electricity.value, found.electricity.unit) == (0.1902, "EUR/kWh")
    assert found.co2.value == pytest.approx(0.510 * (1 - 0.58), abs=5e-4)
    assert found.utilisation.value == pytest.approx(40 / 168, abs=2e-3)
    assert found.pue.value == 1.54
    assert found.electricity_usd is not None
    assert (found.electricity_usd.value, found.electricity_usd.unit) == (0.131, "USD/kWh")
    every = (found.electricity, found.electricity_usd, found.co2, found.pue, found.utilisation)
    for figure in (*every, found.years):
        assert "(20" in figure.source


# --- the user's own ----------------------------------------------------------------------------


def test_a_file_of_ones_own_changes_and_adds(home: Path, config: Config) -> None:
    own(home, """
        [h100-sxm]
        rent_per_hour = 2.5
        [m2-ultra-192gb]
        price = 4200
        currency = "EUR"
        [our-server]
        kind = "cpu"
        memory = "256 GiB"
        bandwidth_gb = 204.8
        tflops = { fp32 = 2.0 }
        [defaults.electricity]
        value = 0.28
        source = "our contract"
        dated = "2026-01-01"
        """)  # fmt: skip
    known = machines(config)
    assert known["h100-sxm"].rent_per_hour == 2.5
    assert known["h100-sxm"].sources["rent"] == "your machines.toml"
    assert known["h100-sxm"].price == 30000  # the rest stays
    assert (known["m2-ultra-192gb"].price, known["m2-ultra-192gb"].currency) == (4200, "EUR")
    assert known["m2-ultra-64gb"].price is None  # another size is another machine
    server = known["our-server"]
    assert (server.memory, server.usable, server.family) == (256 * GIB, 254 * GIB, "cpu")
    assert (server.bandwidth, server.flops["fp32"], server.price) == (204.8e9, 2e12, None)
    assert defaults(config).electricity.value == 0.28
    assert defaults(config).electricity.source == "our contract (2026-01-01)"
    assert defaults(config).electricity.unit == "EUR/kWh"


@pytest.mark.parametrize(
    ("text", "name"),
    [("4090", "rtx-4090"), ("RTX4090", "rtx-4090"), ("NVIDIA L4", "l4"), ("sxm h100", "h100-sxm"),
     ("GeForce RTX 3060", "rtx-3060"), ("2x 4090", "rtx-4090")],
)  # fmt: skip
def test_a_part_of_a_name_does_where_it_is_plain(config: Config, text: str, name: str) -> None:
    assert find(config, text).name == name


def test_several_sizes_of_ones_own(home: Path, config: Config) -> None:
    own(home, """
        [box]
        title = "Our box"
        kind = "soc"
        memory = ["64 GiB", "128 GiB"]
        price = { "128 GiB" = 2000 }
        """)  # fmt: skip
    known = machines(config)
    assert known["box-64gb"].price is None
    assert (known["box-128gb"].price, known["box-128gb"].title) == (2000, "Our box, 128 GB")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x]\nkind = 'gpu'", r"\[x\] memory: is missing"),
        ("[x]\nmemory = '8 GiB'", r"\[x\] kind: is missing"),
        ("[t4]\nprize = 3", r"\[t4\] prize: is no key of a machine; did you mean 'price'"),
        ("[t4]\nprice = -3", r"\[t4\] price: -3: expected a number above 0"),
        ("[t4]\nprice = 'dear'", r"\[t4\] price: 'dear': expected a number"),
        ("[t4]\nprice = nan", r"\[t4\] price: nan: expected a number"),
        ("[t4]\nbandwidth_gb = 0", r"\[t4\] bandwidth_gb: 0: expected a number above 0"),
        ("[t4]\nmemory = 16", r"\[t4\] memory: 16: expected a size with its unit"),
        ("[t4]\nmemory = '16'", r"\[t4\] memory: memory '16' cannot be understood"),
        ("[t4]\nmemory = '9e17 TiB'", r"\[t4\] memory: '9e17 TiB' is no size|larger than anything"),
        ("[t4]\nusable = '99 GiB'", r"\[t4\] usable: must be more than nothing and at most"),
        ("[t4]\nkind = 'tpu'", r"\[t4\] kind: 'tpu': expected one of gpu, cpu, apple, soc"),
        ("[t4]\nfamily = 'fast'", r"\[t4\] family: 'fast': expected one of gddr, hbm"),
        ("[t4]\ncurrency = 'GBP'", r"\[t4\] currency: 'GBP': expected USD or EUR"),
        ("[t4]\ntflops = 3", r"\[t4\] tflops: expected"),
        ("[t4]\ntflops = { fp61 = 3 }", r"\[t4\] tflops.fp61: .*did you mean 'fp16'"),
        ("[t4]\ncores = 1.5", r"\[t4\] cores: 1.5: expected a whole number"),
        ("[t4]\nsources = 'here'", r"\[t4\] sources: expected"),
        ("[t4]\nnotes = 'here'", r"\[t4\] notes: expected a list of texts"),
        ("t4 = 3", "'t4' is no machine"),
        ("['My Server']\nkind='cpu'", r"\[My Server\] is no name of a machine"),
        ("[t4", "is not valid TOML"),
        ("[defaults]\nelectricity = 0.3", r"\[defaults\] electricity: expected"),
        ("[defaults.elektricity]\nvalue = 1", r"\[defaults\] elektricity: .*did you mean"),
        ("[defaults.pue]\nvalue = 0.4", r"\[defaults\] pue: 0.4: expected 1 to 10"),
        ("[defaults.pue]\nvalue = nan", r"\[defaults\] pue: nan: expected 1 to 10"),
        ("[defaults.electricity]\nvalue = 1\nunit = 'YEN/kWh'", "unit 'YEN/kWh'"),
        ("[defaults.electricity]\nvalu = 1", r"electricity.valu: is no key"),
    ],
)
def test_errors_name_file_machine_and_key(home: Path, config: Config, text: str, said: str) -> None:
    own(home, text)
    with pytest.raises(PlanError, match=said) as caught:
        everything(config)
    assert str(home / "machines.toml") in str(caught.value)


def test_a_file_that_cannot_be_read(home: Path, config: Config) -> None:
    (home / "machines.toml").mkdir()
    with pytest.raises(PlanError, match=r"machines.toml' cannot be read"):
        machines(config)


def test_a_copy_to_edit_is_written_once_and_means_the_same(home: Path, config: Config) -> None:
    before = dict(machines(config))
    assert write_copy(config) == home / "machines.toml"
    after = machines(config)
    for name, machine in before.items():
        found = after[name]
        assert (found.memory, found.bandwidth, found.flops, found.price, found.rent_per_hour) == (
            machine.memory, machine.bandwidth, machine.flops, machine.price, machine.rent_per_hour
        )  # fmt: skip
    with pytest.raises(PlanError, match="is there already"):
        write_copy(config)


# --- this machine: files of a system in a folder, tools as real programs ------------------------


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


CPUINFO = """processor\t: 0
model name\t: 12th Gen Intel(R) Core(TM) i5-12400
cpu MHz\t\t: 2500.000
flags\t\t: fpu sse2 avx2 f16c avx_vnni
"""
MEMINFO = "MemTotal:       16309244 kB\nMemFree: 1000 kB\nMemAvailable:   12000000 kB\n"


def tool(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_a_known_processor_brings_its_bandwidth(config: Config, tmp_path: Path) -> None:
    root = system(tmp_path / "root", {"proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO})
    found = here(config, root)
    assert found.cpu == "12th Gen Intel(R) Core(TM) i5-12400"
    assert (found.memory, found.memory_free) == (16309244 * 1024, 12000000 * 1024)
    assert found.instructions == ("avx2", "avx_vnni", "f16c")
    assert found.machine.bandwidth == 76.8e9  # office-ddr5
    assert found.machine.usable == 16309244 * 1024 - 2 * GIB
    assert found.machine.name == "this"
    assert not found.gpus


def test_an_unknown_processor_is_said_to_be_estimated(config: Config, tmp_path: Path) -> None:
    text = CPUINFO.replace("12th Gen Intel(R) Core(TM) i5-12400", "Mystery 9")
    root = system(tmp_path / "root", {"proc/cpuinfo": text, "proc/meminfo": MEMINFO})
    found = here(config, root)
    assert found.machine.bandwidth == 41.6e9
    assert any("--measure" in note for note in found.notes)


@pytest.mark.parametrize(
    ("files", "group"),
    [
        ({"memory.max": "4294967296", "memory.current": "1073741824",
          "memory.stat": "inactive_file 536870912"}, "0::/box"),
        ({"memory/box/memory.limit_in_bytes": "4294967296",
          "memory/box/memory.usage_in_bytes": "536870912"}, "4:memory:/box"),
    ],
)  # fmt: skip
def test_a_control_group_limits_memory(
    config: Config, tmp_path: Path, files: dict[str, str], group: str
) -> None:
    places = {f"sys/fs/cgroup/{k if '/' in k else f'box/{k}'}": v for k, v in files.items()} | {
        "proc/cpuinfo": CPUINFO,
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": f"{group}\n",
    }
    found = here(config, system(tmp_path / "root", places))
    assert found.memory == 4 * GIB
    assert found.memory_free == 4 * GIB - GIB // 2  # pages of files are given up when needed


def test_a_quota_limits_cores(config: Config, tmp_path: Path) -> None:
    root = system(tmp_path / "root", {
        "proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/box\n",
        "sys/fs/cgroup/box/cpu.max": "100000 100000",
    })  # fmt: skip
    assert here(config, root).cores_allowed == 1


def test_a_limit_beyond_the_memory_is_none(config: Config, tmp_path: Path) -> None:
    root = system(tmp_path / "root", {
        "proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO, "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    })  # fmt: skip
    assert here(config, root).memory == 16309244 * 1024


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/meminfo": "\x00\xff rubbish", "proc/cpuinfo": "????", "proc/self/cgroup": "::::"},
        {"proc/meminfo": "MemTotal: lots kB"},
    ],
)
def test_a_system_that_tells_nothing_is_an_error(
    config: Config, tmp_path: Path, files: dict[str, str]
) -> None:
    with pytest.raises(PlanError, match="memory of this machine could not be found out"):
        here(config, system(tmp_path / "root", files))


@pytest.mark.parametrize(
    ("model", "size", "name"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", 8_000_000, "raspberry-pi-5-8gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 62_000_000, "jetson-agx-orin-64gb"),
        ("Apple M2 Max", 67_108_864, "m2-max-64gb"),
        ("Apple M2", 16_777_216, "m2-16gb"),
    ],
)
def test_boards_and_chips_by_their_names(
    config: Config, tmp_path: Path, model: str, size: int, name: str
) -> None:
    root = system(tmp_path / "root", {
        "proc/device-tree/model": model + "\0", "proc/meminfo": f"MemTotal: {size} kB\n",
    })  # fmt: skip
    known = machines(config)[name]
    found = here(config, root).machine
    assert (found.bandwidth, found.family, found.kind) == (
        known.bandwidth, known.family, known.kind
    )  # fmt: skip


def nvidia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, listed: str = "") -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "query").write_text(query)
    (answers / "list").write_text(listed)
    tool(
        tmp_path / "bin", "nvidia-smi",
        f'case "$1" in -L) cat {answers}/list;; *) cat {answers}/query;; esac', monkeypatch,
    )  # fmt: skip


def test_nvidia_cards(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "NVIDIA GeForce RTX 4090, 24564, 24000, 450.00, [N/A]"
    nvidia(tmp_path, monkeypatch, f"0, {line}\n1, {line}\n")
    root = system(tmp_path / "root", {"proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO})
    found = here(config, root)
    assert [g.memory for g in found.gpus] == [24564 * 2**20] * 2
    machine = found.machine
    assert (machine.kind, machine.count, machine.bandwidth) == ("gpu", 2, 1008e9)
    assert machine.usable_memory == 2 * (24564 * 2**20 - GIB // 2)
    assert machine.host_memory == 12000000 * 1024
    assert machine.host_bandwidth == 76.8e9


def test_a_divided_card_counts_by_its_parts(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia(
        tmp_path, monkeypatch,
        "0, NVIDIA A100-SXM4-80GB, 81920, 81000, 400.00, Enabled\n",
        "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-1)\n"
        "  MIG 3g.40gb     Device  0: (UUID: MIG-1)\n"
        "  MIG 1g.10gb     Device  1: (UUID: MIG-2)\n",
    )  # fmt: skip
    root = system(tmp_path / "root", {"proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO})
    found = here(config, root)
    assert [g.memory for g in found.gpus] == [40 * 10**9, 10 * 10**9]
    whole = machines(config)["a100-80gb"]
    assert found.machine.count == 1
    assert found.machine.bandwidth == pytest.approx(whole.bandwidth * 40e9 / (81920 * 2**20))  # type: ignore[operator]
    assert found.machine.flops["fp16"] == pytest.approx(whole.flops["fp16"] * 3 / 7)
    assert any("only those count" in note for note in found.machine.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo 'NVIDIA-SMI has failed because it could not communicate'; exit 9", "failed"),
        ("printf '\\000\\377 rubbish\\n1,2\\n'", "was not understood"),
        ("echo '0, NVIDIA X, [N/A], [N/A], [N/A], [N/A]'", "was not understood"),
        ("echo '0, NVIDIA X, -5, 3, 4, [N/A]'", "was not understood"),
        ("echo '0, NVIDIA X, nan, 3, 4, [N/A]'", "was not understood"),
        ("echo '0, NVIDIA A100, 40960, 3, 4, Enabled'", "MIG mode and has no parts"),
    ],
)
def test_a_tool_that_prints_rubbish_is_a_note(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    tool(tmp_path / "bin", "nvidia-smi", f'case "$1" in -L) ;; *) {text};; esac', monkeypatch)
    root = system(tmp_path / "root", {"proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO})
    found = here(config, root)
    assert not found.gpus
    assert found.machine.kind == "cpu"
    assert any(said in note for note in found.notes), found.notes


def test_a_tool_that_hangs_is_given_up(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llar.plan.hardware.gpus.SECONDS", 0.3)
    tool(tmp_path / "bin", "nvidia-smi", "exec sleep 30", monkeypatch)
    notes: list[str] = []
    start = time.monotonic()
    assert gpus(tmp_path, notes) == []
    assert time.monotonic() - start < 5
    assert "gave no answer" in notes[0]


def test_an_unknown_card_has_memory_and_no_speed(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia(tmp_path, monkeypatch, "0, NVIDIA Quantum 1, 8192, 8000, 10.0, [N/A]\n")
    root = system(tmp_path / "root", {"proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO})
    machine = here(config, root).machine
    assert (machine.memory, machine.bandwidth, machine.flops) == (8 * GIB, None, {})
    assert any("its speed is not known" in note for note in machine.notes)


def test_cards_of_amd_by_the_drivers_files(config: Config, tmp_path: Path) -> None:
    card = "sys/class/drm/card0/device"
    root = system(tmp_path / "root", {
        "proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO, f"{card}/vendor": "0x1002\n",
        f"{card}/device": "0x74a1\n", f"{card}/mem_info_vram_total": f"{192 * GIB}\n",
        f"{card}/mem_info_vram_used": f"{GIB}\n",
        "sys/class/drm/card1/device/vendor": "0x1002\n",  # a graphics unit of a processor
        "sys/class/drm/card1/device/mem_info_vram_total": f"{GIB // 2}\n",
    })  # fmt: skip
    found = here(config, root)
    assert [(g.name, g.free) for g in found.gpus] == [("AMD Instinct MI300X", 191 * GIB)]
    assert found.machine.bandwidth == 5300e9


@pytest.mark.parametrize(
    ("name", "memory", "known"),
    [
        ("Tesla T4", 15360, "t4"),
        ("NVIDIA L4", 23034, "l4"),
        ("NVIDIA L40S", 46068, "l40s"),
        ("NVIDIA A100-PCIE-40GB", 40960, "a100-40gb"),
        ("NVIDIA A100-SXM4-80GB", 81920, "a100-80gb"),
        ("NVIDIA A100 80GB PCIe", 81920, "a100-pcie-80gb"),
        ("NVIDIA H100 PCIe", 81559, "h100-pcie"),
        ("NVIDIA H100 80GB HBM3", 81559, "h100-sxm"),
        ("NVIDIA H200", 143771, "h200"),
        ("NVIDIA B200", 183359, "b200"),
        ("NVIDIA GeForce RTX 3060", 12288, "rtx-3060"),
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "rtx-4060-ti-16gb"),
        ("NVIDIA RTX A6000", 49140, "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", 49140, "rtx-6000-ada"),
        ("NVIDIA GeForce GTX 1080", 8192, None),
        ("NVIDIA A10G", 23028, None),
    ],
)
def test_names_of_cards(config: Config, name: str, memory: int, known: str | None) -> None:
    found = Gpu(name, memory * 2**20, memory * 2**20).like(machines(config).values())
    assert (found.name if found else None) == known


def test_this_machine_is_found_out(config: Config) -> None:
    found = here(config)
    assert found.cores >= found.cores_allowed >= 1
    assert 0 < found.memory_free <= found.memory
    assert found.machine.usable < found.memory
    assert find(config, "this").memory == found.machine.memory


def test_a_measurement_is_kept_and_used(home: Path, config: Config) -> None:
    found = measure(config, seconds=0.05)
    assert found.measured
    assert found.machine.bandwidth is not None
    assert 0.1e9 < found.machine.bandwidth < 5e12
    assert 1e8 < found.machine.flops["fp32"] < 1e15
    kept = json.loads((home / "machine.json").read_text())
    assert here(config).machine.bandwidth == kept["bandwidth"]
    # of another processor it is not used
    (home / "machine.json").write_text(json.dumps({**kept, "cpu": "another"}))
    assert here(config).measured == ""
    (home / "machine.json").write_text("{ rubbish")
    assert here(config).measured == ""


def test_measuring_gives_the_better_of_its_rounds() -> None:
    assert bandwidth(1, 0.01) > 1e8
    assert compute(1, 0.01) > 1e8


# --- the command --------------------------------------------------------------------------------


def test_the_command_lists_and_shows(home: Path) -> None:
    listed = run()
    assert "h100-sxm" in listed.output
    assert "EUR 0.19/kWh" in listed.output
    one = run("2x h100-sxm", "--sources")
    assert "158.29 GiB" in one.output  # 2 x (81,559 - 512) MiB
    assert "runpod.io/pricing" in one.output
    this = run("this")
    assert "cores" in this.output
    assert "RAM" in this.output


def test_the_command_as_json(home: Path) -> None:
    every = json.loads(run("--json").output)
    assert every["machines"]["l4"]["memory"] == 23034 * 2**20
    assert every["defaults"]["pue"]["value"] == 1.54
    assert json.loads(run("l4", "--json").output)["watts"] == 72
    assert json.loads(run("this", "--json").output)["machine"]["name"] == "this"


def test_the_command_writes_a_copy(home: Path) -> None:
    run("--write")
    assert "[h100-sxm]" in (home / "machines.toml").read_text()
    assert isinstance(run("--write").exception, PlanError)


def test_the_command_refuses_what_it_cannot_do(home: Path) -> None:
    assert run("t4", "--measure").exception is not None
    assert run("t4", "--write").exception is not None
    assert isinstance(run("tt4").exception, PlanError)


def test_a_machine_is_a_plain_record() -> None:
    machine = Machine("x", "X", "cpu", "cpu", 8 * GIB, 6 * GIB)
    assert machine.together(3).usable_memory == 18 * GIB
    assert machine.bandwidth is None
