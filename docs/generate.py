"""Writes docs/cli.md, docs/settings.md, docs/steps.md and the README's file map from the code.

With --check it writes nothing and fails where one of them is stale.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from dataclasses import fields
from pathlib import Path

import click

from llar.cli import COMMANDS, cli
from llar.config import Config
from llar.retrieve.steps import STEPS, Kind, StepName

DOCS = Path(__file__).parent
ROOT = DOCS.parent
# The order in which data flows; what is not named follows, by name.
FLOW = """
records errors config prompts documents/__init__ documents/folders documents/sandbox
documents/frames documents/worker documents/reading documents/detect documents/parsed
documents/compose documents/decode documents/marks documents/markdown_table
documents/captions documents/pdf documents/pdf_library documents/pdf_page
documents/pdf_complete documents/pdf_layout documents/pdf_tables documents/pdf_rules
documents/pdf_unruled documents/pdf_grid documents/pdf_rows documents/pdf_text
documents/pdf_info documents/office documents/docx documents/docx_styles documents/pptx
documents/reading_order documents/drawing documents/xlsx documents/cells
documents/number_formats documents/html documents/html_table documents/markdown
documents/front_matter documents/rst documents/rst_tables documents/plain documents/mail
documents text/language text/words text/stopwords text/sentences text chunks
models/interface models/__init__ models/catalogue models/sources models/pull models/wheel
models/hub models/progress models/gguf models/weights models/store models plan/__init__
plan/figure plan/units plan/amount plan/shape plan/shapes/__init__ plan/shapes/resolve plan/shapes
plan/memory/__init__ plan/memory/formats plan/memory/mixtures plan/memory/weights plan/memory/kv
plan/memory/running plan/memory plan/hardware plan/costs plan/advice index/__init__ index/database
index/index index/ingest index/lexical index/vectors index/filters index/migrate
index/doctor index/examine index/repair index/salvage index retrieve/__init__
retrieve/query retrieve/options retrieve/steps retrieve/searcher retrieve/hybrid
retrieve/rewrite retrieve/strategy retrieve/post retrieve
answer/__init__ answer/followup answer/evidence answer/prompt answer/check answer collection
watch transfer archive evaluate/__init__ evaluate/questions evaluate/runs evaluate
inside/__init__ inside pictures/__init__ pictures
bundle/__init__ bundle/pack bundle/wheels bundle/install bundle
serve/__init__ serve/run serve/app serve/state serve/who serve/request serve/threads serve/health
serve/metrics serve/observe serve/accounts/__init__ serve/accounts serve/audit serve/forget
serve/engines/__init__ serve/engines/engine serve/engines serve/library serve/library_work
serve/jobs serve/job_records serve/uploads serve/asks serve/history serve/api/__init__
serve/api/chat serve/api serve/mcp/__init__ serve/mcp serve/page/__init__ serve/page/frame
serve/page/chat serve/page serve cli
__main__
""".split()  # noqa: SIM905


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
        "| 4 | a figure is worse than allowed (`evaluate --fail-below`, `plan verify`) |\n"
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


_ABOUT: dict[Kind, str] = {
    "query": "## Before retrieval (`--query`)\n\nWhat is done to the question before anything is"
    " searched. Several steps run in the order given.\n",
    "strategy": "## Retrieval (`--strategy`)\n\nHow passages are found. One of these.\n",
    "post": "## After retrieval (`--post`)\n\nWhat is done to the passages found"
    " (`candidates` of them, 50 by default) before the best `-k` are kept.\n",
}


def steps() -> str:
    """The page of every step a search can be made of."""
    parts = [
        "# Steps of a search\n\nGenerated from the code by `make docs`. What they are for, and"
        " which ones help, stands in [Retrieval](retrieval.md).\n"
    ]
    for kind, names in STEPS.items():
        parts.append(_ABOUT[kind])
        for name in names:
            about = inspect.getdoc(StepName(kind, name).load()) or ""
            parts.append(f"### {name}\n\n{about}\n")
    return "\n".join(parts)


def readme() -> str:
    """The README with its file map up to date."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.compile(r"(```text\nsrc/llar/\n).*?(```)", re.DOTALL)
    assert block.search(text), "the README has no file map"
    return block.sub(lambda m: m[1] + _map() + m[2], text)


def _map() -> str:
    package = ROOT / "src" / "llar"
    files = {str(p.relative_to(package).with_suffix("")): p for p in package.rglob("*.py")}
    files.pop("__init__")

    def place(name: str) -> tuple[int, str]:
        known = [name, name.partition("/")[0]]
        return min((FLOW.index(k) for k in known if k in FLOW), default=len(FLOW)), name

    lines = []
    for name in sorted(files, key=place):
        about = ast.get_docstring(ast.parse(files[name].read_text(encoding="utf-8"))) or ""
        lines.append(f"  {name + '.py':<30} {about.partition(chr(10) * 2)[0].splitlines()[0]}\n")
    return "".join(lines)


def main() -> int:
    """Write the pages, or say which are stale."""
    stale = []
    pages = {
        "docs/cli.md": command_line(),
        "docs/settings.md": settings(),
        "docs/steps.md": steps(),
        "README.md": readme(),
    }
    for name, text in pages.items():
        file = ROOT / name
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        print(f"{name} is stale; run: make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
