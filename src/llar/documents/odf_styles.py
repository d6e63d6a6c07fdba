"""What OpenDocument styles say about text: raised letters, titles, numbered lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .zipped import attribute, child, local


@dataclass(slots=True)
class OdfStyles:
    """The styles of one document by name."""

    raised: set[str] = field(default_factory=set)
    parents: dict[str, str] = field(default_factory=dict)
    numbered: dict[str, set[int]] = field(default_factory=dict)  # list style -> numbered levels

    def is_title(self, name: str | None) -> bool:
        """Whether a paragraph style is the document title's, or inherits from it."""
        seen: set[str] = set()
        while name and name not in seen:
            if name.lower() == "title":
                return True
            seen.add(name)
            name = self.parents.get(name)
        return False

    def read(self, root: Any) -> None:
        """Take in the styles of one part."""
        for group in root:
            if local(group) not in ("styles", "automatic-styles"):
                continue
            for style in group:
                name = attribute(style, "name") or ""
                if local(style) == "list-style":
                    self.numbered[name] = {
                        int(attribute(level, "level") or 1)
                        for level in style
                        if local(level) == "list-level-style-number"
                        and attribute(level, "num-format")
                    }
                    continue
                parent = attribute(style, "parent-style-name")
                if parent:
                    self.parents[name] = parent
                properties = child(style, "text-properties")
                position = attribute(properties, "text-position") if properties is not None else ""
                first = (position or "").split(" ")[0].removesuffix("%")
                if first == "super" or (first.isdigit() and int(first) > 0):
                    self.raised.add(name)
