"""The process that answers for a hub: one uvicorn worker on one listening socket, TLS 1.3 only.

It keeps out who takes its time: a connection has ``HEADER_S`` seconds for a request's headers (the
body's time is the hub's to judge), idle connections are closed, and there are never more than
``MOST_CONNECTIONS``. A slow or silent sender costs a socket for that long, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fedguide.errors import ConfigError, ConnectionFailedError, OversizedError

HEADER_S = 10.0
KEEP_ALIVE_S = 65
MOST_CONNECTIONS = 4096
MAX_HEADER_BYTES = 1 << 14
_BACKLOG = 512
_GOODBYES = 3
_M_ARENA_MAX, _ARENAS = -8, 2  # glibc's malloc.h


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one (``socket.getsockname()[1]`` tells which).

    Raises:
        ConnectionFailedError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol matters: asyncio sends at once (TCP_NODELAY) only on sockets that say they
    # are TCP; without it every answer waits 40 ms for the other side's delayed acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConnectionFailedError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port"
        ) from error
    return listening


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The server's side of TLS 1.3.

    Raises:
        ConfigError: a file is not there or is damaged, or the two do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"{certificate} and {key} cannot be used for TLS", hint="fedguide federation show"
        ) from None
    return context


def hub_server(
    app: Any,
    context: ssl.SSLContext,
    on_ready: Callable[[], None] = lambda: None,
    *,
    header_s: float = HEADER_S,
) -> uvicorn.Server:
    """A server to be run with ``server.run(sockets=[listen(...)])``; ends on SIGINT or SIGTERM.

    Args:
        app: of ``hub.hub_app``.
        context: of ``tls_context``.
        on_ready: called when requests are answered.
        header_s: seconds a connection has for a request's headers.
    """
    _share_heaps()
    config = uvicorn.Config(
        app,
        http=_patient(header_s),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # a line for whatever is no HTTP would let anybody fill the log
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
        backlog=_BACKLOG,
    )
    config.load()
    config.ssl = context
    return _Server(config, on_ready)


def _share_heaps() -> None:
    """Lets threads share heaps, where the C library is glibc.

    A heap of its own for each thread keeps for good what its busiest moment took, and they all have
    theirs at some time.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


class _Server(uvicorn.Server):
    """Tells when it answers, and wakes hanging polls before it waits for them to end."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then says so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets hanging polls go first, and hangs up on who would not.

        Closing TLS politely waits up to half a minute for the other side to say goodbye; an idle
        client does not listen.
        """
        bells = getattr(getattr(self.config.app, "state", None), "bells", None)
        if bells is not None:
            bells.close()
        self._hang_up(idle_only=True)
        await super().shutdown(sockets)
        self._hang_up(idle_only=False)
        for _ in range(_GOODBYES):
            await asyncio.sleep(0)  # the loop tells each connection that it is lost

    def _hang_up(self, *, idle_only: bool) -> None:
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if not idle_only or cycle is None or cycle.response_complete:
                connection.transport.abort()


def _patient(header_s: float) -> type[HttpToolsProtocol]:
    """The HTTP/1.1 protocol with an end to its patience."""

    class Patient(HttpToolsProtocol):
        """Closes a connection whose next request does not get to the end of its headers."""

        _timer: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.abort()
                return
            self._start()

        def data_received(self, data: bytes) -> None:
            if self._between_requests():
                self._start()
            super().data_received(data)
            if not self._between_requests():
                self._stop()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            self._head_bytes = 0
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            self._count(url)
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._count(name, value)
            super().on_header(name, value)

        def _count(self, *parts: bytes) -> None:
            """The parser keeps no limit of its own; what is raised here ends the connection."""
            self._head_bytes += sum(map(len, parts))
            if self._head_bytes > MAX_HEADER_BYTES:
                raise OversizedError(f"a request's head has at most {MAX_HEADER_BYTES} bytes")

        def _between_requests(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _start(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(header_s, self._give_up)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if self._between_requests():
                self.transport.abort()

    return Patient
