"""A little OpenID Connect issuer on loopback, which can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "llar at/town", "s:3c%72et"


@dataclass
class Fake:
    """What it was asked, and how it answers."""

    url: str = ""
    user: dict[str, Any] = field(default_factory=lambda: {
        "sub": "248289761001", "preferred_username": "Eva", "groups": ["hr"],
    })  # fmt: skip
    changes: dict[str, Any] = field(default_factory=dict)  # of the ID token's claims
    userinfo: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    sign_with: Any = None  # instead of its own key
    kid: str = "one"
    describes: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    def authorize(self, query: dict[str, str]) -> str:
        """What a person's browser is sent back to after they signed in there."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, authorization: str, form: dict[str, str]) -> dict[str, Any] | None:
        """The tokens for a code, which works once; None where anything does not fit."""
        known = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":", 1)
        began = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            began is None
            or [unquote(k) for k in known] != [CLIENT, SECRET]
            or challenge != began["code_challenge"]
            or form.get("redirect_uri") != began["redirect_uri"]
        ):
            return None
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": began["nonce"],
            **self.user, **self.changes,
        }  # fmt: skip
        claims = {k: v for k, v in claims.items() if v is not None}
        key = self.key if self.sign_with is None else self.sign_with
        signed = jwt.encode(claims, key, self.algorithm, headers={"kid": self.kid})
        return {"id_token": signed, "access_token": "opaque", "token_type": "Bearer"}

    def answer(self, path: str, authorization: str, form: dict[str, str]) -> dict[str, Any] | None:
        """What it says to a program."""
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo", **self.describes,
            }  # fmt: skip
        if path == "/keys":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}
        if path == "/userinfo" and authorization == "Bearer opaque":
            return self.userinfo
        return self.token(authorization, form) if path == "/token" else None


@contextmanager
def issuer() -> Iterator[Fake]:
    """Serve one on a port of its own."""
    fake = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            self.reply()

        def reply(self) -> None:
            parts = urlsplit(self.path)
            fake.asked.append(parts.path)
            if parts.path == "/authorize":
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                self.send_response(302)
                self.send_header("location", fake.authorize(query))
                self.end_headers()
                return
            length = int(self.headers.get("content-length") or 0)
            body = parse_qs(self.rfile.read(length).decode())
            form = {k: v[0] for k, v in body.items()}
            found = fake.answer(parts.path, self.headers.get("authorization", ""), form)
            data = json.dumps(found or {"error": "invalid_grant"}).encode()
            self.send_response(200 if found else 400)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
