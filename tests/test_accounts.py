"""Accounts: passwords, keys, sessions, roles and grants."""

from __future__ import annotations

import base64
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from llar.config import Config, load
from llar.errors import Conflict, Forbidden, NotSignedIn, NotThere, ServeError
from llar.serve.accounts import Accounts, check_start, is_loopback
from llar.serve.accounts import passwords as words
from llar.serve.who import LOCAL, Identity

PASSWORD = "seven quiet harbours"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load({"home": tmp_path_factory.mktemp("home")}, env={})


@pytest.fixture(scope="module")
def shared(config: Config) -> Iterator[Accounts]:
    """Accounts with `eva`, who has a password, for tests that only read or add."""
    accounts = Accounts(config)
    accounts.add_user("root", role="admin")
    accounts.add_user("eva", PASSWORD, role="editor", groups=["hr"])
    yield accounts
    accounts.close()


@pytest.fixture
def accounts(home: Path) -> Iterator[Accounts]:
    """Empty ones."""
    accounts = Accounts(load())
    yield accounts
    accounts.close()


def stored(config: Config, sql: str) -> Any:
    """One value of the file itself."""
    connection = sqlite3.connect(config.home / "server" / "accounts.db")
    try:
        return connection.execute(sql).fetchone()[0]
    finally:
        connection.close()


# -- passwords -------------------------------------------------------------------------------


def test_a_password_is_kept_as_scrypt_with_a_salt_and_its_parameters(
    config: Config, shared: Accounts
) -> None:
    kind, n, r, p, salt, digest = stored(
        config, "SELECT password FROM users WHERE name = 'eva'"
    ).split("$")
    assert (kind, int(n), int(r), int(p)) == ("scrypt", 32768, 8, 3)
    other = Scrypt(salt=base64.b64decode(salt), length=32, n=int(n), r=int(r), p=int(p))
    other.verify(PASSWORD.encode(), base64.b64decode(digest))  # raises where it differs
    assert len(base64.b64decode(salt)) == 16


def test_nothing_secret_is_in_the_files(config: Config, shared: Accounts) -> None:
    token = shared.start_session("eva", "session")
    _, secret = shared.add_key("eva")
    held = b"".join(f.read_bytes() for f in (config.home / "server").iterdir() if f.is_file())
    assert b"eva" in held
    for what in (PASSWORD, token, secret, secret[len("llar-") :]):
        assert what.encode() not in held
    assert (config.home / "server").stat().st_mode & 0o777 == 0o700
    assert (config.home / "server" / "accounts.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_only_the_right_password_fits(shared: Accounts) -> None:
    assert shared.verify("EVA", PASSWORD).name == "eva"
    with pytest.raises(NotSignedIn) as wrong:
        shared.verify("eva", PASSWORD + " ")
    with pytest.raises(NotSignedIn) as unknown:
        shared.verify("nobody", PASSWORD)
    assert str(wrong.value) == str(unknown.value)


@pytest.mark.slow
def test_an_unknown_user_costs_as_much_as_a_wrong_password(shared: Accounts) -> None:
    shared.add_user("gone", role="reader")
    shared.change_user("gone", disabled=True)

    def work(name: str) -> int:
        """How often scrypt runs for a wrong password."""
        calls = 0

        def watch(_frame: Any, event: str, function: Any) -> None:
            nonlocal calls
            calls += event == "c_call" and getattr(function, "__name__", "") == "scrypt"

        sys.setprofile(watch)
        try:
            with pytest.raises(NotSignedIn):
                shared.verify(name, "x")
        finally:
            sys.setprofile(None)
        return calls

    assert [work(n) for n in ("eva", "unknown", "gone", "root", "../x y")] == [1] * 5


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("fourteen chars", "14 characters"),
        ("aaaaaaaaaaaaaaaaaaaa", "easily guessed"),
        ("abcabcabcabcabcabc", "easily guessed"),
        ("123456789012345678", "easily guessed"),
        ("987654321098765432", "easily guessed"),
        ("eva.garcia eva.garcia", "easily guessed"),
        ("x" + "ñoño" * 300, "longer than 1024 bytes"),
    ],
)
def test_a_weak_password_is_refused(password: str, why: str) -> None:
    with pytest.raises(ServeError, match=why):
        words.check_new(password, "eva.garcia")


@pytest.mark.slow
def test_a_password_may_be_of_any_characters_and_is_the_same_however_typed() -> None:
    words.check_new("contraseña única ☕", "eva")
    composed, decomposed = "contrasen\u0303a u\u0301nica cafe", "contraseña única cafe"
    assert words.matches(composed, words.hashed(decomposed))


