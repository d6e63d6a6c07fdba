"""One document: what is known of it, what was not read, and its passages as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from nicegui import ui

from ...collection import Collection
from ...errors import NotThere
from ...index.access import KEY
from ...index.filters import RESERVED, parse_value
from ...records import Chunk, Document, MetadataValue
from ..documents_of import Row
from ..threads import in_thread
from .frame import Screen, frame, page
from .library_collection import lost_of
from .library_jobs import Jobs
from .library_parts import confirmed, day, number, pager, sheet, size, tag
from .parts import document_address

PAGE = 25  # passages on one page
_SPACE = 200  # characters of text outside of passages that are shown


@page("/library/{name}/{document:int}")
async def show(name: str, document: int, chunk: int = 0) -> None:
    """The screen; `chunk` is the id of a passage to begin at."""
    sheet("library")
    with frame("library", heading=False) as screen:
        library, identity = screen.state.library, screen.identity()
        row = await in_thread(library.row, identity, name, document)
        view = _View(screen, name, row, library.may_edit(identity, name))
        await view.passages(chunk)


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as it is shown.

    `repeated` is how many of its first characters end the one before, too; `before` is text of
    the document between both that is in no passage.
    """

    number: int
    id: int
    chunk: Chunk
    tokens: int
    repeated: int
    before: str


def passages(
    document: Document, chunks: Sequence[tuple[int, Chunk]], first: int, last: int,
    collection: Collection,
) -> list[Passage]:  # fmt: skip
    """The passages from number `first` up to `last` (from 0, exclusive) with their surroundings."""
    embedder = collection.embedder
    shown = []
    reached = max((c.end for _, c in chunks[:first]), default=0)
    for n in range(first, min(last, len(chunks))):
        chunk_id, chunk = chunks[n]
        whole = not chunk.parts
        repeated = min(max(reached - chunk.start, 0), len(chunk.text)) if whole and n else 0
        before = document.text[reached : chunk.start] if chunk.start > reached else ""
        tokens = embedder.count_tokens(chunk.content)
        shown.append(Passage(n + 1, chunk_id, chunk, tokens, repeated, before.strip()))
        reached = max(reached, chunk.end)
    return shown


