"""One question set: each question beside the passage that it is from, to keep, correct or drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nicegui import ui

from ...errors import EvaluationError
from ...evaluate.places import Place, Places, locate
from ...evaluate.questions import UNANSWERABLE, Question
from ..threads import in_thread
from .evaluation_sets import Mark, as_unanswerable, decided, unknown, written
from .frame import Screen, frame, page
from .library_parts import answered, asking, number, pager, sheet, tag
from .parts import document_address

PAGE = 10
AROUND = 240  # characters of the document shown on both sides of a place
_SHOWS = ("open", "all", "kept")


@page("/evaluation/set/{collection}/{name}")
async def show(collection: str, name: str) -> None:
    """The screen."""
    sheet("library")
    sheet("evaluation")
    with frame("evaluation", heading=False) as screen:
        sets, identity = screen.state.library.sets, screen.identity()
        questions, version = await in_thread(sets.questions, identity, collection, name)
        view = _Set(screen, collection, name, list(questions), version)
        await view.refresh()


class _Set:
    """What one reviewer does with a set. Every decision is saved at once."""

    def __init__(
        self, screen: Screen, collection: str, name: str, questions: list[Question], version: str
    ) -> None:
        self._screen, self._say, self._language = screen, screen.say, screen.language
        self._collection, self._name = collection, name
        self._questions, self._version = questions, version
        say = self._say
        self._show = "open" if any(not q.reviewed for q in questions) else "all"
        self._page, self._kind = 1, ""
        with tag("nav", style="k-crumbs", aria_label=say("where")):
            ui.link(say("evaluation"), f"/evaluation?collection={collection}")
            tag("span", "›", aria_hidden="true")
            tag("span", f"{collection} / {name}", aria_current="page")
        with tag("div", style="k-toolbar"):
            tag("h2", name, "k-title l-grow")
            ui.button(say("add"), icon="add", on_click=self._add).props("outline")
            ui.button(say("export"), icon="download", on_click=self._export).props("outline")
        self._counts = tag("p", "", "l-quiet l-number", role="status")
        self._bar = ui.linear_progress(0, show_value=False).props("rounded size=8px")
        with tag("div", style="k-toolbar"):
            shows = ui.select({s: say(f"show_{s}") for s in _SHOWS}, value=self._show)
            shows.props("outlined dense").props["aria-label"] = say("show")
            shows.on_value_change(lambda e: self._chosen(show=str(e.value)))
            kinds = sorted({q.kind for q in questions})
            choice = {"": say("every_kind"), **{k: k for k in kinds if k}}
            kind = ui.select(choice, value="", label=say("kind")).props("outlined dense")
            kind.classes("k-format").on_value_change(lambda e: self._chosen(kind=str(e.value)))
        self._list = tag("div", style="k-review")
        self._pager = tag("div")

    async def _chosen(self, show: str | None = None, kind: str | None = None) -> None:
        self._show = self._show if show is None else show
        self._kind = self._kind if kind is None else kind
        self._page = 1
        await self.refresh()

    def _wanted(self) -> list[Question]:
        found = [q for q in self._questions if not self._kind or q.kind == self._kind]
        if self._show == "open":
            return [q for q in found if not q.reviewed]
        return [q for q in found if q.reviewed] if self._show == "kept" else found

    async def refresh(self) -> None:
        """Show one page of the questions, each with where its answer stands."""
        say, language = self._say, self._language
        reviewed = sum(q.reviewed for q in self._questions)
        self._counts.text = say(
            "set_counts", questions=number(len(self._questions), language),
            reviewed=number(reviewed, language),
        )  # fmt: skip
        self._bar.value = reviewed / len(self._questions) if self._questions else 0
        self._bar.props["aria-label"] = self._counts.text
        wanted = self._wanted()
        pages = max(1, -(-len(wanted) // PAGE))
        self._page = min(self._page, pages)
        shown = wanted[(self._page - 1) * PAGE : self._page * PAGE]
        library, identity = self._screen.state.library, self._screen.identity()
        docs = await in_thread(library.open, self._collection, identity)
        places = await in_thread(locate, docs.index, shown)
        texts = {}
        for document in {p.document for spans in places.spans.values() for p in spans}:
            texts[document] = await in_thread(
                library.document, identity, self._collection, document
            )
        self._list.clear()
        with self._list:
            if not shown:
                tag(
                    "p",
                    say("all_reviewed" if self._show == "open" else "no_questions"),
                    "k-nothing",
                )
            for question in shown:
                _Card(self, question, places, {i: d.text for i, d in texts.items()})
        self._pager.clear()
        with self._pager:
            pager(self._page, pages, language, self._turn, say("questions"))

    async def _turn(self, page: int) -> None:
        self._page = page
        await self.refresh()

    async def save(self, question: Question, new: Question | None) -> None:
        """Put a decision in the set, on disk. Raises Conflict where somebody else was faster."""
        left = [q for q in self._questions if q.id != question.id or new is not None]
        left = [new if new is not None and q.id == question.id else q for q in left]
        await self._keep(left)

    async def _keep(self, questions: list[Question]) -> None:
        sets, identity = self._screen.state.library.sets, self._screen.identity()
        self._version = await in_thread(
            sets.save_questions, identity, self._collection, self._name, questions,
            version=self._version,
        )  # fmt: skip
        self._questions = questions
        await self.refresh()

    async def _add(self) -> None:
        """A question that somebody thought of."""
        ids = {q.id for q in self._questions}
        n = next(n for n in range(1, len(ids) + 2) if f"own-{n}" not in ids)
        say = self._say
        with asking(say("add")) as dialog:
            with tag("form", style="k-section") as form:
                text = ui.textarea(say("question")).props("outlined autogrow autofocus")
                answers = ui.textarea(say("answers")).props("outlined autogrow")
                answers.props["hint"] = say("answers_hint")
                none = ui.checkbox(say("unanswerable"))
                problem = tag("p", "", "k-bad", role="alert")
                with tag("div", style="k-actions"):
                    ui.button(say("cancel"), on_click=lambda: dialog.submit(None)).props("flat")
                    ui.button(say("save")).props("unelevated type=submit")

            def done() -> None:
                made = Question(f"own-{n}", "", about={"made": "by hand"})
                if none.value:
                    made = replace(made, kind=UNANSWERABLE)
                try:
                    found = decided(
                        made, "keep", text.value or "", (answers.value or "").splitlines()
                    )
                except EvaluationError as e:
                    problem.text = e.message
                    return
                dialog.submit(found)

            form.on("submit.prevent", done)
        made = await answered(dialog)
        if made is not None:
            self._show = "all"
            await self._keep([made, *self._questions])

    async def _export(self) -> None:
        """The file that `llar evaluate` reads."""
        self._screen.identity()
        data = await in_thread(written, self._questions)
        ui.download.content(data, f"{self._name}.jsonl", "application/jsonl")


class _Card:
    """One question with its answers, and the places that they stand at."""

    def __init__(
        self, view: _Set, question: Question, places: Places, texts: dict[int, str]
    ) -> None:
        self._view, self._question = view, question
        say = view._say
        done = " k-reviewed" if question.reviewed else ""
        with tag("article", style=f"k-card k-question{done}"):
            with tag("div", style="k-question-edit"):
                with tag("p", style="k-question-head"):
                    tag("span", question.kind or say("no_kind"), "k-chip")
                    tag("span", question.id, "l-quiet l-small")
                    if question.reviewed:
                        tag("span", say("reviewed"), "k-good l-small")
                for turn in question.history:
                    tag("p", f"{turn.role}: {turn.content}", "l-quiet l-small")
                self._text = ui.textarea(say("question"), value=question.question)
                self._text.props("outlined dense autogrow")
                self._label = self._answers = None
                if question.label:
                    self._label = ui.input(say("label"), value=question.label)
                    self._label.props("outlined dense")
                if question.kind == UNANSWERABLE:
                    tag("p", say("unanswerable"), "k-warned")
                elif not question.label:
                    joined = "\n".join(question.answers)
                    self._answers = ui.textarea(say("answers"), value=joined)
                    self._answers.props("outlined dense autogrow")
                    self._answers.props["hint"] = say("answers_hint")
                self._problem = tag("p", "", "k-bad l-small", role="alert")
                with tag("div", style="k-toolbar"):
                    keep = ui.button(say("keep"), icon="check", on_click=lambda: self._do("keep"))
                    keep.props("unelevated dense")
                    drop = ui.button(say("drop"), icon="close", on_click=lambda: self._do("drop"))
                    drop.props("flat dense").classes("k-bad")
                    if question.kind != UNANSWERABLE:
                        none = ui.button(say("mark_unanswerable"), on_click=self._none)
                        none.props("flat dense")
                    for button in (keep, drop):
                        button.props["aria-label"] = f"{button.text}: {question.question}"
            with tag("div", style="k-question-places"):
                self._places(places, texts)

    def _places(self, places: Places, texts: dict[int, str]) -> None:
        """The text of the documents around each place, the place itself marked."""
        say, question = self._view._say, self._question
        found: Sequence[Place] = places.spans.get(question.id, ())
        for place, span in zip(found, question.spans, strict=False):
            name = span.path.rsplit("/", 1)[-1]
            address = document_address(
                self._view._collection, place.document, start=place.start, end=place.end
            )
            with tag("p", style="l-small"):
                ui.link(name, address)
            text = texts[place.document]
            start, end = max(place.start - AROUND, 0), min(place.end + AROUND, len(text))
            with tag("p", style="k-text k-around"):
                tag("span", ("… " if start else "") + text[start : place.start])
                tag("mark", text[place.start : place.end])
                tag("span", text[place.end : end] + (" …" if end < len(text) else ""))
        for lost in places.lost.get(question.id, ()):
            tag("p", say("lost_place", what=lost), "k-note l-small")
        for key in ("comment", "answer"):
            if question.about.get(key):
                tag("p", say(f"feedback_{key}", text=question.about[key]), "l-quiet l-small")
        if unknown(question):
            tag("p", say("needs_answer"), "k-note l-small")
        elif not found and question.kind == UNANSWERABLE:
            tag("p", say("no_place"), "l-quiet l-small")

    async def _do(self, mark: Mark) -> None:
        lines = (self._answers.value or "").splitlines() if self._answers is not None else ()
        label = str(self._label.value or "").strip() if self._label is not None else ""
        try:
            new = decided(self._question, mark, str(self._text.value or ""), lines, label)
        except EvaluationError as e:
            self._problem.text = e.message
            return
        await self._view.save(self._question, new)

    async def _none(self) -> None:
        changed = replace(self._question, question=str(self._text.value or "").strip())
        await self._view.save(self._question, as_unanswerable(changed))
