"""Bundles: packed, checked, refused, installed, and a whole system moved without a network."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import STORE
from hub import gguf
from test_cli import FILES, SAMPLES, needs_namespaces
from test_transfer import repack

from llar import archive
from llar.bundle import create, install, verify, wheels
from llar.collection import Collection
from llar.config import Config, load
from llar.errors import BundleError, LlarError, ModelCorrupt, ModelNotInstalled, UnknownCollection
from llar.index.index import collection_names
from llar.models.store import Store

pytestmark = pytest.mark.slow

TOP = "llar-bundle"
USER_HOME = os.environ["HOME"]  # where pip finds the package index; tests get another
PROMPT = "# system\nAnswer from the passages.\n# user\n$passages\n$question\n"
RECORD: dict[str, Any] = {
    "name": "tiny", "kind": "chat", "backend": "llamacpp", "context": 2048, "languages": ["en"],
    "pooling": "", "query_prefix": "", "document_prefix": "", "licence": "MIT",
    "source": "hf:own/tiny#tiny.gguf",
}  # fmt: skip


def put(config: Config, data: bytes, name: str = "tiny") -> None:
    """A model in a home's store."""
    store = Store(config.models_dir)
    staged = store.partial / name / "files"
    staged.mkdir(parents=True)
    (staged / "tiny.gguf").write_bytes(data)
    store.install(staged, RECORD | {"name": name})
    store.clean(name)


def settle(home: Path) -> Config:
    """A home's configuration as its files say it, whatever the environment."""
    return load({"home": home}, env={})


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a small model, two collections, settings and a prompt."""
    folder = tmp_path_factory.mktemp("original")
    home = folder / "home"
    (home / "prompts").mkdir(parents=True)
    (home / "prompts" / "answer.txt").write_text(PROMPT)
    (home / "llar.toml").write_text(
        'embedder = "fake:hash"  # no weights\nchat_model = "llamacpp:tiny"\npassages = 3\n'
    )
    config = settle(home)
    put(config, gguf())
    (folder / "leave.txt").write_text("Staff have 27 days of annual leave.")
    (folder / "fire.txt").write_text("The alarm is tested on Mondays.")
    for name in ("leave", "fire"):
        with Collection(name, config=config) as collection:
            assert collection.add(folder / f"{name}.txt").failed == {}
    return home


@pytest.fixture
def here(original: Path, tmp_path: Path) -> Config:
    return settle(Path(shutil.copytree(original, tmp_path / "here")))


@pytest.fixture
def there(tmp_path: Path) -> Config:
    """The home of a machine that has nothing yet."""
    return settle(tmp_path / "there")


@pytest.fixture
def packed(here: Config, tmp_path: Path) -> Path:
    create(here, tmp_path / "b.tar", wheels=False)
    return tmp_path / "b.tar"


def texts(home: Path, name: str) -> list[str]:
    with Collection(name, config=settle(home)) as collection:
        return [hit.chunk.text for hit in collection.search("annual leave alarm tested")]


def contents(home: Path) -> dict[str, bytes]:
    """Every file of a home but locks and SQLite's companions."""
    return {
        p.relative_to(home).as_posix(): p.read_bytes()
        for p in sorted(home.rglob("*"))
        if p.is_file() and p.suffix not in (".lock", ".db-wal", ".db-shm")
    }


def test_what_was_packed_is_the_same_elsewhere(here: Config, there: Config, tmp_path: Path) -> None:
    file = tmp_path / "b.tar"
    made = create(here, file, wheels=False)
    assert made.models == ("llamacpp:tiny",)
    assert made.collections == ("fire", "leave")
    assert made.settings == ("llar.toml", "prompts/answer.txt")
    assert (made.wheels, made.notes) == (0, ())
    assert (made.size, made.sha256) == (file.stat().st_size, archive.sha256(file))
    assert [p.name for p in tmp_path.iterdir() if "b.tar" in p.name] == ["b.tar"]

    manifest = verify(file)
    assert manifest["wheels"] is None
    assert manifest["collections"]["leave"]["documents"] == 1
    assert {m["name"] for m in manifest["members"]} == {
        "install.sh", "models/tiny/model.json", "models/tiny/tiny.gguf", "settings/llar.toml",
        "settings/prompts/answer.txt", "collections/fire/collection.db",
        "collections/leave/collection.db",
    }  # fmt: skip

    done = install(there, file)
    assert done.models == {"tiny": "new"}
    assert done.collections == {"fire": "new", "leave": "new"}
    assert done.settings == {"llar.toml": "new", "prompts/answer.txt": "new"}
    assert done.notes == ()
    assert Store(there.models_dir).verify("tiny").source == RECORD["source"]
    assert Store(there.models_dir).unfinished() == {}
    assert settle(there.home).passages == 3
    assert (there.home / "prompts" / "answer.txt").read_text() == PROMPT
    for name in ("leave", "fire"):
        assert texts(there.home, name) == texts(here.home, name) != []

    again = install(there, file)
    assert {*again.models.values(), *again.collections.values(), *again.settings.values()} == {
        "unchanged"
    }


