"""Memory of training a model: whole (full), with adapters (LoRA), on packed weights (QLoRA).

Three recipes, which differ in what a trained parameter takes:

mixed     16-bit weights and gradients, and float32 copies of the weights and optimiser states
          beside them (Micikevicius et al. 2018, arXiv 1710.03740; Rajbhandari et al. 2020, ZeRO,
          arXiv 1910.02054, section 3.1): 2 + 2 + 4 + 8 = 16 bytes with Adam. For weights in 16 bit.
pure      weights, gradients and states all in the type of the weights: 4 + 4 + 8 = 16 bytes in
          float32, where it is the default, and 2 + 2 + 4 = 8 in bfloat16 (torch's AdamW as it is).
autocast  trained parameters in float32, computing in 16 bit (the Trainer's bf16=True, with PEFT's
          adapters in float32): 4 + 4 + 8 = 16 bytes, and 16-bit copies of the matrices computed
          with while a pass lasts.

The stages follow one step after the first, when the optimiser has its states: the model loaded,
the end of the forward pass, the worst moment of the backward pass, the optimiser's step. While the
loss is computed, the logits, their float32 logarithms and two gradients of these exist at once;
what is kept of that for the backward pass is 4 bytes x vocabulary for each token.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import PlanError
from ..figure import Figure
from ..shape import Shape
from .activations import Compute, bytes_of, checkpoint_bytes, is_checked, layer_terms, layers
from .formats import Format, parse_format
from .trained import Trained, adapters, everything, optimiser_state
from .weights import Weights, is_linear, weights

__all__ = ["METHODS", "RECIPES", "Training", "training"]

Method = Literal["full", "lora", "qlora"]
Recipe = Literal["mixed", "pure", "autocast"]
METHODS: tuple[str, ...] = get_args(Method)
RECIPES: tuple[str, ...] = get_args(Recipe)

_USUAL = {"full": "bf16", "lora": "bf16", "qlora": "nf4-dq"}
_LARGEST = 10**9  # of a batch or a sequence

_COPIES = "float32 copies of what is trained"
_END = "last norm and input of the head"
_LOSS = "more, while the loss is computed"
_UNPACKED = "the largest matrix unpacked"
_CAST = "16-bit copies of matrices"


@dataclass(frozen=True, slots=True)
class Training:
    """What training takes, by thing and by stage, in bytes; `peak` is the largest stage."""

    method: str
    format: Format
    optimiser: str
    recipe: str
    parameters: int  # trained
    things: tuple[Figure, ...]  # weights, gradients, optimiser state, activations ...
    stages: tuple[Figure, ...]  # loaded, forward, backward, optimiser step
    peak: Figure
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    """A training as asked for, checked."""

    shape: Shape
    method: str
    optimiser: str
    recipe: str
    tokens: int  # of one step: batch x sequence
    text: str  # "4 x 2,048 tokens"
    checkpointing: bool
    trained: Trained
    weights: Weights

    @property
    def compute(self) -> Compute:
        if self.recipe == "autocast":
            return "autocast"
        return "fp32" if self.weights.format.type == "f32" else "16-bit"

    @property
    def full(self) -> bool:
        return self.method == "full"

    @property
    def exact(self) -> bool:
        return not self.shape.assumed


def training(
    shape: Shape,
    method: str = "lora",
    format: Format | None = None,  # noqa: A002 - the word users know it by
    *,
    optimiser: str = "adam",
    batch: int = 1,
    sequence: int = 2048,
    checkpointing: bool = False,
    rank: int = 8,
    targets: str = "all",
    recipe: str | None = None,
) -> Training:
    """What it takes to train a model on one device, without what the framework itself needs.

    `format` is that of the weights: fp32, fp16 or bf16, for qlora nf4, fp4, with -dq, or int8;
    None is bf16, and nf4-dq for qlora. `rank` and `targets` are of adapters. `recipe` None is
    "pure" in float32 and "mixed" otherwise. Raises PlanError for what cannot be trained so.
    """
    _known(method, METHODS, "method")
    for name, number in (("batch", batch), ("sequence", sequence)):
        if not 1 <= number <= _LARGEST:
            raise PlanError(f"the {name} is {number:,}; expected 1 to {_LARGEST:,}")
    if not shape.layers:
        raise PlanError(f"{shape.name!r} has no layers, so that its training cannot be planned")
    kept = _trainable(shape, method, format or parse_format(_USUAL[method]))
    recipe = _recipe(method, kept, recipe)
    plan = _Plan(
        shape, method, optimiser, recipe, batch * sequence, f"{batch} x {sequence:,} tokens",
        checkpointing, everything(shape) if method == "full" else adapters(shape, rank, targets),
        weights(shape, kept),
    )  # fmt: skip
    things = {figure.name: figure for figure in _things(plan)}
    stages = _stages(plan, {name: figure.value for name, figure in things.items()})
    largest = max(stages, key=lambda figure: figure.value)
    peak = Figure("peak", largest.value, "bytes", f"the stage: {largest.name}", exact=False)
    return Training(
        method, kept, optimiser, recipe, plan.trained.parameters, tuple(things.values()), stages,
        peak, _notes(plan),
    )  # fmt: skip


def _known(name: str, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
        raise PlanError(f"{what} {name!r} is not known; {hint}")


def _trainable(shape: Shape, method: str, kept: Format) -> Format:
    """The format, "stored" made the plain one it is. Raises PlanError where it can't be trained."""
    if kept.kind == "stored":
        sizes = weights(shape, kept).sizes
        types = {kind for _, kind, size in sizes if size * 100 > sum(s for _, _, s in sizes)}
        names = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}
        if len(types) == 1 and (kind := types.pop()) in names:
            kept = Format(names[kind], "plain", kind)
    if method == "qlora":
        if kept.kind != "packed" or kept.type in ("int4", "fp8"):
            raise PlanError(
                f"qlora trains adapters on packed weights; expected nf4, fp4, nf4-dq, fp4-dq or "
                f"int8, not {kept.name}",
            )
    elif kept.kind != "plain":
        other = "; packed weights take qlora" if kept.kind == "packed" else ""
        raise PlanError(
            f"weights in {kept.name} cannot be trained with {method}; expected fp32, fp16 or "
            f"bf16{other}",
            fix="--format bf16",
        )
    if shape.encoder and method == "qlora":
        raise PlanError(f"{shape.name!r} is an encoder; qlora is planned for decoders alone")
    return kept


