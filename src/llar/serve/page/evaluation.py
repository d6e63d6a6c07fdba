"""The screen "evaluation": question sets and runs of one collection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from nicegui import ui

from ...errors import LlarError
from ...evaluate.questions import Question
from ..job_records import EVALUATION
from ..question_sets import SetRow
from ..runs import RunRow
from ..threads import in_thread
from . import evaluation_compare, evaluation_run, evaluation_set
from .evaluation_make import asked, made
from .evaluation_parts import main_first, measure_name
from .evaluation_sets import merged, taken_in
from .evaluation_start import Start
from .frame import Screen, frame, page
from .library_jobs import Jobs
from .library_parts import answered, asking, confirmed, day, empty, number, sheet, tag

__all__ = ["evaluation_compare", "evaluation_run", "evaluation_set", "show"]

SHOWN = 3  # figures of a run in the list
RUNS = 200


@page("/evaluation")
async def show(collection: str = "") -> None:
    """The screen; `collection` is the one that is evaluated."""
    for name in ("library", "lab", "evaluation"):
        sheet(name)
    with frame("evaluation") as screen:
        names = await in_thread(_editable, screen)
        tag("p", screen.say("lead"), "k-lead")
        if not names:
            empty("fact_check", screen.say("empty"), screen.say("empty_about"), screen.language)
            return
        view = _Evaluation(screen, names, collection if collection in names else names[0])
        await view.refresh()


def _editable(screen: Screen) -> list[str]:
    """The collections that may be evaluated: those one may edit and see all of."""
    library, identity = screen.state.library, screen.identity()
    found = []
    for name in library.names(identity):
        try:
            library.sets.check(identity, name)
        except LlarError:
            continue
        found.append(name)
    return found


class _Evaluation:
    """What one visitor sees."""

    def __init__(self, screen: Screen, names: Sequence[str], chosen: str) -> None:
        self._screen, self._say, self._language = screen, screen.say, screen.language
        self._name = chosen
        self._picked: list[str] = []
        say = self._say
        choice = ui.select(list(names), label=say("collection"), value=chosen)
        choice.props("outlined").classes("k-collection")
        choice.on_value_change(lambda e: ui.navigate.to(f"/evaluation?collection={e.value}"))
        self._jobs = Jobs(screen, chosen, self.refresh, EVALUATION, partial(made, screen))
        with tag("section", style="k-section", aria_labelledby="sets"):
            with tag("div", style="k-toolbar"):
                tag("h2", say("sets"), "l-grow", id="sets")
                ui.button(say("make"), icon="auto_awesome", on_click=self._make).props("outline")
                ui.button(say("feedback"), icon="thumbs_up_down", on_click=self._feedback).props(
                    "outline"
                )
                ui.button(say("import"), icon="upload", on_click=self._import).props("outline")
            self._sets = tag("div")
        with tag("section", style="k-section", aria_labelledby="runs"):
            with tag("div", style="k-toolbar"):
                tag("h2", say("runs"), "l-grow", id="runs")
                self._compare = ui.button(say("compare"), on_click=self._go_compare)
                self._compare.props("outline icon=balance").set_enabled(False)
            self._runs = tag("div")

    async def refresh(self) -> None:
        """Read and show sets and runs anew."""
        library, identity = self._screen.state.library, self._screen.identity()
        sets = await in_thread(library.sets.question_sets, identity, self._name)
        rows = await in_thread(library.runs.runs, identity, self._name)
        self._sets.clear()
        with self._sets:
            self._show_sets(sets)
        self._picked = []
        self._compare.set_enabled(False)
        self._runs.clear()
        with self._runs:
            self._show_runs(rows)

    # -- sets ------------------------------------------------------------------------------

    def _show_sets(self, sets: Sequence[SetRow]) -> None:
        say, language = self._say, self._language
        if not sets:
            tag("p", say("no_sets"), "l-quiet")
            return
        with tag("ul", style="k-cards"):
            for row in sets:
                with tag("li", style="k-card k-set"):
                    with tag("h3"):
                        ui.link(row.name, f"/evaluation/set/{self._name}/{row.name}")
                    tag("p", say("set_counts", questions=number(row.questions, language),
                                 reviewed=number(row.reviewed, language)))  # fmt: skip
                    share = row.reviewed / row.questions if row.questions else 0.0
                    bar = ui.linear_progress(share, show_value=False).props("rounded size=6px")
                    bar.props["aria-label"] = say("reviewed_share", percent=round(100 * share))
                    kinds = [f"{k or say('no_kind')} {n}" for k, n in sorted(row.kinds.items())]
                    tag("p", " · ".join(kinds), "l-quiet l-small")
                    with tag("div", style="k-actions"):
                        gone = ui.button(icon="delete", on_click=lambda r=row: self._delete(r))
                        gone.props("flat round dense").props["aria-label"] = say(
                            "delete_set", name=row.name
                        )
                        start = ui.button(say("start"), on_click=lambda r=row: self._start(r))
                        start.props("unelevated dense icon=play_arrow")
                        start.props["aria-label"] = say("start_with", name=row.name)

    async def _start(self, row: SetRow) -> None:
        job = await Start(self._screen, self._name, row.name).asked()
        if job:
            await self._jobs.refresh()

    async def _delete(self, row: SetRow) -> None:
        say = self._say
        lost = [say("set_counts", questions=row.questions, reviewed=row.reviewed)]
        title = say("delete_set", name=row.name)
        if await confirmed(say, title, say("delete_set_about"), lost, say("delete")):
            sets, identity = self._screen.state.library.sets, self._screen.identity()
            await in_thread(sets.delete_questions, identity, self._name, row.name)
            await self.refresh()

    async def _feedback(self) -> None:
        """What users said of answers, into the set "feedback"."""
        say, state, identity = self._say, self._screen.state, self._screen.identity()
        sets = state.library.sets
        await in_thread(sets.check, identity, self._name)
        said = await in_thread(state.history.feedback, self._name)
        new = await in_thread(sets.from_feedback, identity, self._name, said)
        rows = await in_thread(sets.question_sets, identity, self._name)
        have: tuple[Question, ...] = ()
        version: str | None = None
        if any(row.name == "feedback" for row in rows):
            have, version = await in_thread(sets.questions, identity, self._name, "feedback")
        questions = merged(have, new)
        added = len(questions) - len(have)
        if not added:
            ui.notify(say("no_feedback"), position="top")
            return
        await in_thread(
            sets.save_questions, identity, self._name, "feedback", questions, version=version
        )
        ui.notify(say("feedback_added", count=added), type="positive", position="top")
        await self.refresh()

    async def _import(self) -> None:
        """A file of JSON lines as a set."""
        say = self._say
        with asking(say("import")) as dialog:
            tag("p", say("import_about"), "l-quiet")
            upload = ui.upload(label=say("choose"), auto_upload=True, max_files=1)
            upload.props("flat bordered accept=.jsonl,.json,.txt").classes("k-upload")
            upload.on_upload(lambda e: dialog.submit(e.file))
            problem = tag("p", "", "k-bad", role="alert")
            upload.on_rejected(lambda: problem.set_text(say("refused")))
            with tag("div", style="k-actions"):
                ui.button(say("cancel"), on_click=lambda: dialog.submit(None)).props("flat")
        file = await answered(dialog)
        if file is None:
            return
        data = await file.read()
        name = str(file.name).rsplit(".", 1)[0]
        questions = await in_thread(taken_in, str(file.name), data)
        sets, identity = self._screen.state.library.sets, self._screen.identity()
        await in_thread(sets.save_questions, identity, self._name, name, questions, version=None)
        ui.notify(say("imported", count=len(questions)), type="positive", position="top")
        await self.refresh()

    async def _make(self) -> None:
        """Questions made from the collection's own documents: a job that can be watched."""
        if await asked(self._screen, self._name):
            await self._jobs.refresh()

    # -- runs ------------------------------------------------------------------------------

    def _show_runs(self, rows: Sequence[RunRow]) -> None:
        say, language = self._say, self._language
        if not rows:
            tag("p", say("no_runs"), "l-quiet")
            return
        with tag("div", style="k-card k-scroll"), tag("table", style="k-table"):
            tag("caption", say("runs"), "l-unseen")
            with tag("thead"), tag("tr"):
                tag("th", say("pick"), scope="col")
                for key in ("run", "kind", "set", "started", "questions"):
                    tag("th", say(key), "k-num" if key == "questions" else "", scope="col")
                tag("th", say("figures"), scope="col")
                tag("th", say("changed"), scope="col")
            with tag("tbody"):
                for row in rows[:RUNS]:
                    self._run(row, language)
        if len(rows) > RUNS:
            tag("p", say("older_runs", count=len(rows) - RUNS), "l-quiet l-small")

    def _run(self, row: RunRow, language: str) -> None:
        say = self._say
        with tag("tr"):
            with tag("td"):
                box = ui.checkbox(value=False)
                box.props["aria-label"] = say("pick_run", name=row.id)
                box.on_value_change(lambda e: self._pick(row.id, bool(e.value)))
                box.set_enabled(row.finished is not None)
            with tag("th", scope="row"):
                ui.link(row.id, f"/evaluation/run/{row.id}")
            tag("td", say(f"kind_{row.kind}") if row.kind in ("retrieval", "answers") else row.kind)
            tag("td", row.questions_set)
            tag("td", day(row.started, language), "l-number k-nowrap")
            tag("td", number(row.questions, language) if row.finished else "", "k-num")
            with tag("td"), tag("div", style="l-number k-figures-short"):
                if row.finished is None:
                    tag("span", say("unfinished"), "k-warned")
                for name in main_first(list(row.measures))[:SHOWN]:
                    mean = number(row.measures[name][0], language, 3)
                    tag("span", f"{measure_name(name)} {mean}", "k-chip")
            settings = ", ".join(f"{k}={v}" for k, v in row.changed.items())
            tag("td", settings or say("as_configured"), "l-quiet l-small")

    def _pick(self, run: str, on: bool) -> None:
        """Two runs can be compared, in the order in which they were picked."""
        self._picked = [r for r in self._picked if r != run] + ([run] if on else [])
        self._compare.set_enabled(len(self._picked) == 2)

    def _go_compare(self) -> None:
        a, b = self._picked
        ui.navigate.to(f"/evaluation/compare?a={a}&b={b}")
