"""Does the budget ledger ever overspend or lose a charge while 8 processes race and are killed?

Eight processes charge one ledger at once, on SQLite and on Postgres, and are SIGKILLed at random
moments and started again. Nine tenths of what they ask for is affordable; a tenth of all charges
is asked for by two processes. Afterwards: an account is *overspent* if the ε of what it has
recorded, worked out anew, is above its cap, or if it recorded a charge twice; a charge is *lost*
if a process was told that it stands and it does not; the chain has to verify in the database and,
offline, in its export.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fedguide.crypto.signing import PublicKey, make_key, sign, verify
from fedguide.errors import RefusedError
from fedguide.privacy.accounting import noise_multiplier_for
from fedguide.privacy.chain import CHARGE, PURPOSE, Signer
from fedguide.privacy.events import Event
from fedguide.privacy.evidence import verify_export
from fedguide.privacy.ledger import Ledger, open_ledger
from fedguide.privacy.mechanisms import Gaussian, Mechanism
from fedguide.privacy.spend import Budget, Charge, accounted, counts_of
from postgres import running
from report import Bar, finish, parser, show

DATABASES = ("sqlite", "postgres")
PROCESSES, ACCOUNTS = 8, 8
SHARED, AFFORDABLE = 0.1, 0.9
BUDGET = Budget()
SEED = 11


@dataclass(frozen=True)
class Plan:
    """What is asked for: ``per_account`` different charges of every account, some asked twice."""

    charges: int

    @property
    def per_account(self) -> int:
        """Different charges of one account."""
        return round(self.charges / ACCOUNTS / (1 + SHARED))

    @property
    def affordable(self) -> int:
        """How many of them the cap of an account admits."""
        return int(self.per_account * AFFORDABLE)

    def mechanisms(self) -> list[list[Mechanism]]:
        """Of each account, in turn; the cap admits ``affordable`` of them."""
        noise = noise_multiplier_for(BUDGET.epsilon, BUDGET.delta, self.affordable)
        plain: list[list[Mechanism]] = [[Gaussian(noise * 1.0001, 1.0)]] * (ACCOUNTS - 1)
        # One account mixes kinds, so that no count alone says whether it can afford more.
        return [*plain, [Gaussian(noise * factor, 1.0) for factor in (0.8, 1.0, 1.7)]]


def asked(plan: Plan, process: int) -> Iterator[Charge]:
    """What one process asks for: its own charges, and some of its neighbour's."""
    kinds = plan.mechanisms()
    for number in range(plan.per_account):
        for account in range(ACCOUNTS):
            owner = (number + account) % PROCESSES
            twice = (number * ACCOUNTS + account) % round(1 / SHARED) == 0
            if process == owner or (twice and process == (owner + 1) % PROCESSES):
                mechanism = kinds[account][number % len(kinds[account])]
                task = f"task{number // 100}"
                event = Event(task, mechanism)
                yield Charge(f"shop{account}", task, number % 100, "recommend", (event,))


def opened(where: str, mark: Path) -> Ledger:
    """The ledger of the benchmark."""
    return open_ledger(where, "bench", mark, clock=time.time, entropy=os.urandom)


def work(where: str, folder: Path, plan: Plan, process: int) -> None:
    """Charges from where this process died, and writes down what it was told."""
    told = folder / f"told{process}"
    done = told.read_bytes().count(b"\n") if told.exists() else 0
    with opened(where, folder / "mark") as ledger, told.open("ab", buffering=0) as out:
        for charge in list(asked(plan, process))[done:]:
            try:
                said = str(ledger.charge(charge, BUDGET).seq)
            except RefusedError:
                said = "refused"
            out.write(f"{charge.account} {charge.task} {charge.round} {said}\n".encode())


