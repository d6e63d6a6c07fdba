"""HTML: every piece of content in reading order, without what surrounds it on the page.

Left out, and nothing else: what is never shown (script, style, template, `hidden`, display:none,
SVG, media), form controls, and navigation as `html_rules.is_navigation` defines it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from ..errors import DocumentError, LimitExceeded
from .captions import is_caption
from .compose import Composer, squeeze
from .decode import decode
from .html_rules import BLOCKS, is_hidden, is_navigation, is_page_level
from .html_table import is_layout, read_table
from .marks import superscript
from .parsed import ParsedText

_SENTENCE = 3  # words from which a picture's alternative text says something
_DEEPEST = 2_000  # libxml2 gives up at 2,048 and would lose what is deeper
_CHARSET = re.compile(rb"<meta\b[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]+)")

# Not to another page beside this one: of another site, of this page, or of a program.
_ELSEWHERE = re.compile(r"\s*(?:#|//|[a-z][a-z0-9+.-]*:)", re.IGNORECASE)

_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
_PERMALINKS = frozenset(("¶", "#", "§", "🔗"))


def parse(data: bytes, name: str) -> ParsedText:
    """A page as headings, paragraphs, lists, tables and code, with its title, author and dates."""
    declared = _XML_CHARSET.search(data[:1024]) or _CHARSET.search(data[:4096])
    text, notes = decode(data, declared[1].decode("ascii") if declared else None)
    return parse_markup(text, notes)


def parse_markup(markup: str, notes: tuple[str, ...] = ()) -> ParsedText:
    """The same for a page already decoded."""
    root = tree(markup)
    if root is None:
        return ParsedText(text="", notes=notes)
    walk = _Walk(root)
    text, blocks, _ = walk.result()
    facts = _Facts(root)
    return ParsedText(
        text=text,
        blocks=blocks,
        title=facts.title(),
        author=facts.meta("author", "dcterms.creator", "dc.creator", "article:author"),
        created=facts.meta("date", "dcterms.created", "dcterms.date", "dc.date",
                           "article:published_time"),
        modified=facts.meta("dcterms.modified", "article:modified_time", "last-modified"),
        language=facts.language(),
        metadata={
            **{key: value for key in ("description", "keywords") if (value := facts.meta(key))},
            **({"links": json.dumps(walk.links, ensure_ascii=False)} if walk.links else {}),
        },
        notes=notes,
    )  # fmt: skip


def tree(markup: str) -> Any:
    """The root element of a page, None where it holds no element."""
    parser = etree.HTMLParser(
        encoding="utf-8", huge_tree=True, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(markup.encode("utf-8"), parser)
    except etree.XMLSyntaxError as e:
        if not markup.strip() or "Document is empty" in str(e):
            return None
        raise DocumentError(f"is no readable HTML ({e.msg})") from e


class _Walk:
    """Reads a page from top to bottom once; no recursion, so depth costs nothing."""

    def __init__(self, root: Any) -> None:
        self._out = Composer()
        self._inline: list[str] = []
        self._lists: list[int | None] = []  # open lists: the next number, None for bullets
        self._marker: str | None = None  # of the item that has begun but holds nothing yet
        self._lines: list[str] = []  # of the outermost open list
        self._term: str | None = None  # of a definition list, waiting for its definition
        self._caption: str | None = None  # the paragraph right above, if it reads like one
        self._header: Any = None  # the page's own header, of which only headings are kept
        self._in_heading = False
        self.links: list[tuple[str, str]] = []  # words and target of each to another page here
        self._walk(root)
        self._flush()
        self._give_up_term()
        self._write_lines()

    def result(self) -> Any:
        return self._out.finish()

    def _walk(self, root: Any) -> None:
        steps = etree.iterwalk(root, events=("start", "end"))
        depth = 0
        for event, element in steps:
            if event == "start":
                depth += 1
                if depth > _DEEPEST:
                    raise LimitExceeded(f"is nested more than {_DEEPEST} elements deep")
                if self._start(element):
                    self._add(element.text)
                else:
                    steps.skip_subtree()
            else:
                depth -= 1
                self._end(element)
                self._add(element.tail)

    def _add(self, text: str | None) -> None:
        if text and (self._header is None or self._in_heading):
            self._inline.append(text.replace("\n", " "))

    def _start(self, element: Any) -> bool:
        """Begin an element; False where its inside has been dealt with or is left out."""
        if is_hidden(element) or is_navigation(element):
            return False
        if element.tag not in BLOCKS:
            return self._start_inline(element)
        self._flush()
        return self._start_block(element)

    def _start_inline(self, element: Any) -> bool:
        tag = element.tag
        if tag == "br":
            self._inline.append("\n")
        elif tag == "img" and len((element.get("alt") or "").split()) >= _SENTENCE:
            self._inline.append(f" {element.get('alt')} ")
        elif tag == "a" and _ELSEWHERE.match(element.get("href") or "#") is None:
            self.links.append((squeeze("".join(element.itertext())), element.get("href")))
        elif tag == "sup":
            self._inline.append(superscript("".join(element.itertext())))
        return tag != "sup" and not (
            tag == "a" and "".join(element.itertext()).strip() in _PERMALINKS
        )

    def _start_block(self, element: Any) -> bool:
        tag = element.tag
        if tag == "header" and is_page_level(element):
            self._header = element
        elif tag == "pre":
            self._code(element)
        elif tag == "table" and not is_layout(element):
            self._table(element)
            return False
        elif tag in _LISTS:
            self._lists.append(_first_number(element) if tag == "ol" else None)
        elif tag == "li":
            self._begin_item()
        elif tag in _HEADINGS:
            self._in_heading = True
        return tag != "pre" and not (tag == "footer" and is_page_level(element))

    def _end(self, element: Any) -> None:
        tag = element.tag
        if element is self._header:
            self._header = None
        if tag not in BLOCKS:
            return
        if tag in _HEADINGS:
            self._in_heading = False
            text = squeeze("".join(self._inline))
            self._inline.clear()
            if text:
                self._interrupt()
                self._out.heading(text, _HEADINGS[tag])
        elif tag == "dt":
            self._give_up_term()
            self._term = squeeze("".join(self._inline)) or None
            self._inline.clear()
        else:
            self._flush()
        if tag == "dl":
            self._give_up_term()
        elif tag in _LISTS and self._lists:
            self._lists.pop()
            self._marker = None
            if not self._lists:
                self._write_lines()

    def _begin_item(self) -> None:
        if not self._lists:
            self._lists.append(None)  # an item outside any list; the list ends with the page
        number = self._lists[-1]
        if number is None:
            self._marker = "- "
        else:
            self._marker = f"{number}. "
            self._lists[-1] = number + 1

    def _flush(self) -> None:
        """End the paragraph at hand, in the list it belongs to if one is open."""
        lines = [line for part in "".join(self._inline).split("\n") if (line := squeeze(part))]
        self._inline.clear()
        if not lines:
            return
        if self._lists:
            indent = "   " * (len(self._lists) - 1)
            for line in lines:
                self._lines.append(indent + (self._marker or "  ") + line)
                self._marker = None
            return
        if self._term:
            lines.insert(0, self._term)
            self._term = None
        self._out.text("\n".join(lines))
        self._caption = lines[0] if len(lines) == 1 and is_caption(lines[0]) else None

    def _give_up_term(self) -> None:
        """Write a term that no paragraph followed."""
        if self._term:
            term, self._term = self._term, None
            self._out.text(term)

    def _interrupt(self) -> None:
        """Write what is open before something that is no paragraph."""
        self._flush()
        self._give_up_term()
        self._write_lines()

    def _write_lines(self) -> None:
        if self._lines:
            self._out.list(self._lines)
            self._lines = []

    def _code(self, element: Any) -> None:
        text = "".join(_visible_text(element))
        if text.strip():
            self._interrupt()
            self._out.code(text.expandtabs(8), _language_of(element))

    def _table(self, element: Any) -> None:
        self._interrupt()
        table = read_table(element)
        above, self._caption = self._caption, None
        caption = table.caption
        if caption:
            self._out.text(caption)
        self._out.table(table.rows, caption or above)
        for inner in table.inner:
            self._out.table(inner)


def _visible_text(element: Any) -> Iterator[str]:
    """The text of an element with its line breaks, without what is hidden in it."""
    steps = etree.iterwalk(element, events=("start", "end"))
    for event, inner in steps:
        if event == "start":
            if is_hidden(inner):
                steps.skip_subtree()
                continue
            if inner.tag == "br":
                yield "\n"
            yield inner.text or ""
        elif inner is not element:
            yield inner.tail or ""


def _first_number(element: Any) -> int:
    start = element.get("start") or "1"
    return int(start) if re.fullmatch(r"-?\d{1,6}", start) else 1


def _language_of(element: Any) -> str:
    """The programming language that common highlighters write into the class."""
    for holder in (element, *element.iterfind("code")):
        for name in (holder.get("class") or "").split():
            for prefix in ("language-", "lang-", "highlight-"):
                if name.startswith(prefix) and re.fullmatch(r"[\w+#-]{1,20}", name):
                    return str(name.removeprefix(prefix))
    return ""


class _Facts:
    """What the head of a page says about it."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._meta: dict[str, str] = {}
        for element in root.iter("meta"):
            name = element.get("name") or element.get("property") or element.get("http-equiv")
            content = squeeze(element.get("content") or "")
            if name and content:
                self._meta.setdefault(name.lower(), content)

    def meta(self, *names: str) -> str | None:
        return next((self._meta[name] for name in names if name in self._meta), None)

    def title(self) -> str | None:
        for element in self._root.iter("title"):
            if element.getparent().tag == "head":
                return squeeze("".join(element.itertext())) or self.meta("og:title")
        return self.meta("og:title")

    def language(self) -> str | None:
        language = self._root.get("lang") or self._root.get(
            "{http://www.w3.org/XML/1998/namespace}lang"
        )
        return language or self._root.get("xml:lang") or self.meta("content-language")
