"""The one configuration: defaults < llar.toml < environment < flags.

The file is `llar.toml` in LLAR_HOME; its keys are the field names below. The environment
variable of a field is its name in capitals behind `LLAR_`.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from .errors import ConfigError


def _setting(default: Any, about: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"about": about, "secret": secret}, repr=not secret)


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of llar. Secrets come from the environment only and are never printed."""

    home: Path = _setting(  # noqa: RUF009 - it makes a field
        Path("~/.llar"), "Folder that holds models, collections and llar.toml."
    )
    collection: str = _setting("default", "Collection used when none is named.")
    chat_model: str = _setting(
        "llamacpp:smollm2-135m-instruct", "Model that writes answers, as backend:name."
    )
    embedder: str = _setting(
        "ctranslate2:all-minilm-l6-v2", "Embedding model of new collections, as backend:name."
    )
    threads: int = _setting(0, "Threads for inference; 0 takes the cores that are free.")
    context: int = _setting(0, "Context length in tokens; 0 takes the model's own.")
    max_answer_tokens: int = _setting(200, "Longest answer a model may write, in tokens.")
    passages: int = _setting(4, "Passages shown to the model with a question, the best first.")
    temperature: float = _setting(0.0, "Sampling temperature of answers; 0 is greedy.")
    openai_base_url: str = _setting(
        "", "Base URL of the OpenAI-compatible server behind openai:NAME, with its /v1."
    )
    openai_api_key: str = _setting("", "Key sent to that server.", secret=True)
    openai_timeout: float = _setting(120.0, "Seconds to wait for that server's next byte.")
    openai_retries: int = _setting(
        3, "Further tries after a failed connection, 429 or 5xx, with back-off."
    )
    parse_workers: int = _setting(0, "Parser processes; 0 takes one per free core.")
    parse_memory_mb: int = _setting(2048, "Address space one parser process may use, in MiB.")
    parse_timeout: float = _setting(120.0, "Seconds one file may take to parse.")
    max_file_mb: int = _setting(512, "Larger files are refused with a line saying so, in MiB.")
    archive_members: int = _setting(
        10_000, "Files read out of one archive, those in archives inside it included."
    )
    archive_mb: int = _setting(512, "Size of those files together, unpacked, in MiB.")
    archive_depth: int = _setting(3, "Archives inside each other that are opened.")
    ocr_languages: str = _setting(
        "",
        "Languages of pictures of text, as Tesseract names them (eng+spa); empty takes those"
        " installed of eng, spa, cat and hun.",
    )
    tessdata: str = _setting(
        "",
        "Folder of Tesseract's *.traineddata; empty takes TESSDATA_PREFIX or Debian's folder.",
    )
    ocr_seconds: float = _setting(
        1800.0, "Seconds of recognition one file may take; pages not reached are named in a note."
    )
    chunk_tokens: int = _setting(
        160, "Longest chunk of new collections, in the embedder's tokens; 0 takes its own limit."
    )
    mode: str = _setting("hybrid", "How passages are found: hybrid, dense or lexical.")
    fusion: str = _setting("weighted", "How both scores are joined: weighted, adaptive or rrf.")
    dense_weight: float = _setting(
        0.0,
        "Weight of a cosine beside a word score of at most 1; 0: by the passage's language.",
    )
    query: str = _setting("prf-dense", "Steps before retrieval, as --query takes them.")
    strategy: str = _setting("single", "How to retrieve, as --strategy takes it.")
    post: str = _setting("", "Steps after retrieval, as --post takes them.")
    reranker: str = _setting(
        "late", "What --post rerank takes without an argument: late, or a model as backend:name."
    )
    compressor: str = _setting(
        "ctranslate2:llmlingua-2-bert-base", "Model of --post llmlingua2, as backend:name."
    )
    candidates: int = _setting(50, "Passages that the steps after retrieval choose from.")
    chunker: str = _setting(
        "structure",
        "How new collections split documents: NAME or NAME:key=value,... (llar add --chunker).",
    )
    wordnet: str = _setting(
        "/usr/share/wordnet", "Folder of WordNet's files, for synonyms and hypernyms."
    )
    lock_timeout: float = _setting(60.0, "Seconds to wait for another process that is writing.")
    serve_host: str = _setting("127.0.0.1", "Address that `llar serve` listens on.")
    serve_port: int = _setting(8080, "Port that `llar serve` listens on.")
    serve_url: str = _setting(
        "", "Address that users type, where a proxy stands before the server (https://llar.town)."
    )
    serve_hosts: str = _setting(
        "", "Further host names that requests may name, separated by commas."
    )
    tls_cert: str = _setting("", "File of the certificate chain (PEM) to serve HTTPS with.")
    tls_key: str = _setting("", "File of that certificate's private key (PEM).")
    slots: int = _setting(
        0,
        "Requests that a local model works on at once, each with the whole context; 0: up to 4, as"
        " many as half of the free memory holds.",
    )
    queue: int = _setting(64, "Requests that may wait for a model before others are refused.")
    models_loaded: int = _setting(3, "Models kept in memory at once by the server.")
    idle_unload: float = _setting(
        900.0, "Seconds without use after which the server unloads a model; 0 never does."
    )
    hang_seconds: float = _setting(
        30.0,
        "Seconds without a sign of life after which a model's process is killed and started anew;"
        " 0 never does.",
    )
    upload_mb: int = _setting(512, "Largest upload the server takes, in MiB.")
    text_limit: int = _setting(
        2_000_000, "Most characters of text in one request to the API; pictures do not count."
    )
    session_hours: float = _setting(12.0, "Hours after which a user has to sign in again.")
    login_tries: int = _setting(5, "Wrong passwords in a row after which signing in is slowed.")
    audit_days: int = _setting(365, "Days the audit log is kept; 0 keeps it for ever.")
    history_days: int = _setting(0, "Days conversations are kept; 0 keeps them until deleted.")
    oidc_issuer: str = _setting("", "OpenID Connect issuer to sign in with (its https address).")
    oidc_client: str = _setting("", "Client id of this server there.")
    oidc_secret: str = _setting("", "Client secret of this server there.", secret=True)
    oidc_user: str = _setting("preferred_username", "Claim that holds the user's name.")
    oidc_groups: str = _setting("groups", "Claim that holds the user's groups.")
    oidc_admins: str = _setting("", "Group whose members are admins here.")
    proxy_user: str = _setting(
        "", "Header in which a trusted proxy names the user (X-Remote-User); empty: none is."
    )
    proxy_groups: str = _setting("", "Header in which that proxy lists the user's groups.")
    proxy_from: str = _setting("127.0.0.1,::1", "Addresses that proxy's requests come from.")

    @property
    def models_dir(self) -> Path:
        """Where the model store lives."""
        return self.home / "models"

    @property
    def collections_dir(self) -> Path:
        """Where collections live, one folder each."""
        return self.home / "collections"


