"""What the families share: dimensions, windows, the head, and the Shape they end as."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ....errors import PlanError
from ...shape import Shape, Tensor
from .build import Dims, Experts, Latent, Parts, Style, decoder
from .fields import Fields

__all__ = ["dims", "finish", "has_head", "shape", "windows"]

LAYERS, HEADS = "num_hidden_layers|n_layer|n_layers", "num_attention_heads|n_head|n_heads"
HIDDEN, FFN = "hidden_size|n_embd|n_embed|dim", "intermediate_size"
CONTEXT = "max_position_embeddings|n_positions|seq_length"


def dims(f: Fields, *, tied: bool = False, head_dim: int = 0, kv: int = 0,
         ffn: str = FFN) -> Dims:  # fmt: skip
    """The numbers as llama's config names them.

    `tied` is what an absent tie_word_embeddings means. `head_dim` stands in for an absent one and
    `kv` for absent num_key_value_heads where the family has a number of its own; else a head is
    hidden / heads wide, and each has keys and values of its own.
    """
    layers, hidden, heads, width, vocabulary = f.sizes(LAYERS, HIDDEN, HEADS, ffn, "vocab_size")
    own = kv and f.absent("num_key_value_heads")
    kv = f.usual("num_key_value_heads", kv) if own else f.size("num_key_value_heads", heads)
    if heads % kv:
        raise PlanError(f"{f.where}: {heads} heads cannot share {kv} heads of keys and values")
    each = f.usual("head_dim", head_dim) if head_dim else f.head_dim(hidden, heads)
    return Dims(
        layers, hidden, heads, kv, each, width, vocabulary, f.size(CONTEXT, 0), f.tied(tied)
    )


def has_head(f: Fields) -> bool:
    """Whether the model ends in a head that generates, as `architectures` says it.

    A text_config is of a whole model. Raises PlanError for a head whose tensors are not known.
    """
    names = (f.texts("architectures") if not f.parent else None) or ("ForCausalLM",)
    name = names[0]
    if name.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")):
        return True
    if name.endswith("Model"):
        f.notes.append(f"{name} has no output head, so none is counted")
        return False
    raise PlanError(
        f"{f.where}: architectures names {name}; of {f.model_type}, llar knows the tensors of "
        "models that generate text (ForCausalLM) and of those without a head (Model)"
    )


def windows(f: Fields, layers: int, rule: Callable[[int], bool],
            key: str = "sliding_window") -> tuple[int, ...]:  # fmt: skip
    """For each layer the tokens it looks back on; () where all look back on everything.

    `layer_types` says which have a window; without it, `rule` does, as transformers would.
    """
    window = f.size(key, 0, least=0)
    kinds = f.texts("layer_types")
    if kinds is None:
        limited: Iterable[bool] = map(rule, range(layers))
    else:
        if len(kinds) != layers:
            raise PlanError(f"{f.where}: layer_types lists {len(kinds)} layers, there are {layers}")
        known = {"full_attention": False, "sliding_attention": True, "chunked_attention": True}
        for kind in kinds:
            if kind not in known:
                raise PlanError(
                    f"{f.where}: layer_types has {kind!r}, which llar cannot plan; it knows "
                    f"{', '.join(known)}"
                )
        limited = [known[k] for k in kinds]
    found = tuple(window if yes else 0 for yes in limited)
    return found if any(found) else ()


def finish(f: Fields, d: Dims, s: Style, *, windows: tuple[int, ...] = (),
           experts: Experts | None = None, latent: Latent | None = None) -> Shape:  # fmt: skip
    """The Shape of a decoder, its tensors enumerated."""
    if experts and experts.used > experts.count:
        raise PlanError(f"{f.where}: a token cannot use {experts.used} of {experts.count} experts")
    tensors = decoder(d, s, Parts(experts, latent, has_head(f)))
    return shape(f, d, s, tensors, windows, experts, latent)


def shape(f: Fields, d: Dims, s: Style, tensors: tuple[Tensor, ...], windows: tuple[int, ...] = (),
          experts: Experts | None = None, latent: Latent | None = None) -> Shape:  # fmt: skip
    """The Shape of a decoder whose tensors are already there."""
    width = d.kv_heads * d.head_dim
    every = experts is not None and all(map(experts.has, range(d.layers)))
    return Shape(
        name="",
        architecture=f.model_type,
        layers=d.layers,
        hidden=d.hidden,
        heads=d.heads,
        kv_heads=d.kv_heads,
        head_dim=d.head_dim,
        ffn=experts.width if experts and every else d.ffn,
        vocabulary=d.vocabulary,
        context=d.context,
        tied=d.tied,
        tensors=tensors,
        experts=experts.count if experts else 0,
        experts_used=experts.used if experts else 0,
        windows=windows,
        # of a latent cache V is a part of K: llama.cpp, src/llama-kv-cache.cpp (has_v)
        kv_widths=((latent.kv_rank + latent.rope, 0) if latent else (width, width),) * d.layers,
        gated=s.ffn != "plain",
        assumed=tuple(f.notes),
    )
