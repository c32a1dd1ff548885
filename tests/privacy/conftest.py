"""Both databases for every test of the ledger: a SQLite file, and a Postgres of our own."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from benchmarks.postgres import Postgres, running

MEMORY = Path("/dev/shm")  # noqa: S108 - where there is one; processes die here, not the machine


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for the whole session."""
    within = MEMORY if os.access(MEMORY, os.W_OK) else None
    with running(durable=False, within=within) as server:
        yield server


@pytest.fixture(scope="session")
def _database(postgres: Postgres) -> str:
    return postgres.create("ledger")


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    address: str = request.getfixturevalue("_database")
    with psycopg.connect(address) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return address
