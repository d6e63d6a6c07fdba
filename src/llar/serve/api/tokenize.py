"""POST /tokenize and /detokenize, with the fields of vLLM's and of llama.cpp's alike.

vLLM: prompt or messages, add_special_tokens (true), return_token_strs -> tokens, count,
max_model_len, token_strs. llama.cpp: content, add_special (false), parse_special (true),
with_pieces -> tokens. Without `model` it is the configured chat model; answers name the model.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from pydantic_core import to_json
from starlette.responses import JSONResponse, Response

from ...config import Config
from ...errors import BadRequest
from ...models.store import Store
from ..request import identity_of, state_of
from ..state import State
from ..threads import in_thread
from ..who import Identity
from .answers import Text, Tokens, declared
from .body import Ask, JsonRoute
from .bulk import numbers
from .chat_request import MOST_MESSAGES
from .messages import ChatMessage, Tool
from .models import listed, unknown
from .sse import while_connected

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["router", "text_of"]

router = APIRouter(route_class=JsonRoute, tags=["OpenAI"])

Ids = list[Annotated[int, Field(ge=0, lt=2**31)]]
MOST_PIECES = 50_000  # tokens whose texts are told


class TokenizeRequest(Ask):
    """A text, under vLLM's name (`prompt`) or llama.cpp's (`content`), or a conversation."""

    model: str | None = Field(None, min_length=1, max_length=500)
    prompt: str | None = None
    content: str | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_MESSAGES)] | None = (
        None
    )
    tools: list[Tool] | None = None
    add_special_tokens: bool | None = None
    add_special: bool | None = None
    parse_special: bool | None = None
    return_token_strs: bool | None = None
    with_pieces: bool | None = None
    add_generation_prompt: bool | None = Field(None, description="false is refused")


class DetokenizeRequest(Ask):
    """Tokens of the model."""

    model: str | None = Field(None, min_length=1, max_length=500)
    tokens: Ids


@router.post("/tokenize", responses=declared(Tokens))
@router.post("/v1/tokenize", include_in_schema=False)
async def tokenize(request: Request, body: TokenizeRequest) -> Response:
    """The tokens of a text or of a whole prompt."""
    state, identity = state_of(request), identity_of(request)
    model = body.model or state.config.chat_model
    kind, length = await in_thread(_kind, state, identity, model)
    special = _special(body)
    if kind == "chat":
        text, special = await _prompt(state, model, body, special)
        ids = await state.engines.tokenize(model, text, special=special)
    else:
        if body.messages is not None:
            raise BadRequest(f"{model} is no chat model", param="messages")
        text = _text(body)
        ids = await in_thread(_encoded, state.config, model, text, special)
    answer: dict[str, Any] = {"model": model, "count": len(ids), "max_model_len": length}
    tokens = await in_thread(numbers, ids)
    if body.return_token_strs or body.with_pieces:
        pieces = await while_connected(request, _pieces(state, model, kind, ids))
        if body.return_token_strs:
            answer["token_strs"] = [pieces[n] for n in ids]
        if body.with_pieces:
            tokens = to_json([{"id": n, "piece": pieces[n]} for n in ids])
    return Response(to_json(answer)[:-1] + b',"tokens":' + tokens + b"}",
                    media_type="application/json")  # fmt: skip


@router.post("/detokenize", responses=declared(Text))
@router.post("/v1/detokenize", include_in_schema=False)
async def detokenize(request: Request, body: DetokenizeRequest) -> Response:
    """The text of tokens, under vLLM's name (`prompt`) and llama.cpp's (`content`)."""
    state, identity = state_of(request), identity_of(request)
    model = body.model or state.config.chat_model
    kind, _ = await in_thread(_kind, state, identity, model)
    text = await _decoded(state, model, kind, body.tokens)
    return JSONResponse({"model": model, "prompt": text, "content": text})


def text_of(config: Config, model: str, ids: list[int], *, param: str) -> str:
    """The text that an embedder's tokens stand for, without those that open and close it.

    Raises BadRequest where these are no tokens of it, or where the text has other tokens.
    """
    tokenizer = _tokenizer(config, model)
    _check(tokenizer, model, ids, param)
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    if not text or ids not in (_ids(tokenizer, text, special=False), _ids(tokenizer, text)):
        raise BadRequest(
            f"these tokens are of no text of {model}; expected tokens as /tokenize gives them for"
            " this model (tiktoken's are those of OpenAI's models)",
            param=param, code="invalid_tokens",
        )  # fmt: skip
    return text


def _kind(state: State, identity: Identity, model: str) -> tuple[str, int | None]:
    """What a model is for, and the tokens of its context."""
    for card in listed(state, identity):
        if card.id == model and card.kind in ("chat", "embedding"):
            return card.kind, (card.model_extra or {}).get("max_model_len")
    raise unknown(state, identity, model, "chat")


def _special(body: TokenizeRequest) -> bool:
    """Whether tokens that open a text are added: vLLM's default is yes, llama.cpp's no."""
    given = {v for v in (body.add_special_tokens, body.add_special) if v is not None}
    if len(given) > 1:
        raise BadRequest("add_special and add_special_tokens differ", param="add_special")
    return given.pop() if given else body.content is None


def _text(body: TokenizeRequest) -> str:
    given = {t for t in (body.prompt, body.content) if t is not None}
    if len(given) != 1:
        raise BadRequest("expected one of prompt, content and messages", param="prompt")
    return given.pop()


async def _prompt(
    state: State, model: str, body: TokenizeRequest, special: bool
) -> tuple[str, bool]:
    """The text to tokenize: as given, or a conversation as the model's template renders it."""
    if body.messages is None:
        return _text(body), special
    if body.prompt is not None or body.content is not None:
        raise BadRequest("expected one of prompt, content and messages", param="messages")
    if body.add_generation_prompt is False:
        raise BadRequest("a prompt always ends where the answer begins",
                         param="add_generation_prompt", code="unsupported_value")  # fmt: skip
    asked: dict[str, Any] = {"messages": [m.model_dump(exclude_none=True) for m in body.messages]}
    if body.tools:
        asked["tools"] = [t.model_dump(exclude_none=True) for t in body.tools]
    return await state.engines.template(model, asked), True