def start(where: str, folder: Path, plan: Plan, process: int) -> int:
    """Forks a worker: everything slow is imported and worked out already."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work(where, folder, plan, process)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - a forked child must not return
        print(f"worker {process}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def race(where: str, folder: Path, plan: Plan, kills: int) -> int:
    """Runs all workers to their end, killing some on the way; gives the kills that hit."""
    chance = random.Random(SEED)  # noqa: S311 - moments of kills, nothing secret
    workers = {start(where, folder, plan, process): process for process in range(PROCESSES)}
    # A kill at equal steps of the work, at a random moment of the step, of a random worker.
    due = [int((step + chance.random()) * plan.charges / kills) for step in range(kills)]
    hit = 0
    while workers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            process = workers.pop(pid)
            if os.WIFSIGNALED(status):
                hit += 1
                workers[start(where, folder, plan, process)] = process
            elif status:
                raise RuntimeError(f"worker {process} failed")
            continue
        if due and told_lines(folder) >= due[0]:
            due.pop(0)
            os.kill(chance.choice(list(workers)), signal.SIGKILL)
        time.sleep(chance.random() * 0.01)
    return hit


def told_lines(folder: Path) -> int:
    """About how many answers all workers have had, by the size of what they wrote."""
    return sum(path.stat().st_size for path in folder.glob("told*")) // 20


@dataclass(frozen=True)
class Outcome:
    """What stands in a ledger after the race."""

    database: str
    charges: int
    kills: int
    seconds: float
    recorded: int
    refused: int
    overspent: int
    lost: int
    unused: int
    verifies: bool


def judged(name: str, where: str, folder: Path, plan: Plan, kills: int, seconds: float) -> Outcome:
    """Counts everything again, from the records alone."""
    ids: Counter[tuple[str, str, int]] = Counter()
    seqs: dict[tuple[str, str, int], int] = {}
    key = make_key()
    with opened(where, folder / "mark") as ledger:
        counts = ledger.spent()
        for entry in ledger.entries():
            if entry.record["kind"] == CHARGE:
                record = entry.record
                one = (record["account"], record["task"], record["round"])
                ids[one] += 1
                seqs[one] = entry.seq
        verifies = ledger.verify().seq == (ledger.mark.read() or ledger.head()).seq
        signer = Signer(str(key.public), lambda message: sign(key, PURPOSE, message))
        audit = verify_export(ledger.export(signer), checked)
        verifies = verifies and audit.passes(ledger.head())
    told = [line.split() for path in folder.glob("told*") for line in path.read_text().splitlines()]
    stand = [(a, t, int(r), int(said)) for a, t, r, said in told if said != "refused"]
    # Of the accounts with one kind it is known how many charges their cap admits.
    admitted = [sum(1 for one in ids if one[0] == f"shop{n}") for n in range(ACCOUNTS - 1)]
    return Outcome(
        name,
        len(told),
        kills,
        round(seconds, 1),
        sum(ids.values()),
        sum(1 for line in told if line[-1] == "refused"),
        sum(accounted(c, BUDGET) > BUDGET.epsilon for c in counts.values())
        + sum(times - 1 for times in ids.values()),
        sum(seqs.get((a, t, r)) != seq for a, t, r, seq in stand),
        sum(max(0, plan.affordable - number) for number in admitted),
        verifies,
    )


def checked(public: str, message: bytes, signature: bytes) -> None:
    """Checks the signature of a head."""
    verify(PublicKey(public), PURPOSE, message, signature)


def bars(outcome: Outcome) -> list[Bar]:
    """Nothing overspent, nothing lost, the chain verifies."""
    name = f"{outcome.charges:,} charges on {outcome.database}"
    return [
        Bar(f"{name}: overspent", float(outcome.overspent), "== 0", outcome.overspent == 0),
        Bar(f"{name}: lost", float(outcome.lost), "== 0", outcome.lost == 0),
        Bar(f"{name}: chain verifies", float(outcome.verifies), "== 1", outcome.verifies),
    ]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    made.add_argument("--charges", type=int, default=100_000)
    made.add_argument("--kills", type=int, default=200)
    made.add_argument("--folder", type=Path, help="where databases are made; default: temporary")
    made.add_argument("--only", nargs="+", choices=DATABASES, default=DATABASES)
    made.add_argument("--volatile", action="store_true", help="Postgres without fsync")
    return made.parse_args(argv)


def main() -> int:
    """Races on the databases, one after the other."""
    args = arguments()
    plan = Plan(args.charges)
    # Before any fork: the accountant takes seconds to import, and a worker is born at every kill.
    kinds = plan.mechanisms()
    accounted(counts_of([Event("warm", kinds[0][0])]), BUDGET)
    outcomes = []
    with ExitStack() as stack:
        server = None
        if "postgres" in args.only:
            server = stack.enter_context(running(durable=not args.volatile, within=args.folder))
        for name in args.only:
            made = stack.enter_context(tempfile.TemporaryDirectory(dir=args.folder))
            folder = Path(made)
            where = (
                server.create("ledger")
                if server and name == "postgres"
                else str(folder / "ledger.db")
            )
            opened(where, folder / "mark").close()
            begun = time.monotonic()
            kills = race(where, folder, plan, args.kills)
            seconds = time.monotonic() - begun
            outcomes.append(judged(name, where, folder, plan, kills, seconds))
    heads = list(vars(outcomes[0]))
    show("racing and killed charges", heads, [list(vars(o).values()) for o in outcomes])
    found = [bar for outcome in outcomes for bar in bars(outcome)]
    finish("ledger", found, {"outcomes": [vars(o) for o in outcomes]}, args.json)
    return 0 if all(bar.holds for bar in found) else 1


if __name__ == "__main__":
    sys.exit(main())
