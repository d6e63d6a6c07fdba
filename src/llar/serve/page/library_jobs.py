"""What is being done to a collection: progress, rate and time left; what failed and why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from nicegui import ui

from ..job_records import EVALUATION, Job, JobFile
from ..threads import in_thread
from .frame import Screen
from .library_parts import day, duration, number, pager, size, tag
from .problems import unreadable
from .words import words

RECENT = timedelta(minutes=10)  # how long finished work is shown
FAILED_RECENT = timedelta(days=7)  # the same where something failed
MOST = 8  # jobs shown
FILES = 50  # files on one page of a job's list
FAILED = 100  # failed files that are listed without asking
_ICONS = {
    "queued": "schedule",
    "running": "autorenew",
    "done": "check_circle",
    "duplicate": "content_copy",
    "unchanged": "check_circle_outline",
    "failed": "error",
    "cancelled": "cancel",
}


class Jobs:
    """The jobs of one collection, kept up to date while the page is open.

    Of these `kinds`, or of all that change documents. `changed` is awaited when a job came to its
    end, for what it did to be shown; `outcome` draws more of what became of one below it.
    """

    def __init__(
        self, screen: Screen, collection: str, changed: Callable[[], Awaitable[None]],
        kinds: tuple[str, ...] = (), outcome: Callable[[Job], None] = lambda job: None,
    ) -> None:  # fmt: skip
        self._screen, self._collection, self._changed = screen, collection, changed
        self._kinds, self._outcome = kinds, outcome
        self._views: dict[int, _View] = {}
        self._version = -2
        self._turn = asyncio.Lock()
        self._done: dict[int, str | None] | None = None  # finished jobs at the last look, and when
        self._place = tag(
            "section", style="k-jobs", aria_label=words("library", screen.language)("work")
        )
        self._timer = ui.timer(0.7, self.refresh)

    async def refresh(self) -> None:
        """Show what has changed since the last look."""
        async with self._turn:  # the timer and an event may come at once
            ended = await self._look()
        if ended:
            await self._changed()

    async def _look(self) -> bool:
        """Bring the list up to date; returns whether work came to its end."""
        library, identity = self._screen.state.library, self._screen.identity()
        version = library.changes()
        if version == self._version:
            return False
        self._version = version
        jobs = await in_thread(library.jobs, identity, collection=self._collection, limit=50)
        jobs = [j for j in jobs if self._is_ours(j)]
        shown = [j for j in jobs if _is_shown(j)][:MOST]
        ids = [j.id for j in shown]
        for gone in [i for i in self._views if i not in ids]:
            self._views.pop(gone).delete()
        for job in reversed(shown):
            if job.id not in self._views:
                with self._place:
                    self._views[job.id] = _View(self._screen, job, self._outcome)
                self._views[job.id].move_first(self._place)
            await self._views[job.id].update(job)
        done = {j.id: j.finished for j in jobs if not j.is_open}  # some were never seen at work
        before, self._done = self._done, done
        return before is not None and done != before

    def _is_ours(self, job: Job) -> bool:
        return job.kind in self._kinds if self._kinds else job.kind not in EVALUATION


class _View:
    """One job."""

    def __init__(self, screen: Screen, job: Job, outcome: Callable[[Job], None]) -> None:
        self._screen, self._language, self._outcome = screen, screen.language, outcome
        self._say = words("library", screen.language)  # whatever screen it stands on
        self._failed = -1
        self._state = ""
        self._page = 1
        with tag("article", style="k-job k-card") as self._card:
            with tag("div", style="k-job-top"):
                self._icon = ui.icon("schedule").props("aria-hidden=true")
                self._title = tag("h3", "", "l-grow")
                self._actions = tag("div", style="k-actions-small")
            self._bar = ui.linear_progress(0, show_value=False).props("rounded size=6px")
            self._said = tag("p", "", "l-quiet l-small l-number")
            self._problems = tag("div", style="k-problems")
            self._fold = ui.expansion(self._say("job_files")).classes("k-fold")
            self._fold.on_value_change(self._files)
        self._job = job

    def delete(self) -> None:
        """Take it off the page."""
        self._card.delete()

    def move_first(self, place: ui.element) -> None:
        """Above the others."""
        self._card.move(place, target_index=0)

    async def update(self, job: Job) -> None:
        """Show the job as it stands."""
        self._job = job
        say = self._say
        name = say(f"job_{job.kind}")
        several = job.kind == "upload" and job.total > 1  # it bears the name of the first
        self._title.text = f"{name}: {job.title}" if job.title and not several else name
        self._said.text = " · ".join(self._facts(job))
        self._bar.value = _share(job)
        self._bar.props["aria-label"] = self._title.text
        self._bar.set_visibility(job.is_open)
        self._fold.set_visibility(job.unit == "files" and job.total > 1)
        if job.state != self._state or job.failed != self._failed:
            self._buttons(job)
        if job.failed != self._failed or job.state != self._state:
            await self._show_problems(job)
        self._state, self._failed = job.state, job.failed
        state = "failed" if job.state == "done" and job.failed else job.state
        self._icon.name = _ICONS[state]
        self._card.classes(replace=f"k-job k-card k-job-{state}")
        if self._fold.value:
            await self._files()

    def _facts(self, job: Job) -> list[str]:
        """State, how much is done, rate and time left."""
        say, language = self._say, self._language
        facts = [say(f"state_{job.state}")]
        if job.total:
            done = number(job.done, language), number(job.total, language)
            facts.append(say(f"done_{job.unit}", done=done[0], total=done[1]))
        if job.is_open:
            if job.state == "running" and job.rate:
                facts.append(say(f"rate_{job.unit}", rate=number(job.rate, language, 1)))
            if job.seconds_left is not None and job.state == "running":
                facts.append(say("time_left", time=duration(job.seconds_left, language)))
        else:
            facts.append(say("took", time=duration(job.seconds, language)))
            facts.append(day(job.finished, self._language))
        if job.failed:
            facts.append(say("failed_count", count=number(job.failed, language)))
        return facts

    def _buttons(self, job: Job) -> None:
        say, library = self._say, self._screen.state.library
        self._actions.clear()

        async def do(action: Callable[..., object]) -> None:
            await in_thread(action, self._screen.identity(), job.id)

        with self._actions:
            if job.is_open:
                button = ui.button(say("cancel"), on_click=lambda: do(library.cancel))
            elif job.failed or job.state in ("failed", "cancelled"):
                button = ui.button(say("retry"), on_click=lambda: do(library.retry))
            else:
                return
            button.props("flat dense").props["aria-label"] = f"{button.text}: {job.title}"

    async def _show_problems(self, job: Job) -> None:
        """What came of the job, why it failed, and each of its files that did."""
        failed: list[JobFile] = []
        if job.failed:
            files = await in_thread(
                self._screen.state.library.job_files, self._screen.identity(), job.id, limit=10_000
            )
            failed = [f for f in files if f.state == "failed"]
        self._problems.clear()
        with self._problems:
            self._outcome(job)
            if job.error:
                with tag("p", job.error, "k-error"):
                    if job.fix:
                        tag("code", job.fix)
            if not failed:
                return
            with tag("ul", style="k-failed"):
                for file in failed[:FAILED]:
                    with tag("li"):
                        tag("strong", file.name)
                        tag("span", unreadable(file.error, self._language))
            if len(failed) > FAILED:
                tag("p", self._say("and_more", count=len(failed) - FAILED), "l-small")
            tag("p", self._say("failed_advice"), "l-quiet l-small")

    async def _files(self) -> None:
        """Every file of the job with what became of it, a page at a time."""
        if not self._fold.value:
            return
        files = await in_thread(
            self._screen.state.library.job_files, self._screen.identity(), self._job.id,
            limit=10_000,
        )  # fmt: skip
        pages = max(1, -(-len(files) // FILES))
        self._page = min(self._page, pages)
        self._fold.clear()
        with self._fold:
            with tag("ul", style="k-files"):
                for file in files[(self._page - 1) * FILES : self._page * FILES]:
                    with tag("li", style=f"k-file-{file.state}"):
                        ui.icon(_ICONS[file.state]).props("aria-hidden=true")
                        tag("span", file.name, "l-grow")
                        facts = f"{size(file.size, self._language)} · "
                        tag("span", facts + self._say(f"file_{file.state}"), "l-quiet l-small")
            pager(self._page, pages, self._language, self._turn, self._say("job_files"))

    async def _turn(self, page: int) -> None:
        self._page = page
        await self._files()


def _is_shown(job: Job) -> bool:
    """Work that goes on or has just ended, and what failed lately."""
    if job.is_open or job.finished is None:
        return True
    long = FAILED_RECENT if job.failed or job.state == "failed" else RECENT
    return job.finished > (datetime.now(UTC) - long).isoformat()


def _share(job: Job) -> float:
    """How far it is, 0 to 1."""
    if job.total_bytes:
        return job.done_bytes / job.total_bytes
    return job.done / job.total if job.total else 0.0
