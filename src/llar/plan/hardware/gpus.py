"""The GPUs of this machine: NVIDIA's by nvidia-smi, AMD's by /sys."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .machines import Machine

__all__ = ["Gpu", "gpus"]

SECONDS = 10.0  # nvidia-smi may take: it wakes the driver
MIB = 2**20
_SMALL = 2 * 2**30  # bytes: a graphics unit of a processor that borrows this much is no help
_QUERY = "index,name,memory.total,memory.free,power.limit,mig.mode.current"
_AMD = {"0x74a1": "AMD Instinct MI300X", "0x74b5": "AMD Instinct MI300X VF"}  # PCI device ids


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one part of a divided one (MIG). Memory is in bytes."""

    name: str
    memory: int
    free: int
    watts: float | None = None  # its limit
    share: float = 1.0  # of the whole GPU's memory bandwidth
    compute: float = 1.0  # of the whole GPU's compute

    def like(self, known: Iterable[Machine]) -> Machine | None:
        """The known machine this is, by its name and about the same memory."""
        name, whole = self.name.split(" MIG ")[0], self.memory / self.share
        found = [
            (-machine.is_called(name), machine.name, machine)
            for machine in known
            if machine.kind == "gpu"
            and machine.is_called(name)
            and math.isclose(machine.memory, whole, rel_tol=0.2)
        ]
        return min(found)[2] if found else None


def gpus(root: Path, notes: list[str]) -> list[Gpu]:
    """Every GPU a model could run on, NVIDIA's first; what went wrong is added to `notes`."""
    return [*_nvidia(notes), *_amd(root)]


def _nvidia(notes: list[str]) -> list[Gpu]:
    if shutil.which("nvidia-smi") is None:
        return []
    text = _output(["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"], notes)
    found: list[Gpu] = []
    divided: list[tuple[str, Gpu]] = []
    for line in (text or "").splitlines():
        fields = [f.strip() for f in line.split(",")]
        gpu = _row(fields)
        if gpu is None:
            if line.strip():
                notes.append(f"nvidia-smi printed {line.strip()[:80]!r}, which was not understood")
            continue
        if fields[5].lower() == "enabled":
            divided.append((fields[0], gpu))
        else:
            found.append(gpu)
    if divided:
        found += _parts(divided, notes)
    return found


def _row(fields: Sequence[str]) -> Gpu | None:
    """One line of nvidia-smi's answer; None where it is none."""
    if len(fields) != 6 or not fields[0].isdigit() or not fields[1]:
        return None
    total, free, watts = (_number(f) for f in fields[2:5])
    if total is None or not 0 < total < 2**30:
        return None
    free = total if free is None or free > total else free
    return Gpu(fields[1], int(total * MIB), int(free * MIB), watts)


def _number(text: str) -> float | None:
    """A number; None for "[N/A]" and anything else that is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _parts(divided: Sequence[tuple[str, Gpu]], notes: list[str]) -> list[Gpu]:
    """The parts of GPUs in MIG mode; a GPU in that mode can only be used through its parts.

    A profile 3g.20gb has 3 of 7 slices of compute and 20 GB of the memory with its bandwidth
    (NVIDIA, Multi-Instance GPU User Guide).
    """
    text = _output(["nvidia-smi", "-L"], notes) or ""
    whole = dict(divided)
    found: list[Gpu] = []
    current: Gpu | None = None
    for line in text.splitlines():
        head = re.match(r"GPU (\d+):", line)
        if head:
            current = whole.get(head[1])
        part = re.match(r"\s+MIG (\d+)g\.(\d+)gb", line)
        if part and current:
            slices, size = int(part[1]), int(part[2]) * 10**9
            size = min(size, current.memory)
            found.append(
                Gpu(
                    name=f"{current.name} MIG {part[1]}g.{part[2]}gb",
                    memory=size,
                    free=size,
                    watts=current.watts,
                    share=min(size / current.memory, 1.0),
                    compute=min(slices / 7, 1.0),
                )
            )
    if not found:
        notes.append("a GPU is in MIG mode and has no parts: nothing can run on it")
    return sorted(found, key=lambda g: -g.memory)


def _amd(root: Path) -> list[Gpu]:
    """AMD's GPUs by the files of the amdgpu driver."""
    found = []
    for folder in sorted(root.glob("sys/class/drm/card*/device")):
        if _read(folder / "vendor") != "0x1002":
            continue
        total, used = (_read(folder / f"mem_info_vram_{k}") for k in ("total", "used"))
        if not total.isdigit() or int(total) < _SMALL:
            continue
        device = _read(folder / "device")
        name = _AMD.get(device) or _read(folder / "product_name") or f"AMD GPU {device or '?'}"
        memory = int(total)
        free = max(memory - int(used), 0) if used.isdigit() else memory
        found.append(Gpu(name, memory, free))
    return found


def _output(command: Sequence[str], notes: list[str]) -> str | None:
    """What a tool prints; None, with a note, where it fails or takes too long."""
    path = shutil.which(command[0])
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *command[1:]], capture_output=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        notes.append(f"{command[0]} gave no answer within {SECONDS:g} s; no GPU was counted")
        return None
    except (OSError, subprocess.SubprocessError) as e:
        notes.append(f"{command[0]} could not be run ({e}); no GPU was counted")
        return None
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip() or done.stderr.decode(
            "utf-8", "replace").strip()  # fmt: skip
        notes.append(f"{command[0]} failed: {said[:120] or f'exit code {done.returncode}'}")
        return None
    return done.stdout.decode("utf-8", "replace")


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""
