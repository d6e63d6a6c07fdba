"""The dialog that starts a run: what to measure, and with which settings."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from ...config import Config
from ...errors import LlarError
from ...evaluate.answers import CHEAP
from ...evaluate.questions import Question
from ..job_records import Job
from ..runs import ANSWER_MEASURES
from ..threads import in_thread
from .evaluation_sets import unknown
from .frame import Screen
from .lab_form import Form
from .lab_look import Settings
from .library_parts import answered, asking, tag
from .words import words


class Start:
    """Asks for everything that a run needs."""

    def __init__(self, screen: Screen, collection: str, name: str) -> None:
        self._screen, self._collection, self._name = screen, collection, name

    async def asked(self) -> Job | None:
        """The job that was started; None where it was not."""
        say, state = self._screen.say, self._screen.state
        sets, identity = state.library.sets, self._screen.identity()
        questions, _ = await in_thread(sets.questions, identity, self._collection, self._name)
        models = await in_thread(state.engines.names)
        with asking(say("start_with", name=self._name), "k-start") as dialog:
            self._warned(questions)
            with tag("form", style="k-section") as form:
                kinds = {k: say(f"kind_{k}") for k in ("retrieval", "answers")}
                kind = ui.select(kinds, value="retrieval", label=say("what")).props("outlined")
                measures = ui.select(
                    list(ANSWER_MEASURES), value=list(CHEAP), multiple=True, label=say("measures")
                )
                measures.props("outlined use-chips")
                measures.bind_visibility_from(kind, "value", lambda v: v == "answers")
                lab = words("lab", self._screen.language)
                start = Settings.of(state.config)
                settings = Form(lab, start, models, lab("settings"), asking=False)
                fresh = ui.checkbox(say("fresh"), value=False)
                problem = tag("p", "", "k-bad", role="alert")
                with tag("div", style="k-actions"):
                    ui.button(say("cancel"), on_click=lambda: dialog.submit(None)).props("flat")
                    go = ui.button(say("start")).props("unelevated type=submit")
                    go.set_enabled(not any(map(unknown, questions)))

            async def begin() -> None:
                try:
                    job = await in_thread(
                        state.library.runs.start, self._screen.identity(), self._collection,
                        self._name, kind=kind.value,
                        settings=changed(state.config, settings.settings),
                        measures=measures.value if kind.value == "answers" else (),
                        fresh=bool(fresh.value),
                    )  # fmt: skip
                except LlarError as e:
                    problem.text = e.message
                    return
                dialog.submit(job)

            form.on("submit.prevent", begin)
        job: Job | None = await answered(dialog)
        return job

    def _warned(self, questions: tuple[Question, ...]) -> None:
        """Say what of the set should be looked at first."""
        say = self._screen.say
        bare = sum(map(unknown, questions))
        if bare:
            tag("p", say("without_answer", count=bare), "k-error")
        open_ = sum(not q.reviewed for q in questions)
        if open_:
            tag("p", say("not_reviewed", count=open_, questions=len(questions)), "k-note")


def changed(config: Config, settings: Settings) -> dict[str, Any]:
    """The settings of a run that differ from the configured ones."""
    asked = {
        "mode": settings.mode,
        "query": ",".join(settings.query) or "none",
        "strategy": settings.strategy,
        "post": ",".join(settings.post) or "none",
        "chat_model": settings.model,
    }
    before = Settings.of(config)
    same = {
        "mode": before.mode,
        "query": ",".join(before.query) or "none",
        "strategy": before.strategy,
        "post": ",".join(before.post) or "none",
        "chat_model": before.model,
    }
    return {k: v for k, v in asked.items() if v != same[k]}
