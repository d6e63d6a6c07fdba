"""How short a passage is to become, and which of its pieces make it so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...models.interface import ChatModel
from ...records import Hit, joined
from ..rewrite.arguments import Arguments
from ..searcher import Searcher
from .order import best

__all__ = ["Passage", "Target", "kept", "shown"]

TOLERANCE = 0.02  # a rate is met where the tokens are as close to it, or within one token
TRIES = 24  # words tried to fill the last tokens

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Target:
    """A share of a passage's tokens, or a number of them; the other is 0."""

    rate: float = 0.0
    most: int = 0

    @classmethod
    def read(cls, arguments: Arguments, place: int, default: float) -> Target:
        """0.5, 50% or 80 (tokens). Raises QueryError."""
        text = arguments.text(place)
        if not text:
            return cls(default)
        if text.isascii() and text.isdigit() and int(text) > 0:
            return cls(most=int(text))
        try:
            rate = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            rate = 0.0
        if not 0 < rate <= 1:
            raise arguments.error(
                f"{text!r} is neither a share such as 0.5 or 50% nor a number of tokens"
            )
        return cls(rate)

    def of(self, tokens: int) -> int:
        """The tokens to keep of so many, at least 1."""
        return max(1, round(tokens * self.rate) if self.rate else min(self.most, tokens))

    def met(self, found: int, tokens: int) -> bool:
        """Are `found` of `tokens` near enough?"""
        return abs(found - self.of(tokens)) <= max(1.0, TOLERANCE * tokens)


class Passage:
    """A passage as it is made shorter: its text, what is left of it by now, and its tokens.

    Places are in the chunk's text.
    """

    def __init__(self, hit: Hit, chat: ChatModel) -> None:
        self.hit = hit
        self.text = hit.chunk.text
        self._chat = chat
        whole = [(0, len(self.text))]
        local = hit.chunk.local
        self.left = whole if hit.kept is None else [(local(a), local(b)) for a, b in hit.kept]
        self.tokens = self.count(self.left)

    def holds(self, span: Span) -> bool:
        """Is any of this still there?"""
        return any(a < span[1] and span[0] < b for a, b in self.left)

    def count(self, spans: Sequence[Span]) -> int:
        """The chat model's tokens of what these spans are shown as."""
        return self._chat.count_tokens(joined(self.text, spans)) if spans else 0

    def merged(self, pieces: Sequence[Span], places: Sequence[int]) -> list[Span]:
        """What is still there of the pieces at these ascending places.

        Those that follow each other are one span, with what stands between them.
        """
        place = self.hit.chunk.place
        spans: list[Span] = []
        before = -2
        for number in places:
            start, end = pieces[number]
            last = spans[-1][1] if spans else 0
            if number == before + 1 and place(start) - place(last) == start - last:
                spans[-1] = (spans[-1][0], end)
            else:  # also where the passage goes on in another part of the document
                spans.append((start, end))
            before = number
        clipped = ((max(s, a), min(e, b)) for s, e in spans for a, b in self.left)
        return [(start, end) for start, end in clipped if start < end]

    def shortened(self, spans: Sequence[Span]) -> Hit:
        """The hit with only these spans of its text."""
        place = self.hit.chunk.place
        return replace(self.hit, kept=tuple((place(a), place(b)) for a, b in spans))


def kept(
    passage: Passage,
    pieces: Sequence[Span],
    ranked: Sequence[int],
    must: set[int],
    target: Target,
) -> list[int]:
    """The places of the pieces to keep so that the target is met as closely as may be.

    All of `must` stay, then the others as `ranked`, best first; near the target those that still
    fit, by a token too much where it is a rate. Tokens are counted of the text as it will be
    shown, because a word can take more of them without its neighbours.
    """
    others = [i for i in ranked if i not in must]

    def chosen(many: int) -> list[int]:
        return sorted([*must, *others[:many]])

    def count(places: Sequence[int]) -> int:
        return passage.count(passage.merged(pieces, places))

    wanted = target.of(passage.tokens)
    over = 1 if target.rate else 0
    few = _last(lambda many: count(chosen(many)) <= wanted, len(others))
    places = chosen(few)
    used = count(places)
    for extra in others[few : few + TRIES]:
        if used >= wanted:
            break
        more = sorted([*places, extra])
        tokens = count(more)
        if abs(tokens - wanted) < abs(used - wanted) and tokens <= wanted + over:
            places, used = more, tokens
    return places


def _last(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that fits, by halving; 0 where none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def shown(hits: Sequence[Hit], searcher: Searcher) -> list[int]:
    """The places of the hits that a prompt would show, which are those worth making shorter."""
    return best(hits[: searcher.options.k], searcher.config.passages)
