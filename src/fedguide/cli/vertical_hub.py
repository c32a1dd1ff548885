"""What ``fedguide vertical start|resume|status|end`` does: training with partners over a hub.

HOME/vertical/driver.db, driver.key   the journal of every task's trips, roots sealed
HOME/vertical/TASK/proposal.fgc       what was proposed
HOME/vertical/TASK/own.json           which file, label and key column of our own; partners' keys
HOME/vertical/TASK/label.fgc          our half of the model
HOME/vertical/TASK/known.fgc          the common customers' keys and rows at the partners
HOME/vertical/TASK/report.json        quality, and what each party learned
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fedguide.cli.federation import passphrase
from fedguide.cli.party import client_of, desk_of
from fedguide.cli.vertical_run import LABEL_FILE, REPORT_FILE, label_numbers, read_report, values_of
from fedguide.codec import Array, Limits, decode, encode
from fedguide.crypto.signing import PublicKey
from fedguide.data.partner_file import Columns as FileColumns
from fedguide.data.partner_file import read_partner
from fedguide.errors import ConfigError, DataError, NotFoundError
from fedguide.protocol import State
from fedguide.runtime import homes
from fedguide.runtime.sqlite import SqliteJournal, journal_key, sqlite_engine
from fedguide.runtime.vertical_proposal import VerticalProposal
from fedguide.runtime.vertical_task import (
    OwnTable,
    VerticalDriving,
    VerticalResult,
    end_vertical,
    score_glm,
    train_vertical,
)
from fedguide.seeds import fresh_roots, seeded_root, stream
from fedguide.values import PartyId
from fedguide.vertical.estimators import load_half, save_half
from fedguide.vertical.features import speaking
from fedguide.vertical.glm import GlmModel
from fedguide.vertical.keys import normalised, refuse_duplicates

if TYPE_CHECKING:
    from fedguide.config import Settings

PROPOSAL_FILE, OWN_FILE, KNOWN_FILE = "proposal.fgc", "own.json", "known.fgc"

_LIMITS = Limits(1 << 30, max_header_bytes=1 << 28)


@dataclass(frozen=True)
class OwnFile:
    """Our own side of a task, as it was given when the task was proposed.

    Attributes:
        path: our table.
        key: its column of keys.
        label: its column to learn.
        holdout: share of customers to judge by.
        seed: which ones.
        peers: each partner's key, as it was told to us.
    """

    path: str
    key: str
    label: str
    holdout: float
    seed: int
    peers: dict[str, str]


@dataclass(frozen=True)
class Known(State):
    """The common customers: whom online scoring can find; ``rows`` are those of ``parties``."""

    keys: tuple[str, ...] = field(repr=False)
    parties: tuple[PartyId, ...]
    rows: Annotated[NDArray[np.int64], Array("int64", "p", "c")] = field(repr=False)


def propose(settings: Settings, proposal: VerticalProposal, own: OwnFile) -> Path:
    """Writes a new task down.

    Raises:
        ConfigError: there is one of that name.
        FedGuideError: our own table cannot be used.
    """
    folder = settings.home / "vertical" / proposal.task
    if folder.exists():
        raise ConfigError(
            f"vertical task {proposal.task!r} is already there",
            hint=f"--task another, or fedguide vertical resume {proposal.task}",
        )
    _own_table(proposal, own)  # what cannot be used is found before anybody is asked
    homes.private_folder(folder.parent)
    homes.private_folder(folder)
    homes.write_private(folder / OWN_FILE, json.dumps(asdict(own), indent=1).encode())
    homes.write_private(folder / PROPOSAL_FILE, encode(proposal))
    return folder


def folder_of(settings: Settings, task: str) -> Path:
    """The folder of a task.

    Raises:
        NotFoundError: there is none of that name.
    """
    folder = settings.home / "vertical" / task
    if not (folder / PROPOSAL_FILE).is_file():
        raise NotFoundError(f"no vertical task {task!r} here", hint="fedguide vertical status")
    return folder


def tasks_of(settings: Settings) -> list[Path]:
    """The folders of all tasks."""
    return sorted(path.parent for path in settings.home.glob(f"vertical/*/{PROPOSAL_FILE}"))


def proposal_in(folder: Path) -> VerticalProposal:
    """What was proposed."""
    found: VerticalProposal = decode(
        (folder / PROPOSAL_FILE).read_bytes(), [VerticalProposal], Limits(1 << 16)
    )
    return found


def run(
    settings: Settings,
    task: str,
    approvals_s: float,
    on_view: Any,
    on_trip: Any,
) -> dict[str, Any]:
    """Trains a task that is written down, or goes on with it; writes our half.

    Raises:
        FedGuideError: see ``train_vertical``.
    """
    folder = folder_of(settings, task)
    proposal, own = proposal_in(folder), _own_of(folder)
    table = _own_table(proposal, own)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lock = settings.home / "vertical" / f"{task}.lock"
    with (
        homes.only_one(lock, f"the vertical task {task}"),
        driving_of(settings, own, approvals_s) as driving,
    ):
        result = train_vertical(driving, proposal, table, on_view, on_trip)
    return _written(folder, proposal, table, result)


def score(
    settings: Settings, folder: Path, own: FileColumns, customer: str | None
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Scores of the common customers in a table of our own, or of one of them.

    Trees ask nobody: the sides of chosen splits are stored. A GLM asks its partner through the hub.

    Raises:
        NotFoundError: no customer of the table is a common one, or not the one asked for.
        FedGuideError: see ``score_glm``.
    """
    proposal = proposal_in(folder)
    known: Known = decode((folder / KNOWN_FILE).read_bytes(), [Known], _LIMITS)
    place = {key: at for at, key in enumerate(known.keys)}
    mine = normalised(own.keys, proposal.key_kind)
    wanted = None if customer is None else normalised([customer], proposal.key_kind)[0]
    rows = [r for r, key in enumerate(mine) if key in place and wanted in (None, key)]
    if not rows:
        raise NotFoundError("that customer is not known to every party of this model")
    half = load_half(folder / LABEL_FILE)
    cells = {name: column[rows] for name, column in own.cells.items()}
    at = np.array([place[mine[row]] for row in rows], np.int64)
    keys = tuple(own.keys[row] for row in rows)
    if not isinstance(half.model, GlmModel):
        there = {party: known.rows[i][at] for i, party in enumerate(known.parties)}
        return keys, values_of(half, proposal.objective, cells, there)
    needed = {
        feature.name: cells[feature.name] for feature in half.spec.features if feature.name in cells
    }
    with driving_of(settings, _own_of(folder)) as driving:
        scores = score_glm(driving, proposal, needed, at)
    return keys, np.clip(0.5 + scores / 4, 0, 1) if proposal.objective == "binary" else scores


