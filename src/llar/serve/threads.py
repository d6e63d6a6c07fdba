"""The synchronous library under the asynchronous server: calls and generators in threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")

_POOL = ThreadPoolExecutor(max_workers=64, thread_name_prefix="llar-serve")
_END: Any = object()


async def in_thread(function: Callable[..., Item], *args: Any, **kwargs: Any) -> Item:
    """`function(*args, **kwargs)` in a thread."""
    return await asyncio.get_running_loop().run_in_executor(
        _POOL, lambda: function(*args, **kwargs)
    )


async def iterate(make: Callable[[], Iterator[Item]]) -> AsyncGenerator[Item, None]:
    """The items of the iterator that `make` makes, each taken in a thread.

    Where the consumer stops early or is cancelled, the iterator is closed, which stops a
    generation.
    """
    iterator = await in_thread(make)
    step: asyncio.Future[Any] | None = None
    try:
        while True:
            step = asyncio.ensure_future(in_thread(next, iterator, _END))
            item = await asyncio.shield(step)
            if item is _END:
                return
            yield item
    finally:
        while step is not None and not step.done():  # it cannot be closed while it runs
            with contextlib.suppress(asyncio.CancelledError):  # more than one may come
                await asyncio.wait([step])
        close = getattr(iterator, "close", None)
        if close is not None:
            await in_thread(close)
