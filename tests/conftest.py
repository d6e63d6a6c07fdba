"""Every test runs in a home of its own and cannot reach anything but loopback."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llar.config import load
from llar.models import open_chat, open_embedder
from llar.models.interface import ChatModel, Embedder

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
STORE = Path(os.environ.get("LLAR_TEST_STORE", ROOT / ".llar" / "models"))

# Where Python keeps nothing it compiled, half of the collecting is compiling the tests again,
# and each of the hundreds of processes that the tests start compiles llar again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("data") and not DATA.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"the measuring data is not at {DATA}"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With -n, the tests of a file run in one worker: what they share is set up once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh LLAR_HOME; no setting of the machine reaches a test."""
    for name in [n for n in os.environ if n.startswith(("LLAR_", "HF_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "llar-home"
    folder.mkdir()
    monkeypatch.setenv("LLAR_HOME", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "user-home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-home" / "cache"))
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only loopback and Unix sockets may be reached; anything else fails the test."""
    real = socket.socket.connect
    left: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            left.append(address)
            raise OSError(f"a test tried to reach {address}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    yield
    assert not left, f"tried to leave the machine: {left}"


@pytest.fixture
def installed(home: Path) -> Path:
    """A home whose model store holds the two real models (put there by `make models`)."""
    if not STORE.is_dir():
        pytest.fail(f"no models at {STORE}; run: make models")
    (home / "models").symlink_to(STORE, target_is_directory=True)
    return home


@pytest.fixture(scope="module")
def kept_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests of a module, which share what they put into it."""
    if not STORE.is_dir():
        pytest.fail(f"no models at {STORE}; run: make models")
    home = tmp_path_factory.mktemp("kept-home")
    (home / "models").symlink_to(STORE, target_is_directory=True)
    return home


@pytest.fixture(scope="session")
def minilm() -> Iterator[Embedder]:
    """The real embedding model, loaded once."""
    model = open_embedder(load({"home": STORE.parent}, env={}), "ctranslate2:all-minilm-l6-v2")
    yield model
    model.close()


@pytest.fixture(scope="session")
def smollm() -> Iterator[ChatModel]:
    """The real chat model, loaded once."""
    model = open_chat(load({"home": STORE.parent}, env={}), "llamacpp:smollm2-135m-instruct")
    yield model
    model.close()


@pytest.fixture(scope="session")
def data() -> Path:
    """The measuring data beside the repository; use only in tests marked `data`."""
    return DATA


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of two small files."""
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "leave.txt").write_text("Staff have 27 days of annual leave.")
    (folder / "fire.md").write_text("# Fire\n\nThe alarm is tested on Mondays.\n")
    return folder