def end(settings: Settings, task: str) -> None:
    """Ends a task at the hub; halves stay where they are, a GLM gives no scores any more."""
    folder = folder_of(settings, task)
    proposal = proposal_in(folder)
    with driving_of(settings, _own_of(folder)) as driving:
        end_vertical(driving, proposal)
        driving.journal.forget(task)  # type: ignore[attr-defined]  # of SQLite


@contextmanager
def driving_of(
    settings: Settings, own: OwnFile, approvals_s: float = 0.0
) -> Iterator[VerticalDriving]:
    """What drives a task of ours: the hub in our name, our journal, partners' keys."""
    member = homes.membership_of(settings.home)
    key = homes.identity(settings.home, passphrase())
    folder = homes.private_folder(settings.home / "vertical")
    engine = sqlite_engine(folder / "driver.db")
    journal = SqliteJournal(engine, journal_key(folder / "driver.key", os.urandom))
    peers = {PartyId(name): PublicKey(text) for name, text in own.peers.items()}
    try:
        with client_of(settings, member, patience_s=600.0) as client:
            yield VerticalDriving(
                client,
                journal,
                fresh_roots(os.urandom),
                time.monotonic,
                key,
                peers,
                approvals_s,
                os.cpu_count() or 1,
            )
    finally:
        engine.dispose()


