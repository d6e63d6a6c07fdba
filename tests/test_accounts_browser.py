"""Attacks on a real server, from a real Chromium and over real sockets."""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from browser import ELSEWHERE, axe, browser, sideways
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from running import Running, running
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from llar.config import load
from llar.serve.accounts import Accounts
from llar.serve.page.words import LANGUAGES

__all__ = ["browser"]
pytestmark = pytest.mark.slow

PASSWORD = "seven quiet harbours"
SAY = "window.socket.emit('ack', {client_id: window.clientId, next_message_id: 0})"
SCREENS = ("chat", "library", "lab", "inside", "evaluation", "models", "admin")


@dataclass
class Site:
    """A running server, its accounts as the command line sees them, and sessions by user."""

    server: Running
    accounts: Accounts
    tokens: dict[str, str]

    @property
    def url(self) -> str:
        """Where it is."""
        return self.server.url

    def token(self, name: str) -> str:
        """A new session, without the form."""
        return self.accounts.start_session(name, "session")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    (home / "llar.toml").write_text('embedder = "fake:hash"\nchat_model = "fake:quote"\n')
    accounts = Accounts(load({"home": home}, env={}))
    accounts.add_user("root", PASSWORD, role="admin")
    for name in ("eva", "ivan"):
        accounts.add_user(name)
    with running(home) as server:
        yield Site(server, accounts, {})
    accounts.close()


def signed_in(browser: Browser, site: Site, name: str) -> BrowserContext:
    """A browser that has a session."""
    context = browser.new_context()
    cookie = {"name": "llar_session", "value": site.token(name), "url": site.url}
    context.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict in its stubs
    return context


def complaints(page: Page) -> list[str]:
    """What the page's policy kept from running or loading, as it comes."""
    found: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            found.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def until(page: Page, so: Callable[[], bool]) -> None:
    """Wait for what the browser tells us of."""
    end = time.monotonic() + 15
    while not so():
        assert time.monotonic() < end
        page.wait_for_timeout(20)


# -- in a browser ----------------------------------------------------------------------------


def test_signing_in_by_the_form_leads_where_one_was_going(browser: Browser, site: Site) -> None:
    page = browser.new_page()
    found = complaints(page)
    page.goto(f"{site.url}/lab?x=1")
    expect(page).to_have_url(f"{site.url}/login?next=%2Flab%3Fx%3D1")
    page.keyboard.type("root")  # the first field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/lab?x=1")
    assert page.evaluate("document.cookie").find("llar_session") == -1  # no script sees it
    assert found == []
    page.close()


def test_the_form_is_for_everybody(browser: Browser, site: Site) -> None:
    """On a phone, in every language, and by WCAG's rules in light and dark."""
    context = browser.new_context(
        viewport={"width": 360, "height": 640},
        bypass_csp=True,  # axe needs eval, which the form's policy does not allow
    )
    page = context.new_page()
    for n, language in enumerate(LANGUAGES):
        page.emulate_media(color_scheme="dark" if n % 2 else "light")
        page.goto(f"{site.url}/login?language={language}")
        page.fill("#name", "nobody")
        page.fill("#password", "not the password")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == language
        assert page.evaluate("document.activeElement.id") == "password"
        assert sideways(page) == 0
        if n < 2:
            assert axe(page) == []
    context.close()


def test_every_screen_works_under_its_policy_and_markup_runs_nothing(
    browser: Browser, site: Site
) -> None:
    context = signed_in(browser, site, "root")
    page = context.new_page()
    found = complaints(page)
    for screen in SCREENS:
        page.goto(f"{site.url}/{screen}")
        page.wait_for_function("() => window.did_handshake === true")
        expect(page.locator(f"[data-screen={screen}]")).to_be_attached()
    page.wait_for_load_state("networkidle")
    assert found == []
    page.evaluate(
        """() => {
            const place = document.createElement('div');
            place.innerHTML = '<img src=x onerror="window.ran = 1">'
                + '<a href="javascript:window.ran = 2">x</a>'
                + '<iframe srcdoc="<script>parent.ran = 3</script>"></iframe>';
            document.body.append(place);
            const script = document.createElement('script');
            script.textContent = 'window.ran = 4';
            document.body.append(script);
            place.querySelector('a').click();
        }"""
    )
    until(page, lambda: len(found) >= 3)  # refused: the handler, the link, the script
    assert page.evaluate("window.ran") is None
    context.close()


