"""The arguments of steps: fields separated by colons, each checked where it is read."""

from __future__ import annotations

from ...errors import QueryError


class Arguments:
    """The fields of one step's argument, in their order.

    `syntax` is how the whole step is written, such as "prf[:passages[:words]]"; every error
    names it and the step's `kind`. Raises QueryError for more fields than it has.
    """

    def __init__(self, syntax: str, argument: str, kind: str = "query") -> None:
        self.syntax = syntax
        self.kind = kind
        self._fields = [field.strip() for field in argument.split(":")] if argument else []
        most = syntax.count(":")
        if len(self._fields) > most:
            extra = ":".join(self._fields[most:])
            raise self.error(f"{extra!r} is too much")

    def text(self, place: int) -> str:
        """One field, "" where it is not given."""
        return self._fields[place] if place < len(self._fields) else ""

    def texts(self) -> list[str]:
        """All fields that were given."""
        return [field for field in self._fields if field]

    def whole(self, place: int, default: int, most: int = 1000) -> int:
        """A whole number from 1 to `most`."""
        text = self.text(place)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise self.error(f"{text!r} is not a whole number from 1 to {most}")
        return int(text)

    def share(self, place: int, default: float) -> float:
        """A number from 0 to 1."""
        text = self.text(place)
        try:
            value = float(text) if text else default
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise self.error(f"{text!r} is not a number from 0 to 1")
        return value

    def error(self, problem: str) -> QueryError:
        """The error for an argument that cannot be used."""
        name = self.syntax.partition("[")[0].partition(":")[0]
        return QueryError(f"--{self.kind} {name}: {problem}; expected {self.syntax}")
