"""The high-water mark: how far a ledger has ever got, in a file that is not in the database.

Before a charge returns, and so before its noise is drawn, the mark is raised to it and is on the
disk. A database that was restored from a backup is then behind its mark, and the mark knows what
the missing rows had spent. Keep it where a restore of the database does not touch it.

Threat model: a mark finds an accident (a restored or deleted database, a copy on another machine),
not an owner who restores both; against that there are heads that others keep. A torn write is
found by a hash, and the other of the two slots still holds the mark before it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedguide.errors import LedgerError
from fedguide.privacy.chain import Head, canonical, spent_by, spent_list

SLOT_BYTES = 4 << 20
"""Room for some 20,000 kinds of event; the file is sparse."""

_HASH_BYTES = 32
_LENGTH_BYTES = 4
_MAGIC = b"fedguide mark 1\n"


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
                return self._newest(file.fileno())[0]
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
                marked, slot = self._newest(handle)
                if marked.ledger != head.ledger:
                    raise LedgerError(f"{self.path} is the mark of another ledger")
                if head.seq > marked.seq:
                    self._write(handle, 1 - slot, head)
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

    def _newest(self, handle: int) -> tuple[Head, int]:
        """The valid slot with the higher number, and which of the two it is."""
        found = [(head, slot) for slot in (0, 1) if (head := _read_slot(handle, slot)) is not None]
        if not found:
            raise LedgerError(
                f"{self.path} is damaged: it holds no whole mark",
                hint="fedguide privacy ledger --acknowledge",
            )
        return max(found, key=lambda pair: pair[0].seq)

    def _write(self, handle: int, slot: int, head: Head) -> None:
        body = canonical(
            {
                "hash": head.hash,
                "ledger": head.ledger,
                "seq": head.seq,
                "spent": spent_list(head.spent),
                "trail": head.trail,
            }
        )
        size = len(body).to_bytes(_LENGTH_BYTES, "big")
        block = _MAGIC + hashlib.sha256(size + body).digest() + size + body
        if len(block) > SLOT_BYTES:
            raise LedgerError(f"a mark of {len(block)} bytes does not fit into {SLOT_BYTES}")
        if os.pwrite(handle, block, slot * SLOT_BYTES) != len(block):
            raise OSError("the disk is full")

    def _unusable(self, error: OSError) -> LedgerError:
        return LedgerError(
            f"the ledger's mark {self.path} cannot be used: {error.strerror or error}",
            hint="nothing may be released until it can be written",
        )


def _read_slot(handle: int, slot: int) -> Head | None:
    """The head in a slot; ``None`` where it is empty or torn."""
    start = slot * SLOT_BYTES
    fixed = len(_MAGIC) + _HASH_BYTES + _LENGTH_BYTES
    front = os.pread(handle, fixed, start)
    if len(front) < fixed or not front.startswith(_MAGIC):
        return None
    digest, size = front[len(_MAGIC) : -_LENGTH_BYTES], front[-_LENGTH_BYTES:]
    body = os.pread(handle, min(int.from_bytes(size, "big"), SLOT_BYTES), start + fixed)
    if hashlib.sha256(size + body).digest() != digest:
        return None
    value = json.loads(body)
    trail = tuple((int(seq), str(hash_)) for seq, hash_ in value["trail"])
    return Head(value["ledger"], value["seq"], value["hash"], spent_by(value), trail)


def _sync_folder(folder: Path) -> None:
    """Makes a new name in a folder survive the loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
