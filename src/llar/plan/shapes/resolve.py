"""What a user names, turned into a Shape: a file, a folder, a model's name, or bare numbers."""

from __future__ import annotations

import difflib
import functools
from dataclasses import replace
from pathlib import Path

from ...config import Config
from ...errors import PlanError, UnknownModel
from ...models import catalogue, gguf
from ..figure import Figure
from ..shape import Shape
from . import checkpoint, known, safetensors_header
from .gguf_shape import from_gguf
from .numbers import parse_numbers

__all__ = ["dimensions", "parse_numbers", "resolve"]

_ENDINGS = (".gguf", ".json", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def resolve(config: Config, text: str) -> Shape:
    """The Shape of what `text` names.

    In this order: bare numbers ("layers=32,hidden=4096,..."), a file or folder, a model of the
    store (its file is read: the true types), a known name, a model of the catalogue. Raises
    PlanError for what cannot be planned with, UnknownModel for a name nobody knows, ModelCorrupt
    for a file that is damaged.
    """
    text = text.strip()
    if not text:
        raise PlanError("no model is named; expected a name, a file, a folder, or numbers like "
                        "layers=32,hidden=4096,heads=32,ffn=14336,vocabulary=128256")  # fmt: skip
    try:
        if "=" in text and not Path(text).exists():
            return parse_numbers(text)
        path = Path(text).expanduser()
        if _looks_like_path(text, path):
            return _from_path(path, text)
    except (OSError, RuntimeError) as e:  # may not be read, too long, ~nobody
        raise PlanError(f"{text!r:.80} cannot be read: {getattr(e, 'strerror', None) or e}") from e
    shape = _installed(config, text)
    if shape is not None:
        return shape
    found = known.find(text)
    if found is None:
        raise _unknown(text)
    return _known(found.name)


@functools.cache
def _known(name: str) -> Shape:
    """The Shape of a known model, made once: what is counted of it is then found again by it."""
    found = known.find(name)
    assert found is not None
    return _limited(found.shape())


def _limited(shape: Shape) -> Shape:
    """An encoder with the context its makers cut texts to, where the catalogue has it."""
    entry = catalogue.find(shape.name) if shape.encoder else None
    if entry is None or entry.context >= shape.context:
        return shape
    return replace(shape, context=entry.context)


def dimensions(shape: Shape) -> list[Figure]:
    """What was understood of a model, for showing: counts as Figures, in the order people ask."""
    rows = [
        ("parameters", shape.parameters, "parameters"),
        ("layers", shape.layers, ""),
        ("hidden size", shape.hidden, ""),
        ("heads", shape.heads, ""),
        ("key/value heads", shape.kv_heads, ""),
        ("width of a head", shape.head_dim, ""),
        ("feed-forward size", shape.ffn, ""),
        ("vocabulary", shape.vocabulary, "tokens"),
        ("context", shape.context, "tokens"),
    ]
    if shape.experts:
        rows[1:1] = [("parameters a token uses", shape.active_parameters, "parameters")]
        rows += [("experts", shape.experts, ""), ("experts a token uses", shape.experts_used, "")]
    limited = [w for w in shape.windows if w]
    if limited:
        rows += [("layers with a window", len(limited), ""), ("window", max(limited), "tokens")]
    return [Figure(name, value, unit, source=shape.source) for name, value, unit in rows if value]


def _looks_like_path(text: str, path: Path) -> bool:
    """Whether a file or folder is meant; a maker's prefix (meta-llama/...) makes no path."""
    if path.is_file() or (path.is_dir() and (("/" in text) or _holds_model(path))):
        return True
    if text in (".", ".."):
        return True
    return text.startswith(("/", "./", "../", "~", ".\\", "\\")) or (
        text.lower().endswith(_ENDINGS) and known.find(text) is None
    )


def _holds_model(folder: Path) -> bool:
    names = [p.name for p in folder.iterdir()]
    return "config.json" in names or any(n.endswith((".gguf", ".safetensors")) for n in names)


def _from_path(path: Path, text: str) -> Shape:
    if path.is_dir():
        return _from_folder(path)
    if not path.exists():
        raise PlanError(f"there is no file or folder {text!r}", fix="llar models list")
    if not path.is_file():
        raise PlanError(f"{text!r} is neither a file nor a folder")
    return _from_file(path)


def _from_file(path: Path) -> Shape:
    with path.open("rb") as f:
        start = f.read(4)
    suffix = path.suffix.lower()
    if start == b"GGUF" or suffix == ".gguf":
        return from_gguf(path)
    if suffix == ".safetensors":
        return _from_safetensors(path)
    if path.name == safetensors_header.INDEX:
        return checkpoint.from_safetensors(safetensors_header.shards(path.parent))
    if suffix == ".json":
        return checkpoint.from_config(path)
    if suffix in _PICKLES:
        raise _pickled(str(path), path.parent)
    raise PlanError(
        f"{path} is no file that says what a model is; expected a .gguf, a .safetensors or a "
        "config.json"
    )


def _from_safetensors(path: Path) -> Shape:
    """One file, or all of the model it is one of."""
    if (path.parent / safetensors_header.INDEX).is_file():
        files = safetensors_header.shards(path.parent)
        if path.name in {f.name for f in files}:
            return checkpoint.from_safetensors(files)
    return checkpoint.from_safetensors([path])


def _from_folder(folder: Path) -> Shape:
    """GGUF before safetensors before config.json alone."""
    ggufs = sorted(p for p in folder.glob("*.gguf") if not p.name.startswith("mmproj"))
    models = {gguf.parts(p)[0] for p in ggufs}
    if len(models) > 1:
        names = sorted(p.name for p in models)
        raise PlanError(
            f"{folder} holds {len(names)} GGUF models: {', '.join(names[:6])}; name one",
            fix=f"llar plan memory {folder / names[0]}",
        )
    if models:
        return from_gguf(next(iter(models)))
    files = safetensors_header.shards(folder)
    if files:
        return checkpoint.from_safetensors(files)
    if (folder / "config.json").is_file():
        return checkpoint.from_config(folder / "config.json")
    inner = [folder / "0_Transformer", *(folder / "snapshots").glob("*")]
    inner = [p for p in inner if p.is_dir()]  # sentence-transformers' first years; a hub's cache
    if len(inner) == 1:
        return _from_folder(inner[0])
    if inner:
        raise PlanError(f"{folder} holds {len(inner)} snapshots of the model; name one",
                        fix=f"llar plan memory {sorted(inner)[0]}")  # fmt: skip
    if (folder / "adapter_config.json").is_file():
        raise PlanError(f"{folder} holds an adapter (LoRA), not the model it belongs to")
    if any(p.suffix in _PICKLES for p in folder.iterdir()):
        raise _pickled(str(folder), folder)
    raise PlanError(
        f"{folder} holds no model: expected a .gguf, .safetensors or a config.json in it"
    )


def _pickled(what: str, folder: Path) -> PlanError:
    beside = folder / "config.json"
    return PlanError(
        f"{what} holds PyTorch files, which may run code when they are opened and are not read; "
        "safetensors or the model's config.json is wanted, and config.json alone suffices",
        fix=f"llar plan memory {beside}" if beside.is_file() else None,
    )


def _installed(config: Config, text: str) -> Shape | None:
    """The model of the store called `text`, read from its files; None where there is none."""
    short = text.rpartition(":")[2]
    if not (config.models_dir / short / "model.json").is_file():
        return None
    from ...models.store import Store  # costs 40 ms, which a known name need not wait for

    store = Store(config.models_dir)
    if short not in store.names():
        return None
    model = store.get(short)
    shape = _from_folder(model.folder)
    stated = [c for c in (shape.context, model.context) if c]  # sentence-transformers cuts earlier
    return replace(shape, name=model.name, context=min(stated, default=0))


def _unknown(text: str) -> UnknownModel:
    """The error for a name that means nothing here, with the nearest that do."""
    entry = catalogue.find(text)
    if entry is not None:
        return UnknownModel(
            f"the dimensions of {entry.full_name!r} are not known before it is here",
            fix=f"llar models pull {entry.name}",
        )
    names = known.near(text) or tuple(
        difflib.get_close_matches(text.rpartition(":")[2].lower(), catalogue.models(), n=3)
    )
    hint = f"; did you mean {' or '.join(map(repr, names))}?" if names else ""
    return UnknownModel(
        f"there is no model, file or folder {text!r}{hint}",
        fix="llar plan memory config.json plans from the config.json of any model",
    )
