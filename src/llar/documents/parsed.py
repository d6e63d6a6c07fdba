"""What a parser hands back: a document's text and what is where in it, before the file's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..records import Block, MetadataValue, Page


@dataclass(frozen=True, slots=True)
class ParsedText:
    """The text of one file with its blocks and pages; offsets count characters of `text`.

    Blocks are ordered, do not overlap and together cover every non-blank line of the text.
    Dates are ISO 8601. `notes` say, one line each, what of an otherwise good file is missing.
    """

    text: str
    blocks: tuple[Block, ...] = ()
    pages: tuple[Page, ...] = ()
    title: str | None = None
    author: str | None = None
    created: str | None = None
    modified: str | None = None
    language: str | None = None
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
