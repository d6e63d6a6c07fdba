"""The continuations of a text that were tried: a tree of tokens that can be walked back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Line", "Node", "Tree"]


@dataclass(slots=True, eq=False)
class Node:
    """One token after its parent's; the root stands for the prompt."""

    number: int  # in the order they were taken; 0 is the root
    token: int
    text: str  # as it is shown
    piece: bytes
    share: float  # the model's probability, 0 to 1
    parent: Node | None = field(repr=False, default=None)
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """Tokens that follow each other without a choice between; `depth` counts the choices before."""

    depth: int
    nodes: tuple[Node, ...]


class Tree:
    """What was taken after a prompt, and where one stands."""

    def __init__(self, prompt: str, ids: list[int]) -> None:
        self.prompt = prompt
        self.ids = tuple(ids)  # of the prompt
        self.here = Node(0, -1, "", b"", 1.0)
        self._nodes = [self.here]

    @property
    def path(self) -> list[Node]:
        """From the first token taken to where one stands."""
        found = []
        node = self.here
        while node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]

    @property
    def written(self) -> list[int]:
        """The tokens of the path."""
        return [node.token for node in self.path]

    @property
    def text(self) -> str:
        """The prompt and what was written; bytes that are no whole character as "\\xf0"."""
        pieces = b"".join(node.piece for node in self.path)
        return self.prompt + pieces.decode("utf-8", "backslashreplace")

    @property
    def size(self) -> int:
        """How many tokens were taken, on all branches."""
        return len(self._nodes) - 1

    def take(self, token: int, text: str, piece: bytes, share: float) -> Node:
        """Go on with a token; the one that was taken here before where it is the same."""
        found = next((n for n in self.here.children if n.token == token), None)
        if found is None:
            found = Node(len(self._nodes), token, text, piece, share, self.here)
            self.here.children.append(found)
            self._nodes.append(found)
        self.here = found
        return found

    def back(self, number: int) -> None:
        """Stand at a token that was taken before; 0 is the prompt. Raises IndexError."""
        if number < 0:
            raise IndexError(number)
        self.here = self._nodes[number]

    def lines(self) -> list[Line]:
        """All of it, the branches of a token one after the other below it."""
        return list(self._lines())

    def _lines(self) -> Iterator[Line]:
        waiting = [(self._nodes[0], 0)]
        while waiting:
            node, depth = waiting.pop()
            run = [node]
            while len(node.children) == 1:
                node = node.children[0]
                run.append(node)
            yield Line(depth, tuple(run))
            waiting += [(child, depth + 1) for child in reversed(node.children)]
