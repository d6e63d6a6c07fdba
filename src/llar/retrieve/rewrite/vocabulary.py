"""The words of a collection as they are written: not stemmed, with their accents.

The index holds stems only. This is read from the passages when a step first asks for it, in one
pass, and kept until the collection changes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ...index.index import Index
from ...index.passages import View
from ...text.words import fold, written

Key = Callable[[str], str]


@dataclass(slots=True)
class Vocabulary:
    """How often each word is written, in lower case; and what groups of words were asked for."""

    counts: Mapping[str, int]
    _groups: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def groups(self, name: str, key: Key) -> Mapping[str, list[str]]:
        """The words by a key, which is worked out once for each word and `name`."""
        found = self._groups.get(name)
        if found is None:
            found = defaultdict(list)
            for word in self.counts:
                found[key(word)].append(word)
            self._groups[name] = dict(found)
        return self._groups[name]

    @property
    def folded(self) -> Mapping[str, list[str]]:
        """The words by how they are written without accents."""
        return self.groups("folded", fold)


def vocabulary(index: Index, view: View) -> Vocabulary:
    """The words of the passages of `view`, in the transaction of `view`."""
    held = view.known.get("vocabulary")
    if not isinstance(held, Vocabulary):
        held = Vocabulary(written(_texts(index)))
        view.known["vocabulary"] = held
    return held


def _texts(index: Index) -> Iterator[str]:
    """All that is indexed: passages, what stands before them, headings and titles."""
    with index.database.read() as connection:
        headings = set()
        for text, prefix, path in connection.execute("SELECT text, prefix, headings FROM chunks"):
            yield text
            yield prefix
            headings.add(path)
        for path in headings:
            yield from json.loads(path)
        for (title,) in connection.execute("SELECT DISTINCT title FROM documents"):
            yield title or ""
