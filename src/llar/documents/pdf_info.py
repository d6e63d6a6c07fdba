"""What a PDF says about itself: title, author, dates, from its Info dictionary or XMP packet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lxml import etree

if TYPE_CHECKING:
    from liteparse.types import DocumentMetadata

_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+\-])(\d\d)'?(\d\d)?'?)?")
_EMPTY = {"untitled", "anonymous", "unspecified", "unknown", "(anonymous)", "(unspecified)"}
_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


@dataclass(frozen=True, slots=True)
class Info:
    """Empty entries are None."""

    title: str | None = None
    author: str | None = None
    subject: str | None = None
    keywords: str | None = None
    created: str | None = None  # ISO 8601
    modified: str | None = None


def join_info(entries: Mapping[str, str], meta: DocumentMetadata | None) -> Info:
    """Join the Info dictionary with the XMP packet, which fills what the former leaves empty."""
    entries = {name: text for name, text in entries.items() if text.lower() not in _EMPTY}
    packet = _from_xmp(meta.xmp if meta else None)
    created = iso_date(entries.get("CreationDate") or (meta.creation_date if meta else None))
    modified = iso_date(entries.get("ModDate") or (meta.mod_date if meta else None))
    return Info(
        title=entries.get("Title") or packet.get("title"),
        author=entries.get("Author") or packet.get("creator"),
        subject=entries.get("Subject") or packet.get("description"),
        keywords=entries.get("Keywords"),
        created=created,
        modified=modified,
    )


def iso_date(value: str | None) -> str | None:
    """A PDF date (`D:20130405135943+02'00'`) in ISO 8601; None where it is no date."""
    found = _DATE.match(value.strip()) if value else None
    if not found:
        return None
    year, month, day, hour, minute, second, zulu, sign, zone_hours, zone_minutes = found.groups()
    month, day = month or "01", day or "01"
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    text = f"{year}-{month}-{day}"
    if hour is None:
        return text
    text += f"T{hour}:{minute or '00'}:{second or '00'}"
    if zulu:
        return text + "+00:00"
    return f"{text}{sign}{zone_hours}:{zone_minutes or '00'}" if sign else text


def _from_xmp(packet: str | None) -> dict[str, str]:
    if not packet:
        return {}
    start, end = packet.find("<x:xmpmeta"), packet.rfind("</x:xmpmeta>")
    body = packet[start : end + len("</x:xmpmeta>")] if 0 <= start < end else packet
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
        root = etree.fromstring(body.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, ValueError):
        return {}  # a broken packet says nothing; the text does not depend on it
    found: dict[str, str] = {}
    for name in ("title", "creator", "description"):
        for node in root.iter(_DC + name):
            text = "; ".join(t for t in map(_clean, node.iter(_RDF + "li")) if t) or _clean(node)
            if text:
                found.setdefault(name, text)
    return found


def _clean(node: Any) -> str:
    return " ".join((node.text or "").split())
