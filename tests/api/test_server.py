"""The listening socket."""

from __future__ import annotations

import gc
import socket

import pytest

from fedguide.api.server import listen, loading
from fedguide.errors import ConnectionFailedError


def test_port_0_takes_a_free_one() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert listening.getsockname()[1] > 0


def test_accepted_sockets_say_they_are_tcp() -> None:
    # asyncio sets TCP_NODELAY only then; otherwise each answer waits 40 ms for an acknowledgement.
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_a_taken_port_is_an_error_that_helps() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(ConnectionFailedError, match=f"127.0.0.1:{port}") as caught:
            listen("127.0.0.1", port)
        assert "--port 0" in caught.value.hint


def test_no_garbage_is_looked_for_while_loading_and_again_after_it() -> None:
    assert gc.isenabled()

    def broken() -> None:
        with loading():
            assert not gc.isenabled()
            with loading():
                pass
            assert not gc.isenabled()
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert gc.isenabled()
