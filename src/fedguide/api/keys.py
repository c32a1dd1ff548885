"""API keys: made once, shown once, kept as a keyed hash, revoked at once.

A key is ``fg_ID_SECRET`` with 32 random bytes of secret. The database holds HMAC-SHA-256 of it
under a key of its own that lies in another file, so that who gets the database alone can neither
use nor test a key. The comparison takes the same time for every wrong key.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sqlalchemy import select, update

from fedguide.api.tables import KEYS, changing, looking
from fedguide.errors import ConfigError, NotAuthorizedError, NotFoundError
from fedguide.privacy.tables import Database

Role: TypeAlias = Literal["shop", "operator", "auditor"]
"""A shop's own systems; who runs the federation's part here; who may look and change nothing."""

ROLES: tuple[Role, ...] = get_args(Role)
_ID_BYTES, _SECRET_BYTES, _LONGEST_NAME = 6, 32, 200
_SHAPE = re.compile(r"fg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Key:
    """A key as it may be shown: without its secret.

    Attributes:
        id: its public part.
        name: what its maker called it.
        role: what it may do.
        made_s: when it was made, seconds since 1970.
        revoked_s: when it was revoked; ``None`` while it counts.
    """

    id: str
    name: str
    role: Role
    made_s: int
    revoked_s: int | None


class KeyBook:
    """The keys of one serving database; ``secret`` is the key of the hashes."""

    def __init__(self, database: Database, secret: bytes, clock: Callable[[], float]) -> None:
        self._database, self._secret, self._clock = database, secret, clock

    def create(self, name: str, role: str) -> tuple[Key, str]:
        """A new key and its full text, which is kept nowhere.

        Raises:
            ConfigError: there is no such role, or the name is empty or too long.
        """
        if role not in ROLES:
            raise ConfigError(f"role must be one of {', '.join(ROLES)}, got {role[:32]!r}")
        if not 1 <= len(name.strip()) <= _LONGEST_NAME:
            raise ConfigError(f"a key's name has 1 to {_LONGEST_NAME} characters, got {len(name)}")
        made = Key(secrets.token_hex(_ID_BYTES), name.strip(), role, int(self._clock()), None)
        text = f"fg_{made.id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        row = {"id": made.id, "name": made.name, "role": role, "made_s": made.made_s}
        with changing(self._database) as db:
            db.execute(KEYS.insert().values(**row, hash=self._hash(text)))
        return made, text

    def all(self) -> list[Key]:
        """Every key that was ever made, oldest first."""
        with looking(self._database) as db:
            rows = db.execute(select(KEYS).order_by(KEYS.c.made_s, KEYS.c.id)).all()
        return [Key(row.id, row.name, row.role, row.made_s, row.revoked_s) for row in rows]

    def revoke(self, key_id: str) -> Key:
        """Ends a key: the next request with it is refused.

        Raises:
            NotFoundError: there is no such key.
        """
        counts = KEYS.c.id == key_id, KEYS.c.revoked_s.is_(None)
        with changing(self._database) as db:
            db.execute(update(KEYS).where(*counts).values(revoked_s=int(self._clock())))
        for key in self.all():
            if key.id == key_id:
                return key
        raise NotFoundError(f"there is no key {key_id[:32]!r}", hint="fedguide keys list")

    def check(self, text: str) -> Key:
        """The key of a text.

        Raises:
            NotAuthorizedError: it is no key, not known, or revoked; the text does not say which.
        """
        shaped = _SHAPE.fullmatch(text)
        found = self._row(shaped[1]) if shaped else None
        same = hmac.compare_digest(self._hash(text), found[1] if found else "0" * 64)
        if not (found and same and found[0].revoked_s is None):
            raise NotAuthorizedError("the key is not accepted", hint="fedguide keys create")
        return found[0]

    def still(self, key_id: str) -> Key | None:
        """A key that was accepted before, if it still counts."""
        found = self._row(key_id)
        return found[0] if found and found[0].revoked_s is None else None

    def _row(self, key_id: str) -> tuple[Key, str] | None:
        with looking(self._database) as db:
            row = db.execute(select(KEYS).where(KEYS.c.id == key_id)).one_or_none()
        if row is None:
            return None
        return Key(row.id, row.name, row.role, row.made_s, row.revoked_s), row.hash

    def _hash(self, text: str) -> str:
        message = b"fedguide/api-key\0" + text.encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, message, "sha256").hex()
