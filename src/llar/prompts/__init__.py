"""Every prompt llar sends, as a file anyone can read and change.

A prompt is a text file with a line `# system` or `# user` before each message and `$name` where a
value goes. A file of the same name in LLAR_HOME/prompts replaces the one that ships.
"""

from __future__ import annotations

import re
import string
from importlib import resources

from ..config import Config
from ..errors import ConfigError
from ..records import Message, Role

_HEAD = re.compile(r"^# (system|user|assistant)\n", re.MULTILINE)


def render(config: Config, name: str, **values: str) -> list[Message]:
    """The messages of the prompt `name` with its values filled in.

    Raises ConfigError where the file asks for a value that this prompt does not have.
    """
    own = config.home / "prompts" / f"{name}.txt"
    if own.is_file():
        text, where = own.read_text(encoding="utf-8"), str(own)
    else:
        text = (resources.files(__name__) / f"{name}.txt").read_text(encoding="utf-8")
        where = f"llar/prompts/{name}.txt"
    parts = _HEAD.split(text)
    if parts[0].strip() or len(parts) < 3:
        raise ConfigError(f"{where}: expected a line '# system' or '# user' before each message")
    messages = []
    for role, body in zip(parts[1::2], parts[2::2], strict=True):
        try:
            filled = string.Template(body.strip()).substitute(values)
        except (KeyError, ValueError) as e:
            have = ", ".join(f"${v}" for v in values)
            raise ConfigError(f"{where}: {e} cannot be filled in; it may use {have}") from None
        messages.append(Message(_role(role), filled))
    return messages


def _role(name: str) -> Role:
    return "system" if name == "system" else "user" if name == "user" else "assistant"
