"""How likely a server's model finds a given text: the older completions, which can echo it."""

from __future__ import annotations

from ..errors import RemoteError
from .interface import TokenLikelihood
from .remote import Remote

__all__ = ["likelihoods"]


def likelihoods(remote: Remote, model: str, text: str, given: str) -> list[TokenLikelihood]:
    """The probability of each token of `text` after `given`, neither of them empty.

    Needs `echo` together with `logprobs`: vLLM has both, llama.cpp's server and Ollama do not.
    A token that begins in `given` counts whole. Raises RemoteError where the server cannot tell.
    """
    if not text or not given:
        raise ValueError("expected a text and something before it, not an empty string")
    prompt = given + text
    body = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0.0, "echo": True,
            "logprobs": 1}  # fmt: skip
    answer = remote.post("/completions", body)
    try:
        choice = answer["choices"][0]
        table = choice.get("logprobs") or {}
        if not choice["text"].startswith(prompt) or not table.get("text_offset"):
            raise RemoteError(
                f"{remote.url} does not tell how likely a given text is: it has no echo with "
                "logprobs",
                status=200,
            )
        told = [
            (int(offset) - len(given), logprob)
            for offset, logprob in zip(table["text_offset"], table["token_logprobs"], strict=True)
            if offset < len(prompt)
        ]
        ends = [start for start, _ in told[1:]] + [len(text)]
        return [
            TokenLikelihood(max(start, 0), end, float(logprob))
            for (start, logprob), end in zip(told, ends, strict=True)
            if end > max(start, 0)
        ]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
        raise RemoteError(
            f"{remote.url} sent something that is no answer: {str(answer)[:200]}", status=200
        ) from e