def _recipe(method: str, kept: Format, recipe: str | None) -> str:
    wide = kept.type == "f32"
    if recipe is None:
        return "pure" if wide else "mixed"
    _known(recipe, RECIPES, "recipe")
    if recipe == "mixed" and wide:
        raise PlanError("mixed training keeps its weights in 16 bit; with fp32 use autocast")
    if recipe == "autocast" and method == "full" and not wide:
        raise PlanError("full training under autocast has its weights in fp32")
    if recipe == "pure" and method == "qlora":
        raise PlanError("packed weights leave nothing to train purely in them; use mixed")
    return recipe


def _things(plan: _Plan) -> list[Figure]:
    """Everything that takes memory at some stage."""
    base = plan.weights.figures[0]
    out = [Figure("weights", base.value, "bytes", base.formula, base.source, base.exact)]
    number = plan.trained.parameters
    wide = 4 if plan.compute == "fp32" or plan.recipe == "autocast" else 2

    def add(name: str, value: int, formula: str, source: str) -> None:
        out.append(Figure(name, value, "bytes", formula, source, plan.exact))

    if not plan.full:
        add("adapters", wide * number, f"{wide} bytes x {number:,}", "LoRA, arXiv 2106.09685")
    if plan.recipe == "mixed":
        add(_COPIES, 4 * number, f"4 bytes x {number:,}", "ZeRO, arXiv 1910.02054, section 3.1")
    add("gradients", wide * number, f"{wide} bytes x {number:,}", "one of each trained parameter")
    pure = plan.recipe == "pure" and plan.compute == "16-bit"
    state, text, source = optimiser_state(plan.trained, plan.optimiser, 2 if pure else 4)
    add("optimiser state", state, text, source)
    return [*out, *_activations(plan), *_loss(plan), *_brief(plan)]


