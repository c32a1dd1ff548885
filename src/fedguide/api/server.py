"""The process that answers: one uvicorn worker on one listening socket."""

from __future__ import annotations

import ctypes
import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from fedguide.errors import ConnectionFailedError

_BACKLOG = 512
_KEEP_ALIVE_S = 75


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
            f"cannot listen on {host}:{port}: {error.strerror}", hint="choose --port 0"
        ) from error
    return listening


@contextmanager
def loading() -> Iterator[None]:
    """Looks for no garbage meanwhile: a catalogue is half a million objects, and none is any."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answers until SIGINT or SIGTERM, then finishes what it has begun."""
    # A catalogue is half a million strings; collecting them again and again costs 10 ms a time.
    gc.collect()
    gc.freeze()
    _give_back()
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        gc.unfreeze()  # what is frozen is not taken down at the end, and libraries complain


def _give_back() -> None:
    """Returns to the system what loading has freed; the C library would keep it for itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others may not
    if trim is not None:
        trim(0)
