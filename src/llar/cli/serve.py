"""`llar serve`."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on (setting serve_host).")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port to listen on (setting serve_port); 0 takes a free one.",
)
@click.pass_context
def serve(ctx: click.Context, host: str | None, port: int | None) -> None:
    """Serve the web page and the OpenAI-compatible API until Ctrl-C.

    The page is at /, the API at /v1 and /api (described at /api/docs), MCP at /mcp. Only this
    machine can reach it, and whoever uses this machine may do everything, until there are users
    (llar users add) and another --host.
    """
    from ..config import changed
    from ..serve.run import run

    given = {"serve_host": host, "serve_port": port}
    run(changed(ctx.obj, {k: v for k, v in given.items() if v is not None}, "llar serve"))
