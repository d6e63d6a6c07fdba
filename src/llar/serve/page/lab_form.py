"""The settings of a search as a form: every step there is, chosen from the library's own tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from nicegui import ui

from ...retrieve.options import Mode
from ...retrieve.steps import STEPS, Kind
from .lab_look import MOST, Settings
from .lab_steps import does, options
from .library_parts import tag
from .words import Say


class Form:
    """One set of settings. `settings` reads what is chosen now."""

    def __init__(
        self, say: Say, start: Settings, models: Sequence[str], title: str = "", *,
        asking: bool = True,
    ) -> None:  # fmt: skip
        """Without `asking` it is of many questions: no number of passages and no filters."""
        with tag("fieldset", style="k-form"):
            tag("legend", title or say("settings"), "" if title else "l-unseen")
            self._mode = ui.select(
                {mode: say(f"mode_{mode}") for mode in get_args(Mode)},
                label=say("mode"),
                value=start.mode,
            ).props("outlined dense options-dense")
            self._k = ui.number(say("k"), value=start.k, min=1, max=MOST, step=1, precision=0)
            self._k.props("outlined dense").set_visibility(asking)
            self._query = _steps(say, "query", start.query)
            self._strategy = ui.select(
                options(say, "strategy", (start.strategy,)),
                label=say("strategy"),
                value=start.strategy,
                new_value_mode="add-unique",
            ).props("outlined dense options-dense")
            self._post = _steps(say, "post", start.post)
            self._model = ui.select(
                list(dict.fromkeys([*models, start.model])), label=say("model"), value=start.model
            ).props("outlined dense options-dense")
            self._filters = ui.textarea(say("filters"), value="\n".join(start.filters))
            self._filters.props("outlined dense autogrow rows=1").classes("k-filters")
            self._filters.props["hint"] = say("filters_hint")
            self._filters.set_visibility(asking)

    @property
    def settings(self) -> Settings:
        """What is chosen now; `Settings.check` says whether it can be searched with."""
        lines = (self._filters.value or "").splitlines()
        return Settings(
            k=int(self._k.value or 0),
            mode=str(self._mode.value),
            query=tuple(self._query.value),
            strategy=str(self._strategy.value or "single"),
            post=tuple(self._post.value),
            filters=tuple(line.strip() for line in lines if line.strip()),
            model=str(self._model.value),
        )


def _steps(say: Say, kind: Kind, chosen: tuple[str, ...]) -> ui.select:
    """Several steps in the order in which they are chosen; one with an argument may be typed."""
    select = ui.select(
        options(say, kind, chosen),
        label=say(kind),
        value=list(chosen),
        multiple=True,
        new_value_mode="add-unique",
    )
    return select.props("outlined dense options-dense use-chips").classes("k-steps")


def explain_steps(say: Say) -> None:
    """What each step does, by kind."""
    for kind, names in STEPS.items():
        tag("h3", say(kind))
        with tag("dl", style="k-about"):
            for name in names:
                with tag("dt"):
                    tag("code", name)
                tag("dd", does(say, kind, name))
