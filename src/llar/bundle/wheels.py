"""The wheels of llar and of all it needs, for the machine that a bundle is going to.

llar's own wheel is built from its source folder where it runs from one, else put together again
from the installed files. The others come through pip, from the package index the user has set up:
beside `llar models pull` this is the only part of llar that may reach a network.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from ..errors import BundleError

_LINUX = re.compile(r"manylinux_2_(\d+)_(x86_64|aarch64|ppc64le|s390x|armv7l)")
_OLDER = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_PYTHON = re.compile(r"3\.(\d{1,2})")
_BY_INSTALLER = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")


def fetch(folder: Path, platform: str, python: str) -> list[Path]:
    """Put all wheels for `platform` (a wheel tag) and `python` ("3.11") into `folder`, sorted.

    Raises BundleError for a platform or Python that cannot be meant, and with pip's own words
    where it cannot get a wheel.
    """
    tags, environment = platforms(platform), target_environment(platform, python)
    if importlib.util.find_spec("pip") is None:
        raise BundleError(
            f"this Python has no pip: {sys.executable}",
            fix=f"{sys.executable} -m ensurepip, or leave the wheels out with --no-wheels",
        )
    own = own_wheel(folder)
    options = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    for tag in tags:
        options += ["--platform", tag]
    _pip(folder, "download", *options, "--find-links", str(folder), str(own), "pip")
    complete(folder, environment, options)
    return sorted(folder.glob("*.whl"))


def complete(folder: Path, environment: Mapping[str, str], options: Sequence[str]) -> None:
    """Get what the wheels in `folder` need on the target and not here.

    pip follows the markers of the machine it runs on, whatever platform it is told. `options`
    choose the target's wheels, as for `pip download`.
    """
    while missing := _missing(folder, environment):
        _pip(folder, "download", *options, "--find-links", str(folder), *missing)


def platforms(platform: str) -> list[str]:
    """The tags of wheels that run where `platform` ones do, newest first."""
    if not re.fullmatch(r"[a-z0-9_]{3,40}", platform):
        raise BundleError(
            f"{platform!r} is no platform; expected a wheel's tag like manylinux_2_28_x86_64, "
            "macosx_14_0_arm64 or win_amd64"
        )
    found = _LINUX.fullmatch(platform)
    if found is None:
        return [platform]
    tags, machine = [], found[2]
    for minor in range(int(found[1]), 4, -1):
        tags.append(f"manylinux_2_{minor}_{machine}")
        if minor in _OLDER:
            tags.append(f"{_OLDER[minor]}_{machine}")
    return tags


def target_environment(platform: str, python: str) -> dict[str, str]:
    """The values of the markers that requirements may ask for, as the target's Python has them."""
    found = _PYTHON.fullmatch(python)
    if found is None or int(found[1]) < 11:
        raise BundleError(f"{python!r} is no Python that llar runs on; expected 3.11 or later")
    system = "win" if platform.startswith("win") else "macosx" if "macosx" in platform else "linux"
    names = {
        "win": ("nt", "win32", "Windows"),
        "macosx": ("posix", "darwin", "Darwin"),
        "linux": ("posix", "linux", "Linux"),
    }
    machines = ("x86_64", "aarch64", "arm64", "amd64", "ppc64le", "s390x", "armv7l")
    machine = next((m for m in machines if platform.endswith(m)), "")
    os_name, sys_platform, platform_system = names[system]
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": os_name,
        "platform_machine": machine.upper() if machine == "amd64" else machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": platform_system,
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": sys_platform,
        "extra": "",
    }


def own_wheel(folder: Path) -> Path:
    """Make llar's wheel in `folder`: of the source it runs from, or of its installed files."""
    installed = distribution("llar")
    source = source_folder(installed)
    if source is None:
        return _repack(installed, folder)
    _pip(folder, "wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    [wheel] = folder.glob("llar-*.whl")
    return wheel


def source_folder(installed: Distribution) -> Path | None:
    """The folder that llar runs from, where it was installed with `pip install -e`."""
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    folder = Path(url2pathname(unquote(urlsplit(origin["url"]).path)))
    project = folder / "pyproject.toml"
    if (
        not project.is_file()
        or tomllib.loads(project.read_text("utf-8")).get("project", {}).get("name") != "llar"
    ):
        raise BundleError(
            f"llar was installed from {str(folder)!r}, which no longer holds its source",
            fix="pip install llar",
        )
    return folder


def _repack(installed: Distribution, folder: Path) -> Path:
    """A wheel of the files as they are installed, checked against the installation's RECORD."""
    wheel = folder / f"llar-{installed.version}-py3-none-any.whl"
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as out:
        for file in sorted(installed.files or (), key=str):
            name = file.as_posix()
            inside = name.startswith("llar/") or ".dist-info/" in name
            if not inside or "__pycache__" in name or file.name in _BY_INSTALLER:
                continue
            data = Path(str(file.locate())).read_bytes()
            code = _record_hash(data)
            if file.hash is not None and file.hash.value != code:
                raise BundleError(
                    f"{file.locate()} was changed after it was installed",
                    fix="pip install --force-reinstall --no-deps llar",
                )
            out.writestr(name, data)
            lines.append(f"{name},sha256={code},{len(data)}")
        record = f"llar-{installed.version}.dist-info/RECORD"
        out.writestr(record, "\n".join([*lines, f"{record},,", ""]))
    if not any(line.startswith("llar/__init__.py,") for line in lines):
        raise BundleError("the installed files of llar are not known; reinstall it with pip")
    return wheel


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _missing(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Requirements of the wheels in `folder` that apply on the target and that none of them is."""
    requirements: Any = importlib.import_module("pip._vendor.packaging.requirements")
    names: Any = importlib.import_module("pip._vendor.packaging.utils")
    wheels = list(folder.glob("*.whl"))
    have = {str(names.canonicalize_name(w.name.partition("-")[0])) for w in wheels}
    wanted: dict[str, str] = {}
    for wheel in wheels:
        for line in _requires(wheel):
            need = requirements.Requirement(line)
            name = str(names.canonicalize_name(need.name))
            if name not in have and (need.marker is None or need.marker.evaluate(environment)):
                extras = f"[{','.join(sorted(need.extras))}]" if need.extras else ""
                wanted[name] = f"{need.name}{extras}{need.specifier}"
    return sorted(wanted.values())


def _requires(wheel: Path) -> list[str]:
    import email

    with zipfile.ZipFile(wheel) as opened:
        [name] = [n for n in opened.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        metadata = email.message_from_bytes(opened.read(name))
    return [str(line) for line in metadata.get_all("Requires-Dist", [])]


def _pip(folder: Path, command: str, *arguments: str) -> None:
    """Run pip, with its temporary files in `folder` too. Raises BundleError with its words."""
    full = [sys.executable, "-P", "-m", "pip", command, "--no-input", "--progress-bar", "off",
            "--disable-pip-version-check", *arguments]  # fmt: skip
    place = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    done = subprocess.run(
        full,
        cwd=folder,
        env=os.environ | place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        told = re.findall(r"^ERROR: (.+)$", done.stderr + done.stdout, re.MULTILINE)
        told = told or (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise BundleError(
            f"the wheels could not be got; pip: {'; '.join(dict.fromkeys(told))}",
            fix="check the package index pip uses (pip config list), or use --no-wheels",
        )
