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
    store.put(SHOP, Answered(3, b"d", reply), state)
    assert all(b"secret" not in file.read_bytes() for file in files(path))
    assert store.last_answer(SHOP) == Answered(3, b"d", reply)
    assert store.state(SHOP) == state
    other = SqlitePartyStore(engine, "t", bytes(64), LARGE)
    with pytest.raises(JournalError, match="does not open with this key"):
        other.state(SHOP)
    store.put(SHOP, Answered(4, b"e", b"small"), state)
    assert store.last_answer(SHOP) == Answered(4, b"e", b"small")
    assert len(files(path)) == 1
    store.forget()
    assert files(path) == []


def test_a_file_does_not_open_in_anothers_place(engine, path):
    store = SqlitePartyStore(engine, "t", KEY, LARGE)
    store.put(SHOP, Answered(3, b"d", b"a" * LARGE), b"b" * LARGE)
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE files SET kind = 'swap' WHERE kind = 'state'")
        db.exec_driver_sql("UPDATE files SET kind = 'state' WHERE kind = 'reply'")
    with pytest.raises(JournalError, match="does not open"):
        store.state(SHOP)


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
    store.put(SHOP, Answered(3, b"d", reply), b"")
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
