"""What a passage points to inside the collection: linked files, labels, and numbered sections."""

from __future__ import annotations

import json
import posixpath
import re
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote

from ...index.index import Index
from ...index.passages import View
from ...records import Document, Hit
from ...text.words import fold

KEPT = 64  # documents that are kept in memory for the links that follow

How = Literal["file", "doc", "label", "number"]

_MARKDOWN = re.compile(r"(?<!!)\[[^\[\]\n]*\]\(<?([^)\s>]+)>?(?:\s+[\"'(][^)]*)?\)")
_DEFINED = re.compile(r"(?m)^ {0,3}\[[^\]\n]+\]:\s+<?(\S+?)>?(?:\s|$)")
_WIKI = re.compile(r"\[\[([^\]|#\n]+)(?:#([^\]|\n]*))?(?:\|[^\]\n]*)?\]\]")
_ROLE = re.compile(r":(doc|ref|download):`([^`]+)`")
_QUOTED_LINK = re.compile(r"`[^`<>]*<([^`<>\s]+)>`__?")
_LABEL = re.compile(r"(?m)^\.\. _`?([^:\n`]+)`?:[ \t]*\n")
_SITE = re.compile(r"\s*(?://|[a-z][a-z0-9+.-]*:)", re.IGNORECASE)
_NUMBERED = re.compile(
    r"(?<!\w)(?P<what>sections?|sec\.|chapters?|appendix|annex|clause|article|table|figure|fig\."
    r"|secci[óo]n(?:es)?|cap[íi]tulos?|apartados?|anexo|art[íi]culo|tabla|figura|secció|capítols?"
    r"|apartats?|annex|taula|§)\s*(?P<number>\d{1,3}(?:\.\d{1,3}){0,4}|[A-Z](?:\.\d{1,3}){1,4})(?!\d)"
    r"|(?<![\w.])(?P<number2>\d{1,3}(?:\.\d{1,3}){0,4})\.?\s*(?P<what2>szakasz|fejezet|pont"
    r"|táblázat|ábra|melléklet)\w*",
    re.IGNORECASE,
)
_PICTURED = re.compile(r"table|tabla|taula|táblázat|fig|ábra", re.IGNORECASE)
_SUFFIXES = ("", ".md", ".rst", ".txt", ".html", ".htm")


@dataclass(frozen=True, slots=True)
class Link:
    """One pointer in a text. `words` are those it is written as; `anchor` a place in the target."""

    how: How
    target: str
    anchor: str = ""
    words: str = ""


@dataclass(slots=True)
class Places:
    """Where files and labels of one state of a collection are."""

    state: tuple[int, int] = (-1, -1)
    _files: dict[str, int] = field(default_factory=dict)
    _endings: dict[str, list[str]] = field(default_factory=dict)  # a file's stem -> paths
    _labels: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _documents: dict[int, Document] = field(default_factory=dict)  # those looked at lately
    _now: Places | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Nothing is held open; asked of all that a collection keeps for its searches."""

    def at(self, index: Index, view: View) -> Places:
        """The places of this state of the collection."""
        with self._guard:
            if self._now is None or self._now.state != view.state:
                made = Places(view.state)
                made._read(index)
                self._now = made
            return self._now

    def _read(self, index: Index) -> None:
        self._files = {file.path: file.document_id for file in index.files()}
        endings: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            endings[PurePosixPath(path).stem.casefold()].append(path)
        self._endings = dict(endings)
        labels: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for document_id, text in index.database.connection.execute(
            "SELECT id, text FROM documents WHERE format = 'rst' AND text LIKE '%.. _%'"
        ):
            for match in _LABEL.finditer(text):
                labels[_label(match[1])].append((document_id, match.end()))
        self._labels = dict(labels)

    def document(self, index: Index, document_id: int) -> Document:
        """A document, kept while a search looks at it."""
        found = self._documents.get(document_id)
        if found is None:
            found = index.document(document_id)
            if len(self._documents) >= KEPT:
                self._documents.clear()
            self._documents[document_id] = found
        return found

    def resolve(self, link: Link, hit: Hit, index: Index) -> tuple[int, int] | None:
        """The document and the place in its text that a link points to; None outside of here."""
        if link.how == "label":
            found = self._labels.get(_label(link.target), [])
            return found[0] if len(found) == 1 else None
        if link.how == "number":
            return self._numbered(link, hit, index)
        path = self._path(link, hit.document.path)
        if path is None:
            return None
        document_id = self._files[path]
        at = _anchored(self.document(index, document_id), link.anchor) if link.anchor else 0
        return (document_id, at) if at is not None else (document_id, 0)

    def _path(self, link: Link, here: str) -> str | None:
        """The file a link names, beside the one it stands in or from the top of their tree."""
        target = unquote(link.target)
        if not target.startswith("/"):
            base = posixpath.join(posixpath.dirname(here), target)
            for name in _spellings(posixpath.normpath(base)):
                if name in self._files:
                    return name
        stem = PurePosixPath(target.rstrip("/")).stem.casefold()
        wanted = [n.lstrip("/") for n in _spellings(posixpath.normpath(target.lstrip("./")))]
        fits = [
            p for p in self._endings.get(stem, []) if any(p.endswith(f"/{name}") for name in wanted)
        ]
        if len(fits) > 1:  # the one that shares most of its folders with this file
            shared = [len(posixpath.commonpath([p, here])) for p in fits]
            fits = [p for p, n in zip(fits, shared, strict=True) if n == max(shared)]
        return fits[0] if len(fits) == 1 else None

    def _numbered(self, link: Link, hit: Hit, index: Index) -> tuple[int, int] | None:
        """A section, table or figure of that number: here, else in a file of the same folder."""
        document = self.document(index, hit.document.id)
        found = _numbered(document, link)
        if found is not None:
            return document_at(hit.document.id, found, hit)
        if _PICTURED.match(link.words):
            return None
        folder = posixpath.dirname(hit.document.path)
        pattern = re.compile(rf"{re.escape(link.target)}\.?\s")
        rows = index.database.connection.execute(
            "SELECT DISTINCT document_id FROM files JOIN documents ON documents.id = document_id"
            " WHERE path LIKE ? || '/%' AND title LIKE ? || '%'",
            (folder, link.target),
        ).fetchall()
        for (document_id,) in rows:
            other = self.document(index, document_id)
            if pattern.match(other.title or ""):
                return document_id, 0
        return None


def document_at(document_id: int, place: int, hit: Hit) -> tuple[int, int] | None:
    """A place in the hit's own document, None inside the hit itself."""
    inside = any(start <= place < end for start, end in hit.chunk.spans)
    return None if inside else (document_id, place)


