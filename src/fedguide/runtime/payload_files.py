"""Large payloads of a hub on SQLite: files beside the database, which keeps no copy of them.

A payload lies in ``<database>.payloads/<task>/<hash>.<owner>`` from its first chunk to the end of
its trip; which chunks are there, the database says. Rows are the truth: a file without a row is
swept away, and when a hub starts, a row whose file is not what its name says is forgotten, like
everything that a hub forgets: its driver asks again, and parties give their stored answers
(``mailbox.recover``). That is why nothing here waits for the disk.

With Postgres there may be several hubs, on several machines: payloads stay in its tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, select

from fedguide.runtime.hub_tables import PAYLOADS
from fedguide.runtime.hub_wire import CHUNK_BYTES, name_of

PIECE_BYTES = 1 << 20
"""How much of a file is read or written at once."""


@dataclass(frozen=True)
class PayloadFile:
    """Where a payload lies."""

    path: Path

    def open_to_write(self) -> int:
        """A descriptor of the file, made if it is not there; the caller closes it."""
        self.path.parent.parent.mkdir(mode=0o700, exist_ok=True)
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)

    def open_to_read(self) -> int:
        """A descriptor of the file; it can be read to its end even if the file is deleted.

        Raises:
            FileNotFoundError: it is not there.
        """
        return os.open(self.path, os.O_RDONLY)

    def is_whole(self, name: bytes, size: int) -> bool:
        """Is the file's content what its name and size say?"""
        try:
            if self.path.stat().st_size != size:
                return False
            with self.path.open("rb") as file:
                return name_of([hashlib.sha256(part).digest() for part in _chunks(file)]) == name
        except FileNotFoundError:
            return False


def file_of(db: Connection, task: str, owner: str, sha256: bytes) -> PayloadFile | None:
    """Where the payload of this name lies; ``None`` if this database keeps its chunks itself."""
    folder = _folder(db)
    return None if folder is None else PayloadFile(folder / task / f"{sha256.hex()}.{owner}")


def sweep(db: Connection, task: str | None = None) -> None:
    """Deletes the files, of one task or of all, that no row speaks of any more."""
    folder = _folder(db)
    if folder is None or not folder.is_dir():
        return
    names = [task] if task is not None else [entry.name for entry in folder.iterdir()]
    for name in names:
        _sweep_task(db, folder / name)


def _sweep_task(db: Connection, folder: Path) -> None:
    if not folder.is_dir():
        return
    rows = db.execute(
        select(PAYLOADS.c.owner, PAYLOADS.c.sha256).where(PAYLOADS.c.task == folder.name)
    )
    known = {f"{row.sha256.hex()}.{row.owner}" for row in rows}
    for path in folder.iterdir():
        if path.name not in known:
            path.unlink(missing_ok=True)
    if not known:
        with contextlib.suppress(OSError):  # a file of a new payload came in between
            folder.rmdir()


def _folder(db: Connection) -> Path | None:
    url = db.engine.url
    if url.get_backend_name() != "sqlite":
        return None
    return Path(f"{url.database}.payloads")


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(CHUNK_BYTES):
        yield part