def test_models_and_collections_can_be_chosen(here: Config, there: Config, tmp_path: Path) -> None:
    put(here, gguf() + bytes(10), "other")
    made = create(here, tmp_path / "b.tar", models=["other"], collections=["fire"], wheels=False)
    assert (made.models, made.collections) == (("llamacpp:other",), ("fire",))
    assert made.notes == ("'llamacpp:tiny' is used here and was not chosen, so it is not packed",)
    install(there, tmp_path / "b.tar")
    assert Store(there.models_dir).names() == ("other",)
    assert collection_names(there) == ["fire"]
    with pytest.raises(UnknownCollection):
        create(here, tmp_path / "c.tar", collections=["fires"], wheels=False)
    with pytest.raises(ModelNotInstalled):
        create(here, tmp_path / "c.tar", models=["qwen3-4b"], wheels=False)
    assert [p.name for p in tmp_path.iterdir() if "c.tar" in p.name] == []


def test_secrets_stay_and_settings_from_elsewhere_are_told(here: Config, tmp_path: Path) -> None:
    environment = {"LLAR_OPENAI_API_KEY": "sk-very-secret", "LLAR_CONTEXT": "4096"}
    config = load({"home": here.home, "chat_model": "openai:big"}, env=environment)
    made = create(config, tmp_path / "b.tar", wheels=False)
    assert b"sk-very-secret" not in (tmp_path / "b.tar").read_bytes()
    assert made.models == ()
    assert made.notes == (
        "'openai:big' is no model in the store, so it is not packed",
        "set here outside llar.toml, so not packed: chat_model, context, openai_api_key",
    )


def test_a_damaged_model_is_not_packed(here: Config, tmp_path: Path) -> None:
    file = here.models_dir / "tiny" / "tiny.gguf"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelCorrupt, match=r"tiny\.gguf has SHA-256"):
        create(here, tmp_path / "b.tar", wheels=False)
    assert not (tmp_path / "b.tar").exists()
    assert [p.name for p in tmp_path.iterdir() if "b.tar" in p.name] == []


@pytest.mark.parametrize("what", ["model", "collection", "settings", "prompt"])
def test_what_is_different_is_refused_unless_replaced(
    there: Config, packed: Path, tmp_path: Path, what: str
) -> None:
    if what == "model":
        put(there, gguf() + b"another")
    elif what == "collection":
        (tmp_path / "x.txt").write_text("Something else.")
        config = load({"home": there.home, "embedder": "fake:hash"}, env={})
        with Collection("leave", config=config) as collection:
            collection.add(tmp_path / "x.txt")
    else:
        name = "llar.toml" if what == "settings" else "prompts/answer.txt"
        (there.home / name).parent.mkdir(parents=True)
        (there.home / name).write_text("passages = 9\n")
    before = contents(there.home)
    with pytest.raises(BundleError, match=r"there is another .*nothing was changed") as e:
        install(there, packed)
    assert "--replace" in str(e.value.fix)
    assert contents(there.home) == before
    done = install(there, packed, replace=True)
    states = [*done.models.values(), *done.collections.values(), *done.settings.values()]
    assert sorted(states) == ["new"] * 4 + ["replaced"]
    assert set(install(there, packed).models.values()) == {"unchanged"}
    assert texts(there.home, "leave")[0] == "Staff have 27 days of annual leave."
    Store(there.models_dir).verify("tiny")


