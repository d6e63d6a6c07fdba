"""This machine: its processor, memory and GPUs, as far as the system tells.

Nothing here fails because a tool is missing, hangs or prints rubbish: what could not be found out
is said in `notes`. A measurement (`measure`) is kept beside llar.toml and used from then on.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...config import Config
from ...errors import PlanError
from ..sentence import Sentence
from ..units import size
from .gpus import Gpu, gpus
from .machines import Machine, machines, usable_of

__all__ = ["Here", "here", "measure"]

SECONDS = 5.0  # a tool of the system may take before it is given up
MEASURED = "machine.json"  # in LLAR_HOME
_ASSUMED = 41.6e9  # bytes/s: two channels of DDR4-2666, a plain office PC
_SETS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
         "f16c", "asimd", "asimddp", "i8mm", "sve", "bf16")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Here:
    """What was found out about this machine. Memory is in bytes."""

    machine: Machine  # as every plan takes it: its GPUs where it has any, else its processor
    cpu: str
    cores: int  # physical ones
    cores_allowed: int  # of them this process may use: affinity and control group
    cores_free: int  # of those nothing else keeps busy now
    memory: int  # RAM, or what a control group leaves of it
    memory_free: int
    instructions: tuple[str, ...] = ()  # of those that make models fast
    gpus: tuple[Gpu, ...] = ()
    measured: str = ""  # when bandwidth and compute were measured, ISO 8601; "": estimates
    notes: tuple[str, ...] = field(default=())


def here(config: Config, root: Path = Path("/")) -> Here:
    """Find out about this machine. `root` is where /proc and /sys are mounted.

    Raises PlanError where not even the size of the memory can be found out.
    """
    notes: list[str] = []
    facts = _facts(root)
    total, free = _memory(root)
    if total <= 0:
        raise PlanError(
            "the memory of this machine could not be found out; name a machine instead",
            fix="llar plan machines",
        )
    cards = gpus(root, notes)
    alone, kept = _alone(config, root, facts, total, notes)
    machine = _with_cards(config, alone, cards, free) if cards else alone
    if not cards and free < machine.usable:
        notes.append(f"of that, only {size(free)} are free now: other programs hold the rest")
    return Here(
        machine=machine,
        cpu=facts.name,
        cores=facts.cores,
        cores_allowed=facts.allowed,
        cores_free=facts.free,
        memory=total,
        memory_free=free,
        instructions=facts.instructions,
        gpus=tuple(cards),
        measured=kept.get("dated", ""),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    name: str
    cores: int
    allowed: int
    free: int
    instructions: tuple[str, ...]
    hertz: float  # 0 where nothing says


def _facts(root: Path) -> _Facts:
    from ...models.threads import free_cores

    text = _read(root / "proc/cpuinfo")
    name = _cpu_name(root, text)
    flags = set(re.findall(r"[a-z0-9_]+", " ".join(
        line.partition(":")[2] for line in text.splitlines()
        if line.lower().startswith(("flags", "features"))
    )))  # fmt: skip
    every = set(range(os.cpu_count() or 1))
    cores = _physical(every, root)
    allowed = min(_physical(_affinity(every), root), _quota(root))
    speeds = [float(s) for s in re.findall(r"(?mi)^cpu mhz\s*:\s*([0-9.]+)", text)]
    limit = _read(root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
    hertz = float(limit) * 1e3 if limit.isdigit() else max(speeds, default=0.0) * 1e6
    return _Facts(
        name=name,
        cores=cores,
        allowed=max(allowed, 1),
        free=min(free_cores(root), max(allowed, 1)),
        instructions=tuple(s for s in _SETS if s in flags),
        hertz=hertz,
    )


def _cpu_name(root: Path, cpuinfo: str) -> str:
    model = _read(root / "proc/device-tree/model").rstrip("\0").strip()
    if model:
        return model
    found = re.search(r"(?mi)^model name\s*:\s*(.+)$", cpuinfo)
    if found:
        return " ".join(found[1].split())
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()
    return platform.processor() or platform.machine() or "unknown processor"


def _physical(cpus: set[int], root: Path) -> int:
    """Physical cores among logical ones: two hyperthreads share one."""
    if sys.platform == "darwin":
        text = _output(["sysctl", "-n", "hw.physicalcpu"])
        return int(text) if text.isdigit() else len(cpus)
    folder = root / "sys/devices/system/cpu"
    return len({
        _read(folder / f"cpu{cpu}/topology/thread_siblings_list") or f"cpu {cpu}" for cpu in cpus
    })  # fmt: skip


def _affinity(every: set[int]) -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # macOS and Windows cannot tell
        return every


def _groups(root: Path) -> list[Path]:
    """The folders of the control groups above this process, version 2 and version 1."""
    found = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        names = parts[1].split(",") if parts[1] else [""]
        for name in names:
            group = Path(parts[2].lstrip("/"))
            base = root / "sys/fs/cgroup" / name
            found += [base / level for level in (group, *group.parents)]
    return found


def _quota(root: Path) -> int:
    """Whole cores the control groups grant; a large number without a limit."""
    limits = [float(1 << 20)]
    for folder in _groups(root):
        fields = _read(folder / "cpu.max").split() or [
            _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        ]  # fmt: skip
        if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]):
            limits.append(int(fields[0]) / int(fields[1]))
    return max(1, int(min(limits)))


def _memory(root: Path) -> tuple[int, int]:
    """RAM there and RAM free, in bytes, both within the control group's limit; 0: not known."""
    text = _read(root / "proc/meminfo")
    sizes = {k: int(v) * 1024 for k, v in re.findall(r"(?m)^(\w+):\s+(\d+) kB", text)}
    total = sizes.get("MemTotal", 0)
    free = sizes.get("MemAvailable", sizes.get("MemFree", total))
    if not total and root == Path("/"):
        total = free = _memory_elsewhere()
    for folder in _groups(root):
        limit = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        used = _read(folder / "memory.current") or _read(folder / "memory.usage_in_bytes")
        if limit.isdigit() and 0 < int(limit) < total:
            total = int(limit)
            # Pages of files count as used but are given up when memory is needed.
            cached = re.search(r"(?m)^(?:inactive_file|total_inactive_file) (\d+)$",
                               _read(folder / "memory.stat"))  # fmt: skip
            taken = int(used) - int(cached[1] if cached else 0) if used.isdigit() else 0
            free = min(free, max(total - taken, 0))
    return total, min(free, total)


