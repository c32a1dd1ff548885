"""What a partner that knows 200 labels gains from the whole transcript of vertical training.

default_credit: the bank is the partner and knows the labels of 200 of the common customers. It
fits a kernel ridge model on them and scores others, over its own columns in several forms (bins,
all splits between bins, ranks) without and with what it saw of training:

- *hidden* (the default over the hub): every number of every question that stands at a row; which
  splits were chosen is not among them, and there is nothing else that differs from row to row;
- *shown* (``--show-choice``): the sides of its splits that were chosen, as often as they were;
- *control*: a scheme that shows which customers are in which node, as SecureBoost does: membership
  in every node of every tree, its own chosen splits, and the leaves that these cut.

Sums of kernels: what it saw is added to its columns with a weight. The attacker is given the
form, the weight and the ridge that are best on the first half of the draws; the second half is
what counts, as gains over the best without a transcript, paired by draw, with standard errors.
Shown and control are taken from one run in the open, which chooses the same splits to the last bit;
hidden from a run under the lattice.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedguide.crypto.rows import bin_rows
from fedguide.data.partner_file import read_partner
from fedguide.models.auc import auc
from fedguide.protocol import Ask, Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.features import codes_of, fit_spec
from fedguide.vertical.local import LocalPartner, PartnerPlan
from fedguide.vertical.sums import Question, TakeSplits
from fedguide.vertical.trees import LEAF, LabelTable, TreeModel, TreePlan, goes_left, grow
from report import at_least, at_most, data_folder, finish, parser, show

BANK = PartyId("bank")
KNOWN, JUDGED = 200, 8000
MOST_NUMBERS = 300
RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0)
WEIGHTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass
class Seen:
    """What the partner saw, a row a customer, and the model that came of it."""

    model: TreeModel
    sides: list[np.ndarray]
    numbers: list[np.ndarray]


def tables() -> tuple[LabelTable, LocalPartner, np.ndarray]:
    """The shop's table, the bank, and each common customer's row at the bank."""
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
    return table, LocalPartner(other.cells, seeded_root(1), PartnerPlan(allow_plain=True)), there


def watched(table: LabelTable, bank: LocalPartner, there: np.ndarray, plan: TreePlan) -> Seen:
    """A whole training and what the bank sees of it at each of its rows."""
    sides: list[np.ndarray] = []
    numbers: list[np.ndarray] = []

    def carry(ask: Ask) -> Replies:
        message = ask.to[BANK]
        reply = bank.answer(message)
        if isinstance(message, TakeSplits):
            if plan.hide_choice:
                raise SystemExit("a hidden run shows splits")
            left = np.unpackbits(reply.left, axis=1)[:, : bank.size]
            sides.extend(left[:, there].astype(np.float32))
        if isinstance(message, Question) and len(numbers) < MOST_NUMBERS:
            # A number's highest byte: uniform if the query hides, and all there is at a row.
            numbers.extend(message.vectors[:, there, -1].astype(np.float32) / 256)
        return Replies({BANK: reply})

    model, _ = run(grow(table, plan, seeded_root(2)), carry)
    return Seen(model, sides, numbers)


def memberships(model: TreeModel, table: LabelTable, depth: int) -> list[np.ndarray]:
    """What a scheme that shows nodes shows: those that are asked about, and the bank's leaves."""
    shown = []
    for tree in model.trees:
        at, level = np.zeros(len(table.labels), np.int64), np.zeros(len(tree.owner), np.int64)
        for node in range(len(tree.owner)):
            here = at == node
            if 0 < level[node] < depth:
                shown.append(here.astype(np.float32))
            if tree.owner[node] == LEAF:
                continue
            rows = np.flatnonzero(here)
            left = goes_left(model, tree, node, table.codes[rows], table.rows, rows)
            child = tree.left[node]
            at[rows] = np.where(left, child, child + 1)
            level[child : child + 2] = level[node] + 1
            if level[node] + 1 == depth and tree.owner[node] >= 0:
                shown.extend((at == one).astype(np.float32) for one in (child, child + 1))
    return shown


def forms_of(bank: LocalPartner, there: np.ndarray) -> dict[str, np.ndarray]:
    """The bank's columns of the common customers in several forms."""
    codes, bins = bank.codes[there], bank.spec.bins
    hot = bin_rows(codes, bins).dense(slice(None), slice(None)).T.astype(np.float32)
    splits = [codes[:, f] <= b for f, count in enumerate(bins) for b in range(1, count - 1)]
    steps = np.stack(splits, 1).astype(np.float32)
    ranks = (codes / bins).astype(np.float32)
    return {
        "bins": hot,
        "splits": steps,
        "ranks": ranks,
        "bins and splits": np.hstack([hot, steps]),
    }


