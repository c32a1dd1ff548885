"""Large values of a SQLite journal: files beside it, named by their content's SHA-256.

A database writes a large value twice, into its log and into its pages; a file is written once. It
is on disk before the row that names it is, so a row never names what is not there, and it is read
back only if it has the hash in its name. What a crash leaves without a row is swept away when a
journal is opened, once it is old enough to be nobody's who is just writing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fedguide.errors import JournalError

LARGE_BYTES = 1 << 20
"""Values from this size on go into files."""

_OLD_S = 3600.0


@dataclass(frozen=True)
class Spill:
    """The files of one journal."""

    folder: Path

    def put(self, place: str, *parts: bytes | memoryview) -> str:
        """Writes the parts as one value, and gives its name once it is on disk.

        ``place`` is the row's that will name it: what two rows hold alike lies in two files.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        name = f"{digest.hexdigest()}-{hashlib.sha256(place.encode()).hexdigest()[:16]}"
        path = self.folder / name
        new = path.with_suffix(f".{os.getpid()}.new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb", buffering=0) as file:
            for part in parts:
                _write_all(file.fileno(), part)
            os.fsync(file.fileno())
        new.replace(path)
        _sync_folder(self.folder)
        return name

    def get(self, name: str) -> bytes:
        """The value of this name.

        Raises:
            JournalError: it is not there, or not what was written.
        """
        try:
            value = (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise JournalError(f"a file of the journal is missing: {self.folder / name}") from None
        if hashlib.sha256(value).hexdigest() != name.partition("-")[0]:
            raise JournalError(f"a file of the journal is damaged: {self.folder / name}")
        return value

    def drop(self, names: Collection[str]) -> None:
        """Deletes these values; nobody names them any more."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> None:
        """Deletes every other value that was not written just now."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if path.name not in known and time.time() - path.stat().st_mtime > _OLD_S:
                    path.unlink(missing_ok=True)


def _write_all(handle: int, part: bytes | memoryview) -> None:
    view = memoryview(part)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
