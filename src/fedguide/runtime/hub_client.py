"""Talking to a hub: signed requests over TLS 1.3 with a pinned authority, and payloads in chunks.

Every request is idempotent, so a lost connection, a hub that restarts or one that is busy is met by
asking again, each time with a new nonce, until patience runs out. Payloads are checked against a
cap before memory is taken for them, and against their hash before they are used.
"""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fedguide.codec import Buffer
from fedguide.crypto.requests import new_request, signed_headers
from fedguide.crypto.signing import SigningKey
from fedguide.errors import (
    BusyError,
    ConfigError,
    ConnectionFailedError,
    FedGuideError,
    MalformedError,
    NotAuthorizedError,
    OversizedError,
    ProtocolError,
    RunError,
    kinds_by_code,
)
from fedguide.runtime.hub_line import Answer, Line
from fedguide.runtime.hub_wire import (
    ASK_BODY_BYTES,
    CHUNK_BYTES,
    Content,
    chunk_hashes,
    chunk_size,
    chunks_of,
    content_of,
    name_of,
    unpack,
)
from fedguide.runtime.hub_wire import Missing as MissingChunks
from fedguide.seeds import Entropy

Clock = Callable[[], float]

ANSWER_S = 60.0
_LONGEST_ANSWER = 2 * ASK_BODY_BYTES  # sixteen inline replies and their envelopes
_RESTARTS = 5  # of a hub while one payload is sent
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0


@dataclass(frozen=True)
class Access:
    """How somebody reaches a hub.

    Attributes:
        address: ``https://host:port``.
        authority: the pinned certificate, PEM.
        name: of the party or driver.
        key: it signs with this.
    """

    address: str
    authority: bytes
    name: str
    key: SigningKey


@dataclass(frozen=True)
class Surroundings:
    """What a client takes from outside, so that tests can hold it still.

    Attributes:
        wall: seconds since 1970.
        clock: seconds that never go back.
        pause: waits that many seconds, or less when it should end.
        entropy: for nonces.
        patience_s: how long a hub may be away or busy before its client gives up.
    """

    wall: Clock
    clock: Clock
    pause: Callable[[float], None]
    entropy: Entropy
    patience_s: float = 600.0


def pinned(authority: bytes) -> ssl.SSLContext:
    """The client's side of TLS 1.3: this authority is trusted, and no other.

    Raises:
        ConfigError: it is no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise ConfigError(
            "the pinned certificate is damaged", hint="fedguide join INVITE"
        ) from None
    return context


class HubClient:
    """A connection to a hub in somebody's name; close it when done."""

    def __init__(self, access: Access, around: Surroundings) -> None:
        self.name = access.name
        self._key = access.key
        self.around = around
        self._line = Line(access.address, pinned(access.authority))

    def __enter__(self) -> HubClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._line.close()

    def call(
        self,
        method: str,
        target: str,
        body: bytes | memoryview = b"",
        *,
        task: str = "",
        trip: int = -1,
        wait_s: float = 0.0,
        most: int = _LONGEST_ANSWER,
        sha256: bytes | None = None,
        into: memoryview | None = None,
    ) -> bytes:
        """What the hub answers, asked again while it is away or busy.

        Args:
            method: of HTTP.
            target: path and query.
            body: to send.
            task: that the request is for.
            trip: of the task.
            wait_s: how long the hub may take beside the usual.
            most: bytes that its answer may have.
            sha256: of the body, where it is known.
            into: where the answer is to be read to; nothing else is given then.

        Raises:
            ConnectionFailedError: it was away or busy for longer than patience lasts.
            NotAuthorizedError: it is not the pinned hub, or does not accept who we are.
            FedGuideError: it refused, as the error of its code says.
        """
        around = self.around
        until_s = around.clock() + around.patience_s
        pauses = _pauses()
        while True:
            try:
                return self.once(
                    method,
                    target,
                    body,
                    task=task,
                    trip=trip,
                    wait_s=wait_s,
                    most=most,
                    sha256=sha256,
                    into=into,
                )
            except NotAuthorizedError:
                raise
            except BusyError as error:
                pause_s = max(error.retry_after_s, next(pauses))
                if around.clock() + pause_s > until_s:
                    raise
            except ConnectionFailedError:
                pause_s = next(pauses)
                if around.clock() + pause_s > until_s:
                    raise
            around.pause(pause_s)

    def once(
        self,
        method: str,
        target: str,
        body: bytes | memoryview = b"",
        *,
        task: str = "",
        trip: int = -1,
        wait_s: float = 0.0,
        most: int = _LONGEST_ANSWER,
        sha256: bytes | None = None,
        into: memoryview | None = None,
    ) -> bytes:
        """What the hub answers to one try; raises as ``call`` does, at once."""
        request = new_request(
            method,
            target,
            body,
            party=self.name,
            task=task,
            trip=trip,
            now_s=self.around.wall(),
            entropy=self.around.entropy,
            body_sha256=sha256,
        )
        headers = signed_headers(self._key, request)
        answer = self._line.ask(method, target, body, headers, ANSWER_S + wait_s, most, into)
        if answer.status >= 400:
            raise _refusal(answer)
        return answer.body


