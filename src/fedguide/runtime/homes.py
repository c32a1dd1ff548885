"""Where a hub, a driver and a party keep what they need under the home folder.

HOME/keys/identity.pem       who this machine is in its federations: an Ed25519 key kept for life
HOME/hub/federation.json     the federation's name, the hub's address and hosts
HOME/hub/authority.pem|key   the authority that every invitation pins; its key is 0600
HOME/hub/server.pem|key      the server's certificate, made anew when it runs out
HOME/hub/hub.db              the mailboxes, unless they are in Postgres
HOME/driver/driver.db|key    runs, their journal, and the key that seals its roots
HOME/party/membership.json   which hub, under which name, and the pinned authority
HOME/party/party.db|key      decisions, and the journal that seals a party's state
HOME/party/models/TASK       the models that runs ended with
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedguide.crypto.certificates import Issued, issue_server, make_authority, serves
from fedguide.crypto.signing import SigningKey, load_key, make_key, save_key
from fedguide.errors import ConfigError, DataError, NotFoundError

COORDINATOR = "coordinator"
"""The driver's name in its federation."""


@dataclass(frozen=True)
class Federation:
    """What the operator of a hub said when it was made."""

    name: str
    address: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Membership:
    """What a party has from its invitation; ``authority`` is a PEM.

    ``coordinator`` is the key that signs the terms of masked tasks.
    """

    federation: str
    party: str
    address: str
    authority: str
    coordinator: str


def identity(home: Path, passphrase: str | None) -> SigningKey:
    """This machine's identity, made on first use; with a passphrase its file is encrypted.

    Raises:
        ConfigError: the file cannot be used, or the passphrase does not open it.
    """
    path = home / "keys" / "identity.pem"
    if not path.exists():
        private_folder(path.parent)
        save_key(path, make_key(), passphrase)
    return load_key(path, passphrase)


def create_federation(home: Path, federation: Federation, now: datetime.datetime) -> Issued:
    """Writes a new federation's files and gives its authority.

    Raises:
        ConfigError: there is one already.
    """
    folder = home / "hub"
    if (folder / "federation.json").exists():
        raise ConfigError(f"{folder} holds a federation already", hint="fedguide federation show")
    authority = make_authority(federation.name, now)
    private_folder(folder)
    write_private(folder / "authority.pem", authority.certificate)
    write_private(folder / "authority.key", authority.key)
    _write_json(folder / "federation.json", asdict(federation))
    return authority


def federation_of(home: Path) -> Federation:
    """The federation whose hub this home holds.

    Raises:
        NotFoundError: it holds none.
        DataError: its file is damaged.
    """
    values = _read_json(home / "hub" / "federation.json", "fedguide federation create NAME")
    try:
        return Federation(values["name"], values["address"], tuple(values["hosts"]))
    except (KeyError, TypeError):
        raise DataError(f"{home / 'hub' / 'federation.json'} is damaged") from None


def authority_of(home: Path) -> Issued:
    """The hub's authority.

    Raises:
        NotFoundError: there is none.
    """
    folder = home / "hub"
    return Issued(_read(folder / "authority.pem"), _read(folder / "authority.key"))


def server_files(home: Path, hosts: Sequence[str], now: datetime.datetime) -> tuple[Path, Path]:
    """The server's certificate and key, issued anew if they are not there, old or for others.

    Raises:
        NotFoundError, ConfigError: there is no authority, or it is damaged.
    """
    certificate, key = home / "hub" / "server.pem", home / "hub" / "server.key"
    usable = certificate.is_file() and key.is_file()
    if not (usable and serves(certificate.read_bytes(), hosts, now)):
        issued = issue_server(authority_of(home), hosts, now)
        write_private(key, issued.key)
        write_private(certificate, issued.certificate)
    return certificate, key


def save_membership(home: Path, membership: Membership) -> None:
    """Keeps what an invitation said.

    Raises:
        ConfigError: the home is a member of another federation.
    """
    path = home / "party" / "membership.json"
    if path.exists():
        known = membership_of(home)
        if known != membership:
            raise ConfigError(
                f"this home is {known.party} of {known.federation} already",
                hint="fedguide party leave, or another home",
            )
        return
    private_folder(path.parent)
    _write_json(path, asdict(membership))


def membership_of(home: Path) -> Membership:
    """What this home is a member of.

    Raises:
        NotFoundError: of nothing.
        DataError: its file is damaged.
    """
    path = home / "party" / "membership.json"
    try:
        return Membership(**_read_json(path, "fedguide join INVITE"))
    except TypeError:
        raise DataError(f"{path} is damaged", hint="fedguide join INVITE") from None


def forget_membership(home: Path) -> None:
    """Leaves the federation on this machine; decisions and models stay."""
    path = home / "party" / "membership.json"
    path.rename(path.with_suffix(".left.json"))


@contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Holds a lock file while the process lives, however it ends.

    Raises:
        ConfigError: another process holds it.
    """
    private_folder(path.parent)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"{what} is running already in this home") from None
        yield


def is_running(path: Path) -> bool:
    """Does a process hold the lock file?"""
    if not path.exists():
        return False
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def private_folder(path: Path) -> Path:
    """Makes a folder that only its owner can look into."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Writes a whole file that only its owner can read, or leaves the old one as it was."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    write_private(path, json.dumps(values, ensure_ascii=False, indent=1).encode())


def _read_json(path: Path, hint: str) -> dict[str, Any]:
    if not path.is_file():
        raise NotFoundError(f"{path} is not there", hint=hint)
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise DataError(f"{path} is damaged", hint=hint) from None
    return values


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise NotFoundError(f"{path} is not there", hint="fedguide federation create NAME")
    return path.read_bytes()
