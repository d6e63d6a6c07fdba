"""One run: its figures with intervals, each question, and what it was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from ...evaluate.runs import Result
from ..runs import RunShown
from ..threads import in_thread
from .evaluation_parts import figures_table, main_first, measure_name
from .frame import Screen, frame, page
from .library_parts import asking, confirmed, day, duration, number, pager, sheet, tag

PAGE = 50
COLUMNS = 4  # measures in the table of questions
_ASKED = ("settings", "models", "versions", "machine", "data", "source", "measured", "overhead")


@page("/evaluation/run/{run_id}")
async def show(run_id: str) -> None:
    """The screen."""
    sheet("library")
    sheet("evaluation")
    with frame("evaluation", heading=False) as screen:
        library, identity = screen.state.library, screen.identity()
        found = await in_thread(library.runs.run, identity, run_id)
        view = _Run(screen, found)
        view.draw()


class _Run:
    """What one visitor sees of a run."""

    def __init__(self, screen: Screen, found: RunShown) -> None:
        self._screen, self._say, self._language = screen, screen.say, screen.language
        self._found, self._row = found, found.row
        self._order, self._down, self._page = "", False, 1
        self._names = main_first(list(self._row.measures))
        say, row, language = self._say, self._row, self._language
        with tag("nav", style="k-crumbs", aria_label=say("where")):
            ui.link(say("evaluation"), f"/evaluation?collection={row.collection}")
            tag("span", "›", aria_hidden="true")
            tag("span", row.id, aria_current="page")
        with tag("div", style="k-toolbar"):
            tag("h2", row.id, "k-title l-grow")
            gone = tag("button", say("delete"), "k-button k-danger", type="button")
            gone.on("click", self._delete)
        facts = [
            say(f"kind_{row.kind}") if row.kind in ("retrieval", "answers") else row.kind,
            f"{row.collection} / {row.questions_set}",
            say("n_questions", count=number(row.questions, language)),
            day(row.started, language),
            row.user or say("command_line"),
        ]
        seconds = sum(r.seconds for r in found.results)
        if found.results:
            facts.append(say("each", time=number(1000 * seconds / len(found.results), language)))
            facts.append(duration(seconds, language))
        tag("p", " · ".join(f for f in facts if f), "l-quiet l-number")
        if row.finished is None:
            tag("p", say("unfinished"), "k-note")
        for note in found.record.get("notes") or ():
            tag("p", str(note), "k-note l-small")
        for why, count in (found.record.get("left_out") or {}).items():
            tag("p", say("left_out", count=count, why=why), "k-note l-small")

    def draw(self) -> None:
        """Figures, kinds, questions, settings."""
        say, language, names = self._say, self._language, self._names
        if names:
            with tag("section", style="k-section"):
                tag("h2", say("figures"))
                figures_table(say, language, self._row.measures, self._found.results, names[:10],
                              say("figures"))  # fmt: skip
                if len(names) > 10:
                    more = say("more_figures", count=len(names) - 10)
                    with ui.expansion(more).classes("k-fold"):
                        figures_table(say, language, self._row.measures, self._found.results,
                                      names[10:], more)  # fmt: skip
            self._kinds()
        with tag("section", style="k-section"):
            tag("h2", say("each_question"))
            self._list = tag("div", style="k-card k-scroll")
            self._pager = tag("div")
        self._questions()
        with ui.expansion(say("made_with_what")).classes("k-fold"):
            for key in _ASKED:
                self._record(key, self._found.record.get(key))

    def _kinds(self) -> None:
        """The main means by kind of question."""
        say, by_kind = self._say, self._found.by_kind
        names = [n for n in self._names if any(n in of for of in by_kind.values())][:COLUMNS]
        if not by_kind or not names:
            return
        tag("h3", say("by_kind"))
        with tag("div", style="k-card k-scroll"), tag("table", style="k-table"):
            tag("caption", say("by_kind"), "l-unseen")
            with tag("thead"), tag("tr"):
                tag("th", say("kind"), scope="col")
                for name in names:
                    tag("th", measure_name(name), "k-num", scope="col")
            with tag("tbody"):
                for kind, of in by_kind.items():
                    with tag("tr"):
                        tag("th", kind, scope="row")
                        for name in names:
                            shown = number(of[name], self._language, 3) if name in of else "–"
                            tag("td", shown, "k-num")

    # -- questions -------------------------------------------------------------------------

    def _questions(self) -> None:
        """Each question with its main figures; a click shows what was found or answered."""
        say = self._say
        names = [n for n in self._names if any(n in r.measures for r in self._found.results)]
        names = names[:COLUMNS]
        rows = list(self._found.results)
        if self._order:
            rows.sort(key=lambda r: r.measures.get(self._order, -1.0), reverse=self._down)
        pages = max(1, -(-len(rows) // PAGE))
        self._page = min(self._page, pages)
        self._list.clear()
        with self._list, tag("table", style="k-table"):
            tag("caption", say("each_question"), "l-unseen")
            with tag("thead"), tag("tr"):
                tag("th", say("question"), scope="col")
                for name in names:
                    self._column(name)
                tag("th", say("time"), "k-num", scope="col")
            with tag("tbody"):
                for result in rows[(self._page - 1) * PAGE : self._page * PAGE]:
                    with tag("tr"):
                        with tag("th", style="k-asked", scope="row"):
                            open_ = tag("button", result.question, "k-link", type="button")
                            open_.on("click", lambda r=result: self._open(r))
                            if result.reused:
                                tag("span", say("reused"), "k-mark")
                        for name in names:
                            value = result.measures.get(name)
                            shown = "–" if value is None else number(value, self._language, 3)
                            tag("td", shown, "k-num")
                        spent = f"{number(1000 * result.seconds, self._language)} ms"
                        tag("td", spent, "k-num")
        self._pager.clear()
        with self._pager:
            pager(self._page, pages, self._language, self._turn, say("each_question"))

    def _column(self, name: str) -> None:
        here = self._order == name
        state = ("descending" if self._down else "ascending") if here else "none"
        with tag("th", style="k-num", scope="col", aria_sort=state):
            sign = ("▼" if self._down else "▲") if here else ""
            button = tag("button", f"{measure_name(name)} {sign}".strip(), "k-sort", type="button")
            button.on("click", lambda: self._sort(name))

    def _sort(self, name: str) -> None:
        self._down = not self._down if self._order == name else False
        self._order, self._page = name, 1
        self._questions()

    def _turn(self, page: int) -> None:
        self._page = page
        self._questions()

    def _open(self, result: Result) -> None:
        """What came of one question, with all of its figures."""
        say, language = self._say, self._language
        with asking(result.question) as dialog:
            dialog.on("hide", dialog.delete)
            dialog.open()
            shown = self._screen.state.library.shown(self._row.collection)
            if "answer" in result.output:
                _answer(say, result.output)
            else:
                _hits(say, language, result.output.get("hits", ()), shown)
            with tag("dl", style="k-facts l-number"):
                for name in main_first(list(result.measures)):
                    tag("dt", measure_name(name))
                    tag("dd", number(result.measures[name], language, 4))
            with tag("div", style="k-actions"):
                ui.button(say("close"), on_click=dialog.close).props("flat")

    def _record(self, key: str, value: Any, depth: int = 0) -> None:
        """A part of the record as a list of names and values."""
        if isinstance(value, Mapping) and value:
            tag("h4" if depth == 0 else "p", key, "" if depth == 0 else "l-quiet")
            with tag("dl", style="k-facts l-small"):
                for name, inner in value.items():
                    tag("dt", str(name))
                    tag("dd", str(inner) if inner not in ("", None) else "–")

    async def _delete(self) -> None:
        say, row = self._say, self._row
        lost = [say("n_questions", count=number(row.questions, self._language))]
        title = say("delete_run", name=row.id)
        if await confirmed(say, title, say("delete_run_about"), lost, say("delete")):
            library, identity = self._screen.state.library, self._screen.identity()
            await in_thread(library.runs.delete_run, identity, row.id)
            ui.navigate.to(f"/evaluation?collection={row.collection}")


def _answer(say: Any, output: Mapping[str, Any]) -> None:
    """An answer as it was given, what was left out of it too."""
    tag("p", str(output["answer"]), "k-verdict" + (" k-none" if output.get("abstained") else ""))
    removed = [s for s in output.get("sentences", ()) if not s.get("supported")]
    if removed:
        tag("p", say("left_out_sentences"), "l-quiet l-small")
        with tag("ul", style="l-small"):
            for sentence in removed:
                tag("li", f"{sentence['text']} ({sentence.get('reason', '')})")
    for cited in output.get("citations", ()):
        with tag("p", style="l-small"):
            page = f", {say('page', number=cited['page'])}" if cited.get("page") else ""
            name = cited["document"].get("title") or cited["document"]["path"].rsplit("/", 1)[-1]
            tag("strong", f"[{cited['n']}] {name}{page}: ")
            tag("q", " ".join(str(cited["quote"]).split()))


def _hits(say: Any, language: str, hits: Sequence[Sequence[Any]], shown: Any) -> None:
    """The documents or passages that a search found, best first."""
    with tag("ol", style="l-small l-number"):
        for hit in hits[:20]:
            spans = f", {hit[3][0][0]}–{hit[3][-1][1]}" if len(hit) > 3 and hit[3] else ""
            tag("li", f"{shown(hit[1])}{spans} · {number(hit[2], language, 3)}")
    if len(hits) > 20:
        tag("p", say("and_more", count=len(hits) - 20), "l-quiet l-small")