def _memory_elsewhere() -> int:
    """RAM on macOS and Windows, in bytes; 0 where neither tells."""
    if sys.platform == "darwin":
        text = _output(["sysctl", "-n", "hw.memsize"])
        return int(text) if text.isdigit() else 0
    if sys.platform == "win32":
        import ctypes

        size = ctypes.c_ulonglong(0)
        if ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(size)):
            return size.value * 1024
    return 0


def _alone(
    config: Config, root: Path, facts: _Facts, total: int, notes: list[str]
) -> tuple[Machine, dict[str, str]]:
    """The machine without GPUs of its own: a known one where its name is known."""
    like = _known(config, facts.name, total)
    bandwidth = like.bandwidth if like else None
    flops = dict(like.flops) if like else _compute(facts)
    sources = {"specifications": f"as {like.name}: {_spec(like)}" if like else "found out here"}
    kept = _kept(config, facts)
    if "bandwidth" in kept:
        bandwidth, flops = float(kept["bandwidth"]), {"fp32": float(kept["fp32"])}
        sources = {"specifications": f"measured here on {kept['dated']}"}
    elif like is None:
        bandwidth = _ASSUMED
        notes.append(
            "the memory bandwidth is not known and was taken as 41.6 GB/s, two channels of "
            "DDR4-2666; measure it: llar plan machines this --measure"
        )
    kind = like.kind if like else "cpu"
    machine = Machine(
        name="this",
        title=Sentence("machine_this", name=facts.name),
        kind=kind,
        family=like.family if like else "cpu",
        memory=total,
        usable=usable_of(kind, total),
        bandwidth=bandwidth,
        flops=flops,
        watts=like.watts if like else None,
        cores=facts.allowed,
        dated=kept.get("dated", ""),
        sources=sources,
        notes=tuple(notes),
    )
    return machine, kept


