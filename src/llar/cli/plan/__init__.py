"""`llar plan`: each command lives in a module of its own, imported when it runs."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

# name -> (module, one line for --help)
COMMANDS = {
    "memory": ("memory", "Tell the memory a model takes, to run it or to train it."),
    "verify": ("verify", "Load models here and compare predicted with measured memory."),
    "machines": ("machines", "List the machines that are known, and this one."),
    "cost": ("cost", "Compare providers' prices with owning or renting a machine."),
    "prices": ("prices", "List the providers' prices."),
    "training": ("training", "Tell the FLOPs, hours, money and energy of a training."),
    "advise": ("advise", "Recommend a model, hardware and a way of working, with reasons."),
}


@click.group(cls=LazyGroup, package=__name__, lazy=COMMANDS)
def plan() -> None:
    """Tell what a model takes, before anyone buys or downloads anything.

    Needs no network and no model. Every number comes with its formula.
    """