def links(hit: Hit, document: Document) -> list[Link]:
    """The pointers that stand in a passage, in their order, each once."""
    text = hit.chunk.text
    found: list[Link] = []
    if hit.document.format == "rst":
        found += _rst(text)
    for pattern in (_MARKDOWN, _DEFINED):
        found += [_file(m[1]) for m in pattern.finditer(text)]
    found += [Link("file", m[1].strip(), m[2] or "", m[1]) for m in _WIKI.finditer(text)]
    if "links" in document.metadata:  # of a web page, whose addresses are not in its text
        found += [_file(to, said) for said, to in json.loads(str(document.metadata["links"]))
                  if said and said in text]  # fmt: skip
    for match in _NUMBERED.finditer(text):
        number = match["number"] or match["number2"]
        what = match["what"] or match["what2"]
        if "." in number or _PICTURED.match(what) or not what.casefold().startswith("art"):
            found.append(Link("number", number, words=f"{what} {number}"))
    return list(
        dict.fromkeys(link for link in found if link.target and not _SITE.match(link.target))
    )


def _rst(text: str) -> list[Link]:
    found = []
    for match in _ROLE.finditer(text):
        target = re.search(r"<([^<>]+)>\s*$", match[2])
        name = (target[1] if target else match[2]).strip()
        how: How = "label" if match[1] == "ref" else "doc"
        found.append(Link(how, name, words=match[2]))
    return found + [_file(m[1]) for m in _QUOTED_LINK.finditer(text)]


def _file(address: str, words: str = "") -> Link:
    path, _, anchor = address.partition("#")
    return Link("file", path.partition("?")[0], anchor, words or address)


def _spellings(path: str) -> list[str]:
    """The names that a link may mean: with a suffix, or a folder's index."""
    stem, suffix = posixpath.splitext(path)
    names = [path + s for s in _SUFFIXES]
    names += [stem + s for s in _SUFFIXES if suffix.lower() in (".html", ".htm") and s != suffix]
    return names + [f"{path}/index{s}" for s in _SUFFIXES[1:]]


def _label(text: str) -> str:
    return " ".join(text.casefold().split())


def slug(text: str) -> str:
    """A heading as it is written behind a # in links."""
    return re.sub(r"[^\w-]+", "-", fold(text.casefold())).strip("-")


def _anchored(document: Document, anchor: str) -> int | None:
    """Where the heading stands that an anchor names."""
    wanted = slug(unquote(anchor))
    for block in document.blocks:
        if block.kind == "heading":
            title = document.text[block.start : block.end].strip("#= \n").partition("\n")[0]
            if slug(title) == wanted:
                return block.start
    return None


def _numbered(document: Document, link: Link) -> int | None:
    """Where the section, table or figure of a number begins."""
    number = re.escape(link.target)
    if _PICTURED.match(link.words):
        what = re.escape(link.words.split()[0][:3])
        pattern = re.compile(rf"{what}\w*\.?\s*{number}(?![\d.]\d)", re.IGNORECASE)
        for block in document.blocks:
            if block.kind == "table" and pattern.match(block.caption or ""):
                return block.start
        return None
    pattern = re.compile(rf"[#\s]*(?:[^\W\d]+\s+)?{number}(?:\.|\s|:|$)(?!\d)")
    for block in document.blocks:
        if block.kind == "heading" and pattern.match(document.text[block.start : block.end]):
            return block.start
    return None