def _activations(plan: _Plan) -> list[Figure]:
    source = "autograd of PyTorch and transformers, term by term in llar/plan/memory/activations.py"
    exact = plan.exact and is_checked(plan.shape)
    per_layer = _layer_bytes(plan)
    if plan.checkpointing:
        kept = checkpoint_bytes(plan.shape.hidden, plan.compute)
        value = len(per_layer) * kept + max(per_layer)
        text = f"({len(per_layer)} layers x {kept:,} bytes + one layer of {max(per_layer):,})"
    else:
        value = sum(per_layer)
        same = len(set(per_layer)) == 1
        text = f"{len(per_layer)} layers x {per_layer[0]:,} bytes" if same else f"{value:,} bytes"
    end = _end_bytes(plan)
    figures = [("activations", value, text), (_END, end, f"{end:,} bytes")]
    return [
        Figure(name, size * plan.tokens, "bytes", f"{text} x {plan.text}", source, exact)
        for name, size, text in figures
        if size
    ]


def _loss(plan: _Plan) -> list[Figure]:
    """The logits, and what exists beside them while the loss and its gradient are computed.

    That is the model's own logits, in its type, and two float32 gradients of the logarithms.
    """
    if plan.shape.encoder:
        return []
    vocabulary = plan.shape.vocabulary
    beside = 12 if plan.compute == "fp32" else 10
    source = "log_softmax and nll_loss of PyTorch, and their gradients"
    return [
        Figure(name, width * vocabulary * plan.tokens, "bytes",
               f"{width} bytes x {vocabulary:,} x {plan.text}", source, exact)
        for name, width, exact in (("logits", 4, plan.exact), (_LOSS, beside, False))
    ]  # fmt: skip


def _brief(plan: _Plan) -> list[Figure]:
    """Weights unpacked, or cast to 16 bit, while a pass needs them."""
    linear = [t for t in plan.shape.tensors if is_linear(t)]
    if plan.method == "qlora":
        largest = max((t.shape[-2] * t.shape[-1] for t in linear), default=0)
        text, source = f"2 bytes x {largest:,}", "bitsandbytes autograd/_functions.py"
        return [Figure(_UNPACKED, 2 * largest, "bytes", text, source, plan.exact)]
    if plan.recipe != "autocast":
        return []
    cast = sum(t.elements for t in linear) if plan.weights.format.type == "f32" else 0
    if not plan.shape.encoder and plan.weights.format.type == "f32":
        cast += plan.shape.vocabulary * plan.shape.hidden
    if not plan.full:
        cast += plan.trained.parameters
    text, source = f"2 bytes x {cast:,}", "torch.autocast keeps them until the pass ends"
    return [Figure(_CAST, 2 * cast, "bytes", text, source, plan.exact)]


def _layer_bytes(plan: _Plan) -> list[int]:
    return [
        bytes_of(layer_terms(
            layer, plan.compute, full=plan.full, targets=plan.trained.parts, rank=plan.trained.rank
        ))
        for layer in layers(plan.shape)
    ]  # fmt: skip


def _end_bytes(plan: _Plan) -> int:
    """Of the last norm (input, scale, normalised) and the head's input, for each token.

    With adapters, the last norm's input and scale alone; and these not either without
    checkpointing, as the first layer then saves as much: the embedding's output needs no gradient.
    """
    if not plan.full:
        return 4 * plan.shape.hidden + 4 if plan.checkpointing else 0
    width = {"16-bit": 2 + 2, "fp32": 4 + 4, "autocast": 4 + 2}[plan.compute]
    return (4 + width) * plan.shape.hidden + 4


