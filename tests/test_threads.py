"""The number of free cores, on file trees that describe machines of every kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llar.models.threads import free_cores

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="made for Linux's /proc and /sys"
)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
ALL = os.cpu_count() or 1


def machine(
    root: Path, *, load: float = 0.0, running: int = 1, group: str = "/", siblings: bool = False
) -> Path:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "loadavg").write_text(f"{load} 0.5 0.5 {running}/300 4711\n")
    (root / "proc" / "self" / "cgroup").write_text(f"0::{group}\n")
    for cpu in range(ALL):
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        pair = f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}" if siblings else str(cpu)
        (folder / "thread_siblings_list").write_text(pair + "\n")
    return root


def limit(root: Path, group: str, text: str) -> None:
    folder = root / "sys/fs/cgroup" / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(text + "\n")


def test_an_idle_machine_gives_all_its_cores(tmp_path: Path) -> None:
    assert free_cores(machine(tmp_path)) == CORES


def test_busy_cores_are_left_alone(tmp_path: Path) -> None:
    # As many others run as there are cores, and have for a minute.
    assert free_cores(machine(tmp_path, load=ALL, running=ALL + 1)) == 1


def test_a_job_that_ended_or_a_blip_does_not_count(tmp_path: Path) -> None:
    assert free_cores(machine(tmp_path / "ended", load=ALL, running=1)) == CORES
    assert free_cores(machine(tmp_path / "blip", load=0.1, running=ALL + 1)) == CORES


def test_one_core_less_for_one_busy_process(tmp_path: Path) -> None:
    expected = max(1, min(CORES, ALL - 1))
    assert free_cores(machine(tmp_path, load=1.2, running=2)) == expected


def test_a_quota_limits_wherever_it_stands(tmp_path: Path) -> None:
    root = machine(tmp_path, group="/shop/till")
    limit(root, "shop/till", "max 100000")
    assert free_cores(root) == CORES
    limit(root, "shop", "150000 100000")  # one core and a half: one thread keeps up
    assert free_cores(root) == 1
    limit(root, "shop", "50000 100000")
    assert free_cores(root) == 1


def test_two_threads_of_a_core_are_one(tmp_path: Path) -> None:
    assert free_cores(machine(tmp_path, siblings=True)) == max(1, (CORES + 1) // 2)


def test_without_those_files_the_system_is_asked(tmp_path: Path) -> None:
    assert 1 <= free_cores(tmp_path) <= CORES
    assert 1 <= free_cores() <= CORES
