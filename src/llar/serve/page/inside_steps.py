"""Writing token by token: one picks what comes, goes back and picks another way."""

from __future__ import annotations

import random

from nicegui import events, ui
from nicegui.element import Element

from ...errors import InsideError, LlarError
from ...inside.decoding import Settings
from ...inside.generation import Model, shown
from ..threads import in_thread
from .frame import Screen
from .inside_looking import Look, ask, look
from .inside_next import LONGEST_TEXT, facts, names_of
from .inside_settings import Sliders, choose_model, problem
from .inside_shown import Choice, percent, visible
from .inside_tree import Tree
from .parts import tag

__all__ = ["StepByStep"]

AT_ONCE = 5  # tokens that one button takes
MOST = 400  # tokens in a tree


class Ways(Element, component="inside_tree.js"):
    """Everything that was tried."""

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__()
        self._props["names"] = names
        self._props["lines"] = []

    def show(self, tree: Tree, language: str) -> None:
        """Show the tree, with the path to where one stands."""
        on = {node.number for node in tree.path} | {0}
        self._props["lines"] = [
            {
                "depth": line.depth,
                "nodes": [
                    {
                        "n": node.number,
                        "shown": visible(node.text),
                        "share": percent(node.share, language) if node.number else "",
                        "on": node.number in on,
                        "here": node is tree.here,
                    }
                    for node in line.nodes
                ],
            }
            for line in tree.lines()
        ]
        self.update()


class StepByStep:
    """The tab; one call of the model at a time, so that no click is lost or done twice."""

    def __init__(self, screen: Screen, models: list[str]) -> None:
        self._screen = screen
        self._tree: Tree | None = None
        self._told: Look | None = None
        self._busy = False
        self._anew = False
        self._random = random.Random()  # noqa: S311 - it draws words
        say = screen.say
        with ui.element("section").classes("t-two"):
            with ui.element("div").classes("t-ask t-card"):
                ui.label(say("steps_about")).classes("l-quiet")
                self._text = ui.textarea(say("beginning"), value=say("steps_example"))
                self._text.props(f"outlined autogrow maxlength={LONGEST_TEXT}").props(
                    "data-part=steps-text"
                )
                self._model = choose_model(models, screen.state.config, say, self._begin)
                ui.button(say("begin"), icon="play_arrow", on_click=self._begin).props("unelevated")
                self._sliders = Sliders(screen, self._again)
            with ui.element("div").classes("t-answer t-card"):
                self._problem = ui.label().classes("t-problem").props("role=alert")
                tag("h2", say("so_far"), "t-head")
                self._written = ui.label().classes("t-written").props("data-part=written")
                with ui.element("div").classes("t-row"):
                    self._button("likeliest", "arrow_forward", self._likeliest)
                    self._button("draw", "casino", self._draw)
                    self._button("several", "fast_forward", self._several)
                    self._button("undo", "undo", self._undo)
                tag("h2", say("tree"), "t-head")
                ui.label(say("tree_about")).classes("l-quiet l-small")
                keys = ("tree", "branch", "start", "back")
                self._ways = Ways({key: say(f"tree_{key}") for key in keys})
                self._ways.on("back", self._back)
                tag("h2", say("pick"), "t-head")
                self._facts = ui.label().classes("t-facts").props("role=status")
                self._choice = Choice(names_of(screen), screen.language, picks=True)
                self._choice.on("pick", self._pick)
        problem(self._problem, None, screen)

    def _button(self, key: str, icon: str, on_click: object) -> None:
        label = self._screen.say(key, count=AT_ONCE)
        ui.button(label, icon=icon, on_click=on_click).props("outline dense no-caps")  # type: ignore[arg-type]

    async def show(self) -> None:
        """The tab was opened."""
        if self._tree is None:
            await self._begin()

    async def _begin(self) -> None:
        self._anew = True  # also while the model is busy: then it begins after that
        await self._do()

    async def _again(self) -> None:
        """Other settings: what is kept of the same candidates."""
        await self._do()

    async def _pick(self, e: events.GenericEventArguments) -> None:
        if not self._busy:
            await self._do(take=int(e.args))

    async def _likeliest(self) -> None:
        await self._do(draws=1, by_chance=False)

    async def _draw(self) -> None:
        await self._do(draws=1, by_chance=True)

    async def _several(self) -> None:
        await self._do(draws=AT_ONCE, by_chance=self._sliders.settings.temperature > 0)

    async def _undo(self) -> None:
        parent = self._tree.here.parent if self._tree else None
        if parent is not None:
            await self._go_back(parent.number)

    async def _back(self, e: events.GenericEventArguments) -> None:
        await self._go_back(int(e.args))

    async def _go_back(self, number: int) -> None:
        if self._tree is not None and not self._busy and 0 <= number <= self._tree.size:
            self._tree.back(number)
            await self._do()

    async def _do(
        self, *, take: int | None = None, draws: int = 0, by_chance: bool = False
    ) -> None:
        """Begin where nothing is begun, take a token or draw some, and show where one is."""
        if self._busy or not self._model.value:
            return
        self._screen.identity()
        self._busy = True
        if self._anew:
            self._tree, self._anew = None, False
        name, text, settings = self._model.value, self._text.value or "", self._sliders.settings
        error: LlarError | None = None
        try:
            await in_thread(self._step, name, text, settings, take, draws, by_chance)
        except LlarError as e:
            error = e
        finally:
            self._busy = False
        if self._choice.is_deleted:
            return
        self._show(error)
        if self._anew or self._sliders.settings != settings:  # asked or moved meanwhile
            await self._do()

    def _step(
        self, name: str, text: str, settings: Settings, take: int | None, draws: int, chance: bool
    ) -> None:
        model = self._screen.state.steps.model(name)
        tree = self._tree or Tree(text, ask(model, text))
        before = tree.here
        try:
            if take is not None and self._told is not None:
                _take(model, tree, self._told, take)
            for _ in range(draws):
                if tree.path and model.ends(tree.here.token):
                    break
                told = look(model, tree.ids, tree.written, settings,
                            chance=self._random.random() if chance else None)  # fmt: skip
                _take(model, tree, told, told.step.chosen.id)
            self._told = look(model, tree.ids, tree.written, settings)
        except LlarError:
            tree.here = before  # where the candidates on the screen are from
            raise
        self._tree = tree

    def _show(self, error: LlarError | None) -> None:
        problem(self._problem, error, self._screen)
        tree, told = self._tree, self._told
        if tree is None or told is None:
            return
        self._written.text = tree.text
        self._ways.show(tree, self._screen.language)
        self._choice.show(told.step.candidates)
        self._facts.text = facts(self._screen, told)


def _take(model: Model, tree: Tree, told: Look, token: int) -> None:
    """Go on with one of the candidates."""
    if tree.size >= MOST:
        raise InsideError(f"{MOST} tokens were taken; begin again")
    chosen = next((c for c in told.step.candidates if c.id == token), None)
    if chosen is None:
        raise InsideError(f"token {token} is none of those that are shown")
    piece = model.piece(token)
    tree.take(token, shown(piece), piece, chosen.before)
