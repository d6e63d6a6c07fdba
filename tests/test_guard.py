"""The guard: each test is an attack, and what passes beside it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from llar.config import load
from llar.errors import ConfigError
from llar.serve.accounts import bodies, cookies
from llar.serve.accounts.guard import Guard
from llar.serve.accounts.origin import Places
from llar.serve.state import State

HERE = "127.0.0.1:8080"
PAGE = b"<html><script>1</script><script type=module>2</script>" + b"&lt;script>" * 200
BROWSER = {"accept": "text/html", "sec-fetch-mode": "navigate", "sec-fetch-site": "none"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the guard: says who asks, and what came of headers and body."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    identity = scope["llar.identity"]
    if scope["path"] == "/page":
        headers = [(b"x-nicegui-content", b"page"), (b"content-type", b"text/html")]
        headers.append((b"content-length", str(len(PAGE)).encode()))
        answer = PAGE
    else:
        headers = [(b"content-type", b"application/json")]
        answer = json.dumps(
            {
                "user": identity and identity.user,
                "role": identity and identity.role,
                "groups": sorted(identity.groups) if identity else [],
                "via": identity and identity.via,
                "address": scope["llar.address"],
                "base": scope["llar.base"],
                "headers": {k.decode(): v.decode() for k, v in scope["headers"]},
                "bytes": len(body),
            }
        ).encode()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Site:
    """The guard with a configuration of its own over the state of all tests."""

    def __init__(self, state: State, **settings: Any) -> None:
        self.state = state
        config = replace(state.config, **settings)
        accounts = type(state.accounts)(config)
        self.accounts = accounts
        self.guard = Guard(echo, replace(state, config=config, accounts=accounts))

    def ask(
        self, method: str = "GET", path: str = "/api/x", *, peer: str = "127.0.0.1",
        url: str = f"http://{HERE}", content: Any = None, **headers: str,
    ) -> httpx.Response:  # fmt: skip
        """One request; `x_y` is the header x-y."""
        sent = {k.replace("_", "-").encode(): v.encode("latin-1") for k, v in headers.items()}

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.guard, client=(peer, 9))
            async with httpx.AsyncClient(transport=transport, base_url=url) as client:
                return await client.request(method, path, headers=sent, content=content)

        return asyncio.run(run())


def raw(site: Site, path: str, headers: list[tuple[bytes, bytes]]) -> int:
    """The status of a request that no client library would send."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": path, "scheme": "http", "query_string": b"",
             "headers": headers, "client": ("127.0.0.1", 1),
             "server": ("127.0.0.1", 8080)}  # fmt: skip
    asyncio.run(site.guard(scope, receive, send))
    status: int = sent[0]["status"]
    return status


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    state = State.open(load({"home": tmp_path_factory.mktemp("home")}, env={}))
    yield state
    state.close()


@pytest.fixture(scope="module")
def closed(state: State) -> Iterator[Site]:
    """A server with accounts: an admin, a reader with a session, a reader with a key."""
    site = Site(state)
    if not state.accounts.users():
        state.accounts.add_user("root", role="admin")
        state.accounts.add_user("eva", groups=["hr"])
    yield site
    site.accounts.close()


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server without accounts on this machine."""
    state = State.open(load({"home": tmp_path_factory.mktemp("open")}, env={}))
    site = Site(state)
    yield site
    site.accounts.close()
    state.close()


@pytest.fixture(scope="module")
def session(closed: Site) -> str:
    """The Cookie header of eva's session."""
    return f"llar_session={closed.accounts.start_session('eva', 'session')}"


@pytest.fixture(scope="module")
def key(closed: Site) -> str:
    """The Authorization header of eva's key."""
    return f"Bearer {closed.accounts.add_key('eva')[1]}"


@pytest.fixture(scope="module")
def admin(closed: Site) -> str:
    """The Authorization header of an admin's key."""
    return f"Bearer {closed.accounts.add_key('root')[1]}"