_AT_LEAST_ONE = (
    "passages", "candidates", "max_answer_tokens", "max_file_mb", "parse_memory_mb",
    "models_loaded", "upload_mb", "text_limit", "login_tries",
)  # fmt: skip


def load(flags: Mapping[str, Any] | None = None, *, env: Mapping[str, str] | None = None) -> Config:
    """Read every source in order and return the frozen result.

    `flags` are field names with values; a value of None means "not given".
    Raises ConfigError for an unknown key or a value of the wrong kind, naming where it stands.
    """
    env = os.environ if env is None else env
    given = {k: v for k, v in (flags or {}).items() if v is not None}
    home = Path(given.get("home") or env.get("LLAR_HOME") or "~/.llar").expanduser().absolute()
    values: dict[str, Any] = {}
    file = home / "llar.toml"
    values.update(_from_file(file))
    _check_variables(env)
    for f in fields(Config):
        variable = f"LLAR_{f.name.upper()}"
        if variable in env:
            values[f.name] = _convert(f.name, env[variable], variable)
    for name, value in given.items():
        values[name] = _convert(name, value, f"setting {name}")
    values["home"] = home
    return Config(**values)


def changed(config: Config, values: Mapping[str, Any], where: str) -> Config:
    """The configuration with these settings in the place of its own.

    Raises ConfigError as `load`, with `where` they stand; secrets and the home cannot be changed.
    """
    fixed = {f.name for f in fields(Config) if f.metadata["secret"]} | {"home"}
    for name in values.keys() & fixed:
        raise ConfigError(f"{where}: {name!r} cannot be set here")
    return replace(config, **{k: _convert(k, v, f"{where}: {k}") for k, v in values.items()})


def _check_variables(env: Mapping[str, str]) -> None:
    """Refuse a variable that is nearly a setting's: it was meant to be one."""
    known = [f"LLAR_{f.name.upper()}" for f in fields(Config)]
    for name in env:
        if name.startswith("LLAR_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if near:
                raise ConfigError(f"{name} is no setting; did you mean {near[0]}?")


def _from_file(file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"{file} is not valid TOML: {e}") from e
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise ConfigError(f"{file} cannot be read: {e.strerror}") from e
    secrets = {f.name for f in fields(Config) if f.metadata["secret"]}
    for name in table.keys() & (secrets | {"home"}):
        raise ConfigError(f"{file}: {name!r} can only be set in the environment")
    return {k: _convert(k, v, f"{file}: {k}") for k, v in table.items()}


def _convert(name: str, value: Any, where: str) -> Any:
    kinds = get_type_hints(Config)
    if name not in kinds:
        near = difflib.get_close_matches(name, kinds, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{where}: there is no setting {name!r}{hint}")
    kind = kinds[name]
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError
        converted = kind(value)
        if kind is float and not math.isfinite(converted):
            raise ValueError
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: expected {kind.__name__}, got {value!r}") from None
    if kind in (int, float) and converted < 0:
        raise ConfigError(f"{where}: must not be negative, got {value!r}")
    if name in _AT_LEAST_ONE and converted < 1:
        raise ConfigError(f"{where}: must be at least 1, got {value!r}")
    if name in ("chat_model", "embedder", "collection", "chunker") and not converted:
        raise ConfigError(f"{where}: must not be empty")
    return converted
