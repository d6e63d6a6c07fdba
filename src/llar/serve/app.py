"""The server put together: guard, API, MCP and page over one state."""

from __future__ import annotations

import importlib
from importlib.metadata import version

from fastapi import FastAPI

from .accounts.guard import Guard
from .metrics import Metrics
from .observe import Observed
from .state import State

ROUTERS = (  # modules with a `router`; a screen of the page registers itself when imported
    "api.openai",
    "api.own",
    "health",
    "page.login",
)
PAGES = ("chat", "library", "lab", "inside", "evaluation", "models", "admin", "document")


def create_app(state: State, *, page: bool = True) -> FastAPI:
    """The ASGI application over `state`, which the caller closes."""
    app = FastAPI(title="llar", version=version("llar"), docs_url=None, redoc_url=None)
    app.state.llar = state
    app.state.metrics = Metrics(state.engines, state.library)
    from .api import errors, schema

    errors.install(app)
    schema.install(app)
    for name in ROUTERS:
        app.include_router(importlib.import_module(f".{name}", __package__).router)
    from .mcp import http as mcp

    mcp.mount(app)
    if page:
        from .page import frame

        frame.mount(app, PAGES)
    app.add_middleware(Guard, state=state)
    app.add_middleware(Observed, metrics=app.state.metrics)
    return app
