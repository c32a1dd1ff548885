"""Who belongs to a federation: invitations, enrolment, approval, and requests that come only once.

Everything here works within a transaction that the caller opened, so that a request's nonce and its
effect are kept together or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from fedguide.crypto.invitation import token_hash
from fedguide.crypto.requests import NAME, Request
from fedguide.crypto.signing import PublicKey
from fedguide.errors import (
    ConfigError,
    NotAuthorizedError,
    NotFoundError,
    ReplayedError,
    RevokedError,
)
from fedguide.runtime.hub_tables import INVITES, NONCES, PARTIES
from fedguide.runtime.prepared import Prepared

PARTY, DRIVER, LEAD = "party", "driver", "lead"
"""A lead is a party that may also propose tasks and drive them: a shop with partners."""

ANSWERS, DRIVES = (PARTY, LEAD), (DRIVER, LEAD)
"""Roles that are asked, and roles that ask."""

WAITING, ADMITTED, REVOKED = "waiting", "admitted", "revoked"

_MEMBER = Prepared(select(PARTIES).where(PARTIES.c.party == bindparam("party")))
_REMEMBER = Prepared(insert(NONCES), "party", "task", "nonce", "kept_until_s")
_SAW = Prepared(
    update(PARTIES).where(PARTIES.c.party == bindparam("name")).values(seen_s=bindparam("now_s"))
)


@dataclass(frozen=True)
class Member:
    """One enrolled party or driver; ``seen_s`` is when it last asked for messages."""

    party: str
    key: PublicKey
    role: str
    status: str
    enrolled_s: float
    seen_s: float | None


def members(db: Connection) -> list[Member]:
    """Everybody who is enrolled, sorted by name."""
    return [_member(row) for row in db.execute(select(PARTIES).order_by(PARTIES.c.party))]


def member(db: Connection, name: str) -> Member | None:
    """One member, or ``None``."""
    row = _MEMBER(db, party=name).one_or_none()
    return None if row is None else _member(row)


def admitted(db: Connection, name: str) -> Member:
    """A member that may take part.

    Raises:
        NotAuthorizedError: nobody of that name is enrolled.
        RevokedError: it waits for approval, or was revoked.
    """
    found = member(db, name)
    if found is None:
        raise NotAuthorizedError(f"{name} is not enrolled here", hint="fedguide join INVITE")
    if found.status != ADMITTED:
        hint = "ask the operator: fedguide federation approve " + name
        raise RevokedError(f"{name} is {found.status} in this federation", hint=hint)
    return found


def remember(db: Connection, request: Request) -> None:
    """Keeps a request's nonce, so that the request cannot be made again.

    Raises:
        ReplayedError: it was made before.
    """
    try:
        _REMEMBER(
            db,
            party=request.party,
            task=request.task,
            nonce=request.nonce,
            kept_until_s=float(request.kept_until_s),
        )
    except IntegrityError:
        raise ReplayedError(
            f"{request.party} made this request before", hint="make a new one, with a new nonce"
        ) from None


def forget_nonces(db: Connection, now_s: float) -> int:
    """Drops the nonces of requests that would be refused as expired; gives how many."""
    return db.execute(delete(NONCES).where(NONCES.c.kept_until_s < now_s)).rowcount


def saw(db: Connection, name: str, now_s: float) -> None:
    """Notes that a member asked for messages."""
    _SAW(db, name=name, now_s=now_s)


def add_driver(db: Connection, name: str, key: PublicKey, now_s: float) -> None:
    """Admits the coordinator's driver.

    Raises:
        ConfigError: the name or the key is taken by another member.
    """
    found = member(db, name)
    if found is not None and (found.key, found.role) == (key, DRIVER):
        return
    _enrol(db, name, key, DRIVER, ADMITTED, now_s)


def invite(db: Connection, name: str, token: bytes, expires_s: float, *, admit: bool) -> None:
    """Keeps an invitation's token by its hash; ``admit`` spares the approval.

    An earlier invitation of the same name that was not used becomes void.

    Raises:
        ConfigError: the name is not one, or an enrolled party has it.
    """
    check_name(name)
    found = member(db, name)
    if found is not None and found.status != REVOKED:
        raise ConfigError(
            f"{name} is enrolled already ({found.status})", hint="fedguide federation show"
        )
    db.execute(delete(INVITES).where(INVITES.c.party == name, INVITES.c.used_by.is_(None)))
    db.execute(
        insert(INVITES).values(
            token_hash=token_hash(token), party=name, admit=admit, expires_s=expires_s
        )
    )


def enrol(db: Connection, name: str, key: PublicKey, token: bytes, now_s: float) -> Member:
    """Enrols the holder of a token under its key; the same key may repeat it.

    Raises:
        NotAuthorizedError: the token is unknown, used, expired or another party's.
        RevokedError: the party was revoked since.
    """
    row = db.execute(select(INVITES).where(INVITES.c.token_hash == token_hash(token))).one_or_none()
    again = "fedguide federation invite NAME, on the hub"
    if row is None or row.party != name:
        raise NotAuthorizedError(f"the invitation is not one of {name}", hint=again)
    if row.used_by is not None:
        found = member(db, name)
        if row.used_by == key and found is not None and found.key == key:
            return found
        raise NotAuthorizedError(f"the invitation of {name} was used already", hint=again)
    if row.expires_s < now_s:
        raise NotAuthorizedError(f"the invitation of {name} expired", hint=again)
    status = ADMITTED if row.admit else WAITING
    try:
        _enrol(db, name, key, PARTY, status, now_s)
    except ConfigError as error:
        raise NotAuthorizedError(str(error), hint=again) from None
    db.execute(
        update(INVITES).where(INVITES.c.token_hash == row.token_hash).values(used_by=str(key))
    )
    return Member(name, key, PARTY, status, now_s, None)


def set_status(db: Connection, name: str, status: str) -> Member:
    """Approves or revokes a party.

    Raises:
        NotFoundError: nobody of that name is enrolled.
    """
    found = member(db, name)
    if found is None:
        raise NotFoundError(f"{name} is not enrolled", hint="fedguide federation show")
    db.execute(update(PARTIES).where(PARTIES.c.party == name).values(status=status))
    return Member(name, found.key, found.role, status, found.enrolled_s, found.seen_s)


def set_lead(db: Connection, name: str) -> Member:
    """Lets a party propose tasks and drive them beside answering.

    Raises:
        NotFoundError: nobody of that name is enrolled.
        ConfigError: it is no party.
    """
    found = member(db, name)
    if found is None:
        raise NotFoundError(f"{name} is not enrolled", hint="fedguide federation show")
    if found.role not in ANSWERS:
        raise ConfigError(f"{name} is a {found.role}, only a party can lead")
    db.execute(update(PARTIES).where(PARTIES.c.party == name).values(role=LEAD))
    return Member(name, found.key, LEAD, found.status, found.enrolled_s, found.seen_s)


def check_name(name: str) -> None:
    """Returns if this is a name that parties and tasks can have.

    Raises:
        ConfigError: it is not.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            "a name is 1 to 64 lower-case letters, digits, dots, dashes and underscores, "
            f"got {name!r}",
            hint="shop-a",
        )


def _enrol(db: Connection, name: str, key: PublicKey, role: str, status: str, now_s: float) -> None:
    """A new member, or one that was revoked and comes back with a new key."""
    check_name(name)
    db.execute(delete(PARTIES).where(PARTIES.c.party == name, PARTIES.c.status == REVOKED))
    values = {
        "party": name,
        "key": str(key),
        "role": role,
        "status": status,
        "enrolled_s": now_s,
    }
    try:
        with db.begin_nested():
            db.execute(insert(PARTIES).values(**values))
    except IntegrityError:
        raise ConfigError(f"the name {name} or its key is taken by another member") from None


def _member(row: Any) -> Member:
    return Member(
        row.party,
        cast(PublicKey, row.key),
        row.role,
        row.status,
        row.enrolled_s,
        row.seen_s,
    )