def test_an_open_page_ends_with_its_session(browser: Browser, site: Site) -> None:
    context = signed_in(browser, site, "root")
    page, other = context.new_page(), context.new_page()
    for tab in (page, other):
        tab.goto(f"{site.url}/lab")
        tab.wait_for_function("() => window.did_handshake === true")
    page.evaluate("llarSignOut()")
    other.evaluate(SAY)  # otherwise it ends with the next heartbeat, seconds later
    for tab in (page, other):
        expect(tab).to_have_url(re.compile(r"/login"), timeout=20_000)
    context.close()
    context = signed_in(browser, site, "ivan")
    page = context.new_page()
    page.goto(f"{site.url}/lab")
    page.wait_for_function("() => window.did_handshake === true")
    site.accounts.remove_user("ivan")
    page.evaluate(SAY)
    expect(page).to_have_url(re.compile(r"/login"), timeout=20_000)
    context.close()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """A page of somebody else, on a port of its own: same site to a browser, another origin."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_elsewhere_does_nothing_in_ones_name(
    browser: Browser, site: Site, elsewhere: str
) -> None:
    """The browser sends the cookie along: to it, both ports are the same site."""
    context = signed_in(browser, site, "root")
    page = context.new_page()
    page.goto(elsewhere)
    sessions = len(site.accounts.sessions("root"))
    status = page.evaluate(
        """async (url) => {
            const asked = [];
            for (const [method, path] of [['POST', '/logout'], ['GET', '/api/collections']]) {
                await fetch(url + path, {method, mode: 'no-cors', credentials: 'include'})
                    .then((r) => asked.push(r.type), () => asked.push('blocked'));
            }
            const socket = new WebSocket(url.replace('http', 'ws')
                + '/_nicegui_ws/socket.io/?EIO=4&transport=websocket');
            asked.push(await new Promise((done) => {
                socket.onopen = () => done('open'); socket.onerror = () => done('refused'); }));
            return asked;
        }""",
        site.url,
    )
    assert status[2] == "refused"
    assert len(site.accounts.sessions("root")) == sessions
    page.evaluate(
        """(url) => {
            const form = document.createElement('form');
            form.method = 'post'; form.action = url + '/logout';
            document.body.append(form); form.submit();
        }""",
        site.url,
    )
    page.wait_for_url(f"{site.url}/logout")
    assert "another site" in page.content()
    assert len(site.accounts.sessions("root")) == sessions
    page.goto(elsewhere)
    page.set_content(f'<iframe src="{site.url}/login"></iframe>')
    until(page, lambda: [f.url for f in page.frames[1:]] == ["chrome-error://chromewebdata/"])
    context.close()


def test_a_name_that_is_made_to_point_here(browser: Browser, site: Site) -> None:
    page = browser.new_page()
    port = urlsplit(site.url).port
    answer = page.goto(f"http://{ELSEWHERE}:{port}/health")
    assert answer is not None
    assert answer.status == 421
    page.close()


# -- over sockets ----------------------------------------------------------------------------


def opened_page(site: Site, token: str) -> str:
    """The id that NiceGUI gave to a page opened with this session."""
    answer = httpx.get(f"{site.url}/lab", cookies={"llar_session": token})
    found = re.search(r"""['"]client_id['"]: ?['"]([0-9a-f-]{36})""", answer.text)
    assert found is not None
    return found[1]


def socket(site: Site, token: str, client: str) -> ClientConnection:
    """The websocket of a page, as its script opens it."""
    query = {"EIO": "4", "transport": "websocket"}
    if client:
        query |= {"client_id": client, "implicit_handshake": "true", "next_message_id": "0",
                  "document_id": "d", "tab_id": "t"}  # fmt: skip
    return connect(
        f"{site.url.replace('http', 'ws')}/_nicegui_ws/socket.io/?{urlencode(query)}",
        origin=Origin(site.url),
        additional_headers={"Cookie": f"llar_session={token}"},
    )


def greeting(connection: ClientConnection) -> str:
    """What comes after engine.io's hello."""
    hello = connection.recv(10)
    assert str(hello).startswith("0{")
    connection.send("40")
    return str(connection.recv(10))