# -- keys ------------------------------------------------------------------------------------


def test_a_key_is_random_shown_once_and_listed_by_its_beginning(shared: Accounts) -> None:
    key, secret = shared.add_key("eva", "the intranet", days=30)
    assert secret.startswith("llar-")
    assert len(base64.urlsafe_b64decode(secret[5:] + "=")) == 32
    assert secret.startswith(key.id)
    assert len(key.id) == 13
    assert key in shared.keys("eva")
    assert key.expires is not None
    assert 29.9 < (key.expires.timestamp() - time.time()) / 86400 <= 30
    assert shared.identity(secret).names == {"user:eva", "group:hr"}
    assert secret not in repr(shared.keys())


def test_a_revoked_expired_or_made_up_key_is_nobody(shared: Accounts) -> None:
    key, secret = shared.add_key("eva")
    _, over = shared.add_key("eva", days=1e-9)
    assert shared.identity(secret).user == "eva"
    other = Accounts(load({"home": shared._config.home}, env={}))  # as the command line does
    other.revoke_key(key.id)
    other.close()
    for wrong in (secret, over, secret[:-1], "llar-", "llar-" + "A" * 43):
        with pytest.raises(NotSignedIn):
            shared.identity(wrong)


def test_a_key_may_do_no_more_than_its_user_and_than_it_says(accounts: Accounts) -> None:
    accounts.add_user("root", role="admin")
    accounts.add_user("ada", role="admin")
    accounts.add_user("rita", role="reader")
    with pytest.raises(ServeError, match="'rita' is reader"):
        accounts.add_key("rita", role="editor")
    _, whole = accounts.add_key("ada")
    _, reader = accounts.add_key("ada", role="reader")
    _, limited = accounts.add_key("ada", collections=["hr"])
    assert accounts.identity(whole).role == "admin"
    assert accounts.identity(reader).role == "reader"
    assert accounts.identity(limited).role == "editor"  # no admin of some collections only
    accounts.grant("hr", ["user:ada"])
    accounts.grant("tax", ["user:ada"])
    assert accounts.may_read(accounts.identity(limited), "hr")
    assert not accounts.may_read(accounts.identity(limited), "tax")
    accounts.change_user("ada", role="reader")
    assert accounts.identity(whole).role == "reader"
    accounts.change_user("ada", disabled=True)
    with pytest.raises(NotSignedIn):
        accounts.identity(whole)


def test_the_use_of_a_key_is_written_down_once_a_minute(accounts: Accounts) -> None:
    accounts.add_user("root", role="admin")
    key, secret = accounts.add_key("root")
    identity = accounts.identity(secret)
    assert key.last_used is None
    assert accounts.is_unused(identity)
    accounts.used(identity)
    last = accounts.key(key.id).last_used
    assert last is not None
    assert abs(last.timestamp() - time.time()) < 60
    assert not accounts.is_unused(identity)


# -- sessions --------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["sign out", "password", "remove", "disable", "end"])
def test_a_session_ends_at_once(accounts: Accounts, end: str) -> None:
    accounts.add_user("root", role="admin")
    accounts.add_user("eva", role="reader")
    token = accounts.start_session("eva", "session", "192.0.2.7")
    identity = accounts.identity(token, "192.0.2.7")
    assert (identity.user, identity.via, identity.address) == ("eva", "session", "192.0.2.7")
    assert accounts.still(identity) == identity
    assert [s.address for s in accounts.sessions("eva")] == ["192.0.2.7"]
    if end == "sign out":
        accounts.sign_out(identity)
    elif end == "password":
        accounts.set_password("eva", PASSWORD)
    elif end == "remove":
        accounts.remove_user("eva")
    elif end == "disable":
        accounts.change_user("eva", disabled=True)
    else:
        accounts.end_session(identity.session)
    with pytest.raises(NotSignedIn):
        accounts.identity(token)
    with pytest.raises(NotSignedIn):
        accounts.still(identity)
    assert accounts.sessions("eva") == []


def test_a_session_is_over_after_its_hours(home: Path) -> None:
    accounts = Accounts(load({"session_hours": 0.0}))
    accounts.add_user("eva")
    token = accounts.start_session("eva", "session")
    with pytest.raises(NotSignedIn):
        accounts.identity(token)
    accounts.tidy()
    assert stored(load(), "SELECT count(*) FROM sessions") == 0
    accounts.close()


