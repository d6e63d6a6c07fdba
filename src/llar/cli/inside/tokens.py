"""`llar tokens`: a text under several tokenizers, side by side."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..output import clean, json_option, print_json
from .shared import plot_option, theme_option, wrote

if TYPE_CHECKING:
    from ...inside.tokens import Cost, Tokenized
    from ...models.vocabulary import Token

_COLOURS = (24, 58, 53, 22, 89)  # backgrounds of 256, dark enough for white letters
_UNKNOWN = 124
_LIKE_A_FILE = re.compile(r"\S*\w\.[A-Za-z]\w{0,4}|[.~]{0,2}/\S+")
_MARKS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}


@click.command()
@click.argument("text", required=False, metavar="TEXT|FILE")
@click.option(
    "--tokenizer",
    "names",
    multiple=True,
    metavar="NAME",
    help="character, word, byte, a model, a GGUF file or a tokenizer.json (default: all that are"
    " installed). Repeatable.",
)
@click.option(
    "--languages",
    is_flag=True,
    help="Compare a sentence in English, Spanish, Catalan and Hungarian, or those of FILE"
    " (lines like: en: The doctor ...).",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=400,
    show_default=True,
    help="How many tokens of each tokenizer to show; --json has all.",
)
@plot_option
@theme_option
@json_option
@click.pass_context
def tokens(
    ctx: click.Context,
    text: str | None,
    names: Sequence[str],
    languages: bool,
    limit: int,
    plot: Path | None,
    theme: str,
    as_json: bool,
) -> None:
    """Show the tokens of a text or a file under several tokenizers, and what they cost.

    A text that is the name of a file stands for the file; - reads standard input. Bytes that are
    no whole character are shown as \\xf0\\x9f, spaces as they are.
    """
    from ...inside import tokens as inside
    from ...pictures import style

    if text is None and not languages:
        raise click.UsageError("expected a text or a file, or --languages")
    if plot:
        style.check(plot)
    used, failed = inside.tokenizers(ctx.obj, names)
    for name, why in failed.items():
        click.echo(f"{clean(name)} cannot be used: {clean(why)}", err=True)
    if languages:
        sentences = inside.read_sentences(Path(text)) if text else dict(inside.SENTENCES)
        costs = inside.compare(sentences, used)
        if plot:  # first: a reader of the text may stop listening
            from ...inside.tokens_plot import draw_languages

            draw_languages(plot, costs, theme)
            wrote(plot)
        if as_json:
            print_json({"sentences": sentences, "costs": costs})
        else:
            _show_costs(sentences, costs)
    else:
        read = _read(text or "")
        found = [inside.tokenize(read, name, tokenizer) for name, tokenizer in used.items()]
        if plot:
            from ...inside.tokens_plot import draw

            draw(plot, found, theme)
            wrote(plot)
        if as_json:
            # On one line: a megabyte of text has a million tokens, each with eight facts.
            listed = [_as_json(each) for each in found]
            click.echo(json.dumps({"text": read, "tokenizers": listed}, ensure_ascii=False))
        else:
            _show(found, limit)


def _read(text: str) -> str:
    """The text itself, or of the file of that name, or of standard input."""
    from ...errors import InsideError

    try:
        if text == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        file = Path(text)
        if "\n" not in text and len(os.fsencode(text)) < 4096:
            if file.is_dir() and (os.sep in text or text in (".", "..")):
                raise InsideError(f"{text!r} is a folder; expected a text or one file")
            if file.is_file():
                return file.read_bytes().decode("utf-8")
            if _LIKE_A_FILE.fullmatch(text):
                click.echo(f"there is no file {clean(text)!r}: this is taken as the text", err=True)
    except UnicodeDecodeError as e:
        raise InsideError(f"{text!r} is no UTF-8 text: {e.reason} at byte {e.start}") from e
    except UnicodeEncodeError:
        return text  # a lone surrogate cannot be a file's name; the tokenizers tell of it
    except OSError as e:
        raise InsideError(f"{text!r} cannot be read: {e.strerror or e}") from e
    return text


def _show(found: Sequence[Tokenized], limit: int) -> None:
    from ..evaluate.shared import table

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for each in found:
        size = f"{each.size:,}" if each.fixed else "no fixed"
        click.secho(f"{clean(each.tokenizer)}: {each.count:,} tokens "
                    f"({each.kind}, {size} vocabulary)", bold=True)  # fmt: skip
        click.echo(_painted(each, limit, colour))
        click.echo(" ".join(str(token.id) for token in each.tokens[:limit]) or "(none)")
        if each.count > limit:
            click.echo(f"... and {each.count - limit:,} more; --limit or --json shows them")
        click.echo()
    rows = [
        [
            clean(each.tokenizer),
            f"{each.count:,}",
            f"{each.size:,}" + ("" if each.fixed else " *"),
            _figure(each.characters_per_token),
            _figure(each.tokens_per_word),
            str(each.unknown),
        ]
        for each in found
    ]
    head = ["tokenizer", "tokens", "vocabulary", "characters/token", "tokens/word", "unknown"]
    click.echo(table(head, rows))
    if not all(each.fixed for each in found):
        click.echo("* has no fixed vocabulary: different ones in this text")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _painted(each: Tokenized, limit: int, colour: bool) -> str:
    """The tokens one after the other, apart by colour or by a line."""
    parts = [_visible(token, each.kind) for token in each.tokens[:limit]]
    if not colour:
        return "│".join(parts)
    painted = []
    for n, (part, token) in enumerate(zip(parts, each.tokens, strict=False)):
        ground = _UNKNOWN if token.unknown else _COLOURS[n % len(_COLOURS)]
        painted.append(click.style(part, fg=231, bg=ground))
    return "".join(painted)


def _visible(token: Token, kind: str) -> str:
    from ...inside.tokens import shown

    text = "".join(_MARKS.get(c, c) for c in shown(token, kind))
    return clean(text)


def _as_json(each: Tokenized) -> dict[str, Any]:
    from ...inside.tokens import shown

    listed = [
        {
            "id": token.id,
            "text": shown(token, each.kind),
            "entry": token.text,
            "bytes": token.piece.hex(" "),
            "start": token.start,
            "end": token.end,
            "special": token.special,
            "unknown": token.unknown,
        }
        for token in each.tokens
    ]
    about = {f.name: getattr(each, f.name) for f in fields(each) if f.name != "tokens"}
    return about | {
        "characters_per_token": each.characters_per_token,
        "tokens_per_word": each.tokens_per_word,
        "tokens": listed,
    }


def _show_costs(sentences: Mapping[str, str], costs: Sequence[Cost]) -> None:
    from ..evaluate.shared import table

    for language, sentence in sentences.items():
        click.echo(f"{clean(language)}: {clean(sentence)}")
    click.echo()
    names = list(dict.fromkeys(cost.tokenizer for cost in costs))
    of = {(cost.tokenizer, cost.language): cost for cost in costs}
    first = next(iter(sentences))
    rows = []
    for name in names:
        cells = [clean(name)]
        for language in sentences:
            cost = of[name, language]
            ratio = "" if language == first else f" x{cost.ratio:.2f}"
            unknown = f" ({cost.unknown} unknown)" if cost.unknown else ""
            cells.append(f"{cost.count}{ratio}{unknown}")
        rows.append(cells)
    click.echo(table(["tokens", *map(clean, sentences)], rows))
