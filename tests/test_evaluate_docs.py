"""What docs/evaluation.md shows is run, in its order, and its tables name what there is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llar.evaluate.questions import KINDS, Question

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "evaluation.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_commands_run(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples", target_is_directory=True)
    [questions] = _blocks("json")
    asked = {"faq.md": "opening hours", "paracetamol.pdf": "dose", "inventory.xlsx": "stock"}
    more = [
        json.dumps({"id": file, "question": f"{text}?", "documents": [file]})
        for file, text in asked.items()
    ]
    (tmp_path / "samples.jsonl").write_text(questions + "\n".join(more))
    [options] = _blocks("toml")
    (tmp_path / "options.toml").write_text(options)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for block in _blocks("sh"):
        done = subprocess.run(
            ["sh", "-e", "-c", block], cwd=tmp_path, env={**os.environ, "PATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, block + done.stderr
        assert done.stdout
    assert "ndcg@10" in done.stdout


def test_the_keys_and_kinds_are_all_there() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert set(Question.__dataclass_fields__) <= keys
    for kind in KINDS:
        assert f"`{kind}`" in PAGE
