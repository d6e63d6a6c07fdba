"""How many tokens per second a machine does of a workload with a model."""

from __future__ import annotations

import math

from ...config import Config
from ..hardware.fit import WANTED, fit
from ..hardware.machines import Machine
from ..memory.formats import parse_format
from ..memory.running import running
from ..shapes.resolve import resolve
from .owning import Speed
from .workload import Workload

__all__ = ["throughput"]


def throughput(
    config: Config, machine: Machine, model: str, weights: str, workload: Workload
) -> tuple[Speed | None, str]:
    """Tokens/s read and written by as many users at once as the machine serves, from `fit`.

    The context is that of the longest request. Where the model does not fit there, or nothing
    says how fast it would be, there is no speed but the reason. Raises PlanError and UnknownModel
    for a model, format or context that makes no sense.
    """
    shape = resolve(config, model)
    if shape.encoder:
        return None, f"{shape.name} reads text and writes none: it has no tokens per second here"
    fmt = parse_format(weights)
    context = max(math.ceil(part.input + part.output) for part in workload.parts)
    if shape.context and context > shape.context:
        return None, (
            f"the longest {workload.what} has {context:,} tokens with its answer, and {shape.name}"
            f" a context of {shape.context:,}: it would have to be split"
        )
    prompt = max(math.ceil(workload.input / workload.requests), 1)
    found = fit(shape, fmt, running(shape, fmt, context), machine, prompt=min(prompt, context))
    if not found.fits:
        how = "only partly" if found.how == "partly" else "not at all"
        gib = 2**30
        return None, (
            f"{shape.name} in {weights} fits {how} on {machine.called}: it takes"
            f" {found.needed / gib:,.1f} GiB of {found.there / gib:,.1f}; not compared"
        )
    together = found.throughput or found.decode
    if not together or not found.prefill:
        return None, f"how fast {machine.title} runs {shape.name} is not known; not compared"
    at_once = (
        f"{found.users} at once, each at least {WANTED:g} tokens/s"
        if found.throughput
        else f"one at a time, at less than {WANTED:g} tokens/s"
    )
    text = f"estimate of llar plan memory for {shape.name} in {weights}, {at_once}"
    return Speed(found.prefill, together, text), ""
