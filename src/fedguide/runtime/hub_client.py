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

import httpx
import msgspec

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
    RunError,
    kinds_by_code,
)
from fedguide.runtime.hub_wire import (
    ASK_BODY_BYTES,
    CHUNK_BYTES,
    Content,
    chunk_size,
    chunks_of,
    content_of,
    unpack,
)
from fedguide.runtime.hub_wire import Missing as MissingChunks
from fedguide.seeds import Entropy

Clock = Callable[[], float]

CONNECT_S, ANSWER_S = 10.0, 60.0
_LONGEST_ANSWER = 2 * ASK_BODY_BYTES  # sixteen inline replies and their envelopes
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
        self._http = httpx.Client(
            base_url=access.address,
            verify=pinned(access.authority),
            # A proxy of the environment would end TLS elsewhere than at the hub.
            trust_env=False,
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        )

    def __enter__(self) -> HubClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._http.close()

    def call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        task: str = "",
        trip: int = -1,
        wait_s: float = 0.0,
        most: int = _LONGEST_ANSWER,
    ) -> bytes:
        """What the hub answers, asked again while it is away or busy.

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
                    method, target, body, task=task, trip=trip, wait_s=wait_s, most=most
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
        body: bytes = b"",
        *,
        task: str = "",
        trip: int = -1,
        wait_s: float = 0.0,
        most: int = _LONGEST_ANSWER,
    ) -> bytes:
        """What the hub answers to one try; raises as ``call`` does, at once."""
        around = self.around
        request = new_request(
            method,
            target,
            body,
            party=self.name,
            task=task,
            trip=trip,
            now_s=around.wall(),
            entropy=around.entropy,
        )
        timeout = httpx.Timeout(ANSWER_S + wait_s, connect=CONNECT_S)
        try:
            with self._http.stream(
                method,
                target,
                content=body,
                headers=signed_headers(self._key, request),
                timeout=timeout,
            ) as response:
                answer = _read(response, most)
        except httpx.TransportError as error:
            raise _unreachable(self._http.base_url, error) from None
        if response.status_code >= 400:
            raise _refusal(response, answer)
        return answer


def send(client: HubClient, task: str, payload: bytes, *, inline: bool) -> Content:
    """Brings a payload to the hub, only the chunks that are not there; gives how to name it."""
    if inline:
        return content_of(payload, inline=True)
    content = content_of(payload, inline=False)
    path = f"/v1/tasks/{task}/payloads/{content.sha256.hex()}"
    answer = client.call("POST", f"{path}?size={content.size}", task=task)
    view = memoryview(payload)
    for number in unpack(answer, MissingChunks).chunks:
        start = number * CHUNK_BYTES
        client.call("PUT", f"{path}/{number}", bytes(view[start : start + CHUNK_BYTES]), task=task)
    return content


def fetch(client: HubClient, task: str, owner: str, content: Content, most: int) -> bytes:
    """A payload from the hub, whole and with the hash it was named by.

    Raises:
        OversizedError: it says to be larger than ``most`` bytes.
        MalformedError: what came is not what was named.
    """
    if content.size > most:
        raise OversizedError(f"a payload of this task has at most {most} bytes, got {content.size}")
    payload = content.inline
    if payload is None:
        payload = _chunks(client, task, owner, content)
    if len(payload) != content.size or hashlib.sha256(payload).digest() != content.sha256:
        raise MalformedError("a payload does not have the size and hash it came with")
    return payload


def _chunks(client: HubClient, task: str, owner: str, content: Content) -> bytes:
    path = f"/v1/tasks/{task}/payloads/{owner}/{content.sha256.hex()}"
    parts = []
    for number in range(chunks_of(content.size)):
        expected = chunk_size(content.size, number)
        part = client.call("GET", f"{path}/{number}", task=task, most=expected)
        if len(part) != expected:
            raise MalformedError(f"chunk {number} has {expected} bytes, got {len(part)}")
        parts.append(part)
    return b"".join(parts)


def _read(response: httpx.Response, most: int) -> bytes:
    """The answer's body, given up at the first byte too many."""
    parts, size = [], 0
    for part in response.iter_raw():
        size += len(part)
        if size > most:
            raise OversizedError(f"the hub's answer may have {most} bytes, it has more")
        parts.append(part)
    return b"".join(parts)


def _pauses() -> Iterator[float]:
    """Twice as long each time up to a limit, and never in step with others."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _unreachable(address: httpx.URL, error: httpx.TransportError) -> ConnectionFailedError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotAuthorizedError(
            f"{address} is not the hub of the invitation: its certificate is not the pinned one's",
            hint="fedguide doctor",
        )
    return ConnectionFailedError(
        f"the hub at {address} cannot be reached: {type(error).__name__}", hint="fedguide doctor"
    )


def _refusal(response: httpx.Response, answer: bytes) -> FedGuideError:
    """The error the hub answered with, as if it had been raised here."""
    try:
        problem: Any = msgspec.json.decode(answer)
        code, detail, hint = problem["code"], str(problem["detail"]), str(problem["hint"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        code, detail, hint = "", f"the hub answered {response.status_code}", ""
    kind = _KINDS.get(code)
    if response.status_code == 500:
        return RunError("the hub failed on this request", hint="look into the hub's log")
    if kind is None:
        return ConnectionFailedError(detail, hint=hint or "fedguide doctor")
    if issubclass(kind, BusyError):
        return kind(detail, hint=hint, retry_after_s=_retry_after(response))
    return kind(detail, hint=hint)


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "1")
    return min(float(value), 60.0) if value.isascii() and value.isdigit() else 1.0


_KINDS = kinds_by_code()
