"""The line to a hub: HTTP/1.1 over TLS, connections kept open and used again.

A request that finds its connection dead is not repeated here: whoever asks makes a new one, signed
anew. No proxy of the environment is used, because it would end TLS elsewhere than at the hub.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fedguide.errors import (
    ConfigError,
    ConnectionFailedError,
    MalformedError,
    NotAuthorizedError,
    OversizedError,
)

CONNECT_S = 10.0
_MOST_REFUSAL = 1 << 16


@dataclass(frozen=True)
class Answer:
    """What came back; ``body`` is empty where it was read into the caller's memory."""

    status: int
    body: bytes
    retry_after: str


class Line:
    """Connections to one address; close it when done. Threads may share it.

    Raises:
        ConfigError: the address is not ``https://host:port``.
    """

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        try:
            where = urlsplit(address)
            host, port = where.hostname, where.port
        except ValueError:
            host = None
        if host is None or where.scheme != "https":
            raise ConfigError(f"a hub's address is https://host:port, got {address!r}")
        self._address, self._host, self._port = address, host, port or 443
        self._context = context
        self._idle: list[http.client.HTTPSConnection] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Gives the connections back."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | memoryview,
        headers: Mapping[str, str],
        timeout_s: float,
        most: int,
        into: memoryview | None = None,
    ) -> Answer:
        """What is answered; a good answer is read ``into`` memory that it has to fill.

        Raises:
            ConnectionFailedError: there is no connection, or it broke.
            NotAuthorizedError: who answers does not have the pinned certificate.
            OversizedError: the answer has more than ``most`` bytes.
            MalformedError: it does not have the size that it should.
        """
        connection = self._connection()
        try:
            connection.timeout = CONNECT_S
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(timeout_s)
            response = _exchange(connection, method, target, body, headers)
            answer = _read(response, most, into)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return answer

    def _connection(self) -> http.client.HTTPSConnection:
        """One that is open and silent, or a new one."""
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            if not _speaks(connection.sock):
                return connection
            connection.close()  # whoever speaks unasked says goodbye
        return http.client.HTTPSConnection(self._host, self._port, context=self._context)

    def _unreachable(self, error: Exception) -> ConnectionFailedError:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return NotAuthorizedError(
                f"{self._address} is not the hub of the invitation: its certificate is not the "
                "pinned one's",
                hint="fedguide doctor",
            )
        return ConnectionFailedError(
            f"the hub at {self._address} cannot be reached: {type(error).__name__}",
            hint="fedguide doctor",
        )


def _speaks(sock: socket.socket) -> bool:
    looking = select.poll()  # unlike select, it takes any descriptor
    looking.register(sock, select.POLLIN)
    return bool(looking.poll(0))


def _exchange(
    connection: http.client.HTTPSConnection,
    method: str,
    target: str,
    body: bytes | memoryview,
    headers: Mapping[str, str],
) -> http.client.HTTPResponse:
    try:
        connection.request(method, target, body, dict(headers))
    except OSError as error:
        # It may have been refused before its end was sent; the answer says why.
        try:
            return connection.getresponse()
        except (OSError, http.client.HTTPException):
            raise error from None
    return connection.getresponse()


def _read(response: http.client.HTTPResponse, most: int, into: memoryview | None) -> Answer:
    """The answer, given up at the first byte too many."""
    after = response.headers.get("retry-after", "1")
    if into is not None and response.status < 400:
        _fill(response, into)
        return Answer(response.status, b"", after)
    if response.status >= 400:
        most = max(most, _MOST_REFUSAL)
    body = response.read(most + 1)
    if len(body) > most:
        raise OversizedError(f"the hub's answer may have {most} bytes, it has more")
    return Answer(response.status, body, after)


def _fill(response: http.client.HTTPResponse, into: memoryview) -> None:
    size = 0
    while size < len(into):
        count = response.readinto(into[size:])
        if not count:
            raise MalformedError(f"the hub's answer must have {len(into)} bytes, it has {size}")
        size += count
    if response.read(1):
        raise MalformedError(f"the hub's answer must have {len(into)} bytes, it has more")