def kernels(columns: np.ndarray, known: np.ndarray, judged: np.ndarray) -> tuple[Any, Any]:
    """Inner products of centred columns: known with known, judged with known."""
    if not columns.shape[1]:
        return np.zeros((len(known),) * 2), np.zeros((len(judged), len(known)))
    mean = columns[known].mean(0)
    mine = columns[known] - mean
    return (mine @ mine.T).astype(float), ((columns[judged] - mean) @ mine.T).astype(float)


def attacked(
    forms: dict[str, np.ndarray], seen: dict[str, np.ndarray], labels: np.ndarray, draws: int
) -> dict[str, np.ndarray]:
    """AUC of every setting by draw: what was seen to an array (settings, draws)."""
    settings = [*itertools.product(forms, WEIGHTS, RIDGES)]
    found = {what: np.zeros((len(settings), draws)) for what in seen}
    for draw in range(draws):
        rng = np.random.default_rng([draw, 0])
        order = rng.permutation(len(labels))
        known, judged = order[:KNOWN], order[KNOWN : KNOWN + JUDGED]
        target = labels[known] - labels[known].mean()
        bases = {form: kernels(columns, known, judged) for form, columns in forms.items()}
        for what, columns in seen.items():
            inner, outer = kernels(columns, known, judged)
            for at, (form, weight, ridge) in enumerate(settings):
                gram = bases[form][0] + weight * inner
                gram = gram + ridge * np.eye(KNOWN)
                solved = np.linalg.solve(gram, target)
                scores = bases[form][1] @ solved + weight * (outer @ solved)
                found[what][at, draw] = auc(labels[judged], scores).value
    return found


def gains(found: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The best setting of the first draws, judged on the others, held against no transcript."""
    half = found["alone"].shape[1] // 2
    best = {what: int(values[:, :half].mean(1).argmax()) for what, values in found.items()}
    judged = {what: found[what][at, half:] for what, at in best.items()}
    made = {}
    for what, values in judged.items():
        gap = values - judged["alone"]
        error = float(gap.std(ddof=1) / np.sqrt(len(gap))) if len(gap) > 1 else float("nan")
        made[what] = {"auc": float(values.mean()), "gain": float(gap.mean()), "se": error}
    return made


def main() -> None:
    """Gains with and without defence."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="8 draws of 5 trees")
    made.add_argument("--draws", type=int, default=40, help="half choose, half are judged")
    made.add_argument("--depth", type=int, default=3)
    args = made.parse_args()
    draws, trees = (8, 5) if args.quick else (args.draws, 30)
    table, bank, there = tables()
    plan = TreePlan(trees=trees, depth=args.depth, scheme="plain", check=False, hide_choice=False)
    open_run = watched(table, bank, there, plan)
    hiding = dataclasses.replace(plan, scheme="lattice", check=True, hide_choice=True)
    hidden_run = watched(table, bank, there, hiding)
    same = np.array_equal(open_run.model.weight, hidden_run.model.weight)
    nodes = memberships(open_run.model, table, args.depth)
    stacks = {
        "alone": np.zeros((len(table.labels), 0), np.float32),
        "hidden": np.stack(hidden_run.numbers, 1),
        "shown": np.stack(open_run.sides, 1),
        "control": np.stack([*nodes, *open_run.sides], 1),
    }
    found = gains(attacked(forms_of(bank, there), stacks, table.labels, draws))
    show(
        f"{draws - draws // 2} draws of {KNOWN} labels judged, {trees} trees of depth {args.depth}",
        ("what it saw", "columns", "AUC", "gain", "standard error"),
        [
            (what, stacks[what].shape[1], f"{one['auc']:.4f}", f"{one['gain']:+.4f}",
             f"{one['se']:.4f}")
            for what, one in found.items()
        ],
    )  # fmt: skip
    print(f"\nthe same trees in both runs: {same}")
    bars = [
        at_most("gain from the transcript, choices hidden", found["hidden"]["gain"], 0.005),
        at_least("gain from node membership (control)", found["control"]["gain"], 0.05),
        at_least("the same trees with and without", float(same), 1),
    ]
    finish("blindness", bars, found, args.json)


if __name__ == "__main__":
    main()
