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

_CONTROL = re.compile(
    r"<\|[^<>|]{1,40}\|>|<｜[^<>｜]{1,40}｜>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"
    r"|</?(?:think|tool_call|tool_response|im_start|im_end)>"
)
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


def harmless(text: str) -> str:
    """Text in which no model's control token stands, so that a passage cannot end its own turn.

    Models write them as <|name|>, <name>, </s> or [NAME]; a space behind the bracket makes them
    plain text. Quotes are taken from the document, not from here.
    """
    return _CONTROL.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)


def _role(name: str) -> Role:
    return "system" if name == "system" else "user" if name == "user" else "assistant"
