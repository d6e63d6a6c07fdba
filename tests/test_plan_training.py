"""Training: formulas by hand, parameters as peft counts them, memory as torch was seen to use it.

Where a number is said to be measured, it is what torch 2.13, transformers 5.23 and peft 0.21 do:
activations are the storages autograd saves, but for parameters, of three layers less those of two;
peaks are the storages alive in a step without optimiser, watched through a dispatch mode.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from plan_shapes import bert, dense, llama2_7b, llama31_8b, mixtral, smollm2

from llar.errors import PlanError
from llar.plan.memory.activations import Compute, bytes_of, layer_terms, layers
from llar.plan.memory.formats import parse_format
from llar.plan.memory.trained import adapters, everything, optimiser_state
from llar.plan.memory.training import Training, training
from llar.plan.shape import Shape, Tensor

H, Q, KV, FFN, HEADS, R = 576, 576, 192, 1536, 9, 8
"""Of SmolLM2-135M."""


def thing(made: Training, name: str) -> float:
    return {figure.name: figure.value for figure in made.things}[name]


def stage(made: Training, name: str) -> float:
    return {figure.name: figure.value for figure in made.stages}[name]


def per_layer(shape: Shape, compute: Compute, *, rank: int = 0, targets: str = "all") -> int:
    what = adapters(shape, rank, targets) if rank else everything(shape)
    terms = layer_terms(
        layers(shape)[0], compute, full=not rank, targets=what.parts, rank=what.rank
    )
    return bytes_of(terms)


def small(architecture: str = "llama", head_dim: int = 32, normed: bool = False) -> Shape:
    """Four heads, two of keys; the model the measured numbers are of."""
    shape = dense(
        "small", 4, 128, 4, 2, 384, 1000, tied=True, head_dim=head_dim, architecture=architecture
    )
    if not normed:
        return shape
    norms = [Tensor(f"blk.{n}.attn_{p}_norm.weight", (head_dim,)) for n in range(4) for p in "qk"]
    return replace(shape, tensors=(*shape.tensors, *norms))


@pytest.mark.parametrize(
    ("rank", "targets", "number"),
    [  # peft 0.21, get_peft_model on SmolLM2-135M
        (8, "all", 2_442_240), (16, "all", 4_884_480), (8, "attention", 921_600),
        (16, "attention", 1_843_200), (8, "q+v", 460_800), (16, "q+v", 921_600),
    ],
)  # fmt: skip
def test_parameters_of_adapters(rank: int, targets: str, number: int) -> None:
    assert adapters(smollm2(), rank, targets).parameters == number
    assert training(smollm2(), "lora", rank=rank, targets=targets).parameters == number


def test_targets_by_name() -> None:
    for names in ("attn_q,attn_v", "q_proj, v_proj"):
        assert adapters(smollm2(), 8, names) == adapters(smollm2(), 8, "q+v")
    down = 32 * 8 * 8 * (4096 + 14336)
    assert adapters(mixtral(), 8, "down_proj").parameters == down
    with pytest.raises(PlanError, match="did you mean 'ffn_gate'"):
        adapters(smollm2(), 8, "attn_q,ffn_gat")


def test_experts_have_adapters_each_and_routers_none() -> None:
    attention = 8 * (2 * (4096 + 4096) + 2 * (4096 + 1024))
    experts = 8 * 8 * 3 * (4096 + 14336)
    assert adapters(mixtral(), 8, "all").parameters == 32 * (attention + experts)
    assert any("PEFT" in note for note in training(mixtral(), "lora").notes)
    assert not any("PEFT" in note for note in training(mixtral(), "lora", targets="q+v").notes)


def test_activations_by_the_formulas() -> None:
    lora = 16 * H + 4 * KV + 8 * FFN + 4 * HEADS + 14 * R + 8
    full = 20 * H + 4 * KV + 8 * FFN + 4 * HEADS + 8
    assert per_layer(smollm2(), "16-bit", rank=R) == lora == 22_428
    assert per_layer(smollm2(), "16-bit") == full == 24_620
    made = training(smollm2(), "lora", batch=2, sequence=1000)
    assert thing(made, "activations") == 30 * lora * 2000
    assert thing(made, "logits") == 4 * 49152 * 2000
    made = training(smollm2(), "full", batch=2, sequence=1000)
    assert thing(made, "activations") == 30 * full * 2000
    made = training(smollm2(), "lora", batch=2, sequence=1000, checkpointing=True)
    assert thing(made, "activations") == (30 * 2 * H + lora) * 2000


@pytest.mark.parametrize(
    ("compute", "rank", "targets", "bytes_"),
    [  # measured: what autograd saves for each token of one more layer
        ("16-bit", 0, "all", 5912), ("16-bit", 8, "all", 5512), ("fp32", 0, "all", 10776),
        ("fp32", 8, "all", 9976), ("autocast", 0, "all", 7192), ("autocast", 8, "all", 6536),
        ("16-bit", 8, "q+v", 4408), ("fp32", 8, "q+v", 7768), ("16-bit", 8, "attention", 4440),
        ("fp32", 8, "attention", 7832),
    ],
)  # fmt: skip
def test_activations_as_measured(compute: Compute, rank: int, targets: str, bytes_: int) -> None:
    assert per_layer(small(), compute, rank=rank, targets=targets) == bytes_


def test_activations_of_wide_heads_and_of_norms_on_them_as_measured() -> None:
    assert per_layer(small(head_dim=64), "16-bit") == 6680
    qwen3 = small("qwen3", normed=True)
    assert per_layer(qwen3, "16-bit") == 7088
    assert per_layer(qwen3, "16-bit", rank=8) == 6304
    assert per_layer(qwen3, "fp32") == 12336
    assert per_layer(qwen3, "fp32", rank=8) == 10768


def test_terms_can_be_read_one_by_one() -> None:
    what = everything(smollm2())
    terms = layer_terms(layers(smollm2())[0], "16-bit", full=True, targets=what.parts, rank=0)
    named = {term.name: (term.elements, term.width) for term in terms}
    assert named["norm inputs"] == (2 * H, 4)
    assert named["keys and values"] == (2 * KV, 2)
    assert named["gate, activation and up"] == (3 * FFN, 2)
    assert "adapters" not in named


@pytest.mark.parametrize(
    ("vocabulary", "tokens", "method", "kind", "checkpointing", "forward", "peak"),
    [  # measured, with plain SGD in the type of the weights
        (8000, 256, "lora", "fp32", False, 34_351_120, 50_601_992),
        (8000, 256, "lora", "fp32", True, 24_794_128, 41_045_000),
        (8000, 256, "lora", "bf16", False, 30_001_168, 38_125_576),
        (8000, 256, "full", "fp32", False, 35_122_192, 51_504_136),
        (8000, 256, "full", "bf16", True, 24_663_056, 32_853_000),
        (600, 512, "lora", "fp32", False, 27_050_000, 29_241_352),
        (600, 512, "lora", "fp32", True, 8_097_792, 12_857_352),
        (600, 512, "full", "fp32", True, 7_886_864, 15_040_008),
        (600, 512, "full", "bf16", False, 17_502_224, 18_726_920),
        (600, 512, "full", "bf16", True, 5_922_832, 7_921_416),
        (3000, 32, "full", "fp32", False, 6_886_800, 12_824_072),
        (3000, 32, "full", "bf16", True, 3_371_152, 6_414_088),
        (3000, 32, "lora", "fp32", False, 7_062_800, 7_814_152),
    ],
)
def test_stages_as_measured(
    vocabulary: int, tokens: int, method: str, kind: str, checkpointing: bool, forward: int,
    peak: int,
) -> None:  # fmt: skip
    shape = dense("small", 4, 128, 4, 2, 384, vocabulary, tied=True, head_dim=32)
    made = training(
        shape, method, parse_format(kind), optimiser="sgd", sequence=tokens,
        checkpointing=checkpointing, recipe="pure",
    )  # fmt: skip
    assert stage(made, "forward") == pytest.approx(forward, rel=0.07)
    assert stage(made, "backward") == pytest.approx(peak, rel=0.05)


@pytest.mark.parametrize(
    ("method", "kind", "checkpointing", "mib"),
    [
        ("lora", "fp32", False, 1008.9),
        ("full", "bf16", True, 645.1),
        ("full", "fp32", False, 1290.1),
    ],
)
def test_peaks_of_smollm2_as_measured(
    method: str, kind: str, checkpointing: bool, mib: float
) -> None:
    made = training(
        smollm2(), method, parse_format(kind), optimiser="sgd", sequence=256,
        checkpointing=checkpointing, recipe="pure",
    )  # fmt: skip
    assert made.peak.value / 2**20 == pytest.approx(mib, rel=0.005)


@pytest.mark.parametrize(
    ("method", "kind", "recipe", "each"),
    [
        ("full", "fp32", "pure", {"weights": 4, "gradients": 4, "optimiser state": 8}),
        ("full", "bf16", "pure", {"weights": 2, "gradients": 2, "optimiser state": 4}),
        ("full", "fp32", "autocast", {"weights": 4, "gradients": 4, "optimiser state": 8}),
        ("full", "bf16", "mixed", {
            "weights": 2, "float32 copies of what is trained": 4, "gradients": 2,
            "optimiser state": 8,
        }),
    ],
)  # fmt: skip
def test_bytes_of_a_trained_parameter(
    method: str, kind: str, recipe: str, each: dict[str, int]
) -> None:
    made = training(smollm2(), method, parse_format(kind), recipe=recipe)
    assert made.parameters == 134_515_008
    assert {name: thing(made, name) / 134_515_008 for name in each} == each


def test_adapters_take_sixteen_bytes_a_parameter_in_mixed_and_autocast() -> None:
    for recipe in ("mixed", "autocast"):
        made = training(smollm2(), "lora", recipe=recipe)
        names = ("adapters", "float32 copies of what is trained", "gradients", "optimiser state")
        values = {figure.name: figure.value for figure in made.things}
        assert sum(values.get(name, 0) for name in names) == 16 * 2_442_240
        assert values["weights"] == 2 * 134_515_008


def test_optimisers_by_hand() -> None:
    lora = adapters(smollm2(), 8, "all")
    assert optimiser_state(lora, "adam", 4)[0] == 8 * 2_442_240
    # in 32 bit: what follows the rank of keys and values, 192 x 8 twice in 30 layers
    few = 30 * 2 * 192 * 8
    blocks = 30 * (6 * 18 + 2 * 18 + 2 * (18 + 48) + 48 + 18 - 2 * 18)
    assert blocks == 9180
    got = optimiser_state(lora, "adam8bit", 4)[0]
    assert got == 2 * (2_442_240 - few) + 8 * few + 2 * 4 * blocks == 5_510_880
    whole = everything(smollm2())
    layer = 2 * 576 + (576 + 576) * 2 + (192 + 576) * 2 + (1536 + 576) * 3
    assert optimiser_state(whole, "adafactor", 4)[0] == 4 * (30 * layer + 49152 + 576 + 576)
    assert optimiser_state(whole, "sgd", 4)[0] == 0
    assert optimiser_state(whole, "momentum", 4)[0] == 4 * 134_515_008


def test_adafactor_keeps_rows_and_columns_of_every_expert() -> None:
    shape = replace(mixtral(), tensors=(Tensor("blk.0.ffn_down_exps.weight", (8, 4096, 14336)),))
    assert optimiser_state(everything(shape), "adafactor", 4)[0] == 4 * 8 * (4096 + 14336)


def test_qlora_has_packed_weights_and_unpacks_one_matrix_at_a_time() -> None:
    made = training(llama31_8b(), "qlora", checkpointing=True)
    assert made.format.name == "nf4-dq"
    assert thing(made, "the largest matrix unpacked") == 2 * 14336 * 4096
    linear = 32 * (2 * 4096**2 + 2 * 1024 * 4096 + 3 * 14336 * 4096)
    blocks = linear // 64
    rest = llama31_8b().parameters - linear
    assert thing(made, "weights") == linear // 2 + blocks + 4 * blocks // 256 + 2 * rest
    assert str(2 * rest) in made.notes[-1].replace(",", "")  # what peft's casting would add


def test_experts_are_resident_and_those_used_make_activations() -> None:
    made = training(mixtral(), "full", sequence=100)
    assert thing(made, "gradients") == 2 * mixtral().parameters
    dense_one = training(dense("d", 32, 4096, 32, 8, 14336, 32000), "full", sequence=100)
    ratio = thing(made, "activations") / thing(dense_one, "activations")
    assert 1.5 < ratio < 2  # two experts of eight for each token
    assert not any(f.exact for f in made.things if f.name == "activations")
    assert any("experts" in note for note in made.notes)


def test_stages_and_peak_add_up() -> None:
    made = training(llama2_7b(), "full", parse_format("bf16"), sequence=512)
    values = {figure.name: figure.value for figure in made.things}
    copies = values["float32 copies of what is trained"]
    assert stage(made, "loaded") == values["weights"] + copies
    assert stage(made, "optimiser step") == 16 * llama2_7b().parameters
    assert made.peak.value == max(figure.value for figure in made.stages)
    assert not made.peak.exact


def test_an_encoder_is_an_estimate_without_logits() -> None:
    made = training(bert(), "lora", parse_format("fp32"), sequence=256)
    assert "logits" not in {figure.name for figure in made.things}
    assert "Llama" in made.notes[0]


def test_a_model_without_layers_is_an_error() -> None:
    with pytest.raises(PlanError, match="no layers"):
        training(replace(smollm2(), layers=0))


def test_stored_weights_count_as_what_they_are() -> None:
    tensors = tuple(replace(t, type="f16") for t in smollm2().tensors)
    made = training(replace(smollm2(), tensors=tensors), "lora", parse_format("stored"))
    assert made.format.name == "fp16"
    packed = tuple(replace(t, type="q4_1") for t in smollm2().tensors if len(t.shape) == 2)
    with pytest.raises(PlanError, match="stored cannot be trained"):
        training(replace(smollm2(), tensors=packed), "lora", parse_format("stored"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "loar"}, "did you mean 'lora'"),
        ({"method": "lora", "batch": 0}, "the batch is 0"),
        ({"method": "lora", "sequence": -5}, "the sequence is -5"),
        ({"method": "lora", "rank": 0}, "the rank is 0"),
        ({"method": "lora", "rank": 10**6}, "expected 1 to 576"),
        ({"method": "lora", "targets": "atention"}, "did you mean 'attention'"),
        ({"method": "lora", "optimiser": "adamw8"}, "did you mean 'adam"),
        ({"method": "lora", "format": parse_format("Q4_K_M")}, "cannot be trained"),
        ({"method": "full", "format": parse_format("nf4")}, "packed weights take qlora"),
        ({"method": "qlora", "format": parse_format("bf16")}, "expected nf4"),
        ({"method": "qlora", "format": parse_format("int4")}, "expected nf4"),
        ({"method": "full", "recipe": "mixd"}, "did you mean 'mixed'"),
        ({"method": "full", "format": parse_format("fp32"), "recipe": "mixed"}, "autocast"),
    ],
)
def test_what_cannot_be_trained_is_an_error(settings: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        training(smollm2(), **settings)  # type: ignore[arg-type]
