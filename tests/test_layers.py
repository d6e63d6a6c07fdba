"""Imports only go down: no module imports one of a layer above its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import llar

SOURCE = Path(llar.__file__).parent
LAYERS = [  # bottom first; the first part of a module's name below llar
    {"records", "errors"},
    {"config"},
    {"archive", "pictures"},
    {"prompts"},
    {"text"},
    {"documents", "models"},
    {"chunks", "plan"},
    {"index"},
    {"retrieve"},
    {"answer"},
    {"collection"},
    {"transfer", "watch", "evaluate", "inside"},
    {"bundle"},
    {"serve"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
SAME_LEVEL: set[tuple[str, str]] = set()


def _modules() -> list[Path]:
    return sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py")


def _imported(file: Path) -> set[str]:
    """First parts of the llar modules that a file imports, wherever in the file it does."""
    package = list(file.relative_to(SOURCE).with_suffix("").parts[:-1])
    found = set()
    for node in _statements(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            path = [*base, *(node.module or "").split(".")]
            path = [p for p in path if p]
            found |= {path[0]} if path else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llar."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("llar.")}
    return found


def _statements(within: ast.AST) -> Iterator[ast.AST]:
    """Every statement at any depth; an import cannot stand within an expression."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(within, block, ()):
            yield statement
            yield from _statements(statement)


def test_every_module_has_a_layer() -> None:
    tops = {p.relative_to(SOURCE).parts[0].removesuffix(".py") for p in _modules()}
    assert tops == set(LEVEL)


def test_imports_go_down() -> None:
    seen, wrong = set(), []
    for file in _modules():
        place = file.relative_to(SOURCE)
        own = place.parts[0].removesuffix(".py")
        for name in _imported(file) - {own}:
            seen.add(name)
            if name not in LEVEL:
                wrong.append(f"{place} imports llar.{name}, which has no layer")
            elif LEVEL[name] > LEVEL[own]:
                wrong.append(f"{place} imports {name} above it")
            elif LEVEL[name] == LEVEL[own] and (own, name) not in SAME_LEVEL:
                wrong.append(f"{place} imports {name} beside it")
    assert wrong == []
    assert {"errors", "records", "config", "index"} <= seen


def test_public_names_exist_and_are_sorted() -> None:
    names = [n for n in llar.__all__ if n[0].isupper()], [n for n in llar.__all__ if n[0].islower()]
    assert llar.__all__ == sorted(names[0]) + sorted(names[1])
    for name in llar.__all__:
        assert getattr(llar, name) is not None


HEAVY = ("numpy", "ctranslate2", "tokenizers", "xllamacpp", "httpx", "lxml", "liteparse", "docx")


@pytest.mark.parametrize(
    "command", ["import llar", "from llar.cli import main; import llar.config"]
)
def test_importing_loads_nothing_heavy(command: str) -> None:
    code = f"{command}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
