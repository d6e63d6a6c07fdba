"""Requests to an OpenAI-compatible server: retries, streams, and errors that say whose they are.

Tried again, after a growing pause or what `Retry-After` asks for: a connection that fails before
an answer begins, 429 and 5xx. Never followed: redirects, they could carry documents elsewhere.
"""

from __future__ import annotations

import contextlib
import email.utils
import ipaddress
import json
import random
import ssl
import time
import weakref
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..config import Config
from ..errors import ConfigError, RemoteError

__all__ = ["Remote", "check_url"]

LONGEST_PAUSE = 60.0  # seconds; a server that asks for more gets its error passed on
DROPPED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.RemoteProtocolError, httpx.ReadError,
           httpx.WriteError)  # fmt: skip


class Remote:
    """One server. `url` ends in /v1; `pause` is the first wait between tries, in seconds.

    `close` ends its connections. Every failure is a RemoteError whose `status` is what the server
    answered, None where it did not.
    """

    def __init__(
        self, url: str, *, key: str = "", timeout: float = 120.0, retries: int = 3,
        pause: float = 0.5,
    ) -> None:  # fmt: skip
        self.url = check_url(url)
        self.root = self.url.removesuffix("/v1")  # where servers put what OpenAI does not have
        self._retries = retries
        self._pause = pause
        # Reading the system's certificates takes longer than a request; plain HTTP needs none.
        secure = self.url.startswith("https:")
        self._client = httpx.Client(
            verify=True if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            follow_redirects=False,
            trust_env=not _is_local(self.url),  # a proxy cannot reach this machine's loopback
        )
        self.close = weakref.finalize(self, self._client.close)

    @classmethod
    def open(cls, config: Config) -> Remote:
        """The configured server. Raises ConfigError where there is none."""
        if not config.openai_base_url:
            raise ConfigError(
                "openai:NAME needs a server, and the setting openai_base_url is empty",
                fix="export LLAR_OPENAI_BASE_URL=http://127.0.0.1:8000/v1",
            )
        return cls(
            config.openai_base_url,
            key=config.openai_api_key,
            timeout=config.openai_timeout,
            retries=config.openai_retries,
        )

    def get(self, path: str) -> Any:
        """The JSON at `path` below the base URL."""
        with self._ask("GET", self.url + path) as response:
            return self._json(response)

    def post(self, path: str, body: Mapping[str, Any], *, root: bool = False) -> Any:
        """The JSON answer; `root` takes `path` from the server's root instead of its /v1."""
        with self._ask("POST", (self.root if root else self.url) + path, body) as response:
            return self._json(response)

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Any]:
        """The JSON of each server-sent event; closing the iterator closes the connection.

        Ends at [DONE] or at the end of the answer: whether it was whole is the caller's to judge.
        """
        url = self.url + path
        with self._ask("POST", url, {**body, "stream": True}) as response:
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                response.read()
                raise RemoteError(
                    f"{url} answered {_excerpt(response)}, expected a stream", status=200
                )
            try:
                for line in response.iter_lines():
                    if not line.startswith("data:"):
                        continue
                    text = line[5:].strip()
                    if text == "[DONE]":
                        return
                    event = json.loads(text)
                    if isinstance(event, dict) and event.get("error"):
                        raise RemoteError(f"{url} broke off: {_message(event)}", status=200)
                    yield event
            except httpx.TransportError as e:
                raise RemoteError(f"{url} broke off in the middle of its answer: {e!r}") from e
            except ValueError as e:
                raise RemoteError(f"{url} sent an event that is no JSON: {text[:200]!r}") from e

    @contextlib.contextmanager
    def _ask(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> Iterator[httpx.Response]:
        """A successful response, not read yet."""
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            wait = self._pause * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
            request = self._client.build_request(method, url, json=body)
            try:
                response = self._client.send(request, stream=True)
            except DROPPED as e:
                if last:
                    raise _unreachable(url, e, attempt + 1) from e
                time.sleep(wait)
                continue
            except (httpx.TransportError, httpx.InvalidURL) as e:
                raise _unreachable(url, e, attempt + 1) from e
            with contextlib.closing(response):
                if response.is_success:
                    yield response
                    return
                error = _refused(response, url)
                asked = _retry_after(response)
            again = response.status_code == 429 or response.status_code >= 500
            if last or not again or response.status_code == 501 or asked > LONGEST_PAUSE:
                raise error
            time.sleep(max(wait, asked))

    def _json(self, response: httpx.Response) -> Any:
        try:
            response.read()
            answer = response.json()
        except httpx.TransportError as e:
            raise RemoteError(f"{response.url} broke off its answer: {e!r}") from e
        except ValueError as e:
            raise RemoteError(
                f"{response.url} answered {_excerpt(response)}, expected JSON",
                status=response.status_code,
            ) from e
        if isinstance(answer, dict) and answer.get("error"):
            raise RemoteError(f"{response.url} answered an error: {_message(answer)}", status=200)
        return answer


def check_url(url: str) -> str:
    """The base URL without a final slash. Raises ConfigError where it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"openai_base_url is {url!r}, expected something like http://127.0.0.1:8000/v1"
        )
    if parts.username or parts.password:
        raise ConfigError("openai_base_url holds a password; put it into LLAR_OPENAI_API_KEY")
    return url.rstrip("/")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unreachable(url: str, error: Exception, tries: int) -> RemoteError:
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "failed"
    count = f" ({tries} tries)" if tries > 1 else ""
    return RemoteError(f"the connection to {url} {what}{count}: {str(error) or repr(error)}")


def _refused(response: httpx.Response, url: str) -> RemoteError:
    status = response.status_code
    if response.has_redirect_location:
        target = response.headers["location"]
        return RemoteError(
            f"{url} redirects to {target!r}, and llar follows no redirects",
            status=status,
            fix="set LLAR_OPENAI_BASE_URL to the address it really has",
        )
    try:
        response.read()
        said = _message(response.json())
    except httpx.TransportError as e:
        said = f"(the rest broke off: {e!r})"
    except ValueError:
        said = _excerpt(response)
    fix = "set LLAR_OPENAI_API_KEY to a key that server accepts" if status in (401, 403) else None
    return RemoteError(f"{url} answered {status}: {said}", status=status, fix=fix)


def _message(answer: Any) -> str:
    """What an error answer says, in whichever of the usual places."""
    if isinstance(answer, dict):
        error = answer.get("error") or answer.get("message") or answer.get("detail") or answer
        if isinstance(error, dict):
            error = error.get("message") or error
        return str(error)[:500]
    return str(answer)[:500]


def _excerpt(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "something without a content type")
    return f"{kind} ({response.text[:100]!r})"


def _retry_after(response: httpx.Response) -> float:
    """Seconds the server asks to wait, 0 where it does not say."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
