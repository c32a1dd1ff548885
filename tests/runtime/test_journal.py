"""One suite for every journal, and what the one on disk adds."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from fedguide.errors import ConfigError, JournalError
from fedguide.protocol import Missing
from fedguide.runtime.journal import Checkpoint, MemoryJournal, Trip
from fedguide.runtime.spill import LARGE_BYTES
from fedguide.runtime.sqlite import SqliteJournal, journal_key, sqlite_engine
from fedguide.seeds import Root, seeded_entropy, seeded_root
from fedguide.values import PartyId

KEY = bytes(range(64))
A, B, C = PartyId("a"), PartyId("b"), PartyId("c")
TRIP = Trip(3, b"d" * 32, (A, B), (b"one", b""), (Missing(C, "late", "x" * 5000),), 1.5, 2.5)


@pytest.fixture
def engine(tmp_path):
    engine = sqlite_engine(tmp_path / "journal.db")
    yield engine
    engine.dispose()


@pytest.fixture(params=["memory", "sqlite", "files"])
def journal(request):
    if request.param == "memory":
        return MemoryJournal()
    large = 1 if request.param == "files" else LARGE_BYTES
    return SqliteJournal(request.getfixturevalue("engine"), KEY, large)


def test_a_new_task_has_nothing(journal):
    assert journal.checkpoint("t") is None
    assert journal.root("t", 0) is None
    assert journal.trips("t") == []


def test_trips_come_back_as_they_were_in_order(journal):
    journal.record("t", TRIP)
    journal.record("t", replace(TRIP, trip=4))
    journal.record("other", replace(TRIP, trip=0))
    assert journal.trips("t") == [TRIP, replace(TRIP, trip=4)]


def test_a_trip_is_recorded_once(journal):
    journal.record("t", TRIP)
    with pytest.raises(JournalError, match="t has trip 3 already: another driver"):
        journal.record("t", replace(TRIP, digest=b"e" * 32))
    assert journal.trips("t") == [TRIP]


def test_a_root_is_kept_once(journal):
    journal.put_root("t", 7, seeded_root(1))
    assert journal.root("t", 7) == seeded_root(1)
    assert journal.root("t", 6) is None
    assert journal.root("u", 7) is None
    with pytest.raises(JournalError, match="a root for round 7 already"):
        journal.put_root("t", 7, seeded_root(2))
    assert journal.root("t", 7) == seeded_root(1)


def test_a_checkpoint_replaces_and_forgets_what_came_before(journal):
    for number in range(4):
        journal.record("t", replace(TRIP, trip=number))
        journal.record("other", replace(TRIP, trip=number))
        journal.put_root("t", number, seeded_root(number))
        journal.put_root("other", number, seeded_root(number))
    journal.put_checkpoint("t", Checkpoint(1, 2, b"old"))
    journal.put_checkpoint("t", Checkpoint(2, 3, b"new"))
    assert journal.checkpoint("t") == Checkpoint(2, 3, b"new")
    assert [trip.trip for trip in journal.trips("t")] == [3]
    assert [journal.root("t", n) is None for n in range(4)] == [True, True, False, False]
    assert len(journal.trips("other")) == 4
    assert journal.root("other", 0) == seeded_root(0)
    assert journal.checkpoint("other") is None


def test_everything_is_there_after_the_file_is_opened_again(tmp_path):
    first = sqlite_engine(tmp_path / "j.db")
    journal = SqliteJournal(first, KEY)
    journal.put_checkpoint("t", Checkpoint(1, 3, b"state"))
    journal.put_root("t", 1, seeded_root(1))
    journal.record("t", TRIP)
    first.dispose()
    second = sqlite_engine(tmp_path / "j.db")
    again = SqliteJournal(second, KEY)
    assert again.checkpoint("t") == Checkpoint(1, 3, b"state")
    assert again.root("t", 1) == seeded_root(1)
    assert again.trips("t") == [TRIP]
    second.dispose()


def test_every_transaction_is_on_disk_when_it_returns(engine):
    with engine.connect() as db:
        assert db.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert db.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL


def test_roots_do_not_stand_in_the_file(tmp_path, engine):
    secret = b"a root that nobody ought to read"
    SqliteJournal(engine, KEY).put_root("t", 0, Root(secret))
    files = list(tmp_path.iterdir())
    assert any(b"roots" in file.read_bytes() for file in files)
    assert not any(secret in file.read_bytes() for file in files)


def test_roots_do_not_open_under_another_key_or_at_another_place(engine):
    SqliteJournal(engine, KEY).put_root("t", 0, seeded_root(1))
    with pytest.raises(JournalError, match="round 0 does not open with this key"):
        SqliteJournal(engine, bytes(64)).root("t", 0)
    with engine.begin() as db:
        db.execute(text("UPDATE roots SET round = 1"))
    with pytest.raises(JournalError, match="round 1 does not open"):
        SqliteJournal(engine, KEY).root("t", 1)


def test_a_damaged_trip_is_refused(engine):
    journal = SqliteJournal(engine, KEY)
    journal.record("t", TRIP)
    with engine.begin() as db:
        db.execute(text("UPDATE trips SET record = substr(record, 1, length(record) - 1)"))
    with pytest.raises(JournalError, match="damaged"):
        journal.trips("t")


@pytest.mark.parametrize("size", [0, 32, 65])
def test_a_key_of_another_length_is_refused(engine, size):
    with pytest.raises(ConfigError, match=f"64 bytes, got {size}"):
        SqliteJournal(engine, bytes(size))


def test_a_key_is_drawn_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "journal.key"
    entropy = seeded_entropy(1)
    key = journal_key(path, entropy)
    assert key == seeded_entropy(1)(64)
    assert journal_key(path, entropy) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_key_is_refused(tmp_path):
    path = tmp_path / "journal.key"
    path.write_bytes(b"short")
    with pytest.raises(JournalError, match="has 5 bytes, a journal key has 64"):
        journal_key(path, seeded_entropy(1))


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(JournalError, match="cannot be opened as a journal"):
        sqlite_engine(path)
    with pytest.raises(JournalError, match="cannot be opened as a journal"):
        sqlite_engine(tmp_path / "no" / "such" / "folder.db")
