"""May the server start as it is configured, and does everybody need to sign in?"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...config import Config
from ...errors import ServeError

if TYPE_CHECKING:
    from .accounts import Accounts


def is_loopback(host: str) -> bool:
    """Does only this machine reach it: 127.0.0.0/8, ::1, localhost or a Unix socket?"""
    if host.startswith(("/", "unix:")) or host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback


def is_exposed(config: Config) -> bool:
    """Can others than those at this machine reach it, by itself or through a proxy?"""
    outside = urlsplit(config.serve_url).hostname or "" if config.serve_url else "localhost"
    return not is_loopback(config.serve_host) or not is_loopback(outside)


def has_sso(config: Config) -> bool:
    """Does another service say who somebody is?"""
    return bool(config.oidc_issuer or config.proxy_user)


def check_start(config: Config, accounts: Accounts) -> list[str]:
    """Warnings to show in plain sight when the server starts.

    Raises ServeError where others could reach it and nobody would have to sign in, ConfigError
    for settings of sign-in that cannot work.
    """
    if config.oidc_issuer:
        _ = accounts.issuer  # raises for settings that cannot work
    if not is_exposed(config):
        return []
    where = config.serve_host if not is_loopback(config.serve_host) else config.serve_url
    if not has_sso(config) and not accounts.users():
        raise ServeError(
            f"others could reach the server at {where}, and there are no accounts: anybody could"
            " read and change everything",
            fix="llar users add NAME --role admin",
        )
    found = []
    if not config.tls_cert and not config.serve_url.startswith("https://"):
        found.append(
            f"passwords and documents cross the network at {where} unencrypted: give a"
            " certificate (tls_cert, tls_key), or put a proxy with one in front and name its"
            " https address in serve_url"
        )
    everywhere = ("0.0.0.0", "::", "[::]")  # noqa: S104 - what the administrator chose
    if where in everywhere and not (config.serve_url or config.serve_hosts):
        found.append(
            "requests that name this machine are refused, only its addresses are taken: write the"
            " name people type into serve_url (https://llar.town.example) or serve_hosts"
        )
    return found
