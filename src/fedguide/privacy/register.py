"""What shoppers have said about their data: consent, opt-out, erased; by keyed hash alone.

One line a statement, the last one of a shopper counts. A shopper's id is never written: a line
holds HMAC-SHA-256 of it under the party's own key, so that the register (and a backup of it) tells
nobody without the key who it speaks of, and the tombstone of somebody erased is no trace of them.
Whoever has the key can test a guess; it lies apart, for its owner alone.

The file is looked at again whenever it changed, so that an opt-out counts at once in a server
that runs. Whatever cannot be read is an error, never consent.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from fedguide.errors import ConfigError, DataError

Statement: TypeAlias = Literal["in", "out", "erased"]
"""Consented; opted out; erased, which stays."""

KEY_BYTES = 32
_ABOUT = "fedguide-shoppers-1"
_DIGEST_CHARS = 64


class Register:
    """The statements in a file, which need not be there yet.

    Raises:
        ConfigError: ``key`` is not 32 bytes long.
    """

    def __init__(self, path: Path, key: bytes, clock: Callable[[], float]) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"a register's key has {KEY_BYTES} bytes, got {len(key)}")
        self.path = path
        self._key, self._clock = key, clock
        self._seen: tuple[int, int, int] | None = None
        self._said: dict[str, str] = {}
        self._threads = threading.Lock()

    def pseudonym(self, shopper: str) -> str:
        """The shopper's keyed hash, 64 hex digits."""
        return self._hash("shopper", shopper)

    def said(self, shopper: str) -> Statement | None:
        """What a shopper said last.

        Raises:
            DataError: the register cannot be read, or belongs to another key.
        """
        with self._threads:
            self._look()
            return self._said.get(self.pseudonym(shopper))  # type: ignore[return-value]  # checked

    def record(self, shoppers: Iterable[str], statement: Statement) -> int:
        """Writes a statement of some shoppers, on disk when it returns; gives how many are new.

        Raises:
            DataError: the register cannot be read or written.
            ConfigError: one of them was erased, which cannot be unsaid.
        """
        wanted = list(dict.fromkeys(map(self.pseudonym, shoppers)))
        try:
            with self._threads, self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._look(locked=True)
                gone = [name for name in wanted if self._said.get(name) == "erased"]
                if gone and statement != "erased":
                    raise ConfigError(
                        f"{len(gone)} of these shoppers were erased, and stay so",
                        hint="somebody who comes back needs a new id",
                    )
                fresh = [name for name in wanted if self._said.get(name) != statement]
                # Not file.tell(): that is where the file ended when it was opened, before the lock.
                size = os.fstat(file.fileno()).st_size
                file.write(self._lines(size, fresh, statement))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable(error) from error
        return len(fresh)

    def _lines(self, size: int, pseudonyms: list[str], statement: Statement) -> bytes:
        head = "" if size else f"{_ABOUT} {self._hash('about', _ABOUT)}\n"
        now = int(self._clock())
        return (head + "".join(f"{now} {name} {statement}\n" for name in pseudonyms)).encode()

    def _look(self, *, locked: bool = False) -> None:
        """Reads the file again if it is another than last time."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._said = None, {}
            return
        except OSError as error:
            raise self._unusable(error) from error
        now = (found.st_ino, found.st_mtime_ns, found.st_size)
        if now != self._seen:
            self._said = self._parsed(self._read(locked=locked))
            self._seen = now

    def _read(self, *, locked: bool) -> str:
        """The whole file; waits for whoever is writing, unless that is us."""
        try:
            with self.path.open("rb") as file:
                if not locked:
                    fcntl.flock(file, fcntl.LOCK_SH)
                return file.read().decode("ascii")
        except OSError as error:
            raise self._unusable(error) from error
        except UnicodeDecodeError:
            raise self._damaged(0) from None

    def _parsed(self, text: str) -> dict[str, str]:
        if not text:
            return {}
        if not text.endswith("\n"):
            raise self._damaged(text.count("\n") + 1)
        first, *lines = text.splitlines()
        about, _, check = first.partition(" ")
        if about != _ABOUT:
            raise self._damaged(1)
        if not hmac.compare_digest(check, self._hash("about", _ABOUT)):
            raise DataError(
                f"the register {self.path} was written with another key",
                hint="put the shoppers' key back: without it nobody's opt-out is known",
            )
        said: dict[str, str] = {}
        for number, line in enumerate(lines, 2):
            match line.split(" "):
                case [_, name, statement] if len(name) == _DIGEST_CHARS and statement in get_args(
                    Statement
                ):
                    # Erased stays erased, whatever a later line says.
                    if said.get(name) != "erased":
                        said[name] = statement
                case _:
                    raise self._damaged(number)
        return said

    def _hash(self, purpose: str, text: str) -> str:
        message = f"fedguide/{purpose}\0".encode() + text.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()

    def _damaged(self, line: int) -> DataError:
        return DataError(
            f"the register {self.path} is damaged at line {line}",
            hint="restore it from a backup: until then nobody is trained with or profiled",
        )

    def _unusable(self, error: OSError) -> DataError:
        return DataError(f"the register {self.path} cannot be used: {error.strerror or error}")


@dataclass(frozen=True)
class Rights:
    """Whose data may be used: the register, and what counts where it says nothing.

    Attributes:
        register: what shoppers have said.
        consent_needed: is silence a no (opt-in), or is it a yes (opt-out)?
    """

    register: Register
    consent_needed: bool = False

    def allows(self, shopper: str) -> bool:
        """May the shopper's events be trained on, and profile them when they ask?"""
        said = self.register.said(shopper)
        return said == "in" or (said is None and not self.consent_needed)

    def keeps(self, shopper: str) -> bool:
        """May the shopper's events be kept at all?"""
        return self.register.said(shopper) != "erased"
