"""Signing in with an OpenID issuer: a real one on loopback, and all that it may get wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI, Request
from oidc_issuer import CLIENT, SECRET, Fake, issuer

from llar.config import load
from llar.errors import ConfigError
from llar.serve.accounts import Accounts
from llar.serve.accounts.guard import Guard
from llar.serve.accounts.oidc import Issuer
from llar.serve.page import login
from llar.serve.request import identity_of
from llar.serve.state import State

HERE = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def site(fake: Fake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The forms and one page behind the guard, with that issuer."""
    home = tmp_path_factory.mktemp("home")
    config = load(
        {"home": home, "oidc_issuer": fake.url, "oidc_client": CLIENT, "oidc_admins": "it"},
        env={"LLAR_OIDC_SECRET": SECRET},
    )
    state = State.open(config)
    app = FastAPI()
    app.state.llar = state
    app.include_router(login.router)

    @app.get("/who")
    def who(request: Request) -> dict[str, object]:
        """Who is asking."""
        identity = identity_of(request)
        return {"user": identity.user, "role": identity.role, "via": identity.via,
                "groups": sorted(identity.groups)}  # fmt: skip

    app.add_middleware(Guard, state=state)
    yield app
    state.close()


@pytest.fixture(autouse=True)
def _behaves(fake: Fake) -> None:
    """Every test begins with an issuer that does what it should."""
    fresh = Fake(key=fake.key)
    for name in ("user", "changes", "userinfo", "algorithm", "sign_with", "kid", "describes"):
        setattr(fake, name, getattr(fresh, name))
    fake.asked.clear()


class Browser:
    """A browser that keeps cookies and is at home on the site."""

    def __init__(self, site: FastAPI) -> None:
        self.site = site
        self.jar = httpx.Cookies()

    def get(self, url: str, *, elsewhere: bool = False) -> httpx.Response:
        """One request, to the site or elsewhere; no redirect is followed."""

        async def run() -> httpx.Response:
            transport = None if elsewhere else httpx.ASGITransport(self.site)
            async with httpx.AsyncClient(
                transport=transport, base_url=HERE, cookies=None if elsewhere else self.jar
            ) as client:
                answer = await client.get(url, headers={"accept": "text/html"})
                if not elsewhere:
                    self.jar = client.cookies
                return answer

        return asyncio.run(run())

    def begin(self, path: str = "/oidc/login?next=/who") -> str:
        """Begin to sign in; where the issuer sends the browser back to."""
        to_issuer = self.get(path)
        assert to_issuer.status_code == 303
        return self.get(to_issuer.headers["location"], elsewhere=True).headers["location"]

    def who(self) -> dict[str, object] | None:
        """Whom the site takes it for."""
        answer = self.get("/who")
        return dict(json.loads(answer.text)) if answer.status_code == 200 else None


@pytest.fixture
def browser(site: FastAPI) -> Browser:
    return Browser(site)


def failed(browser: Browser, back: str) -> bool:
    """Does coming back with this lead to the form again, without a session?"""
    answer = browser.get(back)
    said = answer.status_code == 303 and answer.headers["location"] == "/login?problem=sso"
    return said and browser.who() is None


def test_signing_in(browser: Browser, fake: Fake) -> None:
    done = browser.get(browser.begin())
    assert done.status_code == 303
    assert done.headers["location"] == "/who"
    cookie = next(c for c in done.headers.get_list("set-cookie") if c.startswith("llar_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert browser.who() == {"user": "eva", "role": "reader", "via": "oidc", "groups": ["hr"]}
    fake.user = {**fake.user, "groups": ["it", "hr"]}
    browser.get(browser.begin("/oidc/login"))
    assert browser.who() == {"user": "eva", "role": "admin", "via": "oidc", "groups": ["hr", "it"]}


def test_a_form_leads_to_the_issuer_and_nothing_is_asked_before(
    browser: Browser, fake: Fake
) -> None:
    form = browser.get("/login?next=/who")
    assert '<a class="go" href="/oidc/login?next=%2Fwho">' in form.text
    assert 'type="password"' not in form.text  # nobody here has one
    assert fake.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"},
        {"aud": [CLIENT, "other"]},  # without azp
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"azp": "other"},
        {"iss": "https://evil.example"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"nonce": "other"},
        {"nonce": None},
        {"sub": None},
        {"groups": {"hr": True}},
        {"preferred_username": ""},
        {"preferred_username": ["eva"]},
        {"preferred_username": "local"},
    ],
)
def test_a_token_that_is_not_for_this_sign_in(
    browser: Browser, fake: Fake, changes: dict[str, object]
) -> None:
    fake.changes = changes
    assert failed(browser, browser.begin())


def test_a_token_of_another_key(browser: Browser, fake: Fake) -> None:
    fake.sign_with = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert failed(browser, browser.begin())
    fake.sign_with, fake.kid = None, "unknown"
    assert failed(browser, browser.begin())


def test_a_token_without_a_signature_or_signed_with_what_is_public(
    browser: Browser, fake: Fake
) -> None:
    fake.algorithm, fake.sign_with = "none", ""
    assert failed(browser, browser.begin())
    fake.algorithm = "HS256"
    fake.sign_with = jwt.algorithms.RSAAlgorithm.to_jwk(fake.key.public_key()).encode()
    assert failed(browser, browser.begin())


