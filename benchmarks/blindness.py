"""What a partner that knows 200 labels gains from the whole transcript of vertical training.

default_credit: the bank is the partner and knows the labels of 200 of the common customers. It
fits a ridge model on them over its own one-hot bins, once without and once with what it saw, and
scores the rest; the mean of 20 draws of the 200. Under ``lattice`` it saw which of its splits were
chosen, in which order: their bits over its rows. The control is a scheme that shows which
customers are in a node, as the first vertical trees did: their membership, from ``plain``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np

from fedguide.crypto.rows import bin_rows
from fedguide.data.partner_file import read_partner
from fedguide.models.auc import auc
from fedguide.protocol import Ask, Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.features import codes_of, fit_spec
from fedguide.vertical.local import LocalPartner, PartnerPlan
from fedguide.vertical.sums import OpenQuestion, TakeSplits
from fedguide.vertical.trees import LabelTable, TreePlan, grow
from report import at_least, at_most, data_folder, finish, parser, show

BANK = PartyId("bank")
KNOWN = 200
RIDGES = (3.0, 10.0, 30.0, 100.0, 300.0)


def transcript(scheme: str, trees: int) -> tuple[np.ndarray, np.ndarray, list, list]:
    """The partner's one-hot bins and the labels of the common customers, rule bits, nodes."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("FEDGUIDE_DATA is not set: nothing to measure on")
    own = read_partner(folder / "vertical" / "default_credit_guest.csv.gz", "id")
    other = read_partner(folder / "vertical" / "default_credit_host.csv.gz", "id")
    labels = own.cells.pop("y")
    place = {key: row for row, key in enumerate(other.keys)}
    there = np.array([place[key] for key in own.keys])
    spec = fit_spec(own.cells)
    table = LabelTable(labels, codes_of(spec, own.cells), spec.bins, {BANK: there})
    partner = LocalPartner(other.cells, seeded_root(1), PartnerPlan(allow_plain=True))
    bits, nodes = [], []

    def carry(ask: Ask) -> Replies:
        message = ask.to[BANK]
        reply = partner.answer(message)
        if isinstance(message, TakeSplits):
            left = np.unpackbits(reply.left, axis=1)[:, : partner.size]
            bits.extend(left[:, there].astype(float))
        if isinstance(message, OpenQuestion):
            nodes.extend((row != 0).astype(float)[there] for row in message.values if row.any())
        return Replies({BANK: reply})

    # A tree's check vector mixes nodes of a level: no membership, and none is shown.
    plan = TreePlan(trees=trees, depth=3, scheme=scheme, check=False)
    run(grow(table, plan, seeded_root(2)), carry)
    rows = bin_rows(partner.codes, partner.spec.bins)
    return rows.dense(slice(None), slice(None)).T[there], labels, bits, nodes


def ridge(columns: np.ndarray, labels: np.ndarray, strength: float) -> Callable:
    """A ridge fit, in its dual, as a scorer."""
    mean = columns.mean(0)
    centred = columns - mean
    gram = centred @ centred.T + strength * np.eye(len(labels))
    weights = centred.T @ np.linalg.solve(gram, labels - labels.mean())
    return lambda more: (more - mean) @ weights


def guessed(columns: np.ndarray, labels: np.ndarray, known: np.ndarray) -> float:
    """AUC on the rest; the strength is chosen on four folds of the known."""
    mine, here = columns[known], labels[known]
    folds = np.arange(KNOWN) % 4
    best, least = RIDGES[0], np.inf
    for strength in RIDGES:
        off = sum(
            ((ridge(mine[folds != f], here[folds != f], strength)(mine[folds == f])
              + here[folds != f].mean() - here[folds == f]) ** 2).sum()
            for f in range(4)
        )  # fmt: skip
        if off < least:
            best, least = strength, off
    rest = np.setdiff1d(np.arange(len(labels)), known)
    return auc(labels[rest], ridge(mine, here, best)(columns[rest])).value


def main() -> None:
    """Gains with and without defence."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="5 draws of 10 trees")
    args = made.parse_args()
    draws, trees = (5, 10) if args.quick else (20, 30)
    own, labels, bits, _ = transcript("lattice", trees)
    nodes = transcript("plain", trees)[3]
    blind = np.concatenate([own, np.stack(bits, 1)], 1) if bits else own
    shown = np.concatenate([own, np.stack(nodes, 1)], 1)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        known = rng.choice(len(labels), KNOWN, replace=False)
        found.append([guessed(columns, labels, known) for columns in (own, blind, shown)])
    alone, with_blind, with_nodes = (statistics.fmean(one) for one in zip(*found, strict=True))
    show(
        f"a partner with {KNOWN} labels, mean AUC of {draws} draws",
        ("what it has", "AUC", "gain"),
        [("its columns", f"{alone:.4f}", "-"),
         ("and the transcript (lattice)", f"{with_blind:.4f}", f"{with_blind - alone:+.4f}"),
         ("and node membership (control)", f"{with_nodes:.4f}", f"{with_nodes - alone:+.4f}")],
    )  # fmt: skip
    bars = [
        at_most("gain from the transcript", with_blind - alone, 0.005),
        at_least("gain from node membership (control)", with_nodes - alone, 0.03),
    ]
    data = {"alone": alone, "blind": with_blind, "nodes": with_nodes, "draws": found}
    finish("blindness", bars, data, args.json)


if __name__ == "__main__":
    main()
