"""Signing in and out: plain forms without a script, so that nobody is served a page before they
are known."""

from __future__ import annotations

import hmac
import secrets
import time
from asyncio import Semaphore, get_running_loop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import escape
from typing import Any, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ...errors import LlarError, NotSignedIn, Overloaded
from ..accounts import cookies
from ..accounts.oidc import MINUTES, Issuer
from ..accounts.throttle import network
from ..request import state_of
from ..state import State
from ..threads import in_thread
from ..who import Identity
from .forms import button, field, page, secret
from .look import language_of
from .words import LANGUAGES, Say, words

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

Found = TypeVar("Found")

_POOL = ThreadPoolExecutor(4, "llar-sign-in")  # of its own: guessing must not take the server's
_ROOM = Semaphore(36)  # sign-ins under way and waiting
_YEAR = 31_536_000  # seconds
_WRONG = "wrong name or password"
_TOLD: dict[str, float] = {}  # address -> when a failure of another kind was last written down


@router.get("/login")
async def show(request: Request) -> Response:
    """The form; on to where they were going for who is signed in already."""
    wanted = cookies.local_path(request.query_params.get("next", "/"))
    if request.scope.get("llar.identity") is not None:
        return RedirectResponse(wanted, 303)
    chosen = request.query_params.get("language")
    if chosen in LANGUAGES:
        query = urlencode({"next": wanted})
        answer: Response = RedirectResponse(f"/login?{query}", 303)
        answer.set_cookie("llar_language", chosen, max_age=_YEAR, path="/", samesite="lax")
        return answer
    problem = "sso_failed" if request.query_params.get("problem") == "sso" else ""
    return await _form(request, wanted, problem)


@router.post("/login")
async def sign_in(request: Request) -> Response:
    """Start a session, or show the form again with what was wrong."""
    async with request.form(max_files=0, max_fields=10) as form:
        name, password = field(form, "name"), field(form, "password")
        wanted, token = cookies.local_path(field(form, "next")), field(form, "form")
    secure: bool = request.scope["llar.secure"]
    cookie = cookies.read(request.headers.get("cookie", ""), cookies.form_name(secure))
    if not cookie or not hmac.compare_digest(cookie.encode(), token.encode()):
        return await _form(request, wanted, "expired", 403)
    state = state_of(request)
    address: str = request.scope["llar.address"]
    try:
        session = await _apart(state.accounts.sign_in, name, password, address)
    except NotSignedIn:
        await in_thread(_record_failure, state, name, address, _WRONG)
        return await _form(request, wanted, "wrong", 401, name)
    except Overloaded as e:
        await in_thread(_record_failure, state, name, address, "too many tries")
        return await _form(request, wanted, "slow", 429, name, wait=e.retry_after)
    if session is None:
        return await _form(request, wanted, "busy", 503, name, wait=1)
    await in_thread(state.audit.record, state.accounts.identity(session, address), "signed in")
    return _signed_in(request, session, wanted)


@router.get("/logout")
async def ask(request: Request) -> Response:
    """Ask before signing out: a link from elsewhere must not do it."""
    say = words("login", language_of(request))
    body = (
        f"<h1>{escape(say('sign_out_sure'))}</h1>"
        f'<form method="post" action="/logout">{button(say("sign_out"))}</form>'
    )
    return HTMLResponse(page(request, say, "sign_out", body))


@router.post("/logout")
async def sign_out(request: Request) -> Response:
    """End the session, wherever it is open."""
    state = state_of(request)
    identity: Identity | None = request.scope.get("llar.identity")
    if identity is not None and identity.via in ("session", "oidc"):
        await in_thread(state.accounts.sign_out, identity)
        await in_thread(state.audit.record, identity, "signed out")
    answer = RedirectResponse("/login", 303)
    secure: bool = request.scope["llar.secure"]
    cookies.drop(answer, cookies.session_name(secure), secure=secure)
    return answer


@router.get("/oidc/login")
async def sso(request: Request) -> Response:
    """Send the browser to the OpenID issuer."""
    state = state_of(request)
    wanted = cookies.local_path(request.query_params.get("next", "/"))
    issuer = state.accounts.issuer
    if issuer is None:
        return RedirectResponse("/login", 303)
    redirect = f"{request.scope['llar.base']}/oidc/callback"
    try:
        found = await _apart(issuer.begin, redirect, wanted)
    except LlarError as e:
        return await _sso_failed(request, e)
    if found is None:
        return await _form(request, wanted, "busy", 503, wait=1)
    where, pending = found
    answer = RedirectResponse(where, 303)
    secure: bool = request.scope["llar.secure"]
    value = cookies.signed(pending, state.accounts.secret)
    name = cookies.oidc_name(secure)
    cookies.write(answer, name, value, secure=secure, seconds=MINUTES * 60)
    return answer


