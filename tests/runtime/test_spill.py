"""Large values of a journal in files: there before their rows, gone after them, read only whole."""

import os
import time

import pytest

from fedguide.errors import JournalError
from fedguide.runtime.journal import Checkpoint, Trip
from fedguide.runtime.party_store import Answered, Asked
from fedguide.runtime.sqlite import SqliteJournal, SqlitePartyStore, sqlite_engine
from fedguide.values import PartyId

KEY = bytes(range(64))
SHOP = PartyId("shop-a")
LARGE = 100


@pytest.fixture
def path(tmp_path):
    return tmp_path / "party.db"


@pytest.fixture
def engine(path):
    engine = sqlite_engine(path)
    yield engine
    engine.dispose()


def files(path):
    folder = path.with_name(path.name + ".files")
    return sorted(folder.iterdir()) if folder.exists() else []


def trip(number, size):
    return Trip(number, b"d" * 32, (SHOP,), (b"r" * size,), (), 1.0, 2.0)


def test_only_what_is_large_is_a_file_and_a_checkpoint_deletes_it(engine, path):
    journal = SqliteJournal(engine, KEY, LARGE)
    journal.put_checkpoint("t", Checkpoint(0, 0, b"s" * LARGE))
    journal.record("t", trip(0, 1000))
    journal.record("t", trip(1, 1000))
    journal.put_checkpoint("u", Checkpoint(0, 0, b"s" * (LARGE - 1)))
    assert len(files(path)) == 3
    assert journal.trips("t") == [trip(0, 1000), trip(1, 1000)]
    journal.put_checkpoint("t", Checkpoint(1, 1, b"n" * LARGE))
    assert len(files(path)) == 2
    assert journal.checkpoint("t") == Checkpoint(1, 1, b"n" * LARGE)
    assert journal.trips("t") == [trip(1, 1000)]
    journal.forget("t")
    assert files(path) == []


