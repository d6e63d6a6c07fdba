"""Getting models: the one thing llar does that may reach a network, and only when it is told to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from ...errors import PullError
from ..job_records import Job
from ..threads import in_thread
from .frame import Screen
from .inside_settings import reason
from .library_parts import confirmed, duration, size
from .parts import tag

__all__ = ["Pulls"]

SHOWN = 5  # pulls that ended, the last ones


class Pulls:
    """The section: for admins."""

    def __init__(self, screen: Screen, changed: Callable[[], Awaitable[None]]) -> None:
        self._screen = screen
        self._changed = changed
        self._drawn: list[Job] = []
        self._done: set[int] | None = None  # that were done when they were last looked at
        say = screen.say
        with ui.element("section").classes("t-card").props("id=get"):
            tag("h2", say("getting"), "t-head")
            tag("p", say("network"), "k-note")
            with ui.element("div").classes("t-row"):
                self._what = ui.input(say("what")).props("outlined dense").classes("t-grow")
                self._what.props("data-part=what maxlength=500")
                self._what.on("keydown.enter", self._typed)
                ui.button(say("get"), icon="download", on_click=self._typed).props("unelevated")
            tag("p", say("forms"), "l-quiet l-small")
            self._place = ui.element("div").classes("t-results").props("aria-live=polite")
        ui.timer(1.0, self._look)

    async def begin(self, what: str) -> None:
        """Ask once more, then get it."""
        say = self._screen.say
        self._screen.identity().require("admin")
        title = say("get_title", what=what)
        if not await confirmed(say, title, say("network"), [], say("get")):
            return
        identity = self._screen.identity()
        state = self._screen.state
        await in_thread(state.audit.record, identity, "model pulled", detail=what)
        await in_thread(state.library.pull, identity, what)
        await self._look()

    async def _typed(self) -> None:
        what = (self._what.value or "").strip()
        if what:
            await self.begin(what)
            self._what.value = ""

    async def _look(self) -> None:
        identity = self._screen.identity()
        every = await in_thread(self._screen.state.library.jobs, identity)
        pulls = [job for job in every if job.kind == "pull"]
        jobs = [j for j in pulls if j.is_open] + [j for j in pulls if not j.is_open][:SHOWN]
        if self._place.is_deleted or jobs == self._drawn:
            return
        self._drawn = jobs
        self._place.clear()
        with self._place:
            for job in jobs:
                self._row(job)
        done = {job.id for job in pulls if job.state == "done"}
        if self._done is not None and done - self._done:
            await self._changed()
        self._done = done

    def _row(self, job: Job) -> None:
        say = self._screen.say
        with ui.element("article").classes("t-job") as row:
            row.props["data-job"] = job.title
            with ui.element("div").classes("t-row"):
                tag("strong", job.title, "t-grow")
                tag("span", say(f"job_{job.state}"), "k-chip").props(f"data-state={job.state}")
                if job.is_open:
                    ui.button(say("cancel"), on_click=lambda: self._cancel(job)).props(
                        "flat dense no-caps"
                    )
            if job.is_open:
                bar = ui.linear_progress(_share(job), show_value=False)
                bar.props["aria-label"] = job.title
                ui.label(self._progress(job)).classes("l-quiet l-small t-facts")
            if job.error:
                error = PullError(job.error)
                tag("p", reason(error, self._screen), "t-problem")
                if job.fix:
                    tag("code", job.fix, "l-small")
            for note in job.result.get("notes", ()):
                tag("p", str(note), "l-quiet l-small", "lang=en")

    def _progress(self, job: Job) -> str:
        say, language = self._screen.say, self._screen.language
        if not job.done:
            return say("waiting_bytes")
        text = say("bytes", done=size(job.done, language),
                   total=size(job.total, language) if job.total else "?")  # fmt: skip
        if job.rate:
            text += " " + say("rate", rate=size(job.rate, language))
        if job.seconds_left:
            text += " " + say("left", time=duration(job.seconds_left, language))
        return text

    async def _cancel(self, job: Job) -> None:
        identity = self._screen.identity()
        await in_thread(self._screen.state.library.cancel, identity, job.id)
        await self._look()


def _share(job: Job) -> float:
    return job.done / job.total if job.total else 0.0