def test_an_answer_to_somebody_elses_sign_in(browser: Browser, site: FastAPI) -> None:
    """Whoever sends a link with their own code would sign another in as themselves."""
    theirs = Browser(site).begin()
    assert failed(browser, theirs)  # nothing was begun here
    browser.begin()
    assert failed(browser, theirs)  # something else was


@pytest.mark.parametrize("state", ["", "x" * 43, None])
def test_an_answer_without_the_state_that_was_sent(browser: Browser, state: str | None) -> None:
    back = browser.begin()
    code = parse_qs(urlsplit(back).query)["code"][0]
    query = {"code": code} if state is None else {"code": code, "state": state}
    assert failed(browser, f"/oidc/callback?{urlencode(query)}")


def test_what_was_begun_cannot_be_changed_or_used_twice(browser: Browser) -> None:
    back = browser.begin()
    name = "llar_oidc"
    value = next(c.value for c in browser.jar.jar if c.name == name) or ""
    body, _, mark = value.partition(".")
    browser.jar = httpx.Cookies({name: f"{body[:-4]}AAAA.{mark}"})
    assert failed(browser, back)
    browser.jar = httpx.Cookies({name: value})
    assert browser.get(back).headers["location"] == "/who"
    again = Browser(browser.site)
    again.jar = httpx.Cookies({name: value})
    assert failed(again, back)  # the issuer knows the code no more


def test_the_issuer_says_no(browser: Browser) -> None:
    browser.begin()
    assert failed(browser, "/oidc/callback?error=access_denied&state=x")
    assert failed(browser, "/oidc/callback")


def test_afterwards_only_paths_of_this_server(browser: Browser) -> None:
    back = browser.begin("/oidc/login?next=https://evil.example")
    assert browser.get(back).headers["location"] == "/"


def test_a_name_that_is_taken(browser: Browser, site: FastAPI, fake: Fake) -> None:
    login._TOLD.clear()
    accounts: Accounts = site.state.llar.accounts
    accounts.add_user("root", "seven quiet harbours", role="admin")
    fake.user = {"sub": "7", "preferred_username": "root", "groups": []}
    assert failed(browser, browser.begin())
    entry = site.state.llar.audit.entries(limit=1)[0]
    assert (entry.action, entry.user) == ("sign-in failed", "?")
    assert "belongs to another account" in entry.detail


def test_a_disabled_user_stays_outside(browser: Browser, site: FastAPI, fake: Fake) -> None:
    fake.user = {"sub": "8", "preferred_username": "leaver", "groups": []}
    browser.get(browser.begin())
    assert browser.who() is not None
    site.state.llar.accounts.change_user("leaver", disabled=True)
    assert browser.who() is None
    assert failed(browser, browser.begin())


def test_what_the_token_lacks_is_asked_for(browser: Browser, fake: Fake) -> None:
    fake.user = {"sub": "9"}
    fake.userinfo = {"sub": "9", "preferred_username": "marta", "groups": "tax"}
    browser.get(browser.begin())
    assert browser.who() == {"user": "marta", "role": "reader", "via": "oidc", "groups": ["tax"]}
    fake.userinfo = {"sub": "10", "preferred_username": "eva"}  # of somebody else
    other = Browser(browser.site)
    assert failed(other, other.begin())


def test_it_is_asked_for_its_keys_again_but_not_by_everybody(browser: Browser, fake: Fake) -> None:
    fake.kid = "new"
    for _ in range(3):
        assert failed(browser, browser.begin())
    assert fake.asked.count("/keys") <= 1


def test_an_issuer_that_says_it_is_another(fake: Fake) -> None:
    config = load(
        {"oidc_issuer": fake.url, "oidc_client": CLIENT}, env={"LLAR_OIDC_SECRET": SECRET}
    )
    fake.describes = {"issuer": "https://evil.example"}
    with pytest.raises(Exception, match=r"describes the issuer 'https://evil\.example'"):
        Issuer(config).begin(HERE, "/")
    fake.describes = {"token_endpoint": "http://evil.example/token"}
    found = Issuer(config)
    _, pending = found.begin(HERE, "/")
    with pytest.raises(ConfigError, match="expected an https address"):
        found.finish("code", pending["state"], pending)
    for wrong in (
        replace(config, oidc_issuer="http://id.town"),
        replace(config, oidc_issuer="id.town"),
        replace(config, oidc_client=""),
    ):
        with pytest.raises(ConfigError):
            Issuer(wrong)


def test_what_the_browser_is_sent_with(browser: Browser, fake: Fake) -> None:
    where = urlsplit(browser.get("/oidc/login").headers["location"])
    query = {k: v[0] for k, v in parse_qs(where.query).items()}
    assert f"{where.scheme}://{where.netloc}{where.path}" == f"{fake.url}/authorize"
    assert query["redirect_uri"] == f"{HERE}/oidc/callback"
    assert min(len(query[k]) for k in ("state", "nonce", "code_challenge")) == 43
    assert SECRET not in where.query
