"""`llar doctor`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..config import Config
from .output import clean, json_option, print_json


@click.command()
@click.option(
    "-c", "--collection", "names", multiple=True, metavar="NAME",
    help="Collection to check (default: all, and every model). Repeatable.",
)  # fmt: skip
@click.option("--repair", "mend", is_flag=True, help="Mend what can be, after a backup.")
@json_option
@click.pass_obj
def doctor(config: Config, names: Sequence[str], mend: bool, as_json: bool) -> int:
    """Check collections and models deeply, and mend them.

    Reads every row of a collection and every byte of a model, so it takes a while. One line per
    problem, with what mends it; a note is something harmless that was left behind. The exit code
    is 1 where a problem was found and not mended. --repair keeps a backup of a collection beside
    it (collection.db.backup-DATE) and says what was lost; nobody else should use the collection
    meanwhile.
    """
    from ..index import doctor as index_doctor
    from ..index.index import collection_names
    from ..index.repair import repair, repair_folders

    chosen = names or collection_names(config)
    found = [problem for name in chosen for problem in index_doctor.check(config, name)]
    if not names:
        found += index_doctor.check_folders(config) + index_doctor.check_models(config)
    done: list[str] = []
    left = found
    if mend and found:
        left = [] if names else index_doctor.check_models(config)
        for name in chosen:
            mine = [p for p in found if p.where == f"collection {name}"]
            done += [f"{name}: {line}" for line in (repair(config, name, mine) if mine else ())]
            left += index_doctor.check(config, name) if mine else []
        if not names:
            done += repair_folders(config)
    serious = [p for p in left if not p.harmless]
    if as_json:
        print_json({"found": found, "done": done, "left": left, "checked": list(chosen)})
        return 1 if serious else 0
    for problem in found:
        kind = "note" if problem.harmless else "problem"
        click.echo(f"{kind}: {_line(problem.where)}: {_line(problem.what)}; fix: {problem.fix}")
    for line in done:
        click.echo(_line(line))
    if mend and found:
        for problem in left:
            click.echo(f"left: {_line(problem.where)}: {_line(problem.what)}; fix: {problem.fix}")
    names_checked = ", ".join(chosen) or "no collections"
    click.echo(f"checked {names_checked}{'' if names else ' and the models'}: ", nl=False)
    click.echo(f"{len(serious)} problem{'' if len(serious) == 1 else 's'}")
    return 1 if serious else 0


def _line(text: str) -> str:
    return clean(" ".join(text.split()))