def test_a_change_of_role_counts_for_open_sessions(accounts: Accounts) -> None:
    accounts.add_user("root", role="admin")
    accounts.add_user("eva", role="editor", groups=["hr"])
    before = accounts.identity(accounts.start_session("eva", "session"))
    accounts.change_user("eva", role="reader", groups=["tax"])
    after = accounts.still(before)
    assert after.role == "reader"
    assert after.groups == frozenset({"tax"})


def test_whoever_is_here_is_local_until_there_is_a_user(accounts: Accounts) -> None:
    assert not accounts.needed
    assert accounts.still(LOCAL) == LOCAL
    other = Accounts(load())  # the command line, while the server runs
    other.add_user("eva", role="admin")
    assert accounts.needed
    with pytest.raises(NotSignedIn):
        accounts.still(LOCAL)
    other.remove_user("eva")
    assert not accounts.needed
    other.close()


# -- users -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "a b", "local", "Everyone", "a/b", "-x", "x" * 65, "a\n", "user:eva", "<b>"]
)
def test_what_cannot_be_a_name(accounts: Accounts, name: str) -> None:
    with pytest.raises(ServeError, match="cannot be a user's name"):
        accounts.add_user(name)


def test_names_that_look_alike_are_one(accounts: Accounts) -> None:
    assert accounts.add_user("Núria.Puig@vila.cat").name == "núria.puig@vila.cat"
    with pytest.raises(Conflict):
        accounts.add_user("NU\u0301RIA.PUIG@vila.cat")
    with pytest.raises(NotThere, match="no user 'pere'"):
        accounts.user("pere")
    with pytest.raises(ServeError, match="no role 'boss'"):
        accounts.add_user("pere", role="boss")


def test_the_last_admin_stays(accounts: Accounts) -> None:
    accounts.add_user("root", role="admin")
    accounts.add_user("eva")
    with pytest.raises(Conflict, match="the only admin"):
        accounts.remove_user("root")
    with pytest.raises(Conflict, match="the only admin"):
        accounts.change_user("root", role="editor")
    with pytest.raises(Conflict, match="the only admin"):
        accounts.change_user("root", disabled=True)
    accounts.change_user("eva", role="admin")
    accounts.remove_user("root")
    assert [u.name for u in accounts.users()] == ["eva"]
    accounts.remove_user("eva")  # nobody is left who would depend on an admin
    assert accounts.users() == []


def test_forgetting_leaves_nothing_in_the_files(accounts: Accounts) -> None:
    accounts.add_user("root", role="admin")
    accounts.add_user("wilhelmina", groups=["rarely-named"])
    accounts.grant("hr", ["user:wilhelmina"])
    accounts.start_session("wilhelmina", "session", "198.51.100.99")
    accounts.forget_user("wilhelmina")
    folder = load().home / "server"
    held = b"".join(f.read_bytes() for f in folder.iterdir() if f.is_file())
    assert b"root" in held
    for what in (b"wilhelmina", b"rarely-named", b"198.51.100.99"):
        assert what not in held


