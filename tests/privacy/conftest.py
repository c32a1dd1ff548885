"""Both databases for every test of the ledger: a SQLite file, and a Postgres of our own."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.postgres import Postgres, running

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for the whole session; tests kill processes, not the machine."""
    with running(durable=False) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(f"ledger{next(_NUMBERS)}")
