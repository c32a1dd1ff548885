"""The revisions make exactly the tables that the code reads, in SQLite and in a real Postgres."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from fedguide.errors import ConfigError, JournalError
from fedguide.runtime.hub_tables import META, REVISIONS, open_database


def differences(url):
    engine = open_database(url)
    try:
        with engine.connect() as db:
            context = MigrationContext.configure(db)
            assert context.get_current_revision() == REVISIONS[-1][0]
            return compare_metadata(context, META)
    finally:
        engine.dispose()


def test_the_revisions_make_the_tables(tmp_path):
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    assert differences(url) == []
    assert differences(url) == []  # a second opening changes nothing


def test_the_revisions_make_the_tables_in_postgres(postgres):
    assert differences(postgres) == []
    assert differences(postgres) == []


def test_a_database_of_a_newer_hub_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    engine = open_database(url)
    with engine.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(JournalError, match="revision 9999") as caught:
        open_database(url)
    assert "upgrade" in caught.value.hint


def test_what_is_no_database_is_refused_without_repeating_it(tmp_path):
    (tmp_path / "junk.db").write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(JournalError, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path / 'junk.db'}")
    with pytest.raises(ConfigError, match="SQLite or Postgres, got mysql"):
        open_database("mysql://u:secret@h/d")
    with pytest.raises(ConfigError) as caught:
        open_database("no url with a secret")
    assert "secret" not in str(caught.value)