def peers_of(settings: Settings, named: Sequence[str]) -> dict[str, str]:
    """Partners' keys from ``NAME=KEY``; ``NAME`` alone means the key it is known by.

    Raises:
        ConfigError: a pair is none, or a name comes without a key and is not known.
        RefusedError: a partner comes with another key than before.
    """
    told: dict[str, str] = {}
    for pair in named:
        name, _, key = pair.partition("=")
        if not name or name in told:
            raise ConfigError(f"--partner wants NAME=KEY, each name once, got {pair!r}")
        told[name] = key
    with desk_of(settings) as desk:
        known = desk.pin({PartyId(name): PublicKey(key) for name, key in told.items() if key})
    missing = [name for name in told if PartyId(name) not in known]
    if missing:
        raise ConfigError(
            f"the key of {missing[0]} is not known here: the hub is not asked for it",
            hint=f"--partner {missing[0]}=KEY; it is shown there by fedguide party status",
        )
    return {name: str(known[PartyId(name)]) for name in told}


def _own_of(folder: Path) -> OwnFile:
    values = json.loads((folder / OWN_FILE).read_text("utf-8"))
    return OwnFile(**values)


def _own_table(proposal: VerticalProposal, own: OwnFile) -> OwnTable:
    """Our own table as the protocol takes it.

    Raises:
        NotFoundError, DataError: it cannot be read, or the label cannot be learned.
    """
    read = read_partner(Path(own.path), own.key)
    if own.label not in read.cells:
        raise DataError(
            f"the label party has no column {own.label!r}; it has {', '.join(read.cells)}",
            hint="--label NAME names the column to learn",
        )
    keys = normalised(read.keys, proposal.key_kind)
    refuse_duplicates(keys, "the label party")
    cells: dict[str, Any] = dict(read.cells)
    labels = label_numbers(cells.pop(own.label), own.label)
    if proposal.objective == "binary" and set(np.unique(labels)) != {0.0, 1.0}:
        raise DataError(
            f"--objective binary needs labels 0 and 1 in column {own.label}",
            hint="--objective multiclass, or regression",
        )
    held = stream(seeded_root(own.seed, "vertical"), "held").random(len(labels)) < own.holdout
    return OwnTable(keys, speaking(cells), labels, held)


def _written(
    folder: Path, proposal: VerticalProposal, table: OwnTable, result: VerticalResult
) -> dict[str, Any]:
    """Writes our half, whom it can score, and the report."""
    save_half(result.half, folder / LABEL_FILE)
    (folder / LABEL_FILE).chmod(0o600)
    keys = tuple(table.keys[row] for row in result.own_rows)
    homes.write_private(
        folder / KNOWN_FILE, encode(Known(keys, result.parties, result.partner_rows))
    )
    names = {"binary": "auc", "multiclass": "accuracy", "regression": "r2"}
    quality = {}
    if result.measured is not None:
        quality[f"{names[proposal.objective]}_together"] = round(result.measured, 4)
    data: dict[str, Any] = {
        "task": proposal.task,
        "customers": len(result.own_rows),
        "held": int(table.held[result.own_rows].sum()),
        "model": proposal.model,
        "scheme": "lattice",
        "objective": proposal.objective,
        "parties": dict(zip(map(str, result.parties), result.sizes, strict=True)),
        "learned": [asdict(fact) for fact in result.learned],
        "quality": quality,
    }
    text = json.dumps(data, ensure_ascii=False, indent=1)
    homes.write_private(folder / REPORT_FILE, text.encode())
    return data


def standing(folder: Path) -> dict[str, Any]:
    """A task in one line: what, with whom, and whether it is trained."""
    proposal = proposal_in(folder)
    trained = (folder / REPORT_FILE).is_file()
    return {
        "task": proposal.task,
        "purpose": proposal.purpose,
        "partners": list(proposal.parties),
        "model": proposal.model,
        "trained": trained,
        "quality": read_report(folder)["quality"] if trained else {},
    }
