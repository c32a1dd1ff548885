"""The high-water mark: how far a ledger has ever got, in a file that is not in the database.

Before a charge returns, and so before its noise is drawn, the mark is raised to it and is on the
disk. A database that was restored from a backup is then behind its mark, and the mark knows what
the missing rows had spent. Keep it where a restore of the database does not touch it.

Threat model: a mark finds an accident (a restored or deleted database, a copy on another machine),
not an owner who restores both; against that there are heads that others keep. A torn write is
found by a hash, and the other of the two slots still holds the mark before it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedguide.errors import LedgerError
from fedguide.privacy.chain import Head, canonical, totals_from, totals_text

SLOT_BYTES = 4 << 20
"""Room for some 20,000 kinds of event; the file is sparse."""

_MAGIC = b"fedguide mark 1\n"
_FRONT = struct.Struct(">16s32s32sQI")
"""Magic, SHA-256 of what follows it, the ledger's id, the record's number, bytes of the body."""

_DIGEST_FROM = 48  # where what is hashed begins: behind magic and hash


@dataclass(frozen=True)
class _Slot:
    """What a whole slot holds, its body not yet read as JSON."""

    ledger: str
    seq: int
    body: bytes
    number: int

    def head(self) -> Head:
        value = json.loads(self.body)
        trail = tuple((int(seq), str(hash_)) for seq, hash_ in value["trail"])
        spent = totals_from(value["spent"])
        return Head(self.ledger, self.seq, value["hash"], spent, trail)


class Mark:
    """The mark of one ledger; several processes may raise it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads = threading.Lock()

    def read(self) -> Head | None:
        """The highest head ever marked; ``None`` where there is no mark.

        Raises:
            LedgerError: the file cannot be read, or both of its slots are damaged.
        """
        try:
            with self.path.open("rb") as file:
                return self._newest(file.fileno()).head()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error

    def is_at_start(self) -> bool:
        """Is it the mark of a ledger that never had a record?"""
        try:
            marked = self.read()
        except LedgerError:
            return False
        return marked is not None and marked.seq == 0

    def create(self, head: Head) -> None:
        """Makes the file, with its first head.

        Raises:
            LedgerError: it is there already, or cannot be written.
        """
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._write(handle, 0, head)
            os.fsync(handle)
        finally:
            os.close(handle)
        _sync_folder(self.path.parent)

    def raise_to(self, head: Head) -> None:
        """Marks the head, on disk when this returns; a higher mark stays.

        Raises:
            LedgerError: the file is missing, damaged, of another ledger, or cannot be written.
        """
        try:
            with self._threads, self._locked() as handle:
                marked = self._newest(handle)
                if marked.ledger != head.ledger:
                    raise LedgerError(f"{self.path} is the mark of another ledger")
                if head.seq > marked.seq:
                    self._write(handle, 1 - marked.number, head)
                    os.fdatasync(handle)
        except OSError as error:
            raise self._unusable(error) from error

    def replace(self, head: Head) -> None:
        """Puts this head in the place of whatever was marked: only after it was acknowledged.

        Raises:
            LedgerError: the file cannot be written.
        """
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        Mark(fresh).create(head)
        try:
            fresh.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise self._unusable(error) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        handle = os.open(self.path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        finally:
            os.close(handle)

    def _newest(self, handle: int) -> _Slot:
        """The whole slot with the higher number."""
        slots = [slot for number in (0, 1) if (slot := _read_slot(handle, number)) is not None]
        if not slots:
            raise LedgerError(
                f"{self.path} is damaged: it holds no whole mark",
                hint="fedguide privacy ledger --acknowledge",
            )
        return max(slots, key=lambda slot: slot.seq)

    def _write(self, handle: int, slot: int, head: Head) -> None:
        value = {"hash": head.hash, "spent": totals_text(head.spent), "trail": head.trail}
        body = canonical(value)
        rest = _FRONT.pack(b"", b"", head.ledger.encode(), head.seq, len(body))[_DIGEST_FROM:]
        block = _MAGIC + hashlib.sha256(rest + body).digest() + rest + body
        if len(block) > SLOT_BYTES:
            raise LedgerError(f"a mark of {len(block)} bytes does not fit into {SLOT_BYTES}")
        if os.pwrite(handle, block, slot * SLOT_BYTES) != len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _unusable(self, error: OSError) -> LedgerError:
        return LedgerError(
            f"the ledger's mark {self.path} cannot be used: {error.strerror or error}",
            hint="nothing may be released until it can be written",
        )


def _read_slot(handle: int, number: int) -> _Slot | None:
    """A slot; ``None`` where it is empty or torn."""
    start = number * SLOT_BYTES
    front = os.pread(handle, _FRONT.size, start)
    if len(front) < _FRONT.size:
        return None
    magic, digest, ledger, seq, size = _FRONT.unpack(front)
    if magic != _MAGIC or size > SLOT_BYTES:
        return None
    body = os.pread(handle, size, start + _FRONT.size)
    if hashlib.sha256(front[_DIGEST_FROM:] + body).digest() != digest:
        return None
    return _Slot(ledger.decode(), seq, body, number)


def _sync_folder(folder: Path) -> None:
    """Makes a new name in a folder survive the loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