@router.get("/oidc/callback")
async def sso_back(request: Request) -> Response:
    """Take in who comes back from the issuer."""
    state = state_of(request)
    secure: bool = request.scope["llar.secure"]
    address: str = request.scope["llar.address"]
    cookie = cookies.read(request.headers.get("cookie", ""), cookies.oidc_name(secure))
    pending = cookies.unsigned(cookie, state.accounts.secret)
    issuer = state.accounts.issuer
    query = request.query_params
    try:
        if issuer is None or pending is None or "code" not in query:
            said = query.get("error", "no sign-in was begun in this browser")[:100]
            raise NotSignedIn(f"the sign-in did not complete: {said!r}")
        session = await _apart(
            _enter, state, issuer, query["code"], query.get("state", ""), pending, address
        )
    except LlarError as e:
        return await _sso_failed(request, e)
    if session is None:
        return await _form(request, "/", "busy", 503, wait=1)
    await in_thread(state.audit.record, state.accounts.identity(session, address), "signed in")
    answer = _signed_in(request, session, cookies.local_path(str(pending["next"])))
    cookies.drop(answer, cookies.oidc_name(secure), secure=secure)
    return answer


def _enter(
    state: State, issuer: Issuer, code: str, given: str, pending: dict[str, Any], address: str
) -> str:
    """Start a session for who comes back from the issuer."""
    claims = issuer.finish(code, given, pending)
    user = state.accounts.sso_user(claims.subject, claims.name, claims.groups)
    return state.accounts.start_session(user.name, "oidc", address)


async def _sso_failed(request: Request, error: LlarError) -> Response:
    """Back to the form; the audit log says why, who is outside does not learn it."""
    state, address = state_of(request), request.scope["llar.address"]
    await in_thread(_record_failure, state, "", address, error.message)
    return RedirectResponse("/login?problem=sso", 303)


def _signed_in(request: Request, session: str, wanted: str) -> Response:
    answer = RedirectResponse(wanted, 303)
    secure: bool = request.scope["llar.secure"]
    seconds = int(state_of(request).config.session_hours * 3600)
    cookies.write(answer, cookies.session_name(secure), session, secure=secure, seconds=seconds)
    cookies.drop(answer, cookies.form_name(secure), secure=secure)
    return answer


def _record_failure(state: State, name: str, address: str, why: str) -> None:
    """Write a failed sign-in down; a name that is no user's may be a password typed too early.

    Wrong passwords are slowed, so these are few; of all else one a minute and address is told,
    or else anybody could fill the disk.
    """
    now, place = time.monotonic(), network(address)
    if why != _WRONG:
        if now - _TOLD.get(place, now - 61) < 60:
            return
        if len(_TOLD) >= 10_000:
            _TOLD.clear()
        _TOLD[place] = now
    known = {user.name for user in state.accounts.users()}
    user = name.strip().casefold()
    who = Identity(user if user in known else "?", "reader", address=address)
    state.audit.record(who, "sign-in failed", detail=why)


async def _apart(function: Callable[..., Found], *args: Any) -> Found | None:
    """`function(*args)` in a thread for signing in; None where too many wait for one."""
    if _ROOM.locked():
        return None
    async with _ROOM:
        return await get_running_loop().run_in_executor(_POOL, lambda: function(*args))


# -- the form ------------------------------------------------------------------------------


async def _form(
    request: Request, wanted: str, problem: str = "", status: int = 200, name: str = "",
    wait: int = 0,
) -> Response:  # fmt: skip
    """The sign-in form, with what was wrong before."""
    state = state_of(request)
    say = words("login", language_of(request))
    secure: bool = request.scope["llar.secure"]
    token = secrets.token_urlsafe(32)
    users = await in_thread(state.accounts.users)
    parts = [f"<h1>{escape(say('title'))}</h1>"]
    if problem:
        text = say(problem, seconds=wait) if problem == "slow" else say(problem)
        parts.append(f'<p class="problem" role="alert">{escape(text)}</p>')
    sso_only = not any(u.has_password for u in users)
    if state.config.oidc_issuer:
        query = urlencode({"next": wanted})
        other = "" if sso_only else " other"
        parts.append(f'<a class="go{other}" href="/oidc/login?{query}">{escape(say("sso"))}</a>')
    if not sso_only:
        if state.config.oidc_issuer:
            parts.append(f'<p class="or">{escape(say("or"))}</p>')
        parts.append(_fields(say, token, wanted, name))
    elif not state.config.oidc_issuer:
        parts.append(f"<p>{escape(say('proxied'))}</p>")
    headers = {"retry-after": str(wait)} if wait else None
    answer = HTMLResponse(page(request, say, "title", "".join(parts), wanted), status, headers)
    cookies.write(answer, cookies.form_name(secure), token, secure=secure, seconds=3600)
    return answer


def _fields(say: Say, token: str, wanted: str, name: str) -> str:
    """The form's fields."""
    focus = ("", " autofocus") if name else (" autofocus", "")
    return (
        '<form method="post" action="/login">'
        f'<input type="hidden" name="form" value="{escape(token)}">'
        f'<input type="hidden" name="next" value="{escape(wanted)}">'
        f'<label for="name">{escape(say("name"))}</label>'
        f'<input id="name" name="name" value="{escape(name[:64])}" autocomplete="username"'
        f' autocapitalize="none" spellcheck="false" maxlength="64" required{focus[0]}>'
        f"{secret('password', say('password'), 'current-password', focus[1])}"
        f"{button(say('go'))}</form>"
    )