def _spec(machine: Machine) -> str:
    return machine.sources.get("specifications", machine.title)


def _known(config: Config, name: str, total: int) -> Machine | None:
    """The known machine that a processor's name means, of the size nearest to the memory here."""
    found = [
        (-machine.is_called(name), abs(machine.memory - total), machine.name, machine)
        for machine in machines(config).values()
        if machine.kind != "gpu" and machine.is_called(name)
    ]
    return min(found)[3] if found else None


def _compute(facts: _Facts) -> dict[str, float]:
    """fp32 FLOP/s by cores, clock and vector width: two fused multiply-adds of 256 or 128 bits."""
    if not facts.hertz:
        return {}
    width = 32 if "avx2" in facts.instructions else 16
    return {"fp32": facts.allowed * facts.hertz * width}


def _with_cards(config: Config, alone: Machine, cards: Sequence[Gpu], free: int) -> Machine:
    """The GPUs as a machine, with this one as their host."""
    first = cards[0]
    same = [c for c in cards if c.name == first.name and c.memory == first.memory]
    known = first.like(machines(config).values())
    notes = list(alone.notes)
    if len(same) < len(cards):
        notes.append(
            f"of {len(cards)} GPUs, {len(same)} are the same {first.name}; only those count"
        )
    if known is None:
        notes.append(f"{first.name!r} is not among the known machines: its speed is not known")
    share = first.share
    return replace(
        alone,
        title=Sentence("machine_this", name=first.name),
        kind="gpu",
        family=known.family if known else "gddr",
        memory=first.memory,
        usable=usable_of("gpu", first.memory),
        bandwidth=known.bandwidth * share if known and known.bandwidth else None,
        flops={k: v * first.compute for k, v in known.flops.items()} if known else {},
        watts=first.watts or (known.watts if known else None),
        count=len(same),
        host_memory=free,
        host_bandwidth=alone.bandwidth,
        sources={"specifications": f"as {known.name}: {_spec(known)}" if known else "found here"},
        notes=tuple(notes),
    )


def _kept(config: Config, facts: _Facts) -> dict[str, str]:
    """The last measurement, where it was of this processor with as many cores; else empty."""
    try:
        found = json.loads((config.home / MEASURED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict) or found.get("cpu") != facts.name:
        return {}
    try:
        good = float(found["bandwidth"]) > 0 and float(found["fp32"]) > 0
    except (KeyError, TypeError, ValueError):
        return {}
    return {k: str(v) for k, v in found.items()} if good and found.get("dated") else {}


def measure(config: Config, root: Path = Path("/"), seconds: float = 1.0) -> Here:
    """Measure memory bandwidth and compute of this machine, keep both, and return what is known.

    Bandwidth: all allowed cores copy blocks far larger than the caches; what is read and written
    counts, the best round of `seconds` (STREAM's way, https://www.cs.virginia.edu/stream/).
    Compute: the product of two matrices of 1024 x 1024 fp32 numbers, by numpy. Raises PlanError
    where it cannot be kept.
    """
    from .benchmark import bandwidth, compute

    facts = _facts(root)
    found = {
        "cpu": facts.name,
        "bandwidth": bandwidth(facts.allowed, seconds),
        "fp32": compute(facts.allowed, seconds),
        "cores": facts.allowed,
        "dated": _today(),
    }
    try:
        config.home.mkdir(parents=True, exist_ok=True)
        (config.home / MEASURED).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as e:
        path = config.home / MEASURED
        raise PlanError(f"{str(path)!r} cannot be written: {e.strerror or e}") from e
    return here(config, root)


def _today() -> str:
    import datetime

    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _read(file: Path) -> str:
    """A file's text without the final newline; "" where this system has no such file."""
    try:
        return file.read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _output(command: Sequence[str]) -> str:
    """What a tool prints; "" where it is missing, fails or takes too long."""
    path = shutil.which(command[0])
    if path is None:
        return ""
    try:
        done = subprocess.run(
            [path, *command[1:]], capture_output=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
