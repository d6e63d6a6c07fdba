"""`llar mcp`."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--as",
    "seen_as",
    metavar="NAMES",
    help="Serve as for user:NAME,group:NAME ...: without the documents they may not read.",
)
@click.pass_context
def mcp(ctx: click.Context, seen_as: str | None) -> None:
    """Serve searches and answers to an MCP client over stdin and stdout.

    The client starts this command itself: put `llar mcp` into its configuration. Tools:
    list_collections, search, ask, get_document, list_documents. A running `llar serve` offers the
    same at /mcp, with an API key as the bearer token.
    """
    import anyio
    from mcp.server.stdio import stdio_server

    from ..index.access import reader
    from ..serve.mcp.desk import LocalDesk
    from ..serve.mcp.server import make

    desk = LocalDesk(ctx.obj, None if seen_as is None else reader(seen_as))
    server = make(lambda _: desk)

    async def serve() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    try:
        anyio.run(serve)
    finally:
        desk.close()
