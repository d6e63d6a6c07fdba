"""What a conversation sent to /v1/chat/completions may look like."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...errors import BadRequest
from .body import Ask, JsonObject

__all__ = ["ChatMessage", "Tool", "check_picture", "plain_text"]

_DATA = re.compile(r"data:image/(png|jpeg|jpg|gif|webp|bmp);base64,", re.ASCII)


class TextPart(Ask):
    """Text in a message of several parts."""

    type: Literal["text"]
    text: str
    cache_control: Any = None  # Anthropic's, sent by clients that serve both; it changes nothing


class Refusal(Ask):
    """What an assistant refused with, when sent back as history."""

    type: Literal["refusal"]
    refusal: str


class Picture(Ask):
    """Where a picture is: only in the request itself, nothing is fetched."""

    url: str = Field(description="data:image/png;base64,... ; http addresses are refused")
    detail: Literal["auto", "low", "high"] | None = Field(
        None, description="low and high are refused: pictures are read as they are"
    )


class PicturePart(Ask):
    """A picture in a message."""

    type: Literal["image_url"]
    image_url: Picture


AskedPart = Annotated[TextPart | PicturePart, Field(discriminator="type")]
SaidPart = Annotated[TextPart | Refusal, Field(discriminator="type")]


class Called(BaseModel):
    """The function that was called; `arguments` is JSON as text."""

    model_config = ConfigDict(strict=True)  # clients send back what their parsers added

    name: str
    arguments: str


class ToolCall(BaseModel):
    """A call the assistant made in an earlier turn."""

    model_config = ConfigDict(strict=True)

    id: str
    type: Literal["function"] = "function"
    function: Called


class SystemMessage(Ask):
    """Instructions."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]
    name: str | None = None


class UserMessage(Ask):
    """What a person says."""

    role: Literal["user"]
    content: str | list[AskedPart]
    name: str | None = None


class AssistantMessage(BaseModel):
    """What the model said before, as it was answered: fields of answers are taken back."""

    model_config = ConfigDict(strict=True)

    role: Literal["assistant"]
    content: str | list[SaidPart] | None = None
    tool_calls: list[ToolCall] | None = None
    refusal: str | None = None
    name: str | None = None
    reasoning_content: str | None = None


class ToolMessage(Ask):
    """What a tool answered."""

    role: Literal["tool"]
    content: str | list[TextPart]
    tool_call_id: str
    name: str | None = None


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class Function(Ask):
    """A function a model may call."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(Ask):
    """A tool a model may use; functions are all there are."""

    type: Literal["function"]
    function: Function


def plain_text(content: Any) -> str:
    """The text of a message, its parts put together."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n".join(str(getattr(p, "text", "") or getattr(p, "refusal", "")) for p in content)


def check_picture(picture: Picture, param: str) -> None:
    """Raises BadRequest where it is not in the request itself, whole, and of a kind read here."""
    if picture.detail in ("low", "high"):
        raise BadRequest(
            f"{param}.detail {picture.detail!r} is not supported: pictures are read as they are",
            param=f"{param}.detail", code="unsupported_value",
        )  # fmt: skip
    head = _DATA.match(picture.url)
    if not head:
        raise BadRequest(
            f"{param}.url must be a data: URL (data:image/png;base64,...): nothing is fetched",
            param=f"{param}.url", code="invalid_image_url",
        )  # fmt: skip
    try:
        base64.b64decode(picture.url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(
            f"{param}.url is not valid base64", param=f"{param}.url", code="invalid_base64"
        ) from None