# -- the host: pages of other names that point here (DNS rebinding) ---------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
        "evil.example@127.0.0.1", "127.0.0.1@evil.example", "localhost:x", "", "[::1", "10.1.2.3",
        "127.0.0.1/", "localhost?", "2130706433",
    ],
)  # fmt: skip
def test_a_page_under_another_name_reaches_nothing(open_site: Site, host: str) -> None:
    answer = open_site.ask(host=host, url="http://127.0.0.1:8080")
    assert answer.status_code == 421
    assert "user" not in answer.json()


@pytest.mark.parametrize(
    "host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST", "localhost."]
)
def test_names_of_this_machine_are_known(open_site: Site, host: str) -> None:
    assert open_site.ask(host=host).json()["user"] == "local"


def test_configured_hosts_and_the_connections_own_address_are_known(state: State) -> None:
    config = replace(
        state.config, serve_host="0.0.0.0", serve_hosts="llar, LLAR.lan",
        serve_url="https://llar.town",
    )  # fmt: skip
    places = Places(config)

    def knows(host: str, server: tuple[str, int] | None = ("192.168.1.4", 8080)) -> bool:
        from llar.serve.accounts.origin import Headers

        return places.knows_host(Headers({"host": host}, frozenset()), server)

    assert all(map(knows, ("llar", "llar.lan:8080", "llar.town", "192.168.1.4:8080")))
    assert not any(map(knows, ("0.0.0.0", "192.168.1.5", "town", "x.llar.town")))
    assert not knows("192.168.1.4", None)


def test_two_hosts_are_none(open_site: Site) -> None:
    two = [(b"host", b"localhost"), (b"host", b"evil.example")]
    assert raw(open_site, "/api/x", two) == 421
    assert raw(open_site, "/api/x", []) == 421
    assert raw(open_site, "/api/x", two[:1]) == 200


# -- other sites: what a page elsewhere makes the browser send (CSRF) -------------------------

FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9999"},  # another server on this machine
    {"origin": "https://127.0.0.1:8080"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1:8080"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_sites_change_nothing(
    closed: Site, session: str, headers: dict[str, str], method: str
) -> None:
    assert closed.ask(method, cookie=session, **headers).status_code == 403


@pytest.mark.parametrize("headers", FOREIGN)
def test_nor_on_a_server_without_accounts(open_site: Site, headers: dict[str, str]) -> None:
    assert open_site.ask("POST", **headers).status_code == 403
    assert open_site.ask("POST").json()["user"] == "local"  # no browser: curl, a client library


def test_our_pages_do(closed: Site, session: str) -> None:
    for headers in ({"sec_fetch_site": "same-origin"}, {"origin": f"http://{HERE}"}):
        assert closed.ask("POST", cookie=session, **headers).json()["user"] == "eva"


def test_a_cookie_without_any_proof_changes_nothing(closed: Site, session: str) -> None:
    assert closed.ask("POST", cookie=session).status_code == 403
    assert closed.ask("GET", cookie=session).status_code == 200


def test_a_key_needs_no_proof(closed: Site, key: str) -> None:
    answer = closed.ask("POST", authorization=key, origin="https://app.example")
    assert (answer.json()["user"], answer.json()["via"]) == ("eva", "key")


def test_other_sites_read_nothing_but_may_link_here(closed: Site, session: str) -> None:
    image = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
    assert closed.ask(path="/api/file", cookie=session, **image).status_code == 403
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "accept": "text/html"}
    assert closed.ask(path="/chat", cookie=session, **link).json()["user"] == "eva"


def test_behind_a_proxy_the_pages_address_is_serve_urls(state: State, session: str) -> None:
    site = Site(state, serve_url="https://llar.town")
    ok = {"origin": "https://llar.town", "cookie": session}
    assert site.ask("POST", **ok).json()["base"] == "https://llar.town"
    token = session.partition("=")[2]
    answer = site.ask(host="llar.town", cookie=f"__Host-llar={token}")
    assert answer.json()["user"] == "eva"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert (
        site.ask("POST", origin="https://llar.town.evil.example", cookie=session).status_code == 403
    )
    site.accounts.close()


