"""Writes docs/cli.md and docs/settings.md from the code; --check fails where they are stale."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import click

from llar.cli import COMMANDS, cli
from llar.config import Config

DOCS = Path(__file__).parent


def command_line() -> str:
    """The reference of every command, as its --help prints it."""
    parts = ["# Command line\n\nGenerated from the code by `make docs`.\n"]
    root = click.Context(cli, info_name="llar", terminal_width=88, max_content_width=88)
    parts.append(_help("llar", cli, root))
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        parts.extend(_describe(f"llar {name}", command, root))
    parts.append(
        "## Exit codes\n\n"
        "| code | meaning |\n|---|---|\n"
        "| 0 | done |\n"
        "| 1 | an error; stderr says what was wrong and the command that fixes it |\n"
        "| 2 | the command line is wrong |\n"
        "| 3 | done, but some files could not be read; one line each on stderr |\n"
        "| 130 | stopped by the user |\n"
    )
    return "\n".join(parts)


def _describe(path: str, command: click.Command, parent: click.Context) -> list[str]:
    context = click.Context(command, info_name=path.rsplit(maxsplit=1)[-1], parent=parent)
    parts = [_help(path, command, context)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            parts.extend(_describe(f"{path} {name}", child, context))
    return parts


def _help(path: str, command: click.Command, context: click.Context) -> str:
    return f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"


def settings() -> str:
    """The page of every setting."""
    rows = [
        "# Settings\n",
        "Generated from the code by `make docs`. Defaults are overruled by `llar.toml` in "
        "`LLAR_HOME`, that by the environment, and that by `llar --set KEY=VALUE`. `llar config` "
        "shows the values in force.\n",
        "| setting | variable | default | what it is |",
        "|---|---|---|---|",
    ]
    for f in fields(Config):
        default = "" if f.metadata["secret"] else f"`{f.default}`" if f.default != "" else ""
        only = " (environment only)" if f.metadata["secret"] or f.name == "home" else ""
        rows.append(
            f"| `{f.name}`{only} | `LLAR_{f.name.upper()}` | {default} | {f.metadata['about']} |"
        )
    rows.append(
        "\nOther programs' variables that `llar models pull` honours: `HF_ENDPOINT` (another hub "
        "than huggingface.co), `HF_TOKEN` (for models that need a login), and pip's own "
        "(`PIP_INDEX_URL`, `PIP_CERT`, proxies).\n"
    )
    return "\n".join(rows)


def main() -> int:
    """Write the pages, or say which are stale."""
    stale = []
    for name, text in (("cli.md", command_line()), ("settings.md", settings())):
        file = DOCS / name
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        print(f"docs/{name} is stale; run: make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
