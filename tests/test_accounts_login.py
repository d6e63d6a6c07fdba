"""The sign-in form, in process."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from llar.config import load
from llar.serve.accounts.guard import Guard
from llar.serve.api import errors
from llar.serve.page import login
from llar.serve.page.words import LANGUAGES
from llar.serve.state import State

PASSWORD = "seven quiet harbours"
HTTP, HTTPS = "http://127.0.0.1:8080", "https://127.0.0.1:8080"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    state = State.open(load({"home": tmp_path_factory.mktemp("home"), "login_tries": 3}, env={}))
    state.accounts.add_user("eva", PASSWORD, role="admin")
    app = FastAPI()
    app.state.llar = state
    errors.install(app)
    app.include_router(login.router)

    @app.get("/chat")
    def chat() -> str:
        """A page that needs a session."""
        return "welcome"

    app.add_middleware(Guard, state=state)
    yield app
    state.close()


class Browser:
    """Keeps cookies; says where its requests come from, as browsers do."""

    def __init__(self, site: FastAPI, base: str = HTTP) -> None:
        self.site, self.base = site, base
        self.jar = httpx.Cookies()

    def ask(self, method: str, url: str, *, origin: str = "", **more: Any) -> httpx.Response:
        """One request; no redirect is followed."""

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.site)
            headers = {"accept": "text/html", **more.pop("headers", {})}
            if method == "POST":
                headers["origin"] = origin or self.base
            async with httpx.AsyncClient(
                transport=transport, base_url=self.base, cookies=self.jar
            ) as client:
                answer = await client.request(method, url, headers=headers, **more)
                self.jar = client.cookies
                return answer

        return asyncio.run(run())

    def form(self, query: str = "") -> str:
        """The token in the form."""
        found = re.search(
            r'name="form" value="([\w-]{43})"', self.ask("GET", f"/login{query}").text
        )
        assert found is not None
        return found[1]

    def sign_in(self, password: str = PASSWORD, **more: str) -> httpx.Response:
        """Fill in the form and send it."""
        fields = {"name": "eva", "password": password, "next": "/chat", "form": self.form(), **more}
        return self.ask("POST", "/login", data=fields)


@pytest.fixture
def browser(site: FastAPI) -> Browser:
    with site.state.llar.accounts._database.write() as connection:
        connection.execute("DELETE FROM failures")
    return Browser(site)


@pytest.mark.slow
@pytest.mark.parametrize(("base", "name"), [(HTTP, "llar_session"), (HTTPS, "__Host-llar")])
def test_signing_in_and_out(site: FastAPI, base: str, name: str) -> None:
    browser = Browser(site, base)
    assert browser.ask("GET", "/chat").headers["location"] == "/login?next=%2Fchat"
    done = browser.sign_in()
    assert (done.status_code, done.headers["location"]) == (303, "/chat")
    cookie = next(c for c in done.headers.get_list("set-cookie") if c.startswith(f"{name}="))
    parts = {p.strip().lower() for p in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", "max-age=43200"} <= parts
    assert ("secure" in parts) == (base == HTTPS)
    assert not any(p.startswith("domain") for p in parts)
    assert browser.ask("GET", "/chat").text == '"welcome"'
    assert browser.ask("GET", "/login?next=/chat").headers["location"] == "/chat"
    kept = dict(browser.jar)
    assert browser.ask("GET", "/logout").status_code == 200  # only asks
    assert browser.ask("GET", "/chat").status_code == 200
    assert browser.ask("POST", "/logout", origin="https://evil.example").status_code == 403
    assert browser.ask("GET", "/chat").status_code == 200
    assert browser.ask("POST", "/logout").status_code == 303
    browser.jar = httpx.Cookies(kept)  # a copy of the cookie is worth nothing
    assert browser.ask("GET", "/chat").status_code == 303
    log = site.state.llar.audit.entries(limit=2)
    assert [(e.user, e.action, e.address) for e in reversed(log)] == [
        ("eva", "signed in", "127.0.0.1"),
        ("eva", "signed out", "127.0.0.1"),
    ]


@pytest.mark.slow
def test_wrong_passwords_are_slowed_and_written_down(browser: Browser, site: FastAPI) -> None:
    for _ in range(3):
        wrong = browser.sign_in("not the password")
        assert wrong.status_code == 401
        assert "The name or the password is wrong." in wrong.text
        assert "not the password" not in wrong.text
    with site.state.llar.accounts._database.write() as connection:
        connection.execute("UPDATE failures SET count = 3 + 6 WHERE name = 'user:eva'")
    slow = browser.sign_in()
    assert slow.status_code == 429
    assert 50 < int(slow.headers["retry-after"]) <= 64  # 2 to the power of 6
    assert f"Try again in {slow.headers['retry-after']} seconds" in slow.text
    browser.sign_in(name=PASSWORD)  # typed into the wrong field
    log = site.state.llar.audit.entries(action="sign-in failed", limit=5)
    assert [(e.user, e.detail) for e in log] == [
        ("?", "wrong name or password"),
        ("eva", "too many tries"),
        *[("eva", "wrong name or password")] * 3,
    ]
    assert PASSWORD not in repr(log)


def test_failures_that_cost_nothing_do_not_fill_the_log(site: FastAPI) -> None:
    audit = site.state.llar.audit
    login._TOLD.clear()
    for _ in range(20):
        Browser(site).ask("GET", "/oidc/callback?error=x")
    assert sum("did not complete" in e.detail for e in audit.entries()) == 1


def test_the_form_only_takes_what_it_gave(browser: Browser, site: FastAPI) -> None:
    """Otherwise another site could sign a browser in as somebody else."""
    token = browser.form()
    theirs = Browser(site).form()
    for wrong in ("", theirs, token[:-1], token + "x"):
        fields = {"name": "eva", "password": PASSWORD, "form": wrong}
        assert browser.ask("POST", "/login", data=fields).status_code == 403
        browser.jar.set("llar_form", token)
    assert (
        browser.ask(
            "POST", "/login", data={"form": token}, origin="https://evil.example"
        ).status_code
        == 403
    )
    empty = Browser(site)
    assert (
        empty.ask(
            "POST", "/login", data={"name": "eva", "password": PASSWORD, "form": ""}
        ).status_code
        == 403
    )


def test_what_is_not_a_form(browser: Browser) -> None:
    token = browser.form()
    many = {f"f{n}": "x" for n in range(20)}
    assert browser.ask("POST", "/login", data=many).status_code in (400, 403)
    files = {"name": ("x.txt", b"x")}
    assert browser.ask("POST", "/login", files=files, data={"form": token}).status_code in (
        400,
        403,
    )
    assert browser.ask("POST", "/login", content=b"\xff\x00").status_code == 403


def test_nothing_typed_becomes_part_of_the_page(browser: Browser) -> None:
    evil = '"><script>alert(1)</script>'
    page = browser.ask(
        "GET", "/login", params={"next": f"/{evil}", "problem": evil, "language": evil}
    )
    assert "<script" not in page.text
    fields = {"name": evil, "password": "x", "form": browser.form(), "next": f"/x?{evil}"}
    answer = browser.ask("POST", "/login", data=fields)
    assert answer.status_code == 401
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_every_language(browser: Browser, language: str) -> None:
    chosen = browser.ask("GET", f"/login?language={language}&next=/chat")
    assert chosen.headers["location"] == "/login?next=%2Fchat"
    page = browser.ask("GET", chosen.headers["location"]).text
    words = tomllib.loads((Path(login.__file__).parent / "words" / "login.toml").read_text())
    assert f'<html lang="{language}"' in page
    for key in ("title", "name", "password", "go", "language"):
        assert words[key][language].replace("'", "&#x27;") in page
    for key, texts in words.items():
        assert set(texts) == set(LANGUAGES), key
        fields = {frozenset(f for _, f, _, _ in Formatter().parse(t) if f) for t in texts.values()}
        assert len(fields) == 1, key