def _stages(plan: _Plan, things: dict[str, float]) -> tuple[Figure, ...]:
    def of(*names: str) -> float:
        return sum(things.get(name, 0) for name in names)

    loaded = of("weights", "adapters", _COPIES)
    state, brief, end = of("optimiser state"), of(_UNPACKED, _CAST), of(_END, "logits")
    forward = of("activations") + end
    if plan.checkpointing:  # the layer computed again comes with the backward pass
        forward -= max(_layer_bytes(plan)) * plan.tokens
    own = of("logits") * (1.0 if plan.compute == "fp32" else 0.5)  # the model's, in its type
    copied = 0.0 if plan.compute == "fp32" else of("logits")  # in float32, for the loss
    backward = max(forward + of(_LOSS), _walk(plan, of("gradients"), own))
    what = f"weights{' + copies' if plan.recipe == 'mixed' else ''}"
    return tuple(
        Figure(name, value, "bytes", text, exact=exact and plan.exact)
        for name, value, text, exact in (
            ("loaded", loaded, what, True),
            ("forward", loaded + state + forward + own + copied + brief,
             f"{what} + optimiser state + activations + logits as they are made", False),
            ("backward", loaded + state + backward + brief,
             f"{what} + optimiser state + the most of activations, loss and gradients", False),
            ("optimiser step", loaded + state + of("gradients"),
             f"{what} + optimiser state + gradients", True),
        )
    )  # fmt: skip


def _walk(plan: _Plan, gradients: float, own: float) -> float:
    """The most that activations and gradients take together on the way back through the layers.

    Gradients of the head come first, then layer by layer, as the activations of each go; within a
    layer those of the product and one of its factors are the widest on the way. A tied embedding
    ends with three of its size: from the head, from the input, and their sum. `own` are the
    model's logits, which the caller of the model still holds.
    """
    each = gradients / plan.trained.parameters
    by_layer = plan.trained.by_layer()
    per_layer = [size * plan.tokens for size in _layer_bytes(plan)]
    width = 4 if plan.compute == "fp32" else 2
    between = [width * (2 * n.ffn + n.hidden) * plan.tokens for n in layers(plan.shape)]
    stored = per_layer
    if plan.checkpointing:
        stored = [checkpoint_bytes(plan.shape.hidden, plan.compute) * plan.tokens] * len(per_layer)
    table = plan.shape.vocabulary * plan.shape.hidden
    left, made = float(sum(stored)), 0.0
    if plan.full:
        made = each * min(table, by_layer.get(None, 0))
    most = left + made + own
    for number in reversed(range(len(per_layer))):
        made += each * by_layer.get(number, 0)
        again = per_layer[number] if plan.checkpointing else 0
        most = max(most, left + again + made + between[number] + own)
        left -= stored[number]
    tied = plan.full and plan.shape.tied and not plan.shape.encoder
    return max(most, gradients + own + (2 * each * table if tied else 0))


def _notes(plan: _Plan) -> tuple[str, ...]:
    notes = list(plan.weights.notes)
    if not is_checked(plan.shape):
        notes.append(
            "activations are those of a gated decoder with RMS norms such as Llama, close to but "
            "not counted for this architecture"
        )
    if plan.method == "qlora":
        rest = sum(t.elements for t in plan.shape.tensors if not is_linear(t))
        notes.append(
            f"peft's prepare_model_for_kbit_training would hold the {rest:,} parameters that are "
            f"not packed in float32: {2 * rest:,} bytes more"
        )
    if plan.shape.experts:
        notes.append("all experts are resident; activations are those of the experts used")
    if any(part.endswith("_exps") for part in plan.trained.parts) and not plan.full:
        notes.append(
            "each expert's matrices have adapters of their own; PEFT 0.21 keeps gate and up in one "
            "with twice the rank and adapts routers too: 1.4 to 1.5 times as many for Mixtral"
        )
    return tuple(notes)
