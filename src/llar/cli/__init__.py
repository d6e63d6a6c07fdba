"""The command line. Each command lives in a module of its own, imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from ..config import load
from ..errors import LlarError
from .lazy import LazyGroup

PARTLY = 3  # exit code where some files could not be read and the rest was indexed
REGRESSED = 4  # exit code where a figure is worse than --fail-below or --fail-drop allows

# name -> (module, one line for --help); in the order of use
COMMANDS = {
    "ask": ("ask", "Answer a question from the documents, with citations."),
    "chat": ("ask", "Hold a conversation about the documents."),
    "search": ("search", "Find passages."),
    "graph": ("graph", "Show the documents' entities and how they are related."),
    "add": ("documents", "Index files and folders."),
    "sync": ("documents", "Make a collection match its folders."),
    "remove": ("documents", "Forget files, folders or a whole collection."),
    "reembed": ("documents", "Give a collection another embedder."),
    "status": ("documents", "Show what a collection holds and what could not be read."),
    "collections": ("documents", "List the collections."),
    "doctor": ("doctor", "Check collections and models deeply, and mend them."),
    "models": ("models", "List, pull, import, show, remove and verify models."),
    "evaluate": ("evaluate", "Measure retrieval and answers, compare and tune them."),
    "plan": ("plan", "Tell what a model takes: memory, speed, money; and advise."),
    "tokens": ("inside.tokens", "Show a text's tokens under several tokenizers."),
    "sample": ("inside.sample", "Continue one prompt by every decoding method, step by step."),
    "numbers": ("inside.numbers", "Show how numbers are stored and quantised."),
    "map": ("inside.map", "Draw sentences or a collection by meaning."),
    "serve": ("serve", "Serve the web page and the OpenAI-compatible API."),
    "mcp": ("mcp", "Serve searches and answers to MCP clients over stdin and stdout."),
    "users": ("accounts.users", "Add, change, list, remove and forget users."),
    "keys": ("accounts.keys", "Make, list and revoke API keys."),
    "access": ("accounts.access", "Say who may read and edit a collection."),
    "audit": ("accounts.audit", "Show, export and prune the audit log."),
    "export": ("transfer", "Write one collection to one file."),
    "import": ("transfer", "Take in a collection that was exported."),
    "bundle": ("bundle", "Pack a whole working system for a closed network."),
    "config": ("settings", "Show every setting."),
}


@click.group(
    cls=LazyGroup,
    package=__name__,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--home", metavar="DIR", help="Folder of models, collections and llar.toml.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting, for this call (see: llar config).",
)
@click.version_option(package_name="llar", prog_name="llar")
@click.pass_context
def cli(ctx: click.Context, home: str | None, settings: Sequence[str]) -> None:
    """Ask your own documents, offline: local models, true citations."""
    flags: dict[str, Any] = {"home": home}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise click.BadParameter(f"{setting!r}: expected KEY=VALUE", param_hint="--set")
        if name in ("home", "openai_api_key"):
            hint = "use --home" if name == "home" else "it comes from the environment only"
            raise click.BadParameter(f"{name} cannot be set here; {hint}", param_hint="--set")
        flags[name] = value
    ctx.obj = load(flags)


def main() -> None:
    """Run `llar`: 0 done, 1 an error of ours, 2 wrong usage, 3 done but for some files, 4 a figure
    is worse than allowed."""
    try:
        code = cli.main(standalone_mode=False)
    except LlarError as e:
        click.echo(f"error: {e}", err=True)
        sys.exit(1)
    except click.ClickException as e:
        e.show()
        sys.exit(e.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as e:  # stdout on a full disk; what concerns files is an LlarError by now
        click.echo(f"error: the output could not be written: {e.strerror or e}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
