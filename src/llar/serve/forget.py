"""Delete what the server holds of one person, as they may ask for.

Gone afterwards: the account with its keys, sessions and grants, conversations and feedback,
finished jobs; in the audit log the name, questions, details and addresses (see audit.py). What
they put into collections stays: it is the organisation's, and so is a document's `readers`.
"""

from __future__ import annotations

from ..errors import NotThere
from .accounts import Accounts
from .accounts.records import user_name
from .audit import Audit
from .history import History
from .library import Library
from .who import Identity


def forget(
    by: Identity,
    user: str,
    *,
    accounts: Accounts,
    audit: Audit,
    history: History,
    library: Library,
) -> tuple[int, int]:
    """Forget a user, also one who was removed before; returns conversations and audit entries.

    Raises NotThere where nothing is held of that user, Conflict where it is the only admin.
    """
    name = user_name(user)
    missing: NotThere | None = None
    try:
        accounts.forget_user(name)  # first, so that nothing new comes
    except NotThere as e:
        missing = e
    conversations = history.forget(name)
    library.forget(name)
    entries = audit.forget(name)
    if missing and not conversations and not entries:
        raise missing
    audit.record(by, "user forgotten")
    return conversations, entries
