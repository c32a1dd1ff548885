"""What a partner that knows 200 labels gains from the whole transcript of vertical training.

default_credit: the bank is the partner and knows the labels of 200 of the common customers. It
fits a ridge model on them and scores the rest, over its own columns in several forms (bins, all
splits between bins, ranks), over each without and with what it saw; its best form counts. Mean of
20 draws of the 200. Under ``lattice`` it saw which of its splits were chosen: their bits over its
rows. The control is a scheme that shows which customers are in a node, as the first vertical trees
did: their membership, from the zeros of ``plain``. Both schemes choose the same splits, to the
last bit, so that one run in the open gives both transcripts.
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


def transcript(trees: int) -> tuple[dict, np.ndarray, list, list]:
    """The partner's columns in several forms, labels of the common customers, rule bits, nodes."""
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
    plan = TreePlan(trees=trees, depth=3, scheme="plain", check=False)
    run(grow(table, plan, seeded_root(2)), carry)
    codes, bins = partner.codes[there], partner.spec.bins
    hot = bin_rows(codes, bins).dense(slice(None), slice(None)).T
    splits = [codes[:, f] <= b for f, count in enumerate(bins) for b in range(1, count - 1)]
    forms = {"bins": hot, "splits": np.stack(splits, 1).astype(float)}
    forms["ranks"] = codes / bins
    forms["bins and splits"] = np.concatenate([hot, forms["splits"]], 1)
    return forms, labels, bits, nodes


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
    forms, labels, bits, nodes = transcript(trees)
    nothing = np.zeros((len(labels), 0))
    seen = {"alone": nothing, "blind": np.stack(bits, 1), "nodes": np.stack(nodes, 1)}
    rng = np.random.default_rng(0)
    knowns = [rng.choice(len(labels), KNOWN, replace=False) for _ in range(draws)]
    means = {
        (form, what): statistics.fmean(
            guessed(np.concatenate([columns, more], 1), labels, known) for known in knowns
        )
        for form, columns in forms.items()
        for what, more in seen.items()
    }
    show(
        f"mean AUC of {draws} draws of {KNOWN} labels, by form of the columns",
        ("form", *seen),
        [(form, *(f"{means[form, what]:.4f}" for what in seen)) for form in forms],
    )
    best = {what: max(means[form, what] for form in forms) for what in seen}
    alone, with_blind, with_nodes = (best[what] for what in seen)
    show(
        "the best form of each",
        ("what it has", "AUC", "gain"),
        [("its columns", f"{alone:.4f}", "-"),
         ("and the transcript (lattice)", f"{with_blind:.4f}", f"{with_blind - alone:+.4f}"),
         ("and node membership (control)", f"{with_nodes:.4f}", f"{with_nodes - alone:+.4f}")],
    )  # fmt: skip
    bars = [
        at_most("gain from the transcript", with_blind - alone, 0.005),
        at_least("gain from node membership (control)", with_nodes - alone, 0.05),
    ]
    data = {"alone": alone, "blind": with_blind, "nodes": with_nodes}
    data["forms"] = {f"{form}, {what}": value for (form, what), value in means.items()}
    finish("blindness", bars, data, args.json)


if __name__ == "__main__":
    main()
