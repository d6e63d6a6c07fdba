"""A text as tokenizers cut it, side by side, and what a sentence costs in four languages."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from ...errors import LlarError
from ...inside import tokens as inside
from ...inside.tokens import Cost, Tokenized
from ...models.vocabulary import Token
from ..threads import in_thread
from .frame import Screen
from .inside_latest import Latest
from .inside_settings import problem
from .inside_shown import Chip, Tokens, token_names, visible
from .library_parts import number
from .parts import tag

__all__ = ["TextTokens"]

MOST = 2_000  # tokens shown of one tokenizer; all are counted
LONGEST = 100_000  # characters
DEFAULT = ("word", "byte")  # beside the installed models


class TextTokens:
    """The tab."""

    def __init__(self, screen: Screen, installed: Sequence[str]) -> None:
        self._screen = screen
        self._latest = Latest(self._work)
        self._below = "ids"
        say = screen.say
        self._names = {name: say(f"plain_{name}") for name in inside.PLAIN}
        self._names |= {name: name for name in installed}
        with ui.element("section").classes("t-card t-ask"):
            ui.label(say("tokens_about")).classes("l-quiet")
            self._text = ui.textarea(say("text"), value=say("tokens_example"))
            self._text.props(f"outlined autogrow debounce=250 maxlength={LONGEST}")
            self._text.props("data-part=tokens-text").on_value_change(self._latest.ask)
            with ui.element("div").classes("t-row"):
                chosen = [*installed, *(n for n in DEFAULT if n not in installed)]
                self._chosen = ui.select(
                    self._names, value=chosen, multiple=True, label=say("tokenizers"),
                    on_change=self._latest.ask,
                )  # fmt: skip
                self._chosen.props("outlined dense use-chips options-dense").classes("t-grow")
                options = {"ids": say("ids"), "bytes": say("bytes"), "none": say("neither")}
                self._choice = ui.select(options, value="ids", label=say("below"))
                self._choice.props("outlined dense options-dense").classes("t-narrow")
                self._choice.on_value_change(self._latest.ask)
            self._problem = ui.label().classes("t-problem").props("role=alert")
        self._results = ui.element("section").classes("t-results")
        with ui.element("section").classes("t-card"):
            tag("h2", say("languages"), "t-head")
            ui.label(say("languages_about")).classes("l-quiet")
            ui.button(say("languages_show"), icon="translate", on_click=self._languages).props(
                "outline"
            )
            self._costs = ui.element("div").classes("t-scroll")
        problem(self._problem, None, screen)

    async def show(self) -> None:
        """The tab was opened."""
        await self._latest.ask()

    async def _work(self) -> None:
        self._screen.identity()
        text, names = self._text.value or "", list(self._chosen.value or ())
        self._below = str(self._choice.value)
        config = self._screen.state.config

        def found() -> list[Tokenized]:
            if not names:
                return []
            used, _ = inside.tokenizers(config, names)
            return [inside.tokenize(text, name, each) for name, each in used.items()]

        error: LlarError | None = None
        told: list[Tokenized] = []
        try:
            told = await in_thread(found)
        except LlarError as e:
            error = e
        if self._results.is_deleted:
            return
        problem(self._problem, error, self._screen)
        if error is None:
            self._results.clear()
            with self._results:
                for each in told:
                    self._show(each)

    def _show(self, each: Tokenized) -> None:
        say, language = self._screen.say, self._screen.language
        with (
            ui.element("article").classes("t-card t-tokenized").props(f"data-name={each.tokenizer}")
        ):
            with ui.element("div").classes("t-tokenized-head"):
                tag("h2", self._names[each.tokenizer], "t-head")
                plain = each.tokenizer in inside.PLAIN
                kind = say(f"kind_{each.tokenizer}") if plain else each.kind
                ui.label(kind).classes("l-quiet l-small")
            with ui.element("dl").classes("t-figures"):
                _figure(say("count"), number(each.count, language), "count")
                size = number(each.size, language) if each.fixed else say("no_vocabulary")
                _figure(say("vocabulary"), size)
                _figure(say("per_token"), _ratio(each.characters_per_token, language))
                _figure(say("per_word"), _ratio(each.tokens_per_word, language))
                if each.unknown:
                    _figure(say("unknown"), number(each.unknown, language))
            label = say("tokens_of", name=self._names[each.tokenizer])
            chips = Tokens(label, token_names(say), self._below)
            chips.show([chip(token, each.kind) for token in each.tokens[:MOST]])
            if each.count > MOST:
                ui.label(say("more_tokens", count=number(each.count - MOST, language)))

    async def _languages(self) -> None:
        self._screen.identity()
        config, names = self._screen.state.config, list(self._chosen.value or ())

        def found() -> list[Cost]:
            used, _ = inside.tokenizers(config, names)
            return inside.compare(inside.SENTENCES, used)

        costs = await in_thread(found)
        if self._costs.is_deleted:
            return
        self._costs.clear()
        with self._costs:
            self._show_costs(costs)

    def _show_costs(self, costs: Sequence[Cost]) -> None:
        say, language = self._screen.say, self._screen.language
        with ui.element("table").classes("t-table"):
            with ui.element("thead"), ui.element("tr"):
                for text in (say("tokenizer"), *(say(f"in_{code}") for code in inside.SENTENCES)):
                    tag("th", text, props="scope=col")
            with ui.element("tbody"):
                for name in dict.fromkeys(cost.tokenizer for cost in costs):
                    with ui.element("tr"):
                        tag("th", self._names[name], props="scope=row")
                        for cost in (c for c in costs if c.tokenizer == name):
                            times = number(cost.ratio, language, 2)
                            tag("td", f"{number(cost.count, language)} (×{times})")
        for code, sentence in inside.SENTENCES.items():
            ui.label(sentence).classes("l-quiet l-small").props(f"lang={code}")


def chip(token: Token, kind: str) -> Chip:
    """A token as inside_tokens.js takes it: shown, id, bytes in hex, what is odd about it."""
    text = token.text if kind == "WordPiece" else inside.shown(token, kind)
    odd = "unknown" if token.unknown else "special" if token.special else ""
    try:
        token.piece.decode("utf-8")
    except UnicodeDecodeError:
        odd = odd or "part"
    return visible(text), token.id, token.piece.hex(" "), odd


def _figure(name: str, value: str, mark: str = "") -> None:
    with ui.element("div"):
        tag("dt", name)
        tag("dd", value, props=f"data-figure={mark}" if mark else "")


def _ratio(value: float | None, language: str) -> str:
    return "–" if value is None else number(value, language, 2)
