"""`llar evaluate`: each command lives in a module of its own, imported when it runs."""

from __future__ import annotations

import importlib

import click

# name -> one line for --help; the module and its command are called the same
COMMANDS = {
    "retrieval": "Measure how well passages are found.",
    "answers": "Measure answers: right, backed by the documents, silent where they must be.",
    "chunking": "Measure chunkers: how much of what answers a question they bring back.",
    "robustness": "Measure answers among noise, without evidence, and against false passages.",
    "injection": "Measure whether instructions hidden in documents are followed.",
    "make": "Make a question set from a collection's own documents.",
    "compare": "Run variants on the same questions and tell which differ.",
    "tune": "Search the options that are best for a collection's questions.",
    "runs": "List, show and compare runs made before.",
}


class Commands(click.Group):
    """Loads a command's module when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(
            importlib.import_module(f".{cmd_name}", __name__), cmd_name
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands)
def evaluate() -> None:
    """Measure retrieval and answers, with numbers to show."""
