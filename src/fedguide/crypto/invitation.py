"""An invitation: one string with all that a party needs to find a hub and be let in once.

Threat model: whoever reads the string before it is used can enrol in its place, so it is sent like
a password, works once and expires; the operator compares the key's fingerprint when approving.
Whoever can *change* the string leads the party to another hub, so it must come by a way that the
party trusts. What it holds: the hub's address, its authority's certificate, the coordinator's
public key, a one-time token, the names of federation and party, and when it expires. The hub keeps
only a hash of the token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

import msgspec

from fedguide.crypto.requests import NAME
from fedguide.crypto.signing import PublicKey
from fedguide.errors import ConfigError, ExpiredError
from fedguide.seeds import Entropy

PREFIX = "fgi1."
TOKEN_BYTES = 16
KEY_BYTES = 32
_CHECK_BYTES = 4
MAX_CHARACTERS = 4096


@dataclass(frozen=True)
class Invitation:
    """What the string says.

    Attributes:
        federation: its name.
        party: the name the party will have in it.
        address: of the hub, ``https://host:port``.
        authority: the certificate to trust, DER; nothing else is trusted.
        coordinator: the public key that signs what the coordinator says.
        token: lets its holder enrol once; a secret.
        expires_s: seconds since 1970 after which it is void.
    """

    federation: str
    party: str
    address: str
    authority: bytes
    coordinator: PublicKey
    token: bytes = field(repr=False)
    expires_s: int


def new_token(entropy: Entropy) -> bytes:
    """A token nobody can guess; with ``os.urandom`` outside of tests."""
    return entropy(TOKEN_BYTES)


def token_hash(token: bytes) -> bytes:
    """What the hub keeps instead of the token: useless to whoever reads its database."""
    return hashlib.sha256(b"fedguide/invitation/1" + token).digest()


def write_invitation(invitation: Invitation) -> str:
    """The one string; a slip in copying it is noticed when it is read."""
    parts = [
        invitation.federation,
        invitation.party,
        invitation.address,
        invitation.authority,
        bytes.fromhex(invitation.coordinator),
        invitation.token,
        invitation.expires_s,
    ]
    body = msgspec.msgpack.encode(parts)
    check = hashlib.sha256(body).digest()[:_CHECK_BYTES]
    return PREFIX + base64.urlsafe_b64encode(body + check).rstrip(b"=").decode()


def read_invitation(text: str, now_s: float) -> Invitation:
    """What the string says.

    Raises:
        ConfigError: it is no invitation, or was damaged in copying.
        ExpiredError: its time is over.
    """
    text = "".join(text.split())  # mail programs break long lines
    again = "fedguide federation invite NAME, on the hub"
    if not text.startswith(PREFIX) or len(text) > MAX_CHARACTERS:
        raise ConfigError(f"an invitation begins with {PREFIX}, got {text[:8]!r}", hint=again)
    coded = text.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("the invitation is damaged", hint="copy it again, whole") from None
    body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if hashlib.sha256(body).digest()[:_CHECK_BYTES] != check:
        raise ConfigError("the invitation is damaged", hint="copy it again, whole")
    invitation = _parts(body)
    if invitation.expires_s < now_s:
        raise ExpiredError(
            f"the invitation expired {now_s - invitation.expires_s:.0f} s ago", hint=again
        )
    return invitation


def _parts(body: bytes) -> Invitation:
    try:
        kinds = tuple[str, str, str, bytes, bytes, bytes, int]
        name, party, address, authority, key, token, expires_s = msgspec.msgpack.decode(
            body, type=kinds
        )
    except msgspec.MsgspecError as error:
        raise ConfigError(f"the invitation is of another version: {error}") from None
    coordinator = PublicKey(key.hex())
    invitation = Invitation(name, party, address, authority, coordinator, token, expires_s)
    sound = (
        NAME.fullmatch(invitation.party)
        and invitation.address.startswith("https://")
        and len(invitation.token) == TOKEN_BYTES
        and len(key) == KEY_BYTES
    )
    if not sound:
        raise ConfigError("the invitation names no party, no https address, no key or no token")
    return invitation
