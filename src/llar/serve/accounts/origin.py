"""Where a request comes from: its host name, its page, its address, and the proxy before it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...config import Config
from ...errors import ConfigError
from .start import is_loopback

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What a proxy says of a request. Anybody can send these, so nothing behind the guard sees them.
FORWARDED = frozenset({
    "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix",
    "x-forwarded-proto", "x-forwarded-server", "x-real-ip",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Headers:
    """A request's headers: names in lower case, each with its first value and how often it came.

    A header that must be there once is only believed where it is.
    """

    first: Mapping[str, str]
    repeated: frozenset[str]

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Headers:
        """Those of an ASGI scope."""
        first: dict[str, str] = {}
        repeated = set()
        for name, value in scope["headers"]:
            key = name.decode("latin-1").lower()
            if key in first:
                repeated.add(key)
            else:
                first[key] = value.decode("latin-1")
        return cls(first, frozenset(repeated))

    def get(self, name: str) -> str:
        """The first value, or nothing."""
        return self.first.get(name, "")


class Places:
    """Which hosts, pages and proxies a server with this configuration believes in."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError for proxies and addresses that cannot be read."""
        outside = urlsplit(config.serve_url)
        whole = outside.scheme in ("http", "https") and outside.hostname
        if config.serve_url and (not whole or outside.path not in ("", "/") or outside.query):
            raise ConfigError(
                f"serve_url {config.serve_url!r}: expected an address like https://llar.town,"
                " without a path"
            )
        self._outside = f"{outside.scheme}://{outside.netloc}".lower() if outside.hostname else ""
        further = [h.strip().lower() for h in config.serve_hosts.split(",")]
        names = (config.serve_host.lower(), outside.hostname or "", *further)
        self._hosts = frozenset(n.strip("[]") for n in names if n) - {"0.0.0.0", "::"}  # noqa: S104
        self._proxies = _networks(config.proxy_from)
        self._proxied = bool(config.serve_url or config.proxy_user)
        self._header = config.proxy_user.lower()
        self._groups = config.proxy_groups.lower()
        self._own = FORWARDED | {h for h in (self._header, self._groups) if h}

    def knows_host(self, headers: Headers, server: tuple[str, int | None] | None) -> bool:
        """Does the request name a host that is this server? A page elsewhere cannot.

        Addresses are believed where the connection really came to them.
        """
        name = host_name(headers.get("host"))
        if not name or "host" in headers.repeated:
            return False
        return (
            is_loopback(name) or name in self._hosts or (server is not None and name == server[0])
        )

    def is_trusted(self, peer: str) -> bool:
        """Is the other end of the connection a proxy that we believe?"""
        if not self._proxied:
            return False
        if not peer:
            return any(isinstance(p, str) for p in self._proxies)
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any(not isinstance(p, str) and (mapped or address) in p for p in self._proxies)

    def address(self, headers: Headers, peer: str) -> str:
        """Where the request came from: the last one before the proxies that we believe."""
        if not self.is_trusted(peer) or "x-forwarded-for" in headers.repeated:
            return peer
        for part in reversed(headers.get("x-forwarded-for").split(",")):
            try:
                found = str(ipaddress.ip_address(part.strip()))
            except ValueError:
                return peer
            if not self.is_trusted(found):
                return found
        return peer

    def is_forwarded(self, headers: Headers) -> bool:
        """Does it say that it came through a proxy?"""
        return not FORWARDED.isdisjoint(headers.first)

    def user(self, headers: Headers, peer: str) -> tuple[str, list[str] | None] | None:
        """The user, and the groups, that a proxy we believe names."""
        name = headers.get(self._header) if self._header else ""
        if not name or not self.is_trusted(peer) or self._header in headers.repeated:
            return None
        if not self._groups or self._groups in headers.repeated:
            return name, None
        return name, [g.strip() for g in headers.get(self._groups).split(",") if g.strip()]

    def stripped(self, raw: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The headers without those that only a proxy may set."""
        return [h for h in raw if h[0].decode("latin-1").lower() not in self._own]

    def is_secure(self, scope: Mapping[str, Any], headers: Headers, peer: str) -> bool:
        """Does the browser reach us over HTTPS, by itself or through the proxy?"""
        if scope["scheme"] in ("https", "wss"):
            return True
        if not self._outside.startswith("https:"):
            return False
        by_proxy = self.is_trusted(peer) and headers.get("x-forwarded-proto") == "https"
        return by_proxy or headers.get("host").lower() == urlsplit(self._outside).netloc

    def base(self, scope: Mapping[str, Any], headers: Headers) -> str:
        """The server's address as the browser has it, without a slash at the end."""
        scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
        return self._outside or f"{scheme}://{headers.get('host').lower()}"

    def is_ours(self, scope: Mapping[str, Any], headers: Headers) -> bool | None:
        """Was it sent by a page of ours? None where it was no browser that sent it.

        A browser says so by Sec-Fetch-Site, which no page can set, or else by Origin.
        """
        site, origin = headers.get("sec-fetch-site"), headers.get("origin").lower()
        if {"sec-fetch-site", "origin"} & headers.repeated:
            return False
        if site in ("cross-site", "same-site"):
            return False
        if site == "same-origin":
            return True
        scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
        here = {f"{scheme}://{headers.get('host').lower()}", self._outside}
        if origin:
            return origin in here
        return True if site == "none" else None


def host_name(host: str) -> str:
    """The name or address of a Host header, without its port; nothing where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.path or parts.query or parts.fragment or "@" in host or "?" in host or "#" in host:
        return ""
    return (parts.hostname or "").rstrip(".")


def _networks(text: str) -> list[Network | str]:
    """Addresses and networks; "unix" stands for whoever comes by a Unix socket."""
    found: list[Network | str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        if part == "unix":
            found.append(part)
            continue
        try:
            found.append(ipaddress.ip_network(part, strict=False))
        except ValueError:
            raise ConfigError(
                f"proxy_from: {part!r} is neither an address, a network nor unix"
            ) from None
    return found