def test_nobody_takes_over_anothers_page(site: Site) -> None:
    mine, theirs = site.token("root"), site.token("eva")
    page = opened_page(site, mine)
    for token in (theirs, site.token("root"), "no session"):
        with socket(site, token, page) as connection:
            assert greeting(connection) == '44{"message": "Implicit handshake failed"}'
    upload = f"{site.url}/_nicegui/client/{page}/upload/7"
    cookies = {"llar_session": theirs}
    headers = {"origin": site.url}
    with httpx.Client(cookies=cookies) as client:
        assert client.post(upload, headers=headers).status_code == 401
    with socket(site, mine, page) as connection:
        assert greeting(connection).startswith("40")


def test_a_socket_speaks_for_its_own_page_only(site: Site) -> None:
    """Whoever has learnt the id of another's page neither listens to it nor acts in it."""
    theirs, token = opened_page(site, site.token("root")), site.token("eva")
    mine = opened_page(site, token)

    def told(connection: ClientConnection, name: str, page: str) -> str:
        message = {"client_id": page, "id": 0, "listener_id": "", "args": [], "tab_id": "t",
                   "document_id": "d", "next_message_id": 0}  # fmt: skip
        connection.send(f"421{json.dumps([name, message])}")
        while not (answer := str(connection.recv(10))).startswith("431"):
            pass
        return answer

    with socket(site, token, "") as connection:  # of no page yet
        assert greeting(connection).startswith("40")
        assert told(connection, "handshake", theirs) == "431[false]"
        assert told(connection, "event", mine) == "431[false]"
        assert told(connection, "handshake", mine) == "431[true]"
        assert told(connection, "ack", mine) == "431[]"
        for name in ("event", "javascript_response", "ack", "log"):
            assert told(connection, name, theirs) == "431[false]"


def test_an_open_websocket_closes_with_its_session(site: Site) -> None:
    token = site.token("eva")
    with socket(site, token, opened_page(site, token)) as connection:
        assert greeting(connection).startswith("40")
        site.accounts.sign_out(site.accounts.identity(token))
        connection.send("3")  # any message, here engine.io's pong
        with pytest.raises(ConnectionClosedError, match="1008"):
            list(connection)


def test_polling_is_no_way_around(site: Site) -> None:
    url = f"{site.url}/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    assert httpx.get(url).status_code == 401
    cookies = {"llar_session": site.token("eva")}
    with httpx.Client(cookies=cookies) as client:
        hello = client.get(url)
        assert hello.status_code == 200
        sid = re.search(r'"sid":"([^"]+)"', hello.text)
        assert sid is not None
        send = f"{url}&sid={sid[1]}"
        assert client.post(send, content="40").status_code == 403
        assert (
            client.post(send, content="40", headers={"origin": "http://127.0.0.1:1"}).status_code
            == 403
        )
        assert client.post(send, content="40", headers={"origin": site.url}).status_code == 200


def test_without_an_origin_there_is_no_websocket(site: Site) -> None:
    url = f"{site.url.replace('http', 'ws')}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    cookie = {"Cookie": f"llar_session={site.token('eva')}"}
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, additional_headers=cookie)


def test_files_of_the_server_are_not_served(site: Site, tmp_path: Path) -> None:
    """Climbing paths as they come over the wire, which client libraries would tidy up."""
    import socket as sockets

    port = urlsplit(site.url).port
    token = site.token("root")
    for path in (
        "/style/../login.py", "/style/..%2flogin.py", "/style/%2e%2e/%2e%2e/app.py",
        "/style/..%5c..%5capp.py", "/_nicegui/3.18.0/static/..%2f..%2fnicegui.py",
        "/style//etc/passwd", "/api/collections/..%2f..%2fserver/documents",
    ):  # fmt: skip
        with sockets.create_connection(("127.0.0.1", port), 10) as raw:
            raw.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
                f"Cookie: llar_session={token}\r\n\r\n".encode()
            )
            answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
        assert answer.split(" ", 2)[1] in ("400", "404"), (path, answer[:300])
        assert "import" not in answer
        assert "root:" not in answer


def test_nothing_secret_is_in_the_log(site: Site) -> None:
    wrong = "llar-" + "B" * 43
    httpx.get(f"{site.url}/api/x?token={wrong}", headers={"authorization": f"Bearer {wrong}"})
    log = site.server.log.read_text()
    assert '"event": "request"' in log
    for what in (PASSWORD, wrong, "llar_session", site.token("eva")):
        assert what not in log
