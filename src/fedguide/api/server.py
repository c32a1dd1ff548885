"""The process that answers: one uvicorn worker on one listening socket."""

from __future__ import annotations

import gc
import socket

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
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        raise ConnectionFailedError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="choose --port 0"
        ) from error


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answers until SIGINT or SIGTERM, then finishes what it has begun."""
    # A catalogue is half a million strings; collecting them again and again costs 10 ms a time.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listening])