def test_a_file_that_is_not_what_was_written_is_refused(engine, path):
    journal = SqliteJournal(engine, KEY, LARGE)
    journal.record("t", trip(0, 1000))
    (file,) = files(path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(JournalError, match="damaged"):
        journal.trips("t")
    file.unlink()
    with pytest.raises(JournalError, match="missing"):
        journal.trips("t")


def test_large_states_and_answers_are_sealed_in_their_files(engine, path):
    reply, state = b"secret update" * 50, b"secret moment" * 50
    store = SqlitePartyStore(engine, "t", KEY, LARGE)
    store.put(SHOP, Answered(3, b"d", reply), [state])
    assert all(b"secret" not in file.read_bytes() for file in files(path))
    assert store.last_answer(SHOP) == Answered(3, b"d", reply)
    assert store.state(SHOP) == state
    other = SqlitePartyStore(engine, "t", bytes(64), LARGE)
    with pytest.raises(JournalError, match="does not open with this key"):
        other.state(SHOP)
    store.put(SHOP, Answered(4, b"e", b"small"), [state])
    assert store.last_answer(SHOP) == Answered(4, b"e", b"small")
    assert len(files(path)) == 1
    store.forget()
    assert files(path) == []


def test_a_file_does_not_open_in_anothers_place(engine, path):
    store = SqlitePartyStore(engine, "t", KEY, LARGE)
    store.put(SHOP, Answered(3, b"d", b"a" * LARGE), [b"b" * LARGE])
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE files SET kind = 'swap' WHERE kind = 'part'")
        db.exec_driver_sql("UPDATE files SET kind = 'part', trip = 0 WHERE kind = 'reply'")
    with pytest.raises(JournalError, match="does not open"):
        store.state(SHOP)


def test_a_part_of_a_state_that_stays_is_written_once(engine, path):
    """What changes is written every time; the rest is not, and comes back at its place."""
    store = SqlitePartyStore(engine, "t", KEY, 10 * LARGE)
    first, second = b"1" * 1000, b"2" * 2000
    store.put(SHOP, Answered(0, b"d", b""), [b"head", first, b"\0\0", second, b"tail"])
    assert store.state(SHOP) == b"head" + first + b"\0\0" + second + b"tail"
    before = {file: file.stat().st_ino for file in files(path)}
    assert len(before) == 2
    # Another process, which holds nothing of the last answer in memory.
    store = SqlitePartyStore(engine, "t", KEY, 10 * LARGE)
    store.put(SHOP, Answered(1, b"d", b""), [b"now", second, first, b"", first])
    assert store.state(SHOP) == b"now" + second + first + first
    assert {file: file.stat().st_ino for file in files(path)} == before
    store.put(SHOP, Answered(2, b"d", b""), [b"end", second, b"3" * 1000])
    assert store.state(SHOP) == b"end" + second + b"3" * 1000
    assert len(files(path)) == 2
    assert len(set(files(path)) & set(before)) == 1
    store.put(SHOP, Answered(3, b"d", b""), [b"small"])
    assert store.state(SHOP) == b"small"
    assert files(path) == []


def test_a_part_is_known_by_where_it_lies_only_if_it_is_all_of_it(engine, path):
    """A view of what was read is that part; a shorter view, or one of another place, is not."""
    store = SqlitePartyStore(engine, "t", KEY, 1000)
    first, second = bytes(range(250)) * 8, b"2" * 2000
    store.put(SHOP, Answered(0, b"d", b""), [b"head", first, second])
    for trip, (start, end) in enumerate([(4, 2004), (4, 1504), (5, 2005)], 1):
        view = memoryview(store.state(SHOP))
        assert view[4:2004] == first
        store.put(SHOP, Answered(trip, b"d", b""), [b"head", view[start:end], second])
        assert store.state(SHOP) == b"head" + view[start:end] + second
        store.put(SHOP, Answered(trip, b"d", b""), [b"head", first, second])


def test_a_state_whose_parts_are_not_its_own_is_refused(engine, path):
    store = SqlitePartyStore(engine, "t", KEY, LARGE)
    store.put(SHOP, Answered(0, b"d", b""), [b"1" * LARGE, b"2" * LARGE])
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE files SET trip = 1 - trip + 10 WHERE kind = 'part'")
    with pytest.raises(JournalError, match="does not open"):
        store.state(SHOP)
    with engine.begin() as db:
        db.exec_driver_sql("DELETE FROM files WHERE kind = 'part' AND trip = 10")
    with pytest.raises(JournalError, match="1 of 2 parts"):
        store.state(SHOP)


def test_two_parties_parts_do_not_open_for_each_other(engine, path):
    """The same bytes lie in two files, and each opens at its own party's place alone."""
    store, other = SqlitePartyStore(engine, "t", KEY, LARGE), PartyId("shop-b")
    for party in (SHOP, other):
        store.put(party, Answered(0, b"d", b""), [b"1" * LARGE])
    assert len(files(path)) == 2
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE files SET party = 'swap' WHERE party = 'shop-a'")
        db.exec_driver_sql("UPDATE files SET party = 'shop-a' WHERE party = 'shop-b'")
    with pytest.raises(JournalError, match="does not open"):
        store.state(SHOP)


def test_a_state_that_was_stored_in_one_piece_still_opens(engine, path):
    """As all were before large parts were stored by themselves."""
    store = SqlitePartyStore(engine, "t", KEY, LARGE)
    store.put(SHOP, Answered(0, b"d", b""), [b"x" * 60, b"y" * 60])
    assert len(files(path)) == 1
    assert store.state(SHOP) == b"x" * 60 + b"y" * 60


def test_opening_sweeps_what_no_row_names_once_it_is_old(engine, path):
    SqliteJournal(engine, KEY, LARGE).record("t", trip(0, 1000))
    (kept,) = files(path)
    fresh, old = kept.with_name("fresh"), kept.with_name("old")
    for file in (fresh, old):
        file.write_bytes(b"x")
    an_hour_ago = time.time() - 4000
    for file in (old, kept):
        os.utime(file, (an_hour_ago, an_hour_ago))
    sqlite_engine(path).dispose()
    assert files(path) == sorted([kept, fresh])


def test_a_sealed_file_of_many_pieces_opens_as_sealed_at_once(engine, path):
    reply = bytes(range(256)) * 2500 + b"end"
    store = SqlitePartyStore(engine, "t", KEY, LARGE)
    store.put(SHOP, Answered(3, b"d", reply), [])
    assert store.last_answer(SHOP) == Answered(3, b"d", reply)
    (file,) = files(path)
    assert file.stat().st_size == 12 + len(reply) + 16
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)
    # What was asked is known without the answer, which a new question does not need.
    assert store.last_asked(SHOP) == Asked(3, b"d")
    with pytest.raises(JournalError, match="does not open"):
        store.last_answer(SHOP)
