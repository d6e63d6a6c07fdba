"""Zip files of XML parts (office files, e-books), opened only after their sizes are checked."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import IO, Any

from lxml import etree

from ..errors import DocumentError, LimitExceeded, LockedDocument

REMEDY = "give it with: llar add --password-file FILE PATH"
MOST_ENTRIES = 50_000
MOST_BYTES = 2 << 30  # all parts together, unpacked
MOST_RATIO = 200  # unpacked to packed; a sheet of a million formatted empty rows reaches 150
RATIO_FROM = 128 << 20  # smaller packages cannot hurt, whatever their ratio


def open_zip(data: bytes) -> zipfile.ZipFile:
    """A zip whose declared sizes are within bounds; Python never unpacks past them.

    Raises LimitExceeded for a zip bomb and DocumentError for a damaged zip.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as e:
        raise DocumentError(f"is a damaged or cut-off zip file ({e})") from e
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise LimitExceeded(f"holds {len(entries)} parts; at most {MOST_ENTRIES} are read")
    unpacked = sum(e.file_size for e in entries)
    if unpacked > MOST_BYTES:
        raise LimitExceeded(f"unpacks to {unpacked >> 20} MiB; at most {MOST_BYTES >> 20} are read")
    if unpacked > RATIO_FROM and unpacked > MOST_RATIO * len(data):
        raise LimitExceeded(
            f"unpacks to {unpacked // len(data)} times its size, as only zip bombs do"
        )
    return archive


def open_part(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A part as a stream. Raises DocumentError where it is missing or damaged."""
    try:
        return archive.open(name)
    except KeyError as e:
        raise DocumentError(f"has no part {name!r}") from e
    except RuntimeError as e:  # zipfile's word for an encrypted entry
        raise LockedDocument("is a zip file locked with a password") from e
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as e:
        raise DocumentError(f"its part {name!r} is damaged ({e})") from e


def parse_xml(stream: IO[bytes], name: str) -> Any:
    """An XML part's root. Entities are never expanded and a document type is refused."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_pis=True,
        remove_comments=True,
    )  # fmt: skip
    try:
        root = etree.parse(stream, parser)
    except etree.XMLSyntaxError as e:
        raise DocumentError(f"its part {name!r} is not well-formed XML ({e.msg})") from e
    except (zipfile.BadZipFile, zlib.error, EOFError) as e:
        raise DocumentError(f"its part {name!r} is damaged ({e})") from e
    if root.docinfo.internalDTD is not None or root.docinfo.doctype:
        raise DocumentError(f"its part {name!r} declares a document type, which may hide a bomb")
    return root.getroot()


def local(element: Any) -> str:
    """An element's name without its namespace: transitional and strict files differ only there."""
    tag = element.tag
    return tag.rsplit("}", 1)[-1] if isinstance(tag, str) else ""


def attribute(element: Any, name: str) -> str | None:
    """An attribute by its name without namespace."""
    value = element.get(name)
    if value is not None:
        return str(value)
    for key, value in element.attrib.items():
        if str(key).rsplit("}", 1)[-1] == name:
            return str(value)
    return None


def child(element: Any | None, *path: str) -> Any | None:
    """The first descendant along a path of names, None where the path breaks."""
    for name in path:
        if element is None:
            return None
        element = next((c for c in element if local(c) == name), None)
    return element