async def _pieces(state: State, model: str, kind: str, ids: list[int]) -> dict[int, str]:
    """The text of each token by itself. Raises BadRequest where there are very many."""
    if len(ids) > MOST_PIECES:
        raise BadRequest(
            f"the text has {len(ids)} tokens; the texts of at most {MOST_PIECES} are told at once",
            param="return_token_strs",
        )
    return {n: await _decoded(state, model, kind, [n]) for n in dict.fromkeys(ids)}


async def _decoded(state: State, model: str, kind: str, ids: list[int]) -> str:
    if not ids:
        return ""
    if kind == "chat":
        size = await in_thread(_size, state.config, model)
        if size is not None and max(ids) >= size:
            raise BadRequest(f"{max(ids)} is no token of {model}; they go to {size - 1}",
                             param="tokens", code="invalid_tokens")  # fmt: skip
        return await state.engines.detokenize(model, ids)
    tokenizer = await in_thread(_tokenizer, state.config, model)
    _check(tokenizer, model, ids, "tokens")
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def _encoded(config: Config, model: str, text: str, special: bool) -> list[int]:
    return _ids(_tokenizer(config, model), text, special=special)


def _ids(tokenizer: Tokenizer, text: str, *, special: bool = True) -> list[int]:
    """The ids of a text's tokens. Unlike `encode`, this lets go of Python's lock meanwhile."""
    (found,) = tokenizer.encode_batch_fast([text], add_special_tokens=special)
    ids: list[int] = found.ids
    return ids


def _check(tokenizer: Tokenizer, model: str, ids: list[int], param: str) -> None:
    size = tokenizer.get_vocab_size()
    if max(ids) >= size:
        raise BadRequest(f"{max(ids)} is no token of {model}; they go to {size - 1}", param=param,
                         code="invalid_tokens")  # fmt: skip


def _size(config: Config, model: str) -> int | None:
    """How many tokens a local chat model knows; llama.cpp does not check."""
    from ...models.vocabulary import vocabulary

    return vocabulary(config, model).size if model.startswith("llamacpp:") else None


def _tokenizer(config: Config, model: str) -> Tokenizer:
    if not model.startswith("ctranslate2:"):
        raise BadRequest(f"the tokens of {model} are not known here; send text instead",
                         param="input", code="unsupported_value")  # fmt: skip
    return _read(Store(config.models_dir).get(model).folder / "tokenizer.json")


@lru_cache(maxsize=4)
def _read(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(file))
    made.no_truncation()
    made.no_padding()
    return made
