"""Where files and folders are dropped; the browser sends them one by one, with their folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

from nicegui import ui

from .frame import Screen
from .library_parts import size, tag

_TEXTS = (
    "unreadable", "empty_file", "too_large", "signed_out", "no_server", "left_count", "time_left",
    "all_stored", "failed_count", "waiting", "failed", "cancelled", "storing", "cancel", "retry",
    "dismiss",
)  # fmt: skip


def uploads(screen: Screen, collection: str, stored: Callable[[], object]) -> None:
    """The place to drop files, and the list of those on their way.

    `stored` is called for each that the server has on its disk.
    """
    say = screen.say
    limit = screen.state.config.upload_mb << 20
    with tag("section", style="k-uploads", id="uploads", aria_label=say("add")):
        with tag("div", style="k-drop"):
            ui.icon("upload_file").props("aria-hidden=true")
            tag("p", say("drop"), "k-drop-said")
            with tag("p", style="k-drop-buttons"):
                _chooser("upload-files", say("choose_files"), "k-primary")
                _chooser("upload-folder", say("choose_folder"), "", folder=True)
            tag("p", say("drop_about", size=size(limit, screen.language)), "l-quiet l-small")
        tag("p", "", "k-queue-said l-number", role="status")
        tag("ul", "", "k-queue", aria_label=say("on_the_way"))
    about = {
        "method": "PUT",
        "address": f"/api/collections/{quote(collection)}/files/{{path}}",
        "limit": limit,
        "language": screen.language,
        "texts": {key: say(key) for key in _TEXTS},
    }
    ui.on("llar_stored", stored)
    ui.run_javascript(f"llarUploads('uploads', {json.dumps(about)})")


def _chooser(name: str, text: str, style: str, *, folder: bool = False) -> None:
    """A button that opens the browser's chooser."""
    tag("button", text, f"k-button {style}", type="button", data_opens=name)
    chooser = tag("input", "", "l-unseen", type="file", id=name, multiple=True, tabindex=-1)
    chooser.props["aria-label"] = text
    if folder:
        chooser.props["webkitdirectory"] = True
