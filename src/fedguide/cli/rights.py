"""Where shoppers' rights lie under the home folder, and every store that may know a shopper."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedguide.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.privacy.register import Rights

REGISTER = "shoppers.txt"
STORES = "stores.txt"
KEY = Path("keys") / "shoppers.key"
_KEY_BYTES = 32


def rights_of(settings: Settings, *, lasting: bool = False) -> Rights:
    """Whose data may be used, as this party's shoppers said and its config decides.

    Args:
        settings: with the home folder, and what silence means.
        lasting: the key is made where there is none yet: for whoever writes statements, or
            goes on asking for them. Whoever asks once leaves no file behind.

    Raises:
        ConfigError: the register is there and its key is not, or others can read the key.
    """
    from fedguide.privacy.register import Register, Rights

    path, key = settings.home / REGISTER, settings.home / KEY
    if not key.exists() and path.exists():
        raise ConfigError(
            f"{path} is there and its key {key} is not: nobody's opt-out could be known",
            hint="restore the key from a backup",
        )
    secret = private_key(key) if lasting or key.exists() else os.urandom(_KEY_BYTES)
    register = Register(path, secret, time.time)
    return Rights(register, settings.privacy.consent == "opt-in")


def private_key(path: Path) -> bytes:
    """A random key of 32 bytes in a file for its owner alone; made where it is not there.

    Raises:
        ConfigError: others can read the file.
    """
    if not path.exists():
        _write_key(path, os.urandom(_KEY_BYTES))
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others", hint=f"chmod 600 {path}")
    return path.read_bytes()


def remember_store(home: Path, store: Path) -> None:
    """Notes a store outside of the home folder, so that erasing somebody finds it."""
    home.mkdir(parents=True, exist_ok=True)
    known = _remembered(home)
    if store.resolve() not in known:
        with (home / STORES).open("a", encoding="utf-8") as file:
            file.write(f"{store.resolve()}\n")


def stores(settings: Settings, more: Sequence[Path] = ()) -> list[Path]:
    """Every store that may know a shopper: of runs, imported, named in ``more``.

    Raises:
        NotFoundError: one of ``more`` is not there.
    """
    for path in more:
        if not path.is_file():
            raise NotFoundError(f"no store at {path}", hint="--store FILE.duckdb")
    home = settings.home
    found = [*home.glob("runs/*/shops/*/store.duckdb"), *_remembered(home), *more]
    return sorted({path.resolve() for path in found if path.is_file()})


def _remembered(home: Path) -> list[Path]:
    listed = home / STORES
    return (
        [Path(line) for line in listed.read_text("utf-8").splitlines()] if listed.exists() else []
    )


def _write_key(path: Path, key: bytes) -> None:
    """Makes the whole key appear at once, or leaves the one that another process made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
