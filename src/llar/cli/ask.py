"""`llar ask` and `llar chat`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from .output import (
    as_option,
    as_seen,
    clean,
    collection_option,
    filter_option,
    json_option,
    print_json,
    where,
)
from .retrieval import retrieval_options, show_steps, steps_of

if TYPE_CHECKING:
    from ..collection import Collection
    from ..records import Answer, Hit, Message

model_option = click.option("--model", metavar="BACKEND:NAME", help="Model that writes the answer.")
hits_option = click.option(
    "-k", type=click.IntRange(min=1), default=8, show_default=True, help="Passages to look at."
)


class _Asked(NamedTuple):
    """The options of a question, as Collection.ask names them."""

    model: str | None
    k: int
    mode: str | None
    query: Sequence[str] | None
    strategy: str | None
    post: Sequence[str] | None
    filters: Sequence[str]


@click.command()
@click.argument("question")
@collection_option
@model_option
@hits_option
@retrieval_options
@filter_option
@as_option
@click.option("--explain", is_flag=True, help="Show every step of the search.")
@click.option("--show-prompt", is_flag=True, help="Print exactly what was sent to the model.")
@json_option
@click.pass_context
def ask(
    ctx: click.Context,
    question: str,
    collection: str | None,
    model: str | None,
    k: int,
    mode: str | None,
    query: Sequence[str],
    strategy: str | None,
    post: Sequence[str],
    filters: Sequence[str],
    seen_as: str | None,
    explain: bool,
    show_prompt: bool,
    as_json: bool,
) -> None:
    """Answer a question from the documents, with citations.

    Only sentences that a passage supports are shown, each with the numbers of verbatim quotes.
    Where the documents do not say it, so does the answer.
    """
    from ..collection import Collection

    asked = _Asked(model, k, mode, steps_of(query), strategy, steps_of(post), filters)
    with Collection(collection, config=ctx.obj) as opened:
        seen = as_seen(opened, seen_as)
        if as_json:
            print_json(seen.ask(question, **asked._asdict()))
            return
        answer = _stream(seen, question, asked, ())
    if explain:
        show_steps(answer.steps)
    if show_prompt:
        _show_prompt(answer)


@click.command()
@collection_option
@model_option
@hits_option
@retrieval_options
@filter_option
@click.pass_context
def chat(
    ctx: click.Context,
    collection: str | None,
    model: str | None,
    k: int,
    mode: str | None,
    query: Sequence[str],
    strategy: str | None,
    post: Sequence[str],
    filters: Sequence[str],
) -> None:
    """Hold a conversation about the documents; an empty line or Ctrl-D ends it.

    A follow-up question is completed from what was said before; the question that was looked up
    is shown where it differs from the one typed.
    """
    from ..collection import Collection
    from ..records import Message

    asked = _Asked(model, k, mode, steps_of(query), strategy, steps_of(post), filters)
    history: list[Message] = []
    with Collection(collection, config=ctx.obj) as opened:
        opened.chat_model(model)  # a missing model is told before the first question
        while question := _next_question():
            answer = _stream(opened, question, asked, history)
            history += [Message("user", question), Message("assistant", answer.answer)]


def _next_question() -> str:
    if sys.stdin.isatty():
        click.secho("> ", bold=True, nl=False, err=True)
    return sys.stdin.readline().strip()


def _stream(
    opened: Collection,
    question: str,
    asked: _Asked,
    history: Sequence[Message],
) -> Answer:
    from ..records import Answer

    for event in opened.ask_stream(question, history=history, **asked._asdict()):
        if isinstance(event, Answer):
            _finish(event, question)
            return event
        if event.supported:
            marks = "".join(f"[{n}]" for n in event.citations)
            click.echo(f"{clean(' '.join(event.text.split()))} {marks}")
    raise AssertionError("a stream of an answer ends with the answer")


def _finish(answer: Answer, asked: str) -> None:
    if answer.abstained:
        click.secho(answer.answer, fg="yellow")
        if answer.hits:
            click.echo("The nearest passages:", err=True)
        for line in list(dict.fromkeys(_place(hit) for hit in answer.hits))[:3]:
            click.echo(f"  {line}", err=True)
    else:
        click.echo()
    for c in answer.citations:
        quote = " ".join(c.quote.split())
        click.echo(f"[{c.n}] {where(c.document, c.page)}: “{clean(quote)}”")
    if answer.question != asked:
        click.echo(f"looked up: {clean(answer.question)}", err=True)
    left_out = sum(not s.supported for s in answer.sentences)
    if left_out:
        what = "1 sentence" if left_out == 1 else f"{left_out} sentences"
        click.echo(f"{what} of the model left out as not supported", err=True)
    click.echo(err=True)


def _place(hit: Hit) -> str:
    path = f": {clean(' > '.join(hit.chunk.headings))}" if hit.chunk.headings else ""
    return f"{where(hit.document, hit.chunk.first_page)}{path}"


def _show_prompt(answer: Answer) -> None:
    if any(s.computed for s in answer.sentences):
        click.echo("no prompt was sent: the answer was computed")
    elif not answer.prompt:
        click.echo("no prompt was sent: the documents hold nothing on this question")
    for message in answer.prompt:
        click.secho(f"--- {message.role}", bold=True)
        click.echo(message.content)