def send(client: HubClient, task: str, payload: bytes, *, inline: bool) -> Content:
    """Brings a payload to the hub, only the chunks that are not there; gives how to name it.

    A hub that was started again in between has forgotten what was half sent: it is announced anew.
    """
    if inline:
        return content_of(payload, inline=True)
    hashes = chunk_hashes(payload)
    content = Content(name_of(hashes), len(payload))
    for _ in range(_RESTARTS):
        try:
            _send_chunks(client, task, payload, content, hashes)
        except ProtocolError:
            continue  # where the task itself is over, announcing it is refused as well
        return content
    _send_chunks(client, task, payload, content, hashes)
    return content


def _send_chunks(
    client: HubClient, task: str, payload: bytes, content: Content, hashes: list[bytes]
) -> None:
    """Announces a payload and sends the chunks that the hub says it misses."""
    path = f"/v1/tasks/{task}/payloads/{content.sha256.hex()}"
    answer = client.call("POST", f"{path}?size={content.size}", task=task)
    view = memoryview(payload)
    for number in unpack(answer, MissingChunks).chunks:
        if not 0 <= number < len(hashes):
            raise MalformedError(f"the hub misses chunk {number} of {len(hashes)}")
        start = number * CHUNK_BYTES
        part = view[start : start + CHUNK_BYTES]
        client.call("PUT", f"{path}/{number}", part, task=task, sha256=hashes[number])


def fetch(client: HubClient, task: str, owner: str, content: Content, most: int) -> Buffer:
    """A payload from the hub, whole and with the hash it was named by.

    Raises:
        OversizedError: it says to be larger than ``most`` bytes.
        MalformedError: what came is not what was named.
    """
    if content.size > most:
        raise OversizedError(f"a payload of this task has at most {most} bytes, got {content.size}")
    payload: Buffer
    if content.inline is not None:
        payload, hashes = content.inline, chunk_hashes(content.inline)
    else:
        payload, hashes = _chunks(client, task, owner, content)
    if len(payload) != content.size or name_of(hashes) != content.sha256:
        raise MalformedError("a payload does not have the size and hash it came with")
    return payload


def _chunks(
    client: HubClient, task: str, owner: str, content: Content
) -> tuple[memoryview, list[bytes]]:
    """A payload's chunks, and the hash of each."""
    path = f"/v1/tasks/{task}/payloads/{owner}/{content.sha256.hex()}"
    # Memory that is neither cleared before nor copied after: every byte of it is read into once.
    payload, hashes = np.empty(content.size, np.uint8).data, []
    for number in range(chunks_of(content.size)):
        start, size = number * CHUNK_BYTES, chunk_size(content.size, number)
        part = payload[start : start + size]
        client.call("GET", f"{path}/{number}", task=task, into=part)
        hashes.append(hashlib.sha256(part).digest())
    return payload.toreadonly(), hashes


def _pauses() -> Iterator[float]:
    """Twice as long each time up to a limit, and never in step with others."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _refusal(answer: Answer) -> FedGuideError:
    """The error the hub answered with, as if it had been raised here."""
    try:
        problem: Any = msgspec.json.decode(answer.body)
        code, detail, hint = problem["code"], str(problem["detail"]), str(problem["hint"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        code, detail, hint = "", f"the hub answered {answer.status}", ""
    kind = _KINDS.get(code)
    if answer.status == 500:
        return RunError("the hub failed on this request", hint="look into the hub's log")
    if kind is None:
        return ConnectionFailedError(detail, hint=hint or "fedguide doctor")
    if issubclass(kind, BusyError):
        return kind(detail, hint=hint, retry_after_s=_retry_after(answer.retry_after))
    return kind(detail, hint=hint)


def _retry_after(value: str) -> float:
    return min(float(value), 60.0) if value.isascii() and value.isdigit() else 1.0


_KINDS = kinds_by_code()
