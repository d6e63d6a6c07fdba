"""Office packages (docx, pptx, xlsx): zip files of XML parts with relationships between them.

The parts are read directly with lxml. That keeps three libraries, their start-up time and their
own ways of opening hostile files out of the product; tests write the files with those libraries.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import IO, Any

from ..errors import DocumentError, UnsupportedFormat
from .compose import Composer
from .parsed import ParsedText
from .zipped import local, open_part, open_zip, parse_xml

# A main part's content type holds one of these; the rest of it says template, macros, strict ...
_MAIN = {
    "wordprocessingml": "docx",
    "ms-word": "docx",
    "presentationml": "pptx",
    "ms-powerpoint": "pptx",
    "spreadsheetml": "xlsx",
    "ms-excel": "xlsx",
}
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_MIME_TYPES = {  # what the part "mimetype" of other documents in zip files says
    "application/epub+zip": "epub",
    f"{_OPEN_DOCUMENT}text": "odt",
    f"{_OPEN_DOCUMENT}spreadsheet": "ods",
    f"{_OPEN_DOCUMENT}presentation": "odp",
}
_RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STRICT = "http://purl.oclc.org/ooxml/officeDocument/relationships"


@dataclass(frozen=True, slots=True)
class Target:
    """What a relationship points to: its kind ("image", "slide" ...) and the part's name."""

    kind: str
    part: str
    external: bool = False


@dataclass(slots=True)
class Package:
    """An open office file. Part names have no leading slash."""

    archive: zipfile.ZipFile
    main: str  # the main part's name
    format: str
    core: str | None = None  # the part that holds title, author and dates
    _names: dict[str, str] = field(default_factory=dict)  # lower case -> as stored

    def __contains__(self, part: str) -> bool:
        return part.lower() in self._names

    def open(self, part: str) -> IO[bytes]:
        """A part's bytes as a stream. Raises DocumentError where it is missing or damaged."""
        return open_part(self.archive, self._names.get(part.lower(), part))

    def xml(self, part: str) -> Any:
        """A part's root element."""
        with self.open(part) as stream:
            return parse_xml(stream, part)

    def targets(self, part: str) -> dict[str, Target]:
        """The relationships of a part by their identifier; empty where it has none."""
        folder, name = posixpath.split(part)
        holder = posixpath.join(folder, "_rels", f"{name}.rels")
        if holder not in self:
            return {}
        found: dict[str, Target] = {}
        for element in self.xml(holder):
            if local(element) != "Relationship":
                continue
            external = element.get("TargetMode") == "External"
            target = element.get("Target", "")
            found[element.get("Id", "")] = Target(
                element.get("Type", "").rsplit("/", 1)[-1],
                target if external else _resolve(folder, target),
                external,
            )
        return found

    def related(self, part: str, kind: str) -> str | None:
        """The first part of a kind that `part` points to and that exists."""
        for target in self.targets(part).values():
            if target.kind == kind and not target.external and target.part in self:
                return target.part
        return None


def zip_format(data: bytes) -> str | None:
    """What document a zip file is ("docx", "odt", "epub" ...), None for any other zip."""
    with open_zip(data) as archive:
        names = {e.filename.lower(): e.filename for e in archive.infolist()}
        if "[content_types].xml" in names:
            return _open_package(archive, names).format
        if "mimetype" not in names:
            return None
        with open_part(archive, names["mimetype"]) as stream:
            kind = stream.read(200).decode("ascii", "replace").strip()
        return _MIME_TYPES.get(kind.removesuffix("-template"))


def open_package(data: bytes) -> Package:
    """Open an office file. Close its `archive` when done."""
    archive = open_zip(data)
    return _open_package(archive, {e.filename.lower(): e.filename for e in archive.infolist()})


def relation(element: Any, name: str = "id") -> str | None:
    """A relationship identifier, in the transitional or the strict namespace."""
    for space in (_RELATIONSHIPS, _STRICT):
        value = element.get(f"{{{space}}}{name}")
        if value is not None:
            return str(value)
    return None


def finished(package: Package, out: Composer, notes: Iterable[str]) -> ParsedText:
    """The composed text with title, author and dates as the office program stored them."""
    text, blocks, pages = out.finish()
    parsed = ParsedText(text=text, blocks=blocks, pages=pages, notes=tuple(notes))
    if package.core is None:
        return parsed
    try:
        root = package.xml(package.core)
    except DocumentError as e:
        lost = f"title, author and dates are missing: {e.message}"
        return replace(parsed, notes=(lost, *parsed.notes))
    values = {local(e): e.text.strip() for e in root if e.text and e.text.strip()}
    keep = ("subject", "keywords", "category", "description", "lastModifiedBy")
    return replace(
        parsed,
        title=values.get("title"),
        author=values.get("creator"),
        created=values.get("created"),
        modified=values.get("modified"),
        language=values.get("language"),
        metadata={k: values[k] for k in keep if k in values},
    )


def _open_package(archive: zipfile.ZipFile, names: dict[str, str]) -> Package:
    types = _content_types(archive, names)
    package = Package(archive, "", "", _names=names)
    for target in package.targets("").values():
        if target.kind == "officeDocument":
            package.main = target.part
        elif target.kind == "core-properties" and target.part in package:
            package.core = target.part
    kind = types.get(package.main.lower(), "")
    if "binary" in kind:
        raise UnsupportedFormat("is a binary workbook (.xlsb); save it as .xlsx")
    found = next((form for mark, form in _MAIN.items() if mark in kind.lower()), None)
    if found is None:
        raise DocumentError(f"is an office file whose main part is of an unknown type {kind!r}")
    if package.main not in package:
        raise DocumentError(f"is an office file without its main part {package.main!r}")
    package.format = found
    return package


def _content_types(archive: zipfile.ZipFile, names: dict[str, str]) -> dict[str, str]:
    with open_part(archive, names["[content_types].xml"]) as stream:
        root = parse_xml(stream, "[Content_Types].xml")
    types: dict[str, str] = {}
    defaults = {
        e.get("Extension", "").lower(): e.get("ContentType", "")
        for e in root
        if local(e) == "Default"
    }
    for name in names:
        types[name] = defaults.get(name.rsplit(".", 1)[-1], "")
    for element in root:
        if local(element) == "Override":
            part = element.get("PartName", "").lstrip("/").lower()
            types[part] = element.get("ContentType", "")
    return types


def _resolve(folder: str, target: str) -> str:
    if target.startswith("/"):
        return posixpath.normpath(target).lstrip("/")
    return posixpath.normpath(posixpath.join(folder, target))
