"""Large values of a SQLite journal: files beside it, named by their content.

A database writes a large value twice, into its log and into its pages; a file is written once. It
is on disk before the row that names it is, so a row never names what is not there, and it is read
back only if it is what was written: an open value has the SHA-256 in its name, of a sealed one the
seal says so. What a crash leaves without a row is swept away when a journal is opened, once it is
old enough to be nobody's who is just writing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fedguide.codec import Buffer
from fedguide.errors import JournalError

LARGE_BYTES = 1 << 20
"""Values from this size on go into files."""

_OLD_S = 3600.0


@dataclass(frozen=True)
class Spill:
    """The files of one journal."""

    folder: Path

    def put(self, place: str, parts: Sequence[Buffer]) -> str:
        """Writes the parts as one value, and gives its name once it is on disk.

        ``place`` is the row's that will name it: what two rows hold alike lies in two files.
        """
        with ThreadPoolExecutor(1) as beside:
            hashing = beside.submit(_sha256, parts)
            new = self._written(place, parts)
            return self._named(new, place, hashing.result())

    def put_sealed(self, place: str, nonce: bytes, pieces: Iterable[Buffer]) -> str:
        """Writes a value that proves itself when it is opened; ``nonce`` tells it from others."""
        return self._named(self._written(place, pieces), place, nonce.hex())

    def get(self, name: str) -> bytes:
        """The value that ``put`` named so.

        Raises:
            JournalError: it is not there, or not what was written.
        """
        value = self.get_sealed(name)
        if hashlib.sha256(value).hexdigest() != name.partition("-")[0]:
            raise JournalError(f"a file of the journal is damaged: {self.folder / name}")
        return value

    def get_sealed(self, name: str) -> bytes:
        """The sealed value of this name, which its seal has still to prove.

        Raises:
            JournalError: it is not there.
        """
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise JournalError(f"a file of the journal is missing: {self.folder / name}") from None

    def drop(self, names: Collection[str]) -> None:
        """Deletes these values; nobody names them any more."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def _written(self, place: str, parts: Iterable[Buffer]) -> Path:
        """A new file that holds the parts, on disk but for its name."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        new = self.folder / f"{_tag(place)}.{os.getpid()}.{threading.get_ident()}.new"
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb", buffering=0) as file:
            for part in parts:
                _write_all(file.fileno(), part)
            os.fsync(file.fileno())
        return new

    def _named(self, new: Path, place: str, content: str) -> str:
        """Gives a new file its name for good."""
        name = f"{content}-{_tag(place)}"
        new.replace(self.folder / name)
        _sync_folder(self.folder)
        return name

    def sweep(self, known: Collection[str]) -> None:
        """Deletes every other value that was not written just now."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.name not in known and time.time() - path.stat().st_mtime > _OLD_S:
                    path.unlink(missing_ok=True)


def _sha256(parts: Sequence[Buffer]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _tag(place: str) -> str:
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def _write_all(handle: int, part: Buffer) -> None:
    view = memoryview(part)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
