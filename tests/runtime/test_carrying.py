"""SIGKILL hub, party or driver around the chunks and files of a large payload.

Whoever dies, between a chunk's bytes and its row, in the middle of an upload, or between a file of
a journal and the row that names it: the run ends with the one answer that could leave its party,
and no file is left that no row names.
"""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fedguide.runtime.sqlite import sqlite_engine
from tests.runtime.killing import NEVER, lines, marks

SCRIPT = "tests.runtime.carried_until_killed"
KILLS = [
    ("hub", "before commit chunk 1"),
    ("hub", "after commit chunk 0"),
    ("hub", "before commit reply"),
    ("party", "before name"),
    ("party", "after name"),
    ("party", "after chunk 0"),
    ("driver", "before name"),
    ("driver", "after name"),
]


@pytest.fixture(scope="module")
def run():
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as process:

        def one(folder, role="nobody", stop=NEVER):
            process.stdin.write(f"{folder} {role} {stop}\n")
            process.stdin.flush()
            said = process.stdout.readline().split()
            assert said[:1] == ["done"], [p.read_text() for p in folder.glob("died-*.txt")]
            return int(said[1])

        yield one
        process.stdin.close()


@pytest.fixture(scope="module")
def passed(run, tmp_path_factory):
    """The marks that each process passes in a run without a kill."""
    folder = tmp_path_factory.mktemp("carrying") / "run"
    assert run(folder) == 0
    check(folder)
    return {role: marks(folder, role) for role in ("hub", "party", "driver")}


def check(folder, made=1):
    """The last answer made arrived, and only files with a row are left once it is over."""
    answers = lines(folder / "answers.txt")
    assert len(answers) == made
    assert (folder / "result.txt").read_text() == f"{answers[-1]} 1"
    assert list((folder / "hub.db.payloads").iterdir()) == []
    for path in (folder / "shop-a" / "party.db", folder / "driver" / "driver.db"):
        assert files(path) == rows(path)


def files(path):
    """The files of a journal once it was opened long after."""
    found = list(Path(f"{path}.files").iterdir())
    for file in found:
        os.utime(file, (1.0, 1.0))
    sqlite_engine(path).dispose()
    return sorted(file.name for file in Path(f"{path}.files").iterdir())


def rows(path):
    with sqlite3.connect(path) as db:
        return sorted(name for (name,) in db.execute("SELECT file FROM files"))


@pytest.mark.parametrize(("role", "name"), KILLS)
def test_one_answer_arrives_and_nothing_is_left(run, passed, tmp_path, role, name):
    assert run(tmp_path / "run", role, passed[role].index(name)) == 1
    # An answer that no row named when its party died had not left: it is made again.
    check(tmp_path / "run", made=2 if (role, name[-4:]) == ("party", "name") else 1)