# -- signing in ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/chat", "/api/x", "/v1/models", "/metricsx", "/docs", "/openapi.json", "/login/../chat",
     "/health/", "/healthz", "/style/../api/x", "/_nicegui/client/1/upload/2", "/_nicegui_ws/x",
     "/_nicegui/3.1/dynamic_resources/x", "/_nicegui/auto/static/x", "//login"],
)  # fmt: skip
def test_nothing_is_public_but_what_must_be(closed: Site, path: str) -> None:
    answer = closed.ask(path=path, url=f"http://{HERE}")
    assert answer.status_code in (400, 401), answer.text
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/login", "/oidc/callback", "/style/llar.css", "/favicon.ico",
             "/_nicegui/3.18.0/static/nicegui.js"],
)  # fmt: skip
def test_what_must_be_public_is(closed: Site, path: str) -> None:
    assert closed.ask(path=path).json()["user"] is None


def test_a_program_gets_401_and_a_person_the_form(closed: Site) -> None:
    program = closed.ask(path="/v1/models")
    assert program.status_code == 401
    assert program.headers["www-authenticate"].startswith("Bearer")
    assert set(program.json()["error"]) == {"message", "type", "param", "code"}
    person = closed.ask(
        path="/document/7?page=2&x=a%26b", **{k.replace("-", "_"): v for k, v in BROWSER.items()}
    )
    assert person.status_code == 303
    assert person.headers["location"] == "/login?next=%2Fdocument%2F7%3Fpage%3D2%26x%3Da%2526b"
    assert closed.ask("POST", "/chat", accept="text/html").status_code == 401


@pytest.mark.parametrize(
    "header",
    ["Bearer llar-" + "A" * 43, "Bearer sk-x", "Bearer ", "Bearer null", "bearer llar-",
     "Bearer llar-\xff"],
)  # fmt: skip
def test_a_wrong_key_is_not_forgiven_by_a_cookie(closed: Site, session: str, header: str) -> None:
    assert closed.ask(authorization=header, cookie=session).status_code == 401


def test_tokens_only_count_where_they_belong(closed: Site, session: str, key: str) -> None:
    token, secret = session.partition("=")[2], key.removeprefix("Bearer ")
    assert closed.ask(authorization=f"Bearer {token}").status_code == 401
    assert closed.ask(cookie=f"llar_session={secret}").status_code == 401
    assert closed.ask(path=f"/api/x?token={token}&key={secret}").status_code == 401
    assert closed.ask(cookie=f"__Host-llar={token}").status_code == 401  # of HTTPS only
    assert closed.ask(cookie=f"{session}; llar_session=other").status_code == 401
    assert closed.ask(cookie=f"a=b; {session}; c").json()["user"] == "eva"


def test_over_https_only_the_cookie_bound_to_the_host_counts(closed: Site, session: str) -> None:
    token = session.partition("=")[2]
    url = f"https://{HERE}"
    assert closed.ask(url=url, cookie=session).status_code == 401
    answer = closed.ask(url=url, cookie=f"__Host-llar={token}")
    assert answer.json()["user"] == "eva"
    assert "strict-transport-security" not in answer.headers  # others serve on this machine too


def test_a_revoked_key_and_an_ended_session_are_noticed_at_once(closed: Site) -> None:
    made, secret = closed.accounts.add_key("eva")
    token = closed.accounts.start_session("eva", "session")
    assert closed.ask(authorization=f"Bearer {secret}").status_code == 200
    assert closed.ask(cookie=f"llar_session={token}").status_code == 200
    other = type(closed.accounts)(closed.state.config)  # another process would do the same
    other.revoke_key(made.id)
    other.sign_out(other.identity(token))
    other.close()
    assert closed.ask(authorization=f"Bearer {secret}").status_code == 401
    assert closed.ask(cookie=f"llar_session={token}").status_code == 401


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("/chat?x=1#y", "/chat?x=1#y"),
        ("/document/a%20b", "/document/a%20b"),
        *((w, "/") for w in (
            "", "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
            "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "///evil.example",
            "chat", "/login", "/login?next=/login", "/logout", "/ /evil.example", "http:/evil",
        )),
    ],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(wanted: str, expected: str) -> None:
    assert cookies.local_path(wanted) == expected


