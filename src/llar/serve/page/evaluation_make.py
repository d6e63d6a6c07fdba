"""Questions made from a collection's own documents: what is asked before, and what came of it."""

from __future__ import annotations

from nicegui import ui

from ...errors import LlarError
from ...evaluate.questions import KINDS
from ..job_records import Job
from ..question_sets import MOST_MADE
from ..threads import in_thread
from .frame import Screen
from .library_parts import answered, asking, number, tag
from .problems import said


async def asked(screen: Screen, collection: str) -> Job | None:
    """Ask for the set's name, how many questions and which kinds; the job that makes them."""
    say = screen.say
    with asking(say("make")) as dialog:
        tag("p", say("make_about"), "l-quiet")
        with tag("form", style="k-section") as form:
            name = ui.input(say("set_name"), value="made").props("outlined")
            count = ui.number(say("how_many"), value=20, min=1, max=MOST_MADE, precision=0)
            count.props("outlined")
            kinds = ui.select(list(KINDS), label=say("kinds"), value=[], multiple=True)
            kinds.props("outlined use-chips").props["hint"] = say("kinds_hint")
            problem = tag("p", "", "k-bad", role="alert")
            with tag("div", style="k-actions"):
                ui.button(say("cancel"), on_click=lambda: dialog.submit(None)).props("flat")
                ui.button(say("make_it")).props("unelevated type=submit")

        async def begin() -> None:
            identity = screen.identity()
            try:
                job = await in_thread(
                    screen.state.library.sets.make, identity, collection,
                    str(name.value or "").strip(), count=int(count.value or 0),
                    kinds=kinds.value or (),
                )  # fmt: skip
            except LlarError as e:
                problem.text = said(e, screen.language, admin=identity.is_admin)[0]
                return
            dialog.submit(job)

        form.on("submit.prevent", begin)
    job: Job | None = await answered(dialog)
    return job


def made(screen: Screen, job: Job) -> None:
    """What came of making a set: how many questions, and why others were not kept."""
    if job.kind != "make" or job.state != "done":
        return
    say, language = screen.say, screen.language
    result = job.result
    with tag("p"):
        tag("span", say("made", count=number(result["questions"], language)) + " · ")
        ui.link(job.title, f"/evaluation/set/{job.collection}/{job.title}")
    if result["notes"]:
        with tag("ul", style="l-small"):
            for note in result["notes"]:
                tag("li", note)
    if result["not_kept"]:
        with ui.expansion(say("not_kept")).classes("k-fold"), tag("ul", style="l-small"):
            for kind, why, times in result["not_kept"]:
                tag("li", f"{kind}: {why} ({number(times, language)})")
