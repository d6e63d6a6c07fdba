"""What every endpoint asks of a request: the server's state, and who is asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from ..errors import NotSignedIn
from .who import Identity

if TYPE_CHECKING:
    from .state import State


def state_of(connection: HTTPConnection) -> State:
    """The running server's state."""
    state: State = connection.app.state.llar
    return state


def identity_of(connection: HTTPConnection) -> Identity:
    """Who is asking. Raises NotSignedIn where nobody signed in."""
    identity: Identity | None = connection.scope.get("llar.identity")
    if identity is None:
        raise NotSignedIn("sign in first, or send an API key as 'Authorization: Bearer KEY'")
    return identity