@pytest.mark.parametrize("length", range(4))
def test_what_a_cookie_brings_back_is_what_was_signed(length: int) -> None:
    value = {"next": "/" + "x" * length, "until": 1.5}
    text = cookies.signed(value, b"secret")
    answer = Response()
    cookies.write(answer, "name", text, secure=True, seconds=9)
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert cookies.unsigned(cookies.read(cookie, "name"), b"secret") == value
    body, _, mark = text.partition(".")
    for wrong in ("", ".", text[:-1], f"{body}.", f".{mark}", f"A{text}", f"{body}.{mark}\xff"):
        assert cookies.unsigned(wrong, b"secret") is None
    assert cookies.unsigned(text, b"another") is None


# -- proxies ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxied(state: State, closed: Site) -> Iterator[Site]:
    """A server that lets a proxy at 10.0.0.1 and 10.0.1.* say who somebody is."""
    site = Site(
        state, proxy_user="X-Remote-User", proxy_groups="X-Remote-Groups",
        proxy_from="10.0.0.1, 10.0.1.0/24", serve_host="0.0.0.0", serve_hosts="llar",
    )  # fmt: skip
    yield site
    site.accounts.close()


def test_only_the_proxy_says_who_somebody_is(proxied: Site) -> None:
    named = {"x_remote_user": "root", "x_remote_groups": "it"}
    for peer in ("127.0.0.1", "10.0.0.2", "192.0.2.1", "::1"):
        assert proxied.ask(peer=peer, **named).status_code == 401
    answer = proxied.ask(peer="10.0.0.1", **named).json()
    assert (answer["user"], answer["role"], answer["via"]) == ("root", "admin", "proxy")


def test_without_the_setting_no_header_says_anything(closed: Site) -> None:
    assert closed.ask(x_remote_user="root").status_code == 401
    assert closed.ask(x_forwarded_user="root", remote_user="root").status_code == 401


def test_a_user_whom_the_proxy_names_first_is_a_reader_in_its_groups(proxied: Site) -> None:
    answer = proxied.ask(peer="10.0.1.77", x_remote_user="Nou", x_remote_groups="hr, tax").json()
    assert (answer["user"], answer["role"], answer["groups"]) == ("nou", "reader", ["hr", "tax"])
    proxied.accounts.change_user("nou", disabled=True)
    assert proxied.ask(peer="10.0.1.77", x_remote_user="nou").status_code == 401
    assert proxied.ask(peer="10.0.0.1", x_remote_user="everyone").status_code == 401


