"""Connections that keep the server waiting."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from llar.serve.connections import Connection


@pytest.mark.slow
def test_connections_that_come_to_nothing_are_closed() -> None:
    """Half a head, half a body, and nothing at all; one that goes on is served."""

    class Quick(Connection):
        head, silence = 0.3, 0.3

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def told(port: int, *pieces: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.1)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return answer

    async def run(listening: socket.socket) -> tuple[bytes, ...]:
        server = uvicorn.Server(
            uvicorn.Config(echo, http=Quick, log_config=None, lifespan="off", timeout_keep_alive=1)
        )
        serving = asyncio.create_task(server.serve([listening]))
        port = listening.getsockname()[1]
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        letters = [bytes([c]) for c in b"hello"]
        found = await asyncio.gather(
            told(port),
            told(port, head),
            told(port, head + b"\r\nhel"),
            told(port, head + b"\r\nhello", b"\r\n"),
            told(port, head + b"\r\n", *letters),  # slower in all than what one wait may be
        )
        server.should_exit = True
        await serving
        return found

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        nothing, half, broken, after, slow = asyncio.run(run(listening))
    assert nothing == half == broken == b""
    assert b"hello" in after
    assert b"hello" in slow
