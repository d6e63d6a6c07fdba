"""One configuration: defaults < llar.toml < environment < flags."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from llar.config import Config, load
from llar.errors import ConfigError


def test_each_source_overrules_the_one_before(home: Path) -> None:
    env = {"LLAR_HOME": str(home)}
    assert load(env=env).max_answer_tokens == Config().max_answer_tokens
    (home / "llar.toml").write_text("max_answer_tokens = 11\nthreads = 3\n")
    assert load(env=env).max_answer_tokens == 11
    env["LLAR_MAX_ANSWER_TOKENS"] = "12"
    assert load(env=env).max_answer_tokens == 12
    found = load({"max_answer_tokens": "13", "threads": None}, env=env)
    assert (found.max_answer_tokens, found.threads) == (13, 3)


def test_the_configuration_is_frozen(home: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().threads = 4  # type: ignore[misc]


def test_everything_lives_under_home(home: Path) -> None:
    found = load()
    assert found.home == home
    assert found.models_dir.is_relative_to(home)
    assert found.collections_dir.is_relative_to(home)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thread = 3", "did you mean 'threads'"),
        ("threads = 'many'", "expected int, got 'many'"),
        ("threads = true", "expected int, got True"),
        ("threads = -1", "must not be negative"),
        ("threads = ", "not valid TOML"),
        ("openai_api_key = 'x'", "only be set in the environment"),
        ("home = '/tmp'", "only be set in the environment"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(home: Path, text: str, said: str) -> None:
    (home / "llar.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load()


def test_a_bad_variable_is_named(home: Path) -> None:
    with pytest.raises(ConfigError, match="LLAR_PARSE_TIMEOUT: expected float, got 'soon'"):
        load(env={"LLAR_HOME": str(home), "LLAR_PARSE_TIMEOUT": "soon"})


def test_secrets_do_not_show(home: Path) -> None:
    found = load(env={"LLAR_HOME": str(home), "LLAR_OPENAI_API_KEY": "sk-secret"})
    assert found.openai_api_key == "sk-secret"
    assert "sk-secret" not in repr(found)
