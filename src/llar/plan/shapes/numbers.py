"""A model described by bare numbers: "layers=32,hidden=4096,heads=32,ffn=14336,..."."""

from __future__ import annotations

import difflib

from ...errors import PlanError
from ..shape import Shape
from ..units import parse_context, parse_count
from .configs.build import Dims, Experts, Parts, Style, decoder

__all__ = ["parse_numbers"]

# key -> the most that it can be; ten times and more what any model has
_MOST = {
    "layers": 10_000, "hidden": 10**7, "heads": 10**5, "kv_heads": 10**5, "head_dim": 10**5,
    "ffn": 10**8, "vocabulary": 10**9, "context": 10**10, "window": 10**10, "experts": 10**5,
    "experts_used": 10**5, "expert_ffn": 10**8,
}  # fmt: skip
_FLAGS = ("tied", "gated", "encoder")
_NEEDED = ("layers", "hidden", "heads", "ffn", "vocabulary")
_LENGTHS = ("context", "window")  # in tokens, of which 8k are 8,192
_ZERO = ("context", "window", "experts")  # may be 0, which is the same as absent
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def parse_numbers(text: str) -> Shape:
    """The Shape of a model of Llama's layout with these numbers.

    `kv_heads` are as many as heads, `head_dim` is hidden / heads, and the head is a matrix of its
    own unless the text says otherwise; `assumed` lists what it did not say. Raises PlanError for
    keys that are unknown, twice or missing, and for numbers no model can have.
    """
    given = _pairs(text)
    numbers = {k: _number(k, v) for k, v in given.items() if k in _MOST}
    flags = {k: _flag(k, v) for k, v in given.items() if k in _FLAGS}
    missing = [k for k in _NEEDED if k not in given]
    if missing:
        raise PlanError(f"the numbers {text!r} lack {', '.join(missing)}; needed are "
                        f"{', '.join(_NEEDED)}")  # fmt: skip
    notes = [f"{key} is not stated; {what}" for key, what in (
        ("kv_heads", "as many as heads are taken"),
        ("tied", "an output head of its own is taken"),
        ("gated", "a feed-forward part with a gate is taken"),
    ) if key not in given and not (key == "tied" and flags.get("encoder"))]  # fmt: skip
    d = _dims(text, numbers, flags)
    experts = _experts(text, numbers, d.ffn)
    style = Style(ffn="gated" if flags.get("gated", True) else "plain")
    encoder = flags.get("encoder", False)
    tensors = decoder(d, style, Parts(experts, head=not encoder))
    window, width = numbers.get("window", 0), d.kv_heads * d.head_dim
    return Shape(
        name="numbers",
        architecture="llama" if not encoder else "encoder",
        layers=d.layers,
        hidden=d.hidden,
        heads=d.heads,
        kv_heads=d.kv_heads,
        head_dim=d.head_dim,
        ffn=experts.width if experts else d.ffn,
        vocabulary=d.vocabulary,
        context=d.context,
        tied=d.tied,
        tensors=tensors,
        experts=experts.count if experts else 0,
        experts_used=experts.used if experts else 0,
        windows=(window,) * d.layers if window else (),
        kv_widths=() if encoder else ((width, width),) * d.layers,
        encoder=encoder,
        gated=style.ffn == "gated",
        source=text,
        assumed=(*notes, "norms and biases are those of Llama"),
    )


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = (p.strip() for p in part.partition("="))
        known = (*_MOST, *_FLAGS)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise PlanError(
                f"there is no number {key!r} of a model{hint} Known are: {', '.join(known)}"
            )
        if not equals or not value:
            raise PlanError(f"{key!r} has no value; expected {key}=...")
        if key in found:
            raise PlanError(f"{key!r} is stated twice, {found[key]!r} and {value!r}")
        found[key] = value
    return found


def _number(key: str, text: str) -> int:
    long = key in _LENGTHS and text.strip() != "0"
    value = parse_context(text, key) if long else parse_count(text, key)
    least = 0 if key in _ZERO else 1
    if not least <= value <= _MOST[key]:
        raise PlanError(f"{key} {text!r} is no number a model can have; expected {least} to "
                        f"{_MOST[key]:,}")  # fmt: skip
    return value


def _flag(key: str, text: str) -> bool:
    if text.lower() not in _YES:
        raise PlanError(f"{key} is {text!r}; expected yes or no")
    return _YES[text.lower()]


def _dims(text: str, n: dict[str, int], flags: dict[str, bool]) -> Dims:
    hidden, heads = n["hidden"], n["heads"]
    kv_heads = n.get("kv_heads", heads)
    if heads % kv_heads:
        raise PlanError(f"{heads} heads cannot share {kv_heads} heads of keys and values")
    if "head_dim" not in n and hidden % heads:
        raise PlanError(f"a hidden size of {hidden} cannot be divided among {heads} heads; "
                        "state head_dim too")  # fmt: skip
    tied = flags.get("tied", flags.get("encoder", False))
    head_dim = n.get("head_dim", hidden // heads)
    return Dims(n["layers"], hidden, heads, kv_heads, head_dim, n["ffn"], n["vocabulary"],
                n.get("context", 0), tied)  # fmt: skip


def _experts(text: str, n: dict[str, int], ffn: int) -> Experts | None:
    count = n.get("experts", 0)
    if not count:
        for key in ("experts_used", "expert_ffn"):
            if key in n:
                raise PlanError(f"{key} is stated, but not experts")
        return None
    if "experts_used" not in n:
        raise PlanError(f"{count} experts are stated, but not experts_used, how many a token uses")
    if n["experts_used"] > count:
        raise PlanError(f"a token cannot use {n['experts_used']} of {count} experts")
    return Experts(count, n["experts_used"], n.get("expert_ffn", ffn))
