"""Is a model fit to be a judge? Questions whose answers are known tell before it is believed.

A small model may answer every question with a well-formed "no": understood, valid, and worthless.
So its figures belong beside its marks in this examination.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..config import Config
from ..models.interface import ChatModel
from ..records import Chunk, Hit, Source
from .grounding import judged_faithfulness

__all__ = ["Marks", "examine"]

# (passage, what it says, what it does not say)
CASES = (
    ("Full-time staff have 27 days of paid annual leave. Up to five days may be carried over.",
     "Full-time employees get 27 days of paid leave a year.",
     "Full-time employees get 25 days of paid leave a year."),
    ("Adults take 1 g of paracetamol every 6 hours, at most 4 g a day.",
     "Adults should not take more than 4 g of paracetamol in a day.",
     "Adults should not take more than 4 g of ibuprofen in a day."),
    ("The alarm is tested on Mondays at 10:30. Never use the lift in a fire.",
     "In a fire the lift must not be used.",
     "In a fire the lift may be used."),
    ("The bridge was designed by Anna Kiss and opened by the mayor in 1969.",
     "Anna Kiss designed the bridge.",
     "The mayor designed the bridge."),
    ("Orders above 50 euros are delivered free of charge. Returns are possible within 30 days.",
     "An order of 80 euros is delivered for free.",
     "An order of 20 euros is delivered for free."),
    ("The museum is closed on Tuesdays, except in August.",
     "In August the museum is open on Tuesdays.",
     "In March the museum is open on Tuesdays."),
    ("La biblioteca abre de lunes a viernes. Los socios pueden llevarse cinco libros.",
     "Los socios pueden llevarse cinco libros.",
     "La biblioteca abre los domingos."),
    ("Revenue rose from 12 to 15 million in 2021, while the number of staff fell.",
     "The company had fewer employees and more revenue in 2021.",
     "The company had more employees and less revenue in 2021."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Marks:
    """How a judge did: of the statements supported, and of those not, the share it told.

    `accuracy` is the mean of both; 0.5 is what guessing, or always saying the same, comes to.
    Replies that were neither yes nor no count as wrong and are in `invalid`.
    """

    supported: float
    unsupported: float
    accuracy: float
    invalid: int
    asked: int


def examine(chat: ChatModel, config: Config) -> Marks:
    """Ask a judge of eight passages what each says and does not say, 16 questions in all."""
    told = {True: 0, False: 0}
    invalid = 0
    for passage, true, false in CASES:
        chunk = Chunk(passage, 0, len(passage))
        hit = Hit(Source(1, "text"), chunk, 1, 1.0)
        figure = judged_faithfulness([true, false], [hit], chat, config)
        invalid += figure.invalid
        told[True] += figure.items[0].value == 1.0
        told[False] += figure.items[1].value == 0.0
    shares = [told[kind] / len(CASES) for kind in (True, False)]
    return Marks(shares[0], shares[1], sum(shares) / 2, invalid, 2 * len(CASES))
