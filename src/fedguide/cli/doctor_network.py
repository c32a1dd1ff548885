"""What ``fedguide doctor`` looks at in a home that is a hub, a driver or a party."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fedguide.errors import FedGuideError

if TYPE_CHECKING:
    from fedguide.cli.doctor import Check
    from fedguide.config import Settings

_MOST_APART_S = 60.0
"""Clocks further apart than this are worth mending, though up to 300 s are borne."""

_SET_CLOCK = "timedatectl set-ntp true"


def network_checks(settings: Settings) -> Iterator[Check]:
    """The checks that this home's part in a federation calls for; none where it has none."""
    home = settings.home
    if (home / "keys" / "identity.pem").exists():
        yield _identity(home)
    if (home / "hub" / "federation.json").exists():
        yield _hub_database(settings)
        yield _certificate(home)
        yield _hub_port(settings)
    if (home / "party" / "membership.json").exists():
        yield from _membership(settings)


def _check(name: str, look: Callable[[], str], fix: str) -> Check:
    """One check; what it raises is what was found, and its hint the one command that helps."""
    from fedguide.cli.doctor import Check

    try:
        return Check(name, True, look())
    except FedGuideError as error:
        return Check(name, False, str(error), fix or error.hint)
    except OSError as error:
        return Check(name, False, error.strerror or type(error).__name__, fix)


def _identity(home: Path) -> Check:
    from fedguide.cli.federation import passphrase
    from fedguide.crypto.signing import load_key

    path = home / "keys" / "identity.pem"
    return _check("identity", lambda: load_key(path, passphrase()).public[:16], "")


def _hub_database(settings: Settings) -> Check:
    from fedguide.cli.federation import members_of
    from fedguide.runtime import members

    def look() -> str:
        with members_of(settings) as db:
            count, dialect = len(members.members(db)), db.dialect.name
        return f"{dialect}, {count} members"

    fix = "ls -l " + str(settings.home / "hub") if not settings.hub.database else "pg_isready"
    return _check("hub database", look, fix)


def _certificate(home: Path) -> Check:
    from fedguide.crypto.certificates import serves
    from fedguide.errors import ConfigError
    from fedguide.runtime import homes

    def look() -> str:
        hosts = homes.federation_of(home).hosts
        now = datetime.datetime.now(datetime.UTC)
        path = home / "hub" / "server.pem"
        if not path.exists():
            return "made when the hub starts"
        if not serves(path.read_bytes(), hosts, now):
            raise ConfigError(f"the certificate runs out or is not for {', '.join(hosts)}")
        return f"for {', '.join(hosts)}"

    return _check("TLS certificate", look, "restart the hub: fedguide hub")


def _hub_port(settings: Settings) -> Check:
    """Free for the hub to take, or taken by the hub itself."""
    from fedguide.cli.doctor import Check, free_port
    from fedguide.runtime import homes

    host, port = settings.hub.host, settings.hub.port
    name = f"hub port {host}:{port}"
    try:
        return Check(name, True, free_port(host, port))
    except OSError:
        authority = homes.authority_of(settings.home).certificate
        address = homes.federation_of(settings.home).address
        return _check(
            name,
            lambda: f"the hub answers, its clock {_apart(address, authority):+.0f} s from ours",
            f"ss -ltnp 'sport = :{port}'",
        )


def _membership(settings: Settings) -> Iterator[Check]:
    """Can the hub be reached, is it the pinned one, are the clocks alike, does it know us?"""
    from fedguide.cli.doctor import Check
    from fedguide.runtime import homes

    member = homes.membership_of(settings.home)
    found: list[float] = []

    def reach() -> str:
        found.append(_apart(member.address, member.authority.encode()))
        return f"{member.address}, TLS 1.3, pinned"

    yield _check("hub", reach, f"curl -sk {member.address}/healthz")
    if not found:
        return
    apart_s = found[0]
    near = abs(apart_s) <= _MOST_APART_S
    yield Check("clock", near, f"{apart_s:+.0f} s from the hub's", "" if near else _SET_CLOCK)
    yield _check("standing", lambda: _standing(settings), "")


def _standing(settings: Settings) -> str:
    from fedguide.cli.party import client_of
    from fedguide.errors import RevokedError
    from fedguide.runtime import homes
    from fedguide.runtime.hub_wire import Standing, unpack

    member = homes.membership_of(settings.home)
    with client_of(settings, member, patience_s=0.0) as client:
        status = unpack(client.call("GET", "/v1/me"), Standing).status
    if status != "admitted":
        raise RevokedError(
            f"{member.party} is {status}",
            hint=f"fedguide federation approve {member.party}, at the hub",
        )
    return f"{member.party} is admitted to {member.federation}"


def _apart(address: str, authority: bytes) -> float:
    """Seconds that the hub's clock is ahead of ours; proves that it is there and the pinned one."""
    import httpx

    from fedguide.errors import ConnectionFailedError
    from fedguide.runtime.hub_client import pinned
    from fedguide.runtime.hub_wire import Standing, unpack

    try:
        with httpx.Client(verify=pinned(authority), trust_env=False, timeout=10.0) as http:
            before_s = time.time()
            answer = http.get(f"{address}/v1/clock")
            after_s = time.time()
    except httpx.TransportError as error:
        raise ConnectionFailedError(
            f"{address} cannot be reached or is not the pinned hub: {type(error).__name__}"
        ) from None
    return unpack(answer.content, Standing).now_s - (before_s + after_s) / 2
