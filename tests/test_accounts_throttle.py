"""Guessing is slowed, for good, for everybody and at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llar.config import load
from llar.errors import NotSignedIn, Overloaded
from llar.serve.accounts import Accounts, throttle

PASSWORD = "seven quiet harbours"


@pytest.fixture
def accounts(home: Path) -> Iterator[Accounts]:
    accounts = Accounts(load())
    yield accounts
    accounts.close()


def wait(accounts: Accounts, user: str, address: str = "", tries: int = 5) -> int:
    """Seconds that one more try has to wait; 0 where it was counted."""
    try:
        throttle.count_try(accounts._database, user, address, tries)
    except Overloaded as e:
        return e.retry_after
    return 0


def long_ago(accounts: Accounts, seconds: float) -> None:
    """Make all that was counted so much older."""
    with accounts._database.write() as connection:
        connection.execute("UPDATE failures SET last = last - ?", (seconds,))


def test_waits_double_up_to_a_quarter_of_an_hour(accounts: Accounts) -> None:
    assert [wait(accounts, "eva") for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    seen = []
    for _ in range(12):
        seen.append(wait(accounts, "eva"))
        long_ago(accounts, seen[-1])  # it waited as long as it was told
        assert wait(accounts, "eva") == 0
    assert seen == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert wait(accounts, "other") == 0
    long_ago(accounts, throttle.FORGOTTEN + 1)
    assert wait(accounts, "eva") == 0


def test_a_restart_forgets_nothing(home: Path) -> None:
    for _ in range(5):
        accounts = Accounts(load())
        assert wait(accounts, "eva") == 0
        accounts.close()
    accounts = Accounts(load())
    assert wait(accounts, "eva") == 1
    accounts.close()


def test_an_address_that_tries_many_names_is_slowed(accounts: Accounts) -> None:
    one = [wait(accounts, f"user{n}", "192.0.2.1") for n in range(51)]
    assert one == [0] * 50 + [1]
    assert wait(accounts, "user0", "192.0.2.2") == 0
    two = [wait(accounts, f"user{n}", f"2001:db8:1:2::{n:x}", 1) for n in range(100, 111)]
    assert two == [0] * 10 + [1]  # a customer's whole network is one address
    assert wait(accounts, "user200", "2001:db8:1:3::1", 1) == 0


def test_many_tries_at_once_count_as_many(accounts: Accounts) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(wait(accounts, "eva"))) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0] * 5 + [1] * 7


@pytest.mark.slow
def test_while_slowed_not_even_the_right_password_is_looked_at(accounts: Accounts) -> None:
    accounts.add_user("eva", PASSWORD)
    for _ in range(5):
        assert wait(accounts, "eva", "192.0.2.1") == 0
    with pytest.raises(Overloaded) as slow:
        accounts.sign_in("eva", PASSWORD, "192.0.2.1")
    assert slow.value.retry_after == 1
    with pytest.raises(Overloaded):  # from anywhere: it is the user who is guessed at
        accounts.sign_in("eva", PASSWORD, "198.51.100.1")
    long_ago(accounts, 2)
    token = accounts.sign_in("eva", PASSWORD, "192.0.2.1")
    assert accounts.identity(token).user == "eva"
    assert wait(accounts, "eva") == 0  # the right one makes good for the wrong ones


def test_a_right_password_does_not_clear_the_address(accounts: Accounts) -> None:
    """Whoever has an account could go on guessing others' otherwise."""
    for n in range(49):
        assert wait(accounts, f"user{n}", "192.0.2.1") == 0
    throttle.count_try(accounts._database, "mine", "192.0.2.1", 5)
    throttle.right(accounts._database, "mine", "192.0.2.1")
    assert [wait(accounts, f"more{n}", "192.0.2.1") for n in range(2)] == [0, 1]


@pytest.mark.slow
def test_a_new_password_ends_the_wait(accounts: Accounts) -> None:
    accounts.add_user("eva")
    for _ in range(6):
        wait(accounts, "eva")
    accounts.set_password("eva", PASSWORD)
    before = time.time()
    with pytest.raises(NotSignedIn):
        accounts.verify("eva", "x")
    assert accounts._database.read("SELECT last FROM failures")[0]["last"] >= before
