"""`llar evaluate`: each command lives in a module of its own, imported when it runs."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

# name -> (module, one line for --help)
COMMANDS = {
    "retrieval": ("retrieval", "Measure how well passages are found."),
    "answers": (
        "answers",
        "Measure answers: right, backed by the documents, silent where they must be.",
    ),
    "chunking": (
        "chunking",
        "Measure chunkers: how much of what answers a question they bring back.",
    ),
    "robustness": (
        "robustness",
        "Measure answers among noise, without evidence, and against false passages.",
    ),
    "injection": ("injection", "Measure whether instructions hidden in documents are followed."),
    "make": ("make", "Make a question set from a collection's own documents."),
    "compare": ("compare", "Run variants on the same questions and tell which differ."),
    "tune": ("tune", "Search the options that are best for a collection's questions."),
    "runs": ("runs", "List, show and compare runs made before."),
}


@click.group(cls=LazyGroup, package=__name__, lazy=COMMANDS)
def evaluate() -> None:
    """Measure retrieval and answers, with numbers to show."""
