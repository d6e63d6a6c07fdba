"""How the server is: healthy or why not, disk, memory, models, jobs, requests, in words."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import version

import nicegui
from nicegui import ui

from ...index.index import collection_names
from ..metrics import Metrics
from ..state import State, server_dir
from ..threads import in_thread
from .admin_parts import admin
from .frame import Screen
from .library_parts import duration, number, size
from .models_here import resident
from .models_machine import figure
from .parts import tag
from .words import Say

__all__ = ["Requests", "Status", "requests_of", "unready"]

STARTED = time.time()
EVERY = 3.0  # seconds
REASONS = (  # as /ready says them -> their texts
    (re.compile(r"the server is stopping"), "reason_stopping"),
    (re.compile(r"less than (?P<size>\d+) MiB of disk are free"), "reason_disk"),
    (re.compile(r"model (?P<name>.+) cannot be loaded"), "reason_model"),
)


@dataclass(frozen=True, slots=True)
class Requests:
    """What the server counted since it started. `most` is the bound of the histogram's bucket
    that 95 of 100 requests stay below, in seconds; None where none of its bounds is enough."""

    count: int
    failed: int  # answered with a status of 500 or more
    most: float | None


class Status:
    """The tab; it looks again every few seconds while it is open."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._place = ui.element("div").classes("t-results")
        self._open = False
        ui.timer(EVERY, self._again)

    async def show(self) -> None:
        """Read and draw it."""
        admin(self._screen)
        self._open = True
        state = self._screen.state
        disk = await in_thread(shutil.disk_usage, server_dir(state.config))
        jobs = await in_thread(state.library.job_counts)
        users = await in_thread(state.accounts.users)
        sessions = await in_thread(state.accounts.sessions)
        names = await in_thread(collection_names, state.config)
        reasons = await in_thread(_reasons, state)
        self._place.clear()
        with self._place:
            self._health(reasons)
            with self._card("server"):
                self._server(disk.free, len(users), len(sessions), len(names))
            with self._card("models"):
                self._models()
            with self._card("jobs"):
                for name in ("queued", "running", "done", "failed", "cancelled"):
                    figure(self._screen.say(f"job_{name}"), self._number(jobs.get(name, 0)))
            with self._card("requests"):
                self._requests()

    async def _again(self) -> None:
        if self._open and not self._place.is_deleted and self._place.visible:
            await self.show()

    def _card(self, name: str) -> ui.element:
        with ui.element("section").classes("t-card") as card:
            card.props["data-status"] = name
            tag("h2", self._screen.say(f"status_{name}"), "t-head")
            return ui.element("dl").classes("t-figures")

    def _health(self, reasons: list[str]) -> None:
        say = self._screen.say
        if not reasons:
            tag("p", f"✓ {say('healthy')}", "t-good", "role=status data-part=healthy")
            return
        with ui.element("div").classes("t-problem").props("role=alert"):
            tag("p", say("not_ready"))
            for reason in reasons:
                tag("p", unready(reason, say))

    def _server(self, free: int, users: int, sessions: int, collections: int) -> None:
        say, language = self._screen.say, self._screen.language
        figure(say("version"), version("llar"))
        figure(say("up"), duration(time.time() - STARTED, language))
        figure(say("memory"), size(resident(os.getpid()), language))
        figure(say("disk"), size(free, language))
        figure(say("users"), self._number(users))
        figure(say("sessions"), self._number(sessions))
        figure(say("collections"), self._number(collections))
        figure("Python", platform.python_version())

    def _models(self) -> None:
        say, language = self._screen.say, self._screen.language
        engines = self._screen.state.engines.status()
        loaded = [e for e in engines if e.state == "loaded"]
        figure(say("loaded"), self._number(len(loaded)))
        figure(say("memory"), size(sum(e.memory for e in loaded), language))
        figure(say("active"), self._number(sum(e.active for e in engines)))
        figure(say("waiting"), self._number(sum(e.waiting for e in engines)))
        figure(say("restarts"), self._number(sum(e.restarts for e in engines)))
        figure(say("tokens_read"), self._number(sum(e.read for e in engines)))
        figure(say("tokens_written"), self._number(sum(e.written for e in engines)))

    def _requests(self) -> None:
        say, language = self._screen.say, self._screen.language
        metrics: Metrics | None = getattr(nicegui.app.state, "metrics", None)
        if metrics is None:
            return
        found = requests_of(metrics)
        figure(say("answered"), self._number(found.count))
        figure(say("broken"), self._number(found.failed))
        if found.count:
            slow = "–" if found.most is None else f"{number(found.most, language, 3)} s"
            figure(say("slowest"), slow)

    def _number(self, value: int) -> str:
        return number(value, self._screen.language)


def requests_of(metrics: Metrics) -> Requests:
    """The counters of requests, added up over all routes."""
    count = failed = 0
    for family in metrics.requests.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                count += int(sample.value)
                failed += int(sample.value) if sample.labels["status"] >= "500" else 0
    below: dict[float, float] = {}
    for family in metrics.seconds.collect():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                below[bound] = below.get(bound, 0.0) + sample.value
    every = below.get(float("inf"), 0.0)
    enough = [b for b in sorted(below) if b != float("inf") and below[b] >= 0.95 * every]
    return Requests(count, failed, enough[0] if enough else None)


def unready(reason: str, say: Say) -> str:
    """Why the server is not ready, in the reader's language; what is not known here as it is."""
    for pattern, key in REASONS:
        if found := pattern.fullmatch(reason):
            return say(key, **found.groupdict()) if found.groupdict() else say(key)
    return reason


def _reasons(state: State) -> list[str]:
    from ..health import reasons

    return reasons(state)
