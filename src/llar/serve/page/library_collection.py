"""One collection: what is sent to it, what is done to it, and its documents as a list."""

from __future__ import annotations

from nicegui import ui

from ..documents_of import Row
from ..opened import About
from ..threads import in_thread
from .frame import Screen, frame, page
from .library_jobs import Jobs
from .library_parts import confirmed, day, number, pager, sheet, size, tag
from .library_upload import uploads
from .problems import unreadable

PAGE = 50  # documents on one page
_COLUMNS = {  # order -> whether it is a number
    "title": False, "format": False, "chunks": True, "size": True, "added": False,
}  # fmt: skip


@page("/library/{name}")
async def show(name: str) -> None:
    """The screen."""
    sheet("library")
    with frame("library", heading=False) as screen:
        about = await in_thread(screen.state.library.about, name, screen.identity())
        view = _Collection(screen, about)
        await view.refresh()


class _Collection:
    """What one visitor sees of a collection."""

    def __init__(self, screen: Screen, about: About) -> None:
        self._screen, self._say, self._language = screen, screen.say, screen.language
        self._about = about
        self._order, self._down, self._page, self._text, self._format = "added", True, 1, "", ""
        self._chosen: set[int] = set()
        self._rows: list[Row] = []
        self._head()
        if about.may_edit:
            uploads(screen, about.name, lambda: None)
        self._jobs = Jobs(screen, about.name, self.refresh)
        with tag("section", style="k-section", aria_labelledby="documents"):
            tag("h2", self._say("documents"), id="documents")
            self._tools()
            self._list = tag("div", style="k-card k-scroll")
            self._pager = tag("div")
        if about.may_edit and about.failures:
            self._failures = ui.expansion(
                self._say("not_read", count=number(about.failures, self._language))
            ).classes("k-fold")
            self._failures.on_value_change(self._show_failures)

    def _head(self) -> None:
        """Name, figures, and what can be done to the whole."""
        say, about, identity = self._say, self._about, self._screen.identity()
        with tag("nav", style="k-crumbs", aria_label=say("where")):
            ui.link(say("library"), "/library")
            tag("span", "›", aria_hidden="true")
            tag("span", about.name, aria_current="page")
        with tag("div", style="k-toolbar"):
            tag("h2", about.name, "k-title l-grow")
            ui.link(say("try_search"), f"/lab?collection={about.name}")
            if about.may_edit:
                self._menu(identity.is_admin)
        self._figures = tag("p", "", "l-quiet l-number")
        with ui.expansion(say("how")).classes("k-fold"), tag("dl", style="k-facts"):
            index = [("embedder", about.embedder), ("chunker", about.chunker)]
            spoken = [f"{k or say('unknown')} {v}" for k, v in sorted(about.languages.items())]
            for key, value in [*index, ("languages", ", ".join(spoken) or "–")]:
                tag("dt", say(key))
                tag("dd", value)

    def _menu(self, admin: bool) -> None:
        say = self._say
        button = ui.button(say("more"), icon="more_vert").props("outline aria-haspopup=menu")
        with button, ui.menu().props("auto-close"), ui.list().props("role=menu"):
            self._item(say("reindex_all"), "refresh", self._reindex_all)
            if admin:
                self._item(say("who"), "shield", lambda: ui.navigate.to("/admin?tab=access"))
                self._item(say("delete"), "delete", self._delete)

    def _item(self, text: str, icon: str, does: object) -> None:
        item = ui.item(on_click=does).props("clickable role=menuitem")  # type: ignore[arg-type]
        with item:
            with ui.item_section().props("avatar"):
                ui.icon(icon).props("aria-hidden=true")
            with ui.item_section():
                ui.label(text)

    def _tools(self) -> None:
        """Search, and what is done to the documents that are ticked."""
        say = self._say
        with tag("div", style="k-toolbar"):
            find = ui.input(say("find"), on_change=self._find).classes("l-grow")
            find.props("outlined dense clearable debounce=250 type=search")
            self._formats = ui.select({"": say("every_format")}, label=say("format"), value="")
            self._formats.props("outlined dense options-dense").classes("k-format")
            self._formats.on_value_change(self._filter)
        self._ticked = tag("div", style="k-toolbar k-ticked")
        self._ticked.set_visibility(False)

    # -- the list --------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Read and show figures and documents anew."""
        library, identity = self._screen.state.library, self._screen.identity()
        about = await in_thread(library.about, self._about.name, identity)
        self._about = about
        self._figures.text = self._say(
            "figures",
            documents=number(about.documents, self._language),
            chunks=number(about.chunks, self._language),
            size=size(about.bytes, self._language),
        )
        await self._read()

    async def _read(self) -> None:
        """Read and show the documents that are asked for."""
        library, identity = self._screen.state.library, self._screen.identity()
        name = self._about.name
        found = await in_thread(
            library.documents, identity, name, text=self._text, form=self._format,
            order=self._order, descending=self._down, start=(self._page - 1) * PAGE, limit=PAGE,
        )  # fmt: skip
        pages = max(1, -(-found.total // PAGE))
        if self._page > pages:  # the last ones were removed
            self._page = pages
            await self._read()
            return
        if list(self._formats.options)[1:] != list(found.formats):
            formats = {"": self._say("every_format"), **{f: f for f in found.formats}}
            self._formats.set_options(
                formats, value=self._format if self._format in formats else ""
            )
        self._rows = found.rows
        self._chosen &= {r.id for r in found.rows}
        self._draw(found.total)
        self._pager.clear()
        with self._pager:
            pager(self._page, pages, self._language, self._turn, self._say("documents"))

    def _draw(self, total: int) -> None:
        say = self._say
        self._list.clear()
        self._show_ticked()
        with self._list:
            if not self._rows:
                key = "no_match" if self._text or self._format else "no_documents"
                tag("p", say(key), "k-nothing l-quiet")
                return
            with tag("table", style="k-table k-documents"):
                tag("caption", say("documents_of", name=self._about.name, total=total), "l-unseen")
                with tag("thead"), tag("tr"):
                    if self._about.may_edit:
                        with tag("th", scope="col"):
                            every = ui.checkbox(value=False, on_change=self._tick_all)
                            every.props["aria-label"] = say("tick_all")
                    for order, numeric in _COLUMNS.items():
                        self._column(order, numeric)
                with tag("tbody"):
                    for row in self._rows:
                        self._row(row)

    def _column(self, order: str, numeric: bool) -> None:
        """A heading that sorts."""
        here = self._order == order
        sorted_ = ("descending" if self._down else "ascending") if here else "none"
        style = f"k-col-{order}" + (" k-num" if numeric else "")
        with tag("th", style=style, scope="col", aria_sort=sorted_):
            sign = ("▼" if self._down else "▲") if here else ""
            button = tag("button", f"{self._say(order)} {sign}".strip(), "k-sort", type="button")
            button.on("click", lambda: self._sort(order))

    def _row(self, row: Row) -> None:
        say, language = self._say, self._language
        with tag("tr"):
            if self._about.may_edit:
                with tag("td"):
                    box = ui.checkbox(value=row.id in self._chosen)
                    box.props["aria-label"] = say("tick", name=row.name)
                    box.on_value_change(lambda e: self._tick(row.id, bool(e.value)))
            with tag("th", style="k-col-title", scope="row"):
                ui.link(row.title or row.name, f"/library/{self._about.name}/{row.id}")
                tag("span", row.path, "l-quiet l-small k-path")
                self._marks(row)
            tag("td", row.format, "k-col-format")
            tag("td", number(row.chunks, language), "k-col-chunks k-num")
            tag("td", size(row.size, language), "k-col-size k-num")
            tag("td", day(row.added, language), "k-col-added l-number")

    def _marks(self, row: Row) -> None:
        """What is worth knowing of a document at a glance."""
        say = self._say
        if row.notes:
            tag("span", say("has_notes", count=len(row.notes)), "k-mark k-warned")
        if "readers" in row.metadata:
            tag("span", say("limited"), "k-mark")
        if row.copies:
            tag("span", say("copies", count=len(row.copies)), "k-mark")

    async def _find(self, event: object) -> None:
        self._text = str(getattr(event, "value", "") or "")
        self._page = 1
        await self._read()

    async def _filter(self, event: object) -> None:
        value = str(getattr(event, "value", "") or "")
        if value != self._format:
            self._format, self._page = value, 1
            await self._read()

    async def _sort(self, order: str) -> None:
        self._down = not self._down if order == self._order else order in ("added", "size")
        self._order, self._page = order, 1
        await self._read()

    async def _turn(self, page: int) -> None:
        self._page = page
        await self._read()

    # -- what is done ----------------------------------------------------------------------

    def _tick(self, document: int, on: bool) -> None:
        (self._chosen.add if on else self._chosen.discard)(document)
        self._show_ticked()

    def _tick_all(self, event: object) -> None:
        on = bool(getattr(event, "value", False))
        self._chosen = {r.id for r in self._rows} if on else set()
        self._show_ticked()
        for box in self._list.descendants():
            if isinstance(box, ui.checkbox) and box.value != on:
                box.value = on

    def _show_ticked(self) -> None:
        """The actions for the documents that are ticked."""
        say, count = self._say, len(self._chosen)
        self._ticked.clear()
        self._ticked.set_visibility(bool(count))
        with self._ticked:
            tag("span", say("ticked", count=count), "l-grow", role="status")
            ui.button(say("reindex"), icon="refresh", on_click=self._reindex).props("flat dense")
            remove = ui.button(say("remove"), icon="delete", on_click=self._remove)
            remove.props("flat dense").classes("k-bad")

    async def _reindex(self) -> None:
        library, identity = self._screen.state.library, self._screen.identity()
        ids = sorted(self._chosen)
        await in_thread(library.reindex, identity, self._about.name, ids)
        await self._noted("reindex", f"{len(ids)} documents")
        self._chosen.clear()
        self._show_ticked()
        await self._jobs.refresh()
        await self.refresh()

    async def _reindex_all(self) -> None:
        say = self._say
        said = say("reindex_all_about", count=number(self._about.documents, self._language))
        if not await confirmed(say, say("reindex_all"), said, [], say("reindex")):
            return
        library, identity = self._screen.state.library, self._screen.identity()
        await in_thread(library.reindex, identity, self._about.name)
        await self._noted("reindex", "all")
        await self._jobs.refresh()

    async def _remove(self) -> None:
        say, rows = self._say, [r for r in self._rows if r.id in self._chosen]
        lost = [lost_of(self._screen, row) for row in rows]
        title = say("remove_title", count=len(rows)) if len(rows) > 1 else say("remove_one")
        if not await confirmed(say, title, say("remove_about"), lost, say("remove")):
            return
        library, identity = self._screen.state.library, self._screen.identity()
        await in_thread(library.remove_document, identity, self._about.name, *(r.id for r in rows))
        await self._noted("remove", f"{len(rows)} documents")
        self._chosen.clear()
        self._show_ticked()
        await self._jobs.refresh()

    async def _delete(self) -> None:
        say, about = self._say, self._about
        lost = [
            say("lost_documents", count=number(about.documents, self._language),
                size=size(about.bytes, self._language)),
            say("lost_uploads"),
            say("lost_rights"),
            say("lost_measured"),
        ]  # fmt: skip
        title = say("delete_title", name=about.name)
        if not await confirmed(say, title, say("delete_about"), lost, say("delete")):
            return
        library, identity = self._screen.state.library, self._screen.identity()
        await in_thread(library.delete, identity, about.name)
        await self._noted("delete collection", "")
        ui.navigate.to("/library")

    async def _noted(self, action: str, detail: str) -> None:
        """Put it in the audit log."""
        await in_thread(
            self._screen.state.audit.record, self._screen.identity(), action,
            collection=self._about.name, detail=detail,
        )  # fmt: skip

    async def _show_failures(self) -> None:
        """The files that could not be read when a folder was added on the command line."""
        if not self._failures.value or self._failures.default_slot.children:
            return
        library, identity = self._screen.state.library, self._screen.identity()
        rows = await in_thread(library.failures, identity, self._about.name)
        with self._failures, tag("ul", style="k-failed"):
            for name, why, when in rows:
                with tag("li"):
                    tag("strong", name)
                    said = f"{unreadable(why, self._language)} ({day(when, self._language)})"
                    tag("span", said)


def lost_of(screen: Screen, row: Row) -> str:
    """What goes with a document, in a line."""
    key = "lost_file" if row.uploaded else "lost_index"
    return screen.say(
        key, name=row.path, chunks=number(row.chunks, screen.language),
        size=size(row.size, screen.language),
    )  # fmt: skip
