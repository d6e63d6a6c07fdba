"""Generators of the library under the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

from llar.serve.threads import iterate


def test_a_consumer_that_is_cancelled_twice_still_closes_the_generator() -> None:
    taken, closed, go = threading.Event(), threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        try:
            yield 1
            taken.set()
            go.wait(10)
            yield 2
        finally:
            closed.set()

    async def consume() -> None:
        async for _ in iterate(slow):
            pass

    async def main() -> None:
        task = asyncio.create_task(consume())
        while not taken.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not closed.is_set()
        go.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.done()

    asyncio.run(main())
    assert closed.wait(1)


def test_items_come_in_order_and_the_loop_is_free_meanwhile() -> None:
    ticks = 0

    def items() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.03)
            yield number

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def main() -> list[int]:
        ticking = asyncio.create_task(tick())
        found = [item async for item in iterate(items)]
        ticking.cancel()
        return found

    assert asyncio.run(main()) == [0, 1, 2]
    assert ticks > 10