def test_another_schema_is_refused(home: Path) -> None:
    Accounts(load()).close()
    connection = sqlite3.connect(home / "server" / "accounts.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ServeError, match="schema 99"):
        Accounts(load())


def test_a_damaged_file_is_said_to_be(home: Path) -> None:
    (home / "server").mkdir()
    (home / "server" / "accounts.db").write_bytes(b"no database, but long enough" * 100)
    with pytest.raises(ServeError, match=r"accounts\.db cannot be used"):
        Accounts(load())


# -- grants ----------------------------------------------------------------------------------


def test_a_collection_without_grants_is_for_admins(accounts: Accounts) -> None:
    admin, eva = Identity("root", "admin"), Identity("eva", "editor", frozenset({"hr"}))
    assert accounts.may_read(admin, "papers")
    assert accounts.may_edit(admin, "papers")
    assert not accounts.may_read(eva, "papers")


@pytest.mark.parametrize("name", ["user:eva", "group:hr", "everyone"])
def test_what_is_granted_and_taken_back(accounts: Accounts, name: str) -> None:
    eva = Identity("eva", "editor", frozenset({"hr"}))
    rita = Identity("rita", "reader", frozenset({"hr"}))
    other = Identity("ivan", "editor", frozenset({"tax"}))
    accounts.grant("papers", [name])
    assert (accounts.may_read(eva, "papers"), accounts.may_edit(eva, "papers")) == (True, False)
    assert accounts.may_read(other, "papers") == (name == "everyone")
    assert not accounts.may_read(eva, "other")
    accounts.grant("papers", [name], "editor")
    assert accounts.may_edit(eva, "papers")
    assert not accounts.may_edit(rita, "papers")  # the lesser of role and grant
    accounts.revoke("papers", [name])
    assert not accounts.may_read(eva, "papers")
    with pytest.raises(NotThere, match="nothing on 'papers'"):
        accounts.revoke("papers", [name])


def test_the_best_grant_counts_and_a_deleted_collection_takes_its_grants(
    accounts: Accounts,
) -> None:
    eva = Identity("eva", "editor", frozenset({"hr", "tax"}))
    accounts.grant("papers", ["group:hr"], "editor")
    accounts.grant("papers", ["user:eva", "group:tax"], "reader")
    assert accounts.may_edit(eva, "papers")
    accounts.forget_collection("papers")
    assert accounts.grants("papers") == []
    assert not accounts.may_read(eva, "papers")


@pytest.mark.parametrize("name", ["eva", "user:", "role:admin", "group:", "group:a\nb", "Everyone"])
def test_what_nothing_can_be_granted_to(accounts: Accounts, name: str) -> None:
    with pytest.raises(ServeError):
        accounts.grant("papers", [name])


def test_a_name_with_another_kind_in_it_grants_nothing_else(accounts: Accounts) -> None:
    """A group that calls itself like a user is still a group."""
    accounts.grant("papers", ["user:eva"])
    assert not accounts.may_read(Identity("x", "reader", frozenset({"user:eva"})), "papers")


# -- single sign-on --------------------------------------------------------------------------


def test_the_subject_says_who_somebody_is_not_the_name(accounts: Accounts) -> None:
    accounts.add_user("root", PASSWORD, role="admin")
    accounts.add_user("waits", role="editor")
    assert accounts.sso_user("https://id 1", "Eva", ["hr"]).sso_groups == ("hr",)
    assert accounts.sso_user("https://id 1", "eva.renamed", []).name == "eva"
    with pytest.raises(Conflict):  # the name is given to somebody else at the issuer
        accounts.sso_user("https://id 2", "eva", [])
    with pytest.raises(Conflict):  # nobody takes over an account with a password
        accounts.sso_user("https://id 3", "root", ["hr"])
    assert accounts.sso_user("https://id 4", "waits", []).role == "editor"
    accounts.change_user("eva", disabled=True)
    with pytest.raises(Forbidden, match="disabled"):
        accounts.sso_user("https://id 1", "eva", [])


def test_the_group_of_admins_makes_admins_as_long_as_one_is_in_it(home: Path) -> None:
    accounts = Accounts(load({"oidc_issuer": "https://id", "oidc_admins": "it"}))
    accounts.sso_user("https://id 1", "eva", ["it"])
    identity = accounts.identity(accounts.start_session("eva", "oidc"))
    assert (identity.role, identity.via) == ("admin", "oidc")
    accounts.sso_user("https://id 1", "eva", ["hr"])
    assert accounts.still(identity).role == "reader"
    accounts.close()


# -- starting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("[::1]", True),
        ("localhost", True), ("/run/llar.sock", True), ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False), ("::", False), ("", False), ("192.168.1.4", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


def test_off_loopback_it_does_not_start_without_anybody_to_sign_in(home: Path) -> None:
    accounts = Accounts(load())
    assert check_start(load(), accounts) == []
    for exposed in ({"serve_host": "0.0.0.0"}, {"serve_url": "https://llar.town"}):
        with pytest.raises(ServeError) as refused:
            check_start(load(exposed), accounts)
        assert refused.value.fix == "llar users add NAME --role admin"
    for trusting in (
        {"oidc_issuer": "https://id.town", "oidc_client": "llar"},
        {"proxy_user": "X-Remote-User"},
    ):
        named = {"serve_host": "0.0.0.0", "serve_hosts": "llar.town", "tls_cert": "c"}
        assert check_start(load({**named, **trusting}), accounts) == []
    accounts.add_user("root", role="admin")
    plain, nameless = check_start(load({"serve_host": "0.0.0.0"}), accounts)
    assert "unencrypted" in plain
    assert "serve_url" in nameless
    secure = load({"serve_host": "0.0.0.0", "serve_url": "https://llar.town"})
    assert check_start(secure, accounts) == []
    accounts.close()
