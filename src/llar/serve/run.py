"""Start the server and end it cleanly."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
import uvicorn
from filelock import FileLock, Timeout

from ..config import Config
from ..errors import ConfigError, ModelCorrupt, ModelNotInstalled, ServeError, UnknownModel
from ..models.store import Store
from .accounts.start import check_start
from .app import create_app
from .connections import Connection
from .observe import LOG, log_to
from .state import State, server_dir

__all__ = ["run"]

GRACE = 10  # seconds that answers under way have when the server is told to stop
_LAST = 5  # more seconds for telling their clients
_STOPPING = f"llar stops: answers under way have {GRACE} s to end (Ctrl-C again: none)\n".encode()


def run(config: Config) -> None:
    """Serve until SIGINT or SIGTERM; answers under way get `GRACE` seconds to end.

    Raises ServeError where the address is taken or unsafe, or another server runs on this home.
    """
    _check_tls(config)
    with _private(), _alone(config), _listening(config) as listening:
        state = State.open(config)
        try:
            for warning in (*check_start(config, state.accounts), *_missing(config)):
                click.echo(f"warning: {warning}", err=True)
            log_to()
            server = _Server(_settings(config, state), state)
            click.echo(f"llar serves {address(config, listening)}   (Ctrl-C stops it)", err=True)
            server.run(sockets=[listening])
        finally:
            state.close()
    click.echo("llar stopped", err=True)


@contextmanager
def _private() -> Iterator[None]:
    """What the server writes is for its user alone, collections too."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


class _Server(uvicorn.Server):
    """Tells the state at once when it is to stop, and systemd when it is there."""

    def __init__(self, settings: uvicorn.Config, state: State) -> None:
        super().__init__(settings)
        self._state = state

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM; uvicorn would raise them again, before all is closed."""
        both = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in both}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self._state.stopping.is_set():
            os.write(2, _STOPPING)  # a stream may be in the middle of a line of its own
        self._state.stopping.set()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End as uvicorn does, but tell by our own log whose answer was broken off."""
        timer = asyncio.get_running_loop().call_later(GRACE, self._break_off)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()
            if self.force_exit:
                self._break_off()

    def _break_off(self) -> None:
        """Cancel what is still under way; its client is told (api/sse.py, api/errors.py)."""
        tasks = list(self.server_state.tasks)
        if tasks:
            LOG.warning("broken off", extra={"fields": {"requests": len(tasks)}})
        for task in tasks:
            task.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _notify("READY=1")


def address(config: Config, listening: socket.socket) -> str:
    """What to type into a browser."""
    scheme = "https" if config.tls_cert else "http"
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return config.serve_url or f"{scheme}://{shown}:{port}"


def _settings(config: Config, state: State) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(state),
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the guard decides whom to believe
        timeout_graceful_shutdown=GRACE + _LAST,
        ssl_certfile=config.tls_cert or None,
        ssl_keyfile=config.tls_key or None,
    )


def _check_tls(config: Config) -> None:
    """Raises ConfigError where HTTPS is configured and cannot be served."""
    if bool(config.tls_cert) != bool(config.tls_key):
        raise ConfigError("HTTPS needs both tls_cert and tls_key; only one is set")
    if not config.tls_cert:
        return
    for name, file in (("tls_cert", config.tls_cert), ("tls_key", config.tls_key)):
        try:
            Path(file).read_bytes()
        except OSError as e:
            raise ConfigError(f"{name} {file!r} cannot be read: {e.strerror}") from e
    try:
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trial.load_cert_chain(config.tls_cert, config.tls_key, password="")  # it would ask for one
    except (ssl.SSLError, OSError) as e:
        raise ConfigError(
            f"tls_cert {config.tls_cert!r} and tls_key {config.tls_key!r} cannot be used: expected"
            f" a certificate and its key without a password, both PEM: {e}"
        ) from e


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """One server per home: two would do the same jobs twice."""
    folder = server_dir(config)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(folder / "serve.lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise ServeError(
            f"another llar server already runs on {config.home}",
            fix="stop that one first, or serve another folder: llar --home DIR serve",
        ) from None
    except OSError as e:
        raise ServeError(f"{folder} cannot be written: {e.strerror}") from e
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _listening(config: Config) -> Iterator[socket.socket]:
    """A socket that listens where the settings say."""
    host, port = config.serve_host.strip("[]"), config.serve_port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, OverflowError) as e:
        raise ServeError(f"{host!r} port {port} is no address to listen on: {e}") from None
    family, kind, protocol, _, where = found[0]
    with socket.socket(family, kind, protocol) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(where)
            listening.listen(2048)
        except (OSError, OverflowError) as e:
            raise ServeError(
                f"cannot listen on {host} port {port}: {getattr(e, 'strerror', None) or e}",
                fix=_elsewhere(e, port),
            ) from None
        listening.set_inheritable(False)
        yield listening


def _elsewhere(error: Exception, port: int) -> str:
    """Where it could listen instead."""
    number = getattr(error, "errno", None)
    if number == errno.EADDRNOTAVAIL:
        return "llar serve --host 0.0.0.0   (at every address of this machine)"
    if number == errno.EACCES:  # ports below 1024
        return "llar serve --port 8080   (and let a proxy listen on that one)"
    return f"llar serve --port {port + 1 if 0 < port < 65535 else 8081}"


def _missing(config: Config) -> list[str]:
    """Warnings of configured models that are not there; the server starts without."""
    store, found = Store(config.models_dir), []
    for setting, name in (("chat_model", config.chat_model), ("embedder", config.embedder)):
        try:
            store.get(name)
        except ModelNotInstalled as e:
            found.append(f"{setting}: {e.message}; pull it while the server runs: {e.fix}")
        except UnknownModel:
            pass  # a remote one, or a folder: its backend says so when it is asked
        except ModelCorrupt as e:
            found.append(f"{setting}: {e}")
    return found


def _notify(message: str) -> None:
    """Tell systemd, where it started us with Type=notify (sd_notify(3))."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect("\0" + place[1:] if place.startswith("@") else str(Path(place)))
        out.sendall(message.encode())