def test_two_values_of_the_proxys_header_are_none(proxied: Site) -> None:
    """One that the client sent, and the proxy's own after it."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(proxied.guard, client=("10.0.0.1", 9))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HERE}") as client:
            two = [("x-remote-user", "root"), ("x-remote-user", "eva")]
            return await client.get("/api/x", headers=two)

    assert asyncio.run(run()).status_code == 401


def test_what_proxies_say_goes_no_further(proxied: Site, key: str) -> None:
    said = {
        "x_remote_user": "root", "x_remote_groups": "it", "x_forwarded_for": "1.2.3.4",
        "x_forwarded_prefix": "/evil", "x_forwarded_proto": "https", "forwarded": "for=1.2.3.4",
        "x_real_ip": "1.2.3.4", "x_forwarded_host": "evil.example",
    }  # fmt: skip
    answer = proxied.ask(authorization=key, x_stainless_lang="python", **said).json()
    left = set(answer["headers"])
    assert left.isdisjoint(name.replace("_", "-") for name in said)
    assert "x-stainless-lang" in left


def test_addresses_are_believed_from_the_proxy_only(proxied: Site, key: str) -> None:
    def address(peer: str, said: str) -> str:
        answer = proxied.ask(peer=peer, authorization=key, x_forwarded_for=said)
        found: str = answer.json()["address"]
        return found

    assert address("192.0.2.1", "1.2.3.4") == "192.0.2.1"
    assert address("10.0.0.1", "1.2.3.4") == "1.2.3.4"
    assert address("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.1.9") == "1.2.3.4"  # the first is made up
    assert address("10.0.0.1", "rubbish") == "10.0.0.1"


def test_a_proxy_before_a_server_without_accounts_opens_nothing(open_site: Site) -> None:
    """It would make everybody outside an admin: to us they come from this machine."""
    for name in ("x_forwarded_for", "forwarded", "x_real_ip"):
        assert open_site.ask(**{name: "for=1.2.3.4"}).status_code == 403


def test_settings_of_proxies_that_cannot_be_read_are_refused(state: State) -> None:
    with pytest.raises(ConfigError, match="'the proxy' is neither"):
        Places(replace(state.config, proxy_from="10.0.0.1,the proxy"))
    for wrong in ("llar.town", "ftp://llar.town", "https://", "https://town.example/llar"):
        with pytest.raises(ConfigError, match="serve_url"):
            Places(replace(state.config, serve_url=wrong))


# -- paths and bodies ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/api/../etc", "/..", "/style/../../etc/passwd", "/api/a\\..\\b", "/api/a\x00b",
     "/api/a\r\nx: y", "/api/\x7f"],
)  # fmt: skip
def test_paths_do_not_climb(open_site: Site, path: str) -> None:
    """The server decodes a path once (%2e%2e%2f) before the guard sees it, as here."""
    host = [(b"host", HERE.encode())]
    assert raw(open_site, path, host) == 400
    assert raw(open_site, "/api/a..b/%2e%2e/c", host) == 200


def test_a_body_is_counted_while_it_is_read(state: State, key: str) -> None:
    site = Site(state, upload_mb=1)
    read = 0

    async def endless() -> Any:
        nonlocal read
        for _ in range(200):
            read += 1 << 20
            yield b"x" * (1 << 20)

    def send(path: str, content: Any, kind: str = "application/json") -> httpx.Response:
        return site.ask("POST", path, content=content, authorization=key, content_type=kind)

    answer = send("/v1/chat/completions", endless())  # no Content-Length
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert read == 33 << 20
    read = 0
    assert (
        send("/api/hr/documents", endless(), "multipart/form-data; boundary=b").status_code == 413
    )
    assert read == 3 << 20  # one for the file, one beside it, and the one that was too much
    read = 0
    assert send("/login", endless()).status_code == 413
    assert read == 1 << 20
    assert (
        send("/api/hr/documents", b"x" * (2 << 20), "multipart/form-data").json()["bytes"]
        == 2 << 20
    )
    site.accounts.close()


def test_an_announced_body_is_refused_before_it_is_read(closed: Site, key: str) -> None:
    def never() -> Iterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    async def content() -> Any:
        for piece in never():
            yield piece

    answer = closed.ask(
        "POST", "/v1/x", content=content(), authorization=key, content_length=str(64 << 20)
    )
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_which_requests_may_send_a_file(state: State) -> None:
    config = replace(state.config, upload_mb=100)
    file, text = 101 << 20, 32 << 20
    multipart = "multipart/form-data; boundary=x"
    assert bodies.limit(config, "/api/collections/hr/documents", multipart) == file
    assert bodies.limit(config, "/_nicegui/client/1-2/upload/3", multipart) == file
    assert bodies.limit(config, "/v1/chat/completions", multipart) == text
    assert bodies.limit(config, "/api/search", "application/json") == text
    assert bodies.limit(config, "/login", multipart) == 64 << 10


# -- what answers carry ----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/x", "/health", "/nothing"])
def test_every_answer_tells_the_browser_what_not_to_do(closed: Site, path: str) -> None:
    for answer in (closed.ask(path=path), closed.ask(path=path, host="evil.example")):
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "strict-transport-security" not in headers


class Scripts(HTMLParser):
    """The script tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep scripts."""
        if tag == "script":
            self.found.append(dict(attrs))


def test_the_scripts_of_a_page_carry_a_nonce_of_their_own(closed: Site, key: str) -> None:
    nonces = []
    for accept in ("gzip", "identity"):
        answer = closed.ask(path="/page", authorization=key, accept_encoding=accept)
        policy = answer.headers["content-security-policy"]
        sources = re.search(r"script-src ([^;]*);", policy)
        assert sources is not None
        assert "'unsafe-inline'" not in sources[1]
        nonce = re.search(r"'nonce-([\w-]{22})'", sources[1])
        assert nonce is not None
        page = Scripts()
        page.feed(answer.text)
        assert [s["nonce"] for s in page.found] == [nonce[1]] * 2
        assert answer.text.count("&lt;script>") == 200
        assert (answer.headers.get("content-encoding") == "gzip") == (accept == "gzip")
        nonces.append(nonce[1])
    assert nonces[0] != nonces[1]


# -- figures ---------------------------------------------------------------------------------


def test_figures_are_for_admins_and_for_this_machine(
    closed: Site, state: State, key: str, admin: str
) -> None:
    def status(**more: str) -> int:
        return closed.ask(path="/metrics", **more).status_code

    assert status() == 200
    assert status(peer="192.0.2.1") == 401
    assert status(x_forwarded_for="192.0.2.1") == 401
    assert status(peer="192.0.2.1", authorization=key) == 403
    assert status(peer="192.0.2.1", authorization=admin) == 200
    behind = Site(state, serve_url="https://llar.town")  # all come from the proxy on this machine
    assert behind.ask(path="/metrics").status_code == 401
    assert behind.ask(path="/metrics", authorization=admin).status_code == 200
    behind.accounts.close()


# -- websockets ------------------------------------------------------------------------------


class Socket:
    """One websocket through the guard to an application that echoes."""

    def __init__(self, site: Site, path: str = "/ws", **headers: str) -> None:
        self.site = site
        self.scope: dict[str, Any] = {
            "type": "websocket", "path": path, "scheme": "ws", "query_string": b"",
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080), "extensions": {},
            "headers": [(b"host", HERE.encode()),
                        *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())],
        }  # fmt: skip
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self.got: list[str] = []

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Echo text; "push" is sent when told, as a server does by itself."""
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.got.append(message["text"])
            await send({"type": "websocket.send", "text": message["text"].upper()})
        await send({"type": "websocket.send", "text": "too late"})

    async def run(self, steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Play the browser's part."""
        guard = Guard(self.application, self.site.guard._state)
        await self.incoming.put({"type": "websocket.connect"})
        served = asyncio.create_task(guard(self.scope, self.incoming.get, self.outgoing.put))
        await asyncio.wait_for(steps(), 10)
        await self.incoming.put({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(served, 10)

    async def says(self, text: str) -> None:
        """The browser sends."""
        await self.incoming.put({"type": "websocket.receive", "text": text})

    async def next(self) -> Message:
        """What comes to the browser."""
        return await asyncio.wait_for(self.outgoing.get(), 10)


OURS = {"origin": f"http://{HERE}"}


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"}, {}],
)
def test_other_sites_open_no_websocket(closed: Site, session: str, headers: dict[str, str]) -> None:
    socket = Socket(closed, cookie=session, **headers)

    async def steps() -> None:
        assert await socket.next() == {"type": "websocket.close", "code": 1008}

    asyncio.run(socket.run(steps))
    assert socket.got == []


def test_nor_on_a_server_without_accounts_or_under_another_name(open_site: Site) -> None:
    for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
        socket = Socket(open_site, **headers)
        if "host" in headers:
            socket.scope["headers"] = [(b"host", b"evil.example")]

        async def steps(socket: Socket = socket) -> None:
            assert (await socket.next())["type"] == "websocket.close"

        asyncio.run(socket.run(steps))


def test_without_a_session_there_is_no_websocket_and_the_page_is_told_to_reload(
    closed: Site,
) -> None:
    plain = Socket(closed, **OURS)

    async def refused() -> None:
        assert (await plain.next())["type"] == "websocket.close"

    asyncio.run(plain.run(refused))
    page = Socket(closed, "/_nicegui_ws/socket.io/", cookie="llar_session=gone", **OURS)

    async def told() -> None:
        assert (await page.next())["type"] == "websocket.accept"
        assert (await page.next())["text"].startswith("0{")
        await page.says("40")
        assert (await page.next())["text"] == '44{"message": "Implicit handshake failed"}'
        assert (await page.next())["type"] == "websocket.close"

    asyncio.run(page.run(told))
    assert page.got == plain.got == []


@pytest.mark.parametrize("end", ["sign out", "remove"])
def test_an_open_page_stops_with_its_session(closed: Site, end: str) -> None:
    name = end.replace(" ", "")
    closed.accounts.add_user(name)
    token = closed.accounts.start_session(name, "session")
    socket = Socket(closed, cookie=f"llar_session={token}", **OURS)

    async def steps() -> None:
        assert (await socket.next())["type"] == "websocket.accept"
        await socket.says("hello")
        assert (await socket.next())["text"] == "HELLO"
        if end == "remove":
            closed.accounts.remove_user(name)
        else:
            closed.accounts.sign_out(closed.accounts.identity(token))
        await socket.says("show me more")
        assert await socket.next() == {"type": "websocket.close", "code": 1008}

    asyncio.run(socket.run(steps))
    assert socket.got == ["hello"]
    assert socket.outgoing.empty()  # not even what the application sends by itself


@pytest.mark.parametrize("end", ["remove", "revoke"])
def test_an_answer_in_pieces_breaks_off_with_its_session(closed: Site, end: str) -> None:
    """Nothing more is sent, and the application hears that the client has left."""
    name = f"streamed-{end}"
    closed.accounts.add_user(name)
    key, secret = closed.accounts.add_key(name)
    sent: list[Message] = []
    heard: list[str] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        left = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if end == "remove":
            closed.accounts.remove_user(name)
        else:
            closed.accounts.revoke_key(key.id)
        await send({"type": "http.response.body", "body": b"three", "more_body": True})
        heard.append((await left)["type"])
        await send({"type": "http.response.body", "body": b""})

    async def kept(message: Message) -> None:
        sent.append(message)

    bodies = [{"type": "http.request", "body": b""}]

    async def receive() -> Message:
        return bodies.pop() if bodies else await asyncio.Event().wait() and {}

    scope = {"type": "http", "method": "GET", "path": "/api/x", "scheme": "http",
             "query_string": b"", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
             "headers": [(b"host", HERE.encode()),
                         (b"authorization", f"Bearer {secret}".encode())]}  # fmt: skip
    asyncio.run(
        Guard(stream, replace(closed.state, accounts=closed.accounts))(scope, receive, kept)
    )
    assert [m.get("body") for m in sent] == [None, b"one", b"two"]
    assert heard == ["http.disconnect"]


def test_whoever_loses_a_role_is_asked_again_by_the_page(closed: Site) -> None:
    """The websocket stays open; `still` gives the page the role as it is now."""
    closed.accounts.add_user("promoted", role="editor")
    token = closed.accounts.start_session("promoted", "session")
    before = closed.accounts.identity(token)
    closed.accounts.change_user("promoted", role="reader")
    assert closed.accounts.still(before).role == "reader"


def test_keys_note_their_use_and_old_sessions_go(state: State, closed: Site) -> None:
    made, secret = closed.accounts.add_key("eva")

    async def run() -> None:
        transport = httpx.ASGITransport(closed.guard)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HERE}") as client:
            await client.get("/api/x", headers={"authorization": f"Bearer {secret}"})
            await asyncio.gather(*closed.guard._writing.values())

    asyncio.run(run())
    assert closed.accounts.key(made.id).last_used is not None
