"""Signing in with an OpenID Connect issuer that the administrator names.

Authorization code with PKCE (RFC 7636), state and nonce (OpenID Connect Core 1.0, section 3.1).
The issuer is only asked when somebody signs in with it; nothing else is ever contacted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import httpx

from ...config import Config
from ...errors import ConfigError, NotSignedIn, RemoteError
from .start import is_loopback

if TYPE_CHECKING:
    import jwt

ALGORITHMS = (  # with a public key; "none" and shared secrets are never taken
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
MINUTES = 10  # that a sign-in may take
_LEEWAY = 60  # seconds that clocks may differ
_KEPT = 3600.0  # seconds that the issuer's description is believed
_AGAIN = 60.0  # seconds between looks for a signing key that is not known
_TIMEOUT = 10.0
_LARGEST = 1 << 20  # bytes of any answer


@dataclass(frozen=True, slots=True)
class Claims:
    """Who the issuer says it is. `subject` names issuer and user, and never changes."""

    subject: str
    name: str
    groups: tuple[str, ...]


class Issuer:
    """One issuer. Its methods wait for the network: call them in a thread."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError for settings that cannot work; contacts nobody."""
        if not config.oidc_client:
            raise ConfigError("oidc_issuer needs oidc_client, the id of this server there")
        self._config = config
        self._issuer = config.oidc_issuer
        _check_url(self._issuer, "oidc_issuer")
        self._lock = threading.RLock()
        self._described: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, list[Any]] = (0.0, [])

    def begin(self, redirect: str, wanted: str) -> tuple[str, dict[str, Any]]:
        """Where to send the browser, and what it must bring back.

        `redirect` is this server's callback, `wanted` the path to go to afterwards.
        """
        pending = {
            "state": secrets.token_urlsafe(32),
            "nonce": secrets.token_urlsafe(32),
            "verifier": secrets.token_urlsafe(48),
            "redirect": redirect,
            "next": wanted,
            "until": time.time() + MINUTES * 60,
        }
        digest = hashlib.sha256(str(pending["verifier"]).encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self._config.oidc_client,
            "redirect_uri": redirect,
            "scope": "openid profile email",
            "state": pending["state"],
            "nonce": pending["nonce"],
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        where = self._endpoint("authorization_endpoint")
        return f"{where}{'&' if '?' in where else '?'}{urlencode(asked)}", pending

    def finish(self, code: str, state: str, pending: Mapping[str, Any]) -> Claims:
        """Who came back with this code.

        Raises NotSignedIn where the answer does not belong to what was begun or its token is not
        valid, RemoteError where the issuer fails.
        """
        same = hmac.compare_digest(state.encode(), str(pending.get("state", "")).encode())
        if not state or not same or time.time() > pending["until"]:
            raise NotSignedIn("the sign-in was not begun here, or took too long; try again")
        tokens = self._redeem(code, pending)
        claims = self._verified(str(tokens.get("id_token", "")), str(pending["nonce"]))
        if self._config.oidc_user not in claims or self._config.oidc_groups not in claims:
            claims = {**self._more(tokens, claims["sub"]), **claims}
        return self._read(claims)

    def _read(self, claims: Mapping[str, Any]) -> Claims:
        name = claims.get(self._config.oidc_user)
        if not isinstance(name, str) or not name:
            raise NotSignedIn(f"the issuer gives no {self._config.oidc_user!r} for this user")
        if self._config.oidc_user == "email" and claims.get("email_verified") is not True:
            raise NotSignedIn("the issuer has not verified this user's e-mail address")
        groups = claims.get(self._config.oidc_groups, [])
        if isinstance(groups, str):
            groups = [groups]
        if not isinstance(groups, list) or not all(isinstance(g, str) for g in groups):
            raise NotSignedIn(
                f"the issuer's claim {self._config.oidc_groups!r} is no list of names"
            )
        return Claims(f"{self._issuer} {claims['sub']}", name, tuple(groups))

    # -- asking the issuer -----------------------------------------------------------------

    def _redeem(self, code: str, pending: Mapping[str, Any]) -> Mapping[str, Any]:
        """The tokens for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": str(pending["redirect"]),
            "code_verifier": str(pending["verifier"]),
        }
        supported = self._description().get(
            "token_endpoint_auth_methods_supported", ["client_secret_basic"]
        )
        auth: tuple[str, str] | None = None
        secret = self._config.oidc_secret
        if secret and "client_secret_basic" in supported:
            auth = (
                quote(self._config.oidc_client, safe=""),
                quote(secret, safe=""),
            )  # RFC 6749 2.3.1
        else:
            form["client_id"] = self._config.oidc_client
            if secret:
                form["client_secret"] = secret
        return self._ask("POST", self._endpoint("token_endpoint"), form=form, auth=auth)

    def _more(self, tokens: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
        """What the issuer tells of a user beside the token, where it does."""
        if "userinfo_endpoint" not in self._description() or not tokens.get("access_token"):
            return {}
        found = self._ask(
            "GET", self._endpoint("userinfo_endpoint"), bearer=str(tokens["access_token"])
        )
        if found.get("sub") != subject:
            raise NotSignedIn("the issuer tells of another user than the one who signed in")
        return found

    def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token. Raises NotSignedIn where any check fails."""
        import jwt  # it brings cryptography along, which servers without an issuer need not load

        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise NotSignedIn(
                    f"the issuer signs with {header.get('alg')!r}, which is not taken"
                )
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(header),
                algorithms=[header["alg"]],
                audience=self._config.oidc_client,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as e:
            raise NotSignedIn(f"the issuer's token is not valid: {e}") from e
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise NotSignedIn("the issuer's token belongs to another sign-in")
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", self._config.oidc_client if not several else "") != (
            self._config.oidc_client
        ):
            raise NotSignedIn("the issuer's token was made for another client")
        return claims

    def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        """The key that a token says it is signed with; looked for again where it is new."""
        import jwt

        for _ in range(2):
            fetched, keys = self._keys
            fit = [k for k in keys if k.get("use", "sig") == "sig"]
            if header.get("kid") is not None:
                fit = [k for k in fit if k.get("kid") == header["kid"]]
            if len(fit) == 1:
                return jwt.PyJWK(fit[0], algorithm=header["alg"])
            with self._lock:
                if time.time() - fetched < _AGAIN:
                    break
                found = self._ask("GET", self._endpoint("jwks_uri")).get("keys")
                keys = found if isinstance(found, list) else []
                self._keys = time.time(), [k for k in keys if isinstance(k, dict)]
        raise NotSignedIn("the issuer's token is signed with a key that the issuer does not show")

    def _endpoint(self, name: str) -> str:
        where = self._description().get(name)
        if not isinstance(where, str):
            raise RemoteError(f"{self._issuer} names no {name}")
        _check_url(where, name)
        return where

    def _description(self) -> Mapping[str, Any]:
        """How the issuer describes itself (OpenID Connect Discovery 1.0)."""
        with self._lock:
            if self._described is None or time.time() - self._described[0] > _KEPT:
                where = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
                found = self._ask("GET", where)
                if found.get("issuer") != self._issuer:
                    raise RemoteError(
                        f"{where} describes the issuer {found.get('issuer')!r}",
                        fix="set oidc_issuer to exactly that, where it is the one meant",
                    )
                self._described = time.time(), found
            return self._described[1]

    def _ask(
        self,
        method: str,
        where: str,
        *,
        form: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        bearer: str = "",
    ) -> Mapping[str, Any]:
        """One request's answer as JSON. Raises RemoteError; the message holds no secret."""
        headers = {"accept": "application/json"}
        if bearer:
            headers["authorization"] = f"Bearer {bearer}"
        place = where.partition("?")[0]
        try:
            with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
                answer = client.request(method, where, data=form, auth=auth, headers=headers)
        except httpx.HTTPError as e:
            raise RemoteError(f"{place} cannot be reached: {type(e).__name__}") from e
        if answer.status_code != 200 or len(answer.content) > _LARGEST:
            raise RemoteError(f"{place} answered {answer.status_code}", status=answer.status_code)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise RemoteError(f"{place} did not answer with a JSON object")
        return found


def _check_url(url: str, name: str) -> None:
    """Raises ConfigError for an address that is not https, except on this machine."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or local):
        raise ConfigError(f"{name} {url!r}: expected an https address")