def test_a_bundle_cut_or_altered_anywhere_is_refused_and_named(there: Config, packed: Path) -> None:
    whole = packed.read_bytes()
    with tarfile.open(packed) as tar:
        members = [(i.name.partition("/")[2], i.offset_data, i.size) for i in tar]
    for name, start, size in members:
        packed.write_bytes(whole[: start + size // 2])
        with pytest.raises(BundleError):
            install(there, packed)
        altered = bytearray(whole)
        altered[start + size // 2] ^= 1
        packed.write_bytes(altered)
        if name == "manifest.json":
            continue  # a changed date in it would be no harm; its lists are checked above
        with pytest.raises(BundleError, match=f"'{name}' was altered"):
            verify(packed)
    assert not there.home.exists()


@pytest.mark.parametrize(
    "name",
    [
        "evil.sh", "models/evil", "models/../evil/x", "collections/a/b/collection.db",
        "collections/a/other.db", "settings/evil.toml", "settings/prompts/a/b.txt", "wheels/x.py",
        "collections/.incoming/collection.db", "models/.partial/x",
    ],
)  # fmt: skip
def test_members_without_a_place_are_refused(there: Config, packed: Path, name: str) -> None:
    def change(held: dict[str, bytes]) -> list[tarfile.TarInfo]:
        held[f"{TOP}/{name}"] = b"evil"
        relist(held)
        return []

    with pytest.raises(LlarError, match=r"refused|cannot|other collections|no model's record"):
        install(there, repack(packed, change))
    assert not there.home.exists() or contents(there.home) == {}


def relist(held: dict[str, bytes]) -> None:
    """Have the manifest list what is held, with the right hashes."""
    import hashlib

    manifest = json.loads(held.pop(f"{TOP}/manifest.json"))
    manifest["members"] = [
        {"name": n.removeprefix(f"{TOP}/"), "size": len(d), "sha256": hashlib.sha256(d).hexdigest()}
        for n, d in held.items()
    ]
    held[f"{TOP}/manifest.json"] = json.dumps(manifest).encode()


def test_damage_at_any_place_is_an_error_of_ours(packed: Path) -> None:
    """Any byte of it, the tar headers and the manifest included; seeded."""
    whole, chance, refused = packed.read_bytes(), random.Random(7), 0
    with tarfile.open(packed) as tar:
        headers = [i.offset_data - 512 for i in tar]
        lists = tar.getmember(f"{TOP}/manifest.json").offset_data
    for n in range(400):
        span = (0, len(whole)) if n % 3 else (lists, lists + 1500)
        at = chance.choice(headers) + chance.randrange(512) if n % 2 else chance.randrange(*span)
        packed.write_bytes(whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :])
        try:
            verify(packed)
        except BundleError:
            refused += 1
    assert refused > 200  # the others hit padding, dates, owners or the byte that was there


def test_a_record_without_a_model_is_refused(there: Config, packed: Path) -> None:
    def change(held: dict[str, bytes]) -> list[tarfile.TarInfo]:
        held[f"{TOP}/models/tiny/tiny.gguf"] = b"GGUF but no model"
        relist(held)
        return []

    with pytest.raises(LlarError, match=r"GGUF|model"):
        install(there, repack(packed, change))
    assert Store(there.models_dir).names() == ()
    assert collection_names(there) == []


def test_settings_that_cannot_be_read_are_refused(there: Config, packed: Path) -> None:
    def change(held: dict[str, bytes]) -> list[tarfile.TarInfo]:
        held[f"{TOP}/settings/llar.toml"] = b'openai_api_key = "x"\n'
        relist(held)
        return []

    with pytest.raises(BundleError, match=r"its settings are refused: .*only be set in the env"):
        install(there, repack(packed, change))
    assert collection_names(there) == []


def test_an_unpacked_folder_is_installed_and_checked_alike(
    there: Config, packed: Path, tmp_path: Path
) -> None:
    subprocess.run(["tar", "xf", packed, "-C", tmp_path], check=True)
    folder = tmp_path / TOP
    assert verify(folder)["kind"] == TOP
    (folder / "extra.txt").write_text("x")
    with pytest.raises(BundleError, match=r"'extra\.txt' is in it but not listed"):
        install(there, folder)
    (folder / "extra.txt").unlink()
    toml = folder / "settings" / "llar.toml"
    kept = toml.rename(tmp_path / "kept.toml")
    toml.symlink_to(kept)
    with pytest.raises(BundleError, match="is not a plain file"):
        install(there, folder)
    toml.unlink()
    with pytest.raises(BundleError, match=r"'settings/llar\.toml' is missing"):
        install(there, folder)
    kept.rename(toml)
    install(there, folder)
    assert texts(there.home, "leave")


def test_a_bundle_without_wheels_uses_the_llar_that_is_there(
    there: Config, packed: Path, tmp_path: Path
) -> None:
    subprocess.run(["tar", "xf", packed, "-C", tmp_path], check=True)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path / "user"),
        "LLAR_HOME": str(there.home), "PYTHON": sys.executable,
    }  # fmt: skip
    command = ["sh", str(tmp_path / TOP / "install.sh")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "collection  leave  new, checked" in done.stdout
    assert texts(there.home, "leave")
    del environment["PATH"]
    bare = {**environment, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no llar on this machine" in done.stderr
    manifest = tmp_path / TOP / "manifest.json"
    other = {**json.loads(manifest.read_text()), "wheels": {"platform": "x", "python": "3.99"}}
    manifest.write_text(json.dumps(other))
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "this bundle is for Python 3.99, not 3." in done.stderr


def test_no_room_for_the_bundle_leaves_nothing_behind(here: Config, tmp_path: Path) -> None:
    out = tmp_path / "small"
    out.mkdir()
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 120; exec "$@"', "bash", sys.executable, "-m", "llar",
         "--home", here.home, "bundle", "create", out / "b.tar", "--no-wheels"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "fix: free some space" in done.stderr
    assert list(out.iterdir()) == []


@pytest.mark.slow
def test_an_install_killed_anywhere_is_completed_by_the_next(
    here: Config, there: Config, tmp_path: Path
) -> None:
    """What is there at any moment is whole; the same command finishes.

    Each kill comes a little after another step has begun.
    """
    for n in range(3):
        put(here, gguf() + os.urandom(10_000_000), f"model-{n}")
    names = [f"model-{n}" for n in range(3)]
    create(here, tmp_path / "b.tar", models=names, wheels=False)
    command = [sys.executable, "-m", "llar", "--home", str(there.home), "bundle", "install",
               str(tmp_path / "b.tar")]  # fmt: skip
    store = Store(there.models_dir)
    codes: list[int] = []
    incoming, corner = there.collections_dir / ".incoming", store.partial / ".bundle.removed"
    for step in (
        incoming,
        corner / "model-0",
        corner / "model-2",
        incoming / "0",
        incoming / "1",
        store.folder / "model-0",
        store.folder / "model-2",
    ):
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while not step.exists() and process.poll() is None:
                time.sleep(0.001)
            time.sleep(0.002 * len(codes))
            process.send_signal(signal.SIGKILL)
        codes.append(process.returncode)
        for name in store.names():
            store.verify(name)
        for name in collection_names(there):
            assert texts(there.home, name)
    assert codes.count(-signal.SIGKILL) >= 4  # the last may find it done
    subprocess.run(command, check=True, capture_output=True)
    assert store.names() == tuple(names)
    assert collection_names(there) == ["fire", "leave"]
    assert store.unfinished() == {}
    left = {p.name for p in store.partial.iterdir() if p.is_dir()}
    assert left == set()
    assert not (there.collections_dir / ".incoming").exists()


# -- wheels ----------------------------------------------------------------------------------


def test_older_platforms_wheels_run_on_newer_ones() -> None:
    tags = wheels.platforms("manylinux_2_28_x86_64")
    assert tags[0] == "manylinux_2_28_x86_64"
    assert tags[-2:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64"]
    assert {"manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux2010_x86_64"} <= set(tags)
    assert len(tags) == 24 + 3  # 2.28 down to 2.5, and three older names
    assert wheels.platforms("win_amd64") == ["win_amd64"]


def test_the_targets_markers() -> None:
    linux = wheels.target_environment("manylinux_2_28_aarch64", "3.12")
    assert linux["platform_machine"] == "aarch64"
    assert (linux["sys_platform"], linux["python_version"]) == ("linux", "3.12")
    windows = wheels.target_environment("win_amd64", "3.11")
    assert (windows["sys_platform"], windows["os_name"]) == ("win32", "nt")
    assert wheels.target_environment("macosx_14_0_arm64", "3.13")["platform_system"] == "Darwin"


@pytest.mark.parametrize(
    ("platform", "python"),
    [("Linux!", "3.11"), ("manylinux_2_28_x86_64", "3.10"), ("manylinux_2_28_x86_64", "311")],
)
def test_what_is_no_platform_or_python_is_refused_before_any_work(
    here: Config, tmp_path: Path, platform: str, python: str
) -> None:
    with pytest.raises(BundleError, match="expected"):
        create(here, tmp_path / "b.tar", platform=platform, python=python)
    assert [p.name for p in tmp_path.iterdir() if "b.tar" in p.name] == []


def make_wheel(folder: Path, name: str, *requires: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as out:
        lines = [f"Requires-Dist: {line}" for line in requires]
        metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines])
        out.writestr(f"{name}-1.0.dist-info/METADATA", metadata + "\n")
        out.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        out.writestr(f"{name}-1.0.dist-info/RECORD", "")


def test_requirements_of_the_target_only_are_found_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel that this machine does not need but the target does; its own needs follow."""
    index, out = tmp_path / "index", tmp_path / "out"
    index.mkdir()
    out.mkdir()
    make_wheel(out, "base", "extra_win; sys_platform == 'win32'", "dev_only; extra == 'dev'",
               "old; python_version < '3.11'")  # fmt: skip
    make_wheel(index, "extra_win", "deep>=1; os_name == 'nt'")
    make_wheel(index, "deep")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    windows = wheels.target_environment("win_amd64", "3.11")
    options = ["--only-binary", ":all:", "--platform", "win_amd64"]
    wheels.complete(out, windows, options)
    assert sorted(p.name.partition("-")[0] for p in out.iterdir()) == ["base", "deep", "extra_win"]
    (index / "deep-1.0-py3-none-any.whl").unlink()
    (out / "deep-1.0-py3-none-any.whl").unlink()
    with pytest.raises(BundleError, match=r"pip: .*deep") as e:
        wheels.complete(out, windows, options)
    assert "--no-wheels" in str(e.value.fix)


# -- the whole way ---------------------------------------------------------------------------


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def closed(*command: str | Path, **environment: str) -> str:
    """Run in an empty network namespace."""
    inside = ["unshare", "-rn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    return run(*inside, *command, **environment)


@pytest.mark.slow
@needs_namespaces
def test_a_whole_system_moves_into_a_closed_network(tmp_path: Path) -> None:
    """With wheels and the real models, onto a machine with an empty home and no network."""
    here, base = tmp_path / "here", Path(sys.executable).resolve()
    here.mkdir()
    (here / "models").symlink_to(STORE, target_is_directory=True)
    (here / "llar.toml").write_text("passages = 3\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LLAR_", "XDG_"))}
    # With other threads llama.cpp adds up in another order, and what a model says may change.
    alone = {"LLAR_THREADS": "1"}
    open_net = {**kept, **alone, "HOME": USER_HOME, "LLAR_HOME": str(here)}
    llar = [sys.executable, "-m", "llar"]
    run(*llar, "add", *(SAMPLES / name for name in FILES), **open_net)
    version = "{}.{}".format(*sys.version_info[:2])
    file = tmp_path / "llar.tar"
    run(*llar, "bundle", "create", file, "--python", version, **open_net)

    away = tmp_path / "closed net"
    away.mkdir()
    bare = {**alone, "PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(away), "PYTHON": str(base)}
    closed("tar", "xf", file, "-C", away, **bare)
    said = closed("sh", away / TOP / "install.sh", **bare)
    assert "collection  default  new, checked" in said
    moved = away / ".llar" / "venv" / "bin" / "llar"
    assert {p.name for p in away.iterdir()} == {TOP, ".llar"}

    for command in (
        ("search", "dosis adultos", "--json"),
        ("ask", "How many days of annual leave do full-time staff have?", "--json"),
        ("config", "--json"),
    ):
        before, after = (
            json.loads(out)
            for out in (run(*llar, *command, **open_net), closed(moved, *command, **bare))
        )
        for answer in (before, after):
            if isinstance(answer, dict):
                answer.pop("timings", None)
                answer.pop("home", None)
                for step in answer.get("steps", ()):
                    del step["seconds"]
        assert before == after
        assert before

    # From there on: its wheel is put together from the installed files.
    links = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (away / TOP / "wheels").as_uri()}
    second = away / "second.tar"
    which = ("--no-models", "--no-collections", "--python", version)
    closed(moved, "bundle", "create", second, *which, **bare, **links)
    assert verify(second)["wheels"]["python"] == version
    run("tar", "xf", second, "-C", tmp_path, **bare)
    assert wheel_files(tmp_path / TOP) == wheel_files(away / TOP)

    altered = away / TOP / "collections" / "default" / "collection.db"
    altered.write_bytes(altered.read_bytes()[:-1] + b"x")
    done = subprocess.run(
        ["sh", away / TOP / "install.sh"], env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "collections/default/collection.db was altered" in done.stderr


def wheel_files(bundle: Path) -> dict[str, bytes]:
    """The package's files in an unpacked bundle's llar wheel, and all other wheels' names."""
    [wheel] = (bundle / "wheels").glob("llar-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        found = {n: opened.read(n) for n in opened.namelist() if n.startswith("llar/")}
        [metadata] = [n for n in opened.namelist() if n.endswith("/METADATA")]
        found["METADATA"] = opened.read(metadata)
    names = sorted(p.name for p in (bundle / "wheels").iterdir())
    return {**found, **dict.fromkeys(names, b"")}
