"""A real driver process that trains, for ``test_kill.py`` to kill; not a test itself.

Each line on stdin, ``FOLDER STOP``, starts a run in a fresh process (a fork, so that the imports
are paid for once). The run says ``at PID NAME`` and waits to be killed when it reaches its
``STOP``-th mark. Marks stand after everything that is written to disk and, for a trip, before it
too; a ``STOP`` that begins with ``d`` counts only those after. When the run is gone (killed,
done, or dead of an error), the script says ``gone EXITCODE``.
"""

import os
import signal
import sys
import time
import traceback
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from fedguide.codec import Limits
from fedguide.horizontal.algorithm import Algorithm
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.names import WIRE
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.server import momentum_sgd
from fedguide.runtime.couriers import Party, through_bytes
from fedguide.runtime.driver import Durable
from fedguide.runtime.rounds import RoundsPlan, RunState, run_rounds
from fedguide.runtime.sqlite import SqliteJournal, SqlitePartyStore, journal_key, sqlite_engine
from fedguide.seeds import seeded_entropy, seeded_root, seeded_roots, stream
from fedguide.values import PartyId

ROUNDS, COHORT, SIZE = 2, 2, 5
SHOPS = {PartyId("shop-a"): 40, PartyId("shop-b"): 25, PartyId("shop-c"): 60}


class Fitted:
    """The shape that ``horizontal.fitting.Fitted`` asks for."""

    def __init__(self, params, optimizer_state, examples, loss):
        self.params, self.optimizer_state = params, optimizer_state
        self.examples, self.loss = examples, loss


def say(line):
    """One line to the test, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def shop_data(name):
    """Least squares around one truth, with a shop's own noise."""
    draws = stream(seeded_root(11), "data", name)
    x = draws.normal(size=(SHOPS[name], SIZE)).astype(np.float32)
    noise = draws.normal(size=SHOPS[name]).astype(np.float32)
    return x, x @ np.arange(SIZE, dtype=np.float32) + noise


def local_fit(name, log):
    """Mini-batch SGD with momentum that is kept from round to round; every fit writes one line."""
    x, y = shop_data(name)

    def fit(params, moments, seed):
        log(f"{name} {seed} {zlib.crc32(params.tobytes())}")
        velocity = np.zeros_like(params) if moments is None else moments
        for row in np.random.default_rng(seed).permutation(len(x)):
            velocity = np.float32(0.5) * velocity - np.float32(0.01) * x[row] * (
                x[row] @ params - y[row]
            )
            params = params + velocity
        loss = float(np.mean((x @ params - y) ** 2))
        return Fitted(params, velocity, len(x), loss)

    return fit


def twice(algorithm):
    """Two rounds of averaging in one round of the run: the journal must hold more than a trip."""

    def next_round(state, cohort, root):
        half = yield from algorithm.next_round(state, cohort, root)
        return (yield from algorithm.next_round(replace(half, round=state.round), cohort, root))

    return Algorithm(algorithm.init, next_round)


class Marked:
    """An object some of whose methods are marked before or after."""

    def __init__(self, inner, mark, before=(), after=()):
        self._inner, self._mark, self._before, self._after = inner, mark, before, after

    def __getattr__(self, name):
        def call(*arguments):
            if name in self._before:
                self._mark(f"before {name}", durable=False)
            result = getattr(self._inner, name)(*arguments)
            if name in self._after:
                self._mark(f"after {name}", durable=True)
            return result

        return call


def train(folder, mark):
    """One life of the run; goes on with what is in the folder, and writes the model at the end."""

    def log(name):
        def write(line):
            with (folder / name).open("a") as file:
                file.write(line + "\n")

        return write

    journal_db, party_db = sqlite_engine(folder / "journal.db"), sqlite_engine(folder / "party.db")
    key = journal_key(folder / "journal.key", seeded_entropy(3))
    journal = Marked(
        SqliteJournal(journal_db, key),
        mark,
        before=("record",),
        after=("put_root", "record", "put_checkpoint"),
    )
    store = Marked(SqlitePartyStore(party_db, "task", key), mark, after=("put",))
    trains, draws = log("trains.txt"), log("draws.txt")

    def roots(task, number):
        draws(f"{task} {number}")
        return seeded_roots(5)(task, number)

    aggregator = weighted_mean()
    parties = {
        name: Party(
            PartyEnv("task", seeded_roots(7), aggregator, SHOPS[name], local_fit(name, trains)),
            answer,
            PartyState,
        )
        for name in SHOPS
    }
    allowed, limits = (*WIRE, RunState), Limits(100_000, {"p": SIZE})
    courier = through_bytes(parties, time.monotonic, store, limits, allowed)
    algorithm = twice(fedavg(aggregator, server=momentum_sgd(1.0, 0.5), keep_moments=True))
    durable = Durable("task", journal, roots, time.monotonic, allowed, limits)
    plan = RoundsPlan(rounds=ROUNDS, patience=None, cohort_size=COHORT)
    run = run_rounds(
        algorithm, np.zeros(SIZE, np.float32), list(SHOPS), courier, plan, durable=durable
    )
    (folder / "model.bin").write_bytes(run.best_params.tobytes())
    journal_db.dispose()
    party_db.dispose()


def life(folder, stop):
    """Trains, and stops for good at the mark it is told to."""
    only_durable, number = stop.startswith("d"), int(stop.removeprefix("d"))
    passed = 0

    def mark(name, *, durable):
        nonlocal passed
        if only_durable and not durable:
            return
        if passed == number:
            say(f"at {os.getpid()} {name}")
            while True:
                signal.pause()
        passed += 1

    train(Path(folder), mark)
    say(f"done {passed}")


def main():
    """One life for each line."""
    for line in sys.stdin:
        folder, stop = line.split()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                life(folder, stop)
                code = 0
            except Exception:
                traceback.print_exc()
                raise
            finally:
                os._exit(code)  # never back into the parent's loop
        _, status = os.waitpid(child, 0)
        say(f"gone {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
