"""The screen "lab": one question and every step of its search, for one or two settings."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nicegui import ui

from ...collection import Collection
from ...errors import LlarError, QueryError
from ...records import Step
from ..threads import in_thread
from .frame import Screen, frame, page
from .inside_settings import reason
from .lab_form import Form, explain_steps
from .lab_look import (
    Column,
    Look,
    Place,
    Read,
    Sent,
    Settings,
    changes,
    look,
    read,
    sent,
)
from .lab_prompt import budget, evidence, messages
from .lab_ranks import Titled, ranks, where
from .lab_steps import in_words, inner, told
from .library_parts import asking, copy_button, empty, milliseconds, number, sheet, tag
from .words import Say

LONGEST = 32_000  # characters of a question


@page("/lab")
async def show(collection: str = "") -> None:
    """The screen; `collection` is the one to begin with."""
    sheet("library")
    sheet("lab")
    with frame("lab") as screen:
        names = await in_thread(screen.state.library.names, screen.identity())
        if not names:
            empty("manage_search", screen.say("empty"), screen.say("empty_about"), screen.language)
            return
        models = await in_thread(screen.state.engines.names)
        _Lab(screen, names, models, collection if collection in names else names[0])


class _Lab:
    """What one visitor does with the screen."""

    def __init__(
        self, screen: Screen, names: Sequence[str], models: Sequence[str], chosen: str
    ) -> None:
        self._screen, self._say, self._language = screen, screen.say, screen.language
        self._models = models
        self._start = Settings.of(screen.state.config)
        tag("p", self._say("lead"), "k-lead")
        with tag("form", style="k-ask") as form:
            form.on("submit.prevent", self._search)
            self._collection = ui.select(list(names), label=self._say("collection"), value=chosen)
            self._collection.props("outlined").classes("k-collection")
            self._question = ui.input(self._say("question")).props("outlined autofocus")
            self._question.props(f"maxlength={LONGEST}")
            self._question.classes("k-question")
            self._go = ui.button(self._say("search"), icon="search").props("unelevated type=submit")
        self._settings()
        self._found = tag("div", style="k-found")
        self._status = tag("p", "", "l-unseen", role="status")

    def _settings(self) -> None:
        say = self._say
        with ui.expansion(say("settings"), icon="tune").classes("k-fold k-settings") as fold:
            self._compare = ui.switch(say("compare"))
            self._forms = tag("div", style="k-forms")
            with self._forms:
                self._first = Form(say, self._start, self._models, "A")
                self._second_place = tag("div", style="k-second")
            self._second: Form | None = None
            self._help = ui.expansion(say("steps_help")).classes("k-fold")
            self._help.on_value_change(self._explain)
        self._compare.on_value_change(lambda e: self._other(bool(e.value)))
        fold.props("header-class=k-fold-head")

    def _other(self, wanted: bool) -> None:
        """Show or take away the second settings, which begin as the first are."""
        self._second_place.clear()
        self._second = None
        if wanted:
            with self._second_place:
                self._second = Form(self._say, self._first.settings, self._models, "B")

    def _explain(self) -> None:
        """Fill the help of the steps when it is opened first."""
        if not self._help.value or self._help.default_slot.children:
            return
        with self._help:
            explain_steps(self._say)

    async def _search(self) -> None:
        """Search by the settings chosen and show how."""
        say, question = self._say, str(self._question.value or "")
        if len(question) > LONGEST:  # a browser does not send that, a program may
            raise QueryError(f"a question has up to {LONGEST} characters, this has {len(question)}")
        identity = self._screen.identity()
        library = self._screen.state.library
        name = str(self._collection.value)
        forms = [self._first] + ([self._second] if self._second else [])
        self._go.props("loading")
        self._status.text = say("searching")
        try:
            collection = await in_thread(library.open, name, identity)
            looks = [await in_thread(look, collection, question, form.settings) for form in forms]
            documents = {(h.document.id, h.document.path) for k in looks for h in k.result.hits}
            await in_thread(
                self._screen.state.audit.record, identity, "search", collection=name,
                question=question, documents=sorted(documents),
            )  # fmt: skip
        finally:
            self._go.props(remove="loading")
            self._status.text = ""
        self._found.clear()
        with self._found:
            if len(looks) == 2:
                self._beside(looks[0], looks[1])
                places = []
                for n, k in enumerate(looks):
                    with ui.expansion(say("details", name="AB"[n])).classes("k-fold k-details"):
                        places.append(self._look(k, name))
            else:
                places = [self._look(looks[0], name)]
        self._status.text = say("found", count=len(looks[0].result.hits))
        for k, place in zip(looks, places, strict=True):
            await self._prompt(collection, k, place)

    # -- what was found ----------------------------------------------------------------------

    def _beside(self, a: Look, b: Look) -> None:
        """The two rankings next to each other, and what changed in words."""
        say = self._say
        rows = changes(a, b)
        both = [r for r in rows if r.first and r.second]
        same = [r for r in both if r.first == r.second]
        with tag("section", style="k-section"):
            tag("h2", say("a_and_b"))
            tag("p", say("shared", both=len(both), same=len(same),
                         a=len(a.result.hits), b=len(b.result.hits)))  # fmt: skip
            first = {h.chunk_id: n for n, h in enumerate(a.result.hits, 1)}
            ranks(
                say,
                self._language,
                [
                    Titled("A", _brief(say, a.settings), _final(a, {})),
                    Titled("B", _brief(say, b.settings), _final(b, first)),
                ],
                {**a.passages, **b.passages},
                lambda i: self._open(b if i in b.passages else a, i),
                say("a_and_b"),
            )

    def _look(self, k: Look, name: str) -> ui.element:
        """Everything about one search; returns where the prompt goes."""
        say, language = self._say, self._language
        with tag("article", style="k-look"):
            with tag("div", style="k-command"):
                command = k.settings.command(k.question, name)
                tag("code", command, tabindex=0)
                copy_button(command, say, say("copy_command"))
            self._query(k)
            with tag("section", style="k-section"):
                tag("h2", say("rankings"))
                tag("p", say("rankings_about"), "l-quiet")
                ranks(say, language, [self._titled(k, c) for c in k.columns], k.passages,
                      lambda i: self._open(k, i), say("rankings"))  # fmt: skip
                for computed in k.result.computed:
                    tag("p", computed.text, "k-verdict k-good")
            self._times(k)
            with tag("section", style="k-section") as place:
                tag("h2", say("read"))
                with tag("p", say("reading"), "l-quiet"):
                    pass
        return place

    def _titled(self, k: Look, column: Column) -> Titled:
        say = self._say
        if column.own:
            return Titled(say(f"own_{column.name}"), say("own_about"), column)
        if column.name == k.settings.strategy:
            if column.name == "single":
                return Titled(say(f"fused_{k.settings.mode}"), say("fused_about"), column)
            return Titled(in_words(say, "strategy", column.name), say("strategy_about"), column)
        return Titled(in_words(say, "post", column.name), say("post_about"), column)

    def _query(self, k: Look) -> None:
        """What the steps before retrieval made of the question."""
        say = self._say
        with tag("section", style="k-section"):
            tag("h2", say("rewritten"))
            steps = k.steps[: len(k.settings.query)]
            if not steps:
                tag("p", say("as_it_stands"), "l-quiet")
            with tag("dl", style="k-rewrite"):
                for timed in steps:
                    with tag("dt"):
                        tag("code", in_words(say, "query", timed.step.name))
                        spent = milliseconds(timed.step.seconds, self._language)
                        tag("span", spent, "l-quiet l-small l-number")
                    with tag("dd"):
                        self._about(timed.step)
                        for inner in timed.inner:
                            self._about(inner)
                        if not any(s.about for s in (timed.step, *timed.inner)):
                            tag("p", say("unchanged"), "l-quiet")

    def _about(self, step: Step) -> None:
        """What one step says that it did."""
        say = self._say
        for key, value in step.about.items():
            if key == "words":
                with tag("p", say("words_looked_for"), "k-words"):
                    for word in value:
                        weight = number(word["weight"], self._language, 2)
                        tag("span", f"{'|'.join(word['stems'])} {weight}", "k-chip")
            elif key in ("text", "vector") and isinstance(value, str):
                tag("p", say(f"about_{key}") + (f" “{value}”" if key == "text" else ""))
            elif key == "variants":
                tag("p", say("about_variants"))
                with tag("ul"):
                    for text in value:
                        tag("li", text)
            elif key != "hits":
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                if isinstance(value, float):
                    text = number(value, self._language, 4)
                with tag("p"):
                    tag("span", f"{told(say, key)}: ", "l-quiet")
                    tag("span", text)

    def _times(self, k: Look) -> None:
        """Each step's time as a bar and a number."""
        say = self._say
        with tag("section", style="k-section"):
            tag("h2", say("times"))
            tag("p", say("times_about", total=milliseconds(k.seconds, self._language)), "l-quiet")
            with tag("table", style="k-table k-times"):
                tag("caption", say("times"), "l-unseen")
                with tag("thead"), tag("tr"):
                    tag("th", say("step"), scope="col")
                    tag("th", say("time"), scope="col")
                    tag("td", "", aria_hidden="true")
                with tag("tbody"):
                    for timed in k.steps:
                        self._time(timed.step, k.seconds, "")
                        for inner in timed.inner:
                            self._time(inner, k.seconds, "k-inner")
                    rest = k.seconds - sum(t.step.seconds for t in k.steps)
                    self._time(Step(say("rest"), max(rest, 0.0)), k.seconds, "")

    def _time(self, step: Step, total: float, style: str) -> None:
        with tag("tr", style=style):
            tag("th", inner(self._say, step.name), scope="row")
            tag("td", milliseconds(step.seconds, self._language), "l-number")
            with tag("td", style="k-time-cell", aria_hidden="true"):
                share = 100 * step.seconds / total if total else 0
                tag("div", "", "k-time").style(f"width:{share:.2f}%")

    async def _prompt(self, collection: Collection, k: Look, place: ui.element) -> None:
        """What a model would read, put in place when it is counted."""
        say, hits = self._say, k.result.hits
        found: Read | None = None
        prompt: Sent | None = None
        problem: LlarError | None = None
        if hits:
            found = await in_thread(read, collection, k.question, hits)
            try:
                chat = await in_thread(collection.chat_model, k.settings.model or None)
                prompt = await in_thread(sent, collection, k.question, hits, chat)
            except LlarError as e:  # the model is not there, or not one passage fits
                problem = e
        place.clear()
        with place:
            tag("h2", say("read"))
            if found is None:
                tag("p", say("nothing_to_read"), "l-quiet")
                return
            tag("h3", say("evidence"))
            evidence(say, self._language, found)
            tag("h3", say("prompt"))
            if problem is not None:
                tag("p", reason(problem, self._screen), "k-verdict k-none")
                return
            assert prompt is not None
            if not found.answerable:
                tag("p", say("would_not_ask"), "l-quiet")
            budget(say, self._language, prompt, hits)
            messages(say, prompt)

    def _open(self, k: Look, chunk_id: int) -> None:
        """A passage in full, with the words that matched marked."""
        if chunk_id not in k.passages:
            return
        source, chunk = k.passages[chunk_id]
        hit = next((h for h in k.result.hits if h.chunk_id == chunk_id), None)
        with asking(where(self._say, source, chunk), "k-passage") as dialog:
            dialog.on("hide", dialog.delete)
            dialog.open()
            if chunk.headings:
                tag("p", " › ".join(chunk.headings), "l-quiet l-small")
            if chunk.prefix:
                tag("pre", chunk.prefix, "k-prefix")
            with tag("div", style="k-text"):
                at = 0
                for span in hit.highlights if hit and hit.chunk.text == chunk.text else ():
                    start, end = map(chunk.local, span)
                    tag("span", chunk.text[at:start])
                    tag("mark", chunk.text[start:end])
                    at = end
                tag("span", chunk.text[at:])
            if hit and hit.chunk.text != chunk.text:
                tag("h3", self._say("widened"))
                tag("div", hit.chunk.text, "k-text")
            if hit and hit.kept is not None:
                tag("h3", self._say("compressed"))
                tag("div", hit.content, "k-text")
            with tag("div", style="k-actions"):
                address = f"/library/{self._collection.value}/{source.id}?chunk={chunk_id}"
                ui.link(self._say("open_document"), address)
                ui.button(self._say("close"), on_click=dialog.close).props("flat")


def _final(k: Look, first: dict[int, int]) -> Column:
    """The hits as one column; `first` are the places to compare with, by passage."""
    places = tuple(
        Place(h.chunk_id, n, h.score, h.parts,
              first[h.chunk_id] - n if h.chunk_id in first else None)
        for n, h in enumerate(k.result.hits, 1)
    )  # fmt: skip
    return Column("final", False, places, k.seconds)


def _brief(say: Say, settings: Settings) -> str:
    """Settings in a few words."""
    steps = [in_words(say, "query", step) for step in settings.query]
    steps.append(in_words(say, "strategy", settings.strategy))
    steps += [in_words(say, "post", step) for step in settings.post]
    return " · ".join([say(f"mode_{settings.mode}"), *steps])
