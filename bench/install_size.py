"""Megabytes and packages of a fresh install of llar, beside its peers'; models are not counted.

    python bench/install_size.py

llar is installed from this checkout into a new environment each time, as `pip install llar` would.
Counted is what stands in site-packages, pip itself left out, as the disk holds it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from environments import ENVIRONMENTS, PACKAGES, fill, python
from peer import ROOT, table

LLAR = ENVIRONMENTS / "llar"


def main() -> None:
    """Install what is missing, count, and print the table."""
    fill(LLAR, (str(ROOT),))
    size, packages = measure(LLAR)
    body: list[tuple[object, ...]] = [("llar", size, packages, "")]
    for name, wanted in PACKAGES.items():
        python(name)
        theirs, count = measure(ENVIRONMENTS / name)
        body.append((f"{name} (`pip install {' '.join(wanted)}`)", theirs, count,
                     f"{theirs / size:.1f}"))  # fmt: skip
    print(table(("", "MB", "packages", "times llar's size"), body))


def measure(environment: Path) -> tuple[int, int]:
    """MB (10^6 bytes) on disk and packages of an environment, without pip and setuptools."""
    (site,) = environment.glob("lib/python3*/site-packages")
    tools = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    size = packages = 0
    for entry in site.iterdir():
        if entry.name in tools or entry.name.startswith(("pip-", "setuptools-")):
            continue
        packages += entry.name.endswith(".dist-info")
        found = subprocess.run(
            ["du", "-s", "-B1", entry], capture_output=True, text=True, check=True
        )
        size += int(found.stdout.split()[0])
    return round(size / 1e6), packages


if __name__ == "__main__":
    main()