class _View:
    """What one visitor sees of a document."""

    def __init__(self, screen: Screen, name: str, row: Row, may_edit: bool) -> None:
        self._screen, self._say, self._language = screen, screen.say, screen.language
        self._name, self._row, self._may_edit = name, row, may_edit
        self._lit = 0
        self._head()
        self._jobs = Jobs(screen, name, self._reload, ("reindex", "remove"))
        if row.notes:
            with tag("section", style="k-note k-notes", aria_label=self._say("notes")):
                ui.icon("report").props("aria-hidden=true")
                with tag("div"):
                    tag("h3", self._say("notes"))
                    with tag("ul"):
                        for note in row.notes:
                            tag("li", note)
        with tag("section", style="k-section", aria_label=self._say("about_document")):
            self._facts()
            self._metadata_place = tag("div", style="k-section")
            self._metadata()
        with tag("section", style="k-section", aria_labelledby="passages"):
            tag("h2", self._say("passages"), id="passages")
            self._legend = tag("p", "", "l-quiet l-number")
            self._list = tag("div")
            self._pager = tag("div")

    def _head(self) -> None:
        say, row = self._say, self._row
        with tag("nav", style="k-crumbs", aria_label=say("where")):
            ui.link(say("library"), "/library")
            tag("span", "›", aria_hidden="true")
            ui.link(self._name, f"/library/{self._name}")
            tag("span", "›", aria_hidden="true")
            tag("span", row.name, aria_current="page")
        with tag("div", style="k-toolbar"):
            with tag("div", style="l-grow"):
                tag("h2", row.title or row.name, "k-title")
                tag("p", row.path, "l-quiet k-path")
            ui.link(say("read"), document_address(self._name, row.id)).classes("k-button k-primary")
            file = f"/api/collections/{quote(self._name)}/documents/{row.id}/file"
            download = ui.link(say("download"), file).classes("k-button")
            download.props["download"] = row.name
            if self._may_edit:
                again = tag("button", say("reindex"), "k-button", type="button")
                again.on("click", self._reindex)
                gone = tag("button", say("remove"), "k-button k-danger", type="button")
                gone.on("click", self._remove)

    def _facts(self) -> None:
        """What the document itself tells."""
        say, row, language = self._say, self._row, self._language
        facts = {
            "format": row.format,
            "size": size(row.size, language),
            "pages": number(row.pages, language) if row.pages else "",
            "language": row.language or "",
            "author": row.author or "",
            "date": day(row.date, language),
            "added": day(row.added, language),
            "copies_of": ", ".join(row.copies),
        }
        with tag("dl", style="k-facts"):
            for key, value in facts.items():
                if value:
                    tag("dt", say(key))
                    tag("dd", value)

    # -- metadata --------------------------------------------------------------------------

    def _metadata(self) -> None:
        """What people noted of it, to be changed by those who may."""
        say, row = self._say, self._row
        self._metadata_place.clear()
        with self._metadata_place:
            tag("h2", say("metadata"))
            if not self._may_edit:
                with tag("dl", style="k-facts"):
                    for key, value in row.metadata.items():
                        tag("dt", key)
                        tag("dd", str(value))
                if not row.metadata:
                    tag("p", say("no_metadata"), "l-quiet")
                return
            tag("p", say("metadata_about"), "l-quiet")
            with tag("form", style="k-metadata") as form:
                readers = ui.input(say("readers"), value=str(row.metadata.get(KEY, "")))
                readers.props("outlined dense").classes("k-readers")
                readers.props["hint"] = say("readers_hint")
                self._fields: dict[str, ui.input] = {KEY: readers}
                for key, value in row.metadata.items():
                    if key != KEY:
                        self._fields[key] = ui.input(key, value=_typed(value))
                        self._fields[key].props("outlined dense clearable")
                with tag("div", style="k-toolbar k-new-key"):
                    self._key = ui.input(say("new_key")).props("outlined dense")
                    self._value = ui.input(say("new_value")).props("outlined dense")
                    ui.button(say("save")).props("unelevated type=submit")
                form.on("submit.prevent", self._save)

    async def _save(self) -> None:
        """Write what was changed; an empty field takes its key away."""
        say, before = self._say, self._row.metadata
        changed: dict[str, MetadataValue | None] = {}
        for key, field in self._fields.items():
            text = str(field.value or "").strip()
            value = None if not text else text if key == KEY else parse_value(text)
            if value != before.get(key):
                changed[key] = value
        key, text = str(self._key.value or "").strip(), str(self._value.value or "").strip()
        if key and key not in RESERVED and not text:
            ui.notify(say("no_value", key=key), type="warning", position="top")
            return
        if key:
            changed[key] = text if key == KEY else parse_value(text)
        if not changed:
            ui.notify(say("nothing_changed"), position="top")
            return
        library, identity = self._screen.state.library, self._screen.identity()
        self._row = await in_thread(
            library.set_metadata, identity, self._name, self._row.id, changed
        )
        await self._noted("change metadata", ", ".join(changed))
        self._metadata()
        ui.notify(say("saved"), type="positive", position="top")

    # -- what is done ----------------------------------------------------------------------

    async def _reindex(self) -> None:
        library, identity = self._screen.state.library, self._screen.identity()
        await in_thread(library.reindex, identity, self._name, [self._row.id])
        await self._noted("reindex", "")
        await self._jobs.refresh()

    async def _remove(self) -> None:
        say = self._say
        lost = [lost_of(self._screen, self._row)]
        title = say("remove_one")
        if not await confirmed(say, title, say("remove_about"), lost, say("remove")):
            return
        library, identity = self._screen.state.library, self._screen.identity()
        await in_thread(library.remove_document, identity, self._name, self._row.id)
        await self._noted("remove", "")
        ui.navigate.to(f"/library/{self._name}")

    async def _noted(self, action: str, detail: str) -> None:
        await in_thread(
            self._screen.state.audit.record, self._screen.identity(), action,
            collection=self._name, documents=[(self._row.id, self._row.path)], detail=detail,
        )  # fmt: skip

    async def _reload(self) -> None:
        """Go to the list where the document is gone: read again, it has another id."""
        library, identity = self._screen.state.library, self._screen.identity()
        try:
            await in_thread(library.row, identity, self._name, self._row.id)
        except NotThere:
            ui.navigate.to(f"/library/{self._name}")

    # -- passages --------------------------------------------------------------------------

    async def passages(self, chunk: int = 0, page: int = 1) -> None:
        """Show one page of the passages, the one that holds `chunk`."""
        library, identity = self._screen.state.library, self._screen.identity()
        document = await in_thread(library.document, identity, self._name, self._row.id)
        chunks = await in_thread(library.chunks, identity, self._name, self._row.id)
        collection = await in_thread(library.open, self._name, identity)
        if chunk:
            at = next((n for n, (i, _) in enumerate(chunks) if i == chunk), 0)
            page, self._lit = at // PAGE + 1, chunk
        first = (page - 1) * PAGE
        shown = await in_thread(passages, document, chunks, first, first + PAGE, collection)
        spec = collection.index.spec
        self._legend.text = self._say(
            "passages_about", count=number(len(chunks), self._language), chunker=str(spec),
            tokens=number(spec.max_tokens, self._language),
        )  # fmt: skip
        self._list.clear()
        with self._list:
            if not chunks:
                tag("p", self._say("no_passages"), "l-quiet")
            with tag("ol", style="k-passages", start=first + 1):
                for passage in shown:
                    self._passage(passage)
        self._pager.clear()
        with self._pager:
            pages = max(1, -(-len(chunks) // PAGE))
            pager(page, pages, self._language, self._turn, self._say("passages"))
        if self._lit:
            ui.run_javascript(
                f"document.getElementById('chunk-{self._lit}')?.scrollIntoView({{block: 'center'}})"
            )

    async def _turn(self, page: int) -> None:
        self._lit = 0
        await self.passages(page=page)

    def _passage(self, passage: Passage) -> None:
        """One passage: where it is, what is repeated in it, and its text as it is."""
        say, language, chunk = self._say, self._language, passage.chunk
        with tag("li", style="k-passage-item", id=f"chunk-{passage.id}"):
            if passage.before:
                cut = passage.before[:_SPACE] + (" …" if len(passage.before) > _SPACE else "")
                tag("p", say("outside", text=cut), "k-outside l-small")
            with tag("article", style="k-card k-chunk"
                     + (" k-lit" if passage.id == self._lit else "")):  # fmt: skip
                with tag("header", style="k-chunk-head l-number"):
                    tag("strong", str(passage.number), "k-rank")
                    tag("span", say("tokens", count=number(passage.tokens, language)), "k-chip")
                    if chunk.kind != "text":
                        tag("span", say(f"kind_{chunk.kind}"), "k-chip")
                    tag("span", _pages(say, chunk))
                    tag("span", say("characters", start=chunk.start, end=chunk.end), "l-quiet")
                if chunk.headings:
                    tag("p", " › ".join(chunk.headings), "k-headings l-small")
                if chunk.prefix:
                    tag("p", say("prefix"), "l-quiet l-small")
                    tag("pre", chunk.prefix, "k-prefix")
                with tag("div", style="k-text"):
                    if passage.repeated:
                        repeated = tag("span", chunk.text[: passage.repeated], "k-repeated")
                        repeated.props["title"] = say("repeated")
                    tag("span", chunk.text[passage.repeated :])
                if chunk.context:
                    start, end = chunk.context
                    tag("p", say("context", start=start, end=end), "l-quiet l-small")
                if chunk.keywords:
                    tag("p", say("keywords", words=", ".join(chunk.keywords)), "l-quiet l-small")


def _pages(say: object, chunk: Chunk) -> str:
    """The pages a passage is on; "" in a format without."""
    assert callable(say)
    if chunk.first_page is None:
        return ""
    if chunk.last_page in (None, chunk.first_page):
        return str(say("page", number=chunk.first_page))
    return str(say("pages_from", first=chunk.first_page, last=chunk.last_page))


def _typed(value: MetadataValue) -> str:
    """A value as it would be typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)
