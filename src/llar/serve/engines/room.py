"""Does a request fit the context? llama.cpp refuses a prompt that does not, but cuts an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...errors import ContextTooLong
from ...models.llamacpp import LlamaTalk
from . import wire

__all__ = ["check"]

TEMPLATE = 512  # most tokens that a template adds to a conversation without tools


async def check(talk: LlamaTalk, body: Mapping[str, Any]) -> None:
    """Raises ContextTooLong where prompt and asked for answer together are too long.

    A text has no more tokens than bytes, so most requests need no counting. One that asks for
    no length may fill the context, and one with pictures is left to llama.cpp.
    """
    wanted = body.get("max_tokens") or body.get("max_completion_tokens") or body.get("n_predict")
    if not isinstance(wanted, int) or wanted < 1:
        return
    told = json.dumps(body.get("messages", body.get("prompt", "")))
    if not body.get("tools") and len(told.encode()) + TEMPLATE + wanted <= talk.context:
        return
    if '"image_url"' in told or '"input_audio"' in told:
        return
    for prompt in await _prompts(talk, body):
        used = prompt if isinstance(prompt, int) else await _count(talk, prompt)
        if used + wanted > talk.context:
            raise ContextTooLong(
                f"{talk.name}: a prompt of {used} tokens and an answer of up to {wanted} do not "
                f"fit the context of {talk.context}"
            )


async def _prompts(talk: LlamaTalk, body: Mapping[str, Any]) -> list[str | int]:
    """The texts that are read, or how many tokens they have where they come as such."""
    if "messages" in body:
        shown = await wire.post(talk.socket, talk.name, "/apply-template", body)
        return [shown["prompt"]]
    prompt = body.get("prompt", "")
    several = prompt if isinstance(prompt, list) else [prompt]
    if several and all(isinstance(token, int) for token in several):
        return [len(several)]
    return [one if isinstance(one, str) else len(one) for one in several]


async def _count(talk: LlamaTalk, text: str) -> int:
    ask = {"content": text, "add_special": True, "parse_special": True}
    answer = await wire.post(talk.socket, talk.name, "/tokenize", ask)
    return len(answer["tokens"])
