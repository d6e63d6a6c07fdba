"""How many cores this process may use for inference right now.

Decoding is up to twenty times slower when threads outnumber free cores, so the number is chosen
with care: the cores this process may run on (affinity, control group), one per physical core,
less those that others keep busy.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["free_cores"]


def free_cores(root: Path = Path("/")) -> int:
    """Cores free for this process, at least 1. `root` is where /proc and /sys are mounted."""
    cpus = _affinity()
    allowed = min(_physical(cpus, root), _quota(root))
    idle = _physical(set(range(os.cpu_count() or 1)), root) - _busy(root)
    return max(1, min(allowed, idle))


def _affinity() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # macOS and Windows cannot tell
        return set(range(os.cpu_count() or 1))


def _physical(cpus: set[int], root: Path) -> int:
    """Physical cores among `cpus`: two hyperthreads of one core share its arithmetic units."""
    cores = set()
    for cpu in cpus:
        siblings = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        cores.add(_read(siblings) or f"cpu {cpu}")
    return len(cores)


def _quota(root: Path) -> int:
    """Whole cores the control groups above this process grant it; a large number without one."""
    unlimited = 1 << 20
    limits: list[float] = [unlimited]
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":  # version 2: one tree for everything
            base = root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            base = root / "sys/fs/cgroup" / controllers
        else:
            continue
        here = Path(group.lstrip("/"))
        for level in (here, *here.parents):
            limits += _limit(base / level)
    return max(1, int(min(limits)))


def _limit(folder: Path) -> list[float]:
    """The limit one control group sets, in cores; empty where it sets none."""
    fields = _read(folder / "cpu.max").split()
    if not fields:
        fields = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
    try:
        quota, period = (int(field) for field in fields)
    except ValueError:  # "max": no limit
        return []
    return [quota / period] if quota > 0 and period > 0 else []


def _busy(root: Path) -> int:
    """Cores other processes keep busy.

    The smaller of the last minute's load and what runs this instant: a job that has ended no
    longer counts, and a passing blip does not count yet.
    """
    fields = _read(root / "proc/loadavg").split()
    if not fields:
        try:
            return round(os.getloadavg()[0])
        except (AttributeError, OSError):  # Windows has no such figure
            return 0
    running = int(fields[3].split("/")[0]) - 1  # less ourselves
    return max(0, min(round(float(fields[0])), running))


def _read(file: Path) -> str:
    """The file's text without the final newline; "" where this system has no such file."""
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
