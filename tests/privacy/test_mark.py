"""The high-water mark: only upwards, whole after a torn write, safe for many processes."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from fedguide.errors import LedgerError
from fedguide.privacy.chain import Head
from fedguide.privacy.mark import SLOT_BYTES, Mark

FIRST = Head("ab" * 16, 0, "00" * 32, {})


def at(seq: int) -> Head:
    return replace(FIRST, seq=seq, hash=f"{seq:064x}", spent={("shop1", "{}"): seq})


def test_it_only_rises(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark")
    assert mark.read() is None
    mark.create(FIRST)
    assert mark.read() == FIRST
    for seq, stands in ((3, 3), (2, 3), (3, 3), (4, 4), (9, 9)):
        mark.raise_to(at(seq))
        assert mark.read() == at(stands)
    assert (tmp_path / "mark").stat().st_mode & 0o777 == 0o600


def test_a_trail_is_kept(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark")
    head = replace(at(5), trail=((4, "aa"), (0, "bb")))
    mark.create(head)
    assert mark.read() == head


def test_a_torn_write_leaves_the_mark_before_it(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    mark = Mark(path)
    mark.create(FIRST)
    mark.raise_to(at(1))
    mark.raise_to(at(2))
    whole = path.read_bytes()
    # Slot 0 holds record 2 now: every prefix of it that reached the disk leaves record 1.
    size = len(whole[:SLOT_BYTES].rstrip(b"\0"))
    for place in (0, 20, 60, 90, size - 1):
        torn = bytearray(whole)
        torn[place:SLOT_BYTES] = bytes(SLOT_BYTES - place)
        path.write_bytes(torn)
        assert mark.read() == at(1)
    path.write_bytes(whole[: size - 1])
    with pytest.raises(LedgerError, match="no whole mark"):
        mark.read()
    assert not mark.is_at_start()


def test_flipped_bits_are_found(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    Mark(path).create(at(7))
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(LedgerError, match="damaged"):
            Mark(path).read()


def test_it_is_made_once_and_replaced_only_on_purpose(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark")
    mark.create(at(3))
    with pytest.raises(LedgerError, match="File exists"):
        mark.create(FIRST)
    with pytest.raises(LedgerError, match="another ledger"):
        mark.raise_to(replace(at(5), ledger="cd" * 16))
    mark.replace(FIRST)
    assert mark.read() == FIRST
    assert mark.is_at_start()
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_what_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="No such file"):
        Mark(tmp_path / "mark").raise_to(at(1))
    with pytest.raises(LedgerError, match="No such file"):
        Mark(tmp_path / "none" / "mark").create(FIRST)
    with pytest.raises(LedgerError, match="directory"):
        Mark(tmp_path).read()
    (tmp_path / "mark").mkdir()
    with pytest.raises(LedgerError, match="directory"):
        Mark(tmp_path / "mark").replace(FIRST)


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = Mark(tmp_path / "mark")
    mark.create(FIRST)
    monkeypatch.setattr(os, "pwrite", lambda *_: 10)
    with pytest.raises(LedgerError, match="No space left"):
        mark.raise_to(at(1))
    assert mark.read() == FIRST


def test_a_mark_too_large_is_refused(tmp_path: Path) -> None:
    spent = {("shop1", f"{n:0100}"): 1 for n in range(40_000)}
    with pytest.raises(LedgerError, match="does not fit"):
        Mark(tmp_path / "mark").create(replace(FIRST, spent=spent))


def test_threads_leave_the_highest(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark")
    mark.create(FIRST)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seq: mark.raise_to(at(seq)), [n * 37 % 101 for n in range(101)]))
    assert mark.read() == at(100)
