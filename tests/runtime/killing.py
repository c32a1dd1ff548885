"""Runs a masked, noised federation of five processes, and SIGKILLs one at a mark; no test.

``left`` gives what a run left: the models, what each party answered to each trip, which fits were
made and which roots were drawn.
"""

import datetime
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fedguide.crypto.certificates import issue_server, make_authority
from fedguide.crypto.signing import key_of
from fedguide.privacy.chain import CHARGE
from fedguide.privacy.ledger import open_ledger
from fedguide.runtime import members
from fedguide.runtime.hub_tables import open_database
from fedguide.seeds import derive, seeded_root

SCRIPT = Path(__file__).with_name("federated_until_killed.py")
PARTIES = ("shop-a", "shop-b", "shop-c")
ROLES = ("hub", "driver", *PARTIES)
COORDINATOR = "coordinator"
NEVER = 10**9
LONGEST_S = 300.0


@dataclass(frozen=True)
class Left:
    """What a run left, but for how often a fit was begun.

    Attributes:
        model: the driver's, as bytes.
        models: the parties' files, the same for all.
        answers: party, trip and SHA-256 of the answer.
        fits: party, seed and the parameters begun with.
        draws: roots drawn, in order of party, task and round.
        spent: what each party's ledger says was spent, and in how many charges.
        seen: what each party keeps of the others' ledgers.
    """

    model: bytes
    models: tuple[bytes, ...]
    answers: tuple[str, ...]
    fits: tuple[str, ...]
    draws: tuple[str, ...]
    spent: tuple[tuple[str, int], ...]
    seen: tuple[str, ...]


class Killer:
    """Starts the processes; close it when done."""

    def __init__(self):
        self._early = []
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, folder, kill=None, at=NEVER):
        """One run to its end; ``kill`` is the role that dies at its ``at``-th mark, once."""
        prepare(folder)
        living = {self._start(role, folder, at if role == kill else NEVER): role for role in ROLES}
        killed = 0
        until = time.monotonic() + LONGEST_S
        try:
            while True:
                assert time.monotonic() < until, f"{kill} at {at}: the run does not end"
                pid, code = self._gone()
                role = living.pop(pid)
                if role == "driver" and code == 0:
                    break
                assert code == -signal.SIGKILL, f"{role} ended with {code}: {died(folder, role)}"
                killed += 1
                living[self._start(role, folder, NEVER)] = role
        finally:
            for pid in living:
                os.kill(pid, signal.SIGKILL)
            for _ in living:
                self._gone()
        assert killed <= 1
        return killed

    def _start(self, role, folder, stop):
        self._process.stdin.write(f"{role} {folder} {stop}\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().split()
        while said[0] == "gone":  # of another process, while this one was being started
            self._early.append((int(said[1]), int(said[2])))
            said = self._process.stdout.readline().split()
        assert said[0] == "started"
        return int(said[1])

    def _gone(self):
        if self._early:
            return self._early.pop(0)
        said = self._process.stdout.readline().split()
        assert said[0] == "gone"
        return int(said[1]), int(said[2])


def prepare(folder):
    """A hub with everybody admitted, and a free port."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    now = datetime.datetime.now(datetime.UTC)
    authority = make_authority("test", now)
    server = issue_server(authority, ["127.0.0.1"], now)
    (folder / "ca.pem").write_bytes(authority.certificate)
    (folder / "server.pem").write_bytes(server.certificate)
    (folder / "server.key").write_bytes(server.key)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        (folder / "port").write_text(str(probe.getsockname()[1]))
    engine = open_database(f"sqlite:///{folder / 'hub.db'}")
    with engine.begin() as db:
        members.add_driver(db, COORDINATOR, identity(COORDINATOR), time.time())
        for name in PARTIES:
            token = name.encode().ljust(16)
            members.invite(db, name, token, time.time() + 600, admit=True)
            members.enrol(db, name, identity(name), token, time.time())
    engine.dispose()


def identity(name):
    return key_of(derive(seeded_root(8), "identity", name)).public


def left(folder):
    """What the run in this folder left."""
    return Left(
        (folder / "model.bin").read_bytes(),
        tuple((folder / name / "models" / "masked").read_bytes() for name in PARTIES),
        tuple(sorted(set(lines(folder / "answers.txt")))),
        tuple(sorted(set(lines(folder / "fits.txt")))),
        tuple(sorted(lines(folder / "draws.txt"))),
        tuple(spent(folder, name) for name in PARTIES),
        tuple((folder / name / "heads.json").read_text() for name in PARTIES),
    )


def spent(folder, name):
    """What a party's ledger counts, and its charges; the chain is checked on the way."""
    where = folder / name / "ledger.db"
    mark = where.with_suffix(".mark")
    with open_ledger(str(where), name, mark, clock=time.time, entropy=os.urandom) as ledger:
        ledger.verify()
        charges = sum(entry.record["kind"] == CHARGE for entry in ledger.entries())
        return str(ledger.spent()), charges


def lines(path):
    return path.read_text().splitlines()


def marks(folder, role):
    """How many marks a role passed, and their names."""
    return lines(folder / f"marks-{role}.txt")


def died(folder, role):
    path = folder / f"died-{role}.txt"
    return path.read_text() if path.exists() else ""
