"""Signed requests: who asks, for which task and trip, for how long, and only once.

Threat model: the network may read, delay, repeat and change anything; TLS keeps it out, and this
signature holds even where TLS ends early (a proxy, a load balancer). It covers the method, the
target, the SHA-256 of the body, the party, the task, the trip, a nonce and an expiry, so a request
can be moved neither to another place nor to another time. Whoever receives it must refuse a nonce
it has seen for the same party and task until the request has expired; ``kept_until_s`` says how
long that is. What leaks: who asks for which task and trip, and when.

The signature is over the *declared* hash of the body, so that it can be checked before a byte of
the body is read; the receiver compares the hash with the body afterwards.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from fedguide.crypto.signing import SIGNATURE_BYTES, PublicKey, SigningKey, sign, verify
from fedguide.errors import ExpiredError, NotAuthorizedError, SignatureError
from fedguide.seeds import Entropy

PURPOSE = "request/1"
LIFETIME_S = 60
"""How long a request may be under way by its sender's clock."""

SKEW_S = 300
"""How far two clocks may be apart."""

NONCE_BYTES = 16
HEADER = "fedguide-"
MAX_NAME = 64

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
"""What parties and tasks may be called: it stands in headers, paths and file names."""

_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class Request:
    """What one signature covers.

    Attributes:
        method: of HTTP, upper case.
        target: path and query, as sent.
        body_sha256: of the body; of no bytes where there is none.
        party: who asks.
        task: for which task; empty where it is for none.
        trip: for which trip of the task; -1 where it is for none.
        nonce: 32 hex digits, new for every request.
        expires_s: seconds since 1970, by the sender's clock, after which it is void.
    """

    method: str
    target: str
    body_sha256: bytes
    party: str
    task: str
    trip: int
    nonce: str
    expires_s: int

    @property
    def kept_until_s(self) -> int:
        """Until when a receiver has to remember the nonce, by its own clock."""
        return self.expires_s + SKEW_S


def new_request(
    method: str,
    target: str,
    body: bytes | memoryview,
    *,
    party: str,
    task: str = "",
    trip: int = -1,
    now_s: float,
    entropy: Entropy,
    body_sha256: bytes | None = None,
) -> Request:
    """A request to be signed now, with a new nonce; ``body_sha256`` spares hashing the body."""
    return Request(
        method,
        target,
        hashlib.sha256(body).digest() if body_sha256 is None else body_sha256,
        party,
        task,
        trip,
        entropy(NONCE_BYTES).hex(),
        int(now_s) + LIFETIME_S,
    )


def canonical(request: Request) -> bytes:
    """The bytes that are signed: one encoding for one request, and no two requests share it."""
    parts = [
        request.method,
        request.target,
        request.body_sha256,
        request.party,
        request.task,
        request.trip,
        request.nonce,
        request.expires_s,
    ]
    return msgspec.msgpack.encode(parts)


def signed_headers(key: SigningKey, request: Request) -> dict[str, str]:
    """The headers that carry a request's signature and what it covers beside method and target."""
    return {
        f"{HEADER}party": request.party,
        f"{HEADER}task": request.task,
        f"{HEADER}trip": str(request.trip),
        f"{HEADER}nonce": request.nonce,
        f"{HEADER}expires": str(request.expires_s),
        f"{HEADER}body": request.body_sha256.hex(),
        f"{HEADER}signature": sign(key, PURPOSE, canonical(request)).hex(),
    }


def read_request(method: str, target: str, headers: Mapping[str, str]) -> tuple[Request, bytes]:
    """The request its headers claim, and its signature; nothing of it is proven yet.

    Raises:
        NotAuthorizedError: a header is missing or malformed.
    """
    task = _header(headers, "task")
    return (
        Request(
            method=method,
            target=target,
            body_sha256=_hex(headers, "body", 32),
            party=_name(headers, "party"),
            task="" if task == "" else _name(headers, "task"),
            trip=_number(headers, "trip"),
            nonce=_hex(headers, "nonce", NONCE_BYTES).hex(),
            expires_s=_number(headers, "expires"),
        ),
        _hex(headers, "signature", SIGNATURE_BYTES),
    )


def check_request(request: Request, signature: bytes, signer: PublicKey, now_s: float) -> None:
    """Returns if the request is ``signer``'s and of this time; that it is new is not checked.

    Raises:
        NotAuthorizedError: it is signed by somebody else, or a part of it was changed.
        ExpiredError: its time is over or too far ahead, with clocks up to ``SKEW_S`` apart.
    """
    try:
        verify(signer, PURPOSE, canonical(request), signature)
    except SignatureError:
        raise NotAuthorizedError(
            f"the request is not signed by the key of {request.party}",
            hint="fedguide doctor",
        ) from None
    left_s = request.expires_s - now_s
    if not -SKEW_S <= left_s <= LIFETIME_S + SKEW_S:
        raise ExpiredError(
            f"the request expires {left_s:+.0f} s from now by this clock, allowed is "
            f"-{SKEW_S} to +{LIFETIME_S + SKEW_S}",
            hint="set the clock (timedatectl set-ntp true), then fedguide doctor",
        )


def check_body(request: Request, body_sha256: bytes) -> None:
    """Returns if the body that came is the one that was signed.

    Raises:
        NotAuthorizedError: it is another.
    """
    if body_sha256 != request.body_sha256:
        raise NotAuthorizedError("the body is not the one that was signed")


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(f"{HEADER}{name}")
    if value is None:
        raise NotAuthorizedError(f"the request has no header {HEADER}{name}: it is not signed")
    return value


def _name(headers: Mapping[str, str], name: str) -> str:
    value = _header(headers, name)
    if not NAME.fullmatch(value):
        raise NotAuthorizedError(f"header {HEADER}{name} is no name of up to {MAX_NAME} characters")
    return value


def _hex(headers: Mapping[str, str], name: str, size: int) -> bytes:
    value = _header(headers, name)
    if len(value) != 2 * size or not _HEX.fullmatch(value):
        raise NotAuthorizedError(f"header {HEADER}{name} must be {2 * size} lower-case hex digits")
    return bytes.fromhex(value)


def _number(headers: Mapping[str, str], name: str) -> int:
    value = _header(headers, name)
    if not _NUMBER.fullmatch(value):
        raise NotAuthorizedError(f"header {HEADER}{name} must be a whole number")
    return int(value)
