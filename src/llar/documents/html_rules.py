"""What of an HTML page is content: which elements are never shown, and which lead elsewhere."""

from __future__ import annotations

import re
from typing import Any

from .compose import squeeze

SILENT = frozenset(
    [
        "script",
        "style",
        "template",
        "noscript",
        "head",
        "svg",
        "canvas",
        "audio",
        "video",
        "iframe",
        "object",
        "embed",
        "map",
        "annotation",
        "button",
        "select",
        "textarea",
        "input",
        "datalist",
        "progress",
        "meter",
        "rp",
    ]
)
BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hgroup",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "nav",
        "ol",
        "p",
        "pre",
        "search",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
        "caption",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "title",
    ]
)
_SECTIONS = frozenset(("article", "main", "section", "aside", "blockquote", "figure", "td"))
_NAVIGATION_ROLES = frozenset(("navigation", "search", "menu", "menubar", "toolbar"))
_NAVIGATION_NAMES = frozenset(
    [
        "nav",
        "navbar",
        "navigation",
        "navheader",
        "navfooter",
        "docnav",
        "breadcrumb",
        "breadcrumbs",
        "skip-link",
        "skiplink",
        "skip-to-content",
        "sphinxsidebar",
        "pagination",
        "pager",
    ]
)
_LINK_LIST_NAMES = frozenset(
    ["toc", "menu", "sidebar", "contents", "table-of-contents", "tableofcontents"]
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def is_hidden(element: Any) -> bool:
    """Whether browsers do not show an element, or show it as a control rather than as text."""
    return (
        element.tag in SILENT
        or element.get("hidden") is not None
        or _HIDDEN.search(element.get("style") or "") is not None
    )


def is_navigation(element: Any) -> bool:
    """Whether an element leads elsewhere instead of saying something.

    That is `nav`; a navigation, menu or search role; a class or id that only navigation has
    (navbar, breadcrumbs ...); and a table of contents, menu or sidebar that is mostly links.
    """
    if element.tag == "nav" or (element.get("role") or "").lower() in _NAVIGATION_ROLES:
        return True
    if element.tag not in BLOCKS or element.tag in ("body", "html"):
        return False
    names = f"{element.get('class') or ''} {element.get('id') or ''}".lower().split()
    if any(name in _NAVIGATION_NAMES for name in names):
        return True
    return any(name in _LINK_LIST_NAMES for name in names) and _is_mostly_links(element)


def _is_mostly_links(element: Any) -> bool:
    total = sum(len(squeeze(text)) for text in element.itertext())
    linked = sum(len(squeeze("".join(a.itertext()))) for a in element.iter("a"))
    return linked >= 0.8 * total


def is_page_level(element: Any) -> bool:
    """Whether a header or footer is the page's own and not that of an article in it."""
    return not any(parent.tag in _SECTIONS for parent in element.iterancestors())
