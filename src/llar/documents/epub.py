"""E-books (EPUB 2 and 3): the chapters in reading order, each read as HTML."""

from __future__ import annotations

import posixpath
import zipfile
from contextlib import closing
from typing import Any
from urllib.parse import unquote

from ..errors import DocumentError, LockedDocument
from .compose import Composer, squeeze
from .html import parse as parse_html
from .parsed import ParsedText
from .zipped import child, local, open_part, open_zip, parse_xml


def parse(data: bytes, name: str) -> ParsedText:
    """All chapters of the spine, with the book's title, author, date and language."""
    with closing(open_zip(data)) as archive:
        if "META-INF/encryption.xml" in archive.namelist():
            _refuse_locked(archive)
        package_name = _package_name(archive)
        with open_part(archive, package_name) as stream:
            package = parse_xml(stream, package_name)
        out = Composer()
        notes: list[str] = []
        for chapter in _chapters(package, posixpath.dirname(package_name)):
            if chapter not in archive.namelist():
                notes.append(f"chapter {chapter!r} is missing from the book")
                continue
            with open_part(archive, chapter) as stream:
                parsed = parse_html(stream.read(), chapter)
            out.append(parsed.text, parsed.blocks)
            notes.extend(f"{chapter}: {note}" for note in parsed.notes)
    text, blocks, _ = out.finish()
    facts = _facts(package)
    return ParsedText(
        text=text,
        blocks=blocks,
        title=facts.get("title"),
        author=facts.get("creator"),
        created=facts.get("date"),
        language=facts.get("language"),
        metadata={k: facts[k] for k in ("subject", "publisher", "description") if k in facts},
        notes=tuple(notes),
    )


def _package_name(archive: zipfile.ZipFile) -> str:
    with open_part(archive, "META-INF/container.xml") as stream:
        container = parse_xml(stream, "container.xml")
    for element in container.iter():
        if local(element) == "rootfile" and element.get("full-path"):
            return str(element.get("full-path"))
    raise DocumentError("is an e-book that does not name its package")


def _chapters(package: Any, folder: str) -> list[str]:
    """The parts of the spine in order, without the book's own table of contents."""
    manifest, spine = child(package, "manifest"), child(package, "spine")
    if manifest is None or spine is None:
        raise DocumentError("is an e-book without a reading order")
    items = {item.get("id"): item for item in manifest}
    chapters: list[str] = []
    for reference in spine:
        item = items.get(reference.get("idref"))
        if item is None or "nav" in (item.get("properties") or "").split():
            continue
        href = unquote((item.get("href") or "").partition("#")[0])
        chapters.append(posixpath.normpath(posixpath.join(folder, href)))
    return chapters


def _facts(package: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    metadata = child(package, "metadata")
    for element in metadata if metadata is not None else ():
        text = squeeze(element.text or "")
        name = local(element)
        if text and name != "meta":
            joined = name in found and name in ("creator", "subject")
            found[name] = f"{found[name]}, {text}" if joined else found.get(name, text)
    return found


def _refuse_locked(archive: zipfile.ZipFile) -> None:
    """Fonts may be scrambled without harm; chapters may not."""
    with open_part(archive, "META-INF/encryption.xml") as stream:
        root = parse_xml(stream, "encryption.xml")
    for element in root.iter():
        target = (element.get("URI") or "").lower()
        if local(element) == "CipherReference" and target.endswith((".xhtml", ".html", ".htm")):
            raise LockedDocument("is an e-book with copy protection")
