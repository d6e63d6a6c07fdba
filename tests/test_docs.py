"""What the documentation shows is run, and what it lists is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def _snippets() -> list[tuple[str, str]]:
    return [(p.name, code) for p in PAGES for code in _blocks(p, "python")]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "code"), _snippets())
def test_python_snippets_run(installed: Path, page: str, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    said = re.findall(r"^print\(.*\)  # (.+)$", code, re.MULTILINE) or ["27 days"]
    for line in said:
        assert line in done.stdout


def _commands(page: str) -> list[str]:
    lines = "\n".join(_blocks(ROOT / "docs" / page, "sh")).splitlines()
    return [line.partition("  #")[0].rstrip() for line in lines if line.startswith("llar ")]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["planning.md", "inside.md"])
def test_the_commands_of_a_page_run(installed: Path, tmp_path: Path, page: str) -> None:
    """Every line that starts with llar, in its order, in a folder that holds the samples."""
    (tmp_path / "samples").symlink_to(ROOT / "samples", target_is_directory=True)
    commands = _commands(page)
    assert len(commands) >= 6
    for command in commands:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-e", "-c", command], cwd=tmp_path, env={**os.environ, "PATH": path},
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, command + done.stderr
        assert done.stdout or done.stderr


def test_there_are_snippets() -> None:
    assert {page for page, _ in _snippets()} >= {"README.md", "quickstart.md"}


@pytest.mark.slow
def test_the_transcript_of_the_readme_is_real(installed: Path) -> None:
    """Run the demo; the quotes and abstentions the README shows must be in its output."""
    [transcript] = _blocks(ROOT / "README.md", "console")
    done = subprocess.run(
        ["sh", "samples/demo.sh"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = [x for x in transcript.splitlines() if x.startswith(("$ llar", "[", "Not found"))]
    assert len(shown) >= 6
    for line in shown:
        assert line.removesuffix(" \\") in done.stdout, line


def test_generated_pages_are_fresh_and_the_check_can_fail(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "  retrieve/hybrid.py " in (ROOT / "README.md").read_text()


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
