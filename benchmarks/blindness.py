"""What a partner that knows 200 labels gains from the whole transcript of vertical training.

default_credit: the bank is the partner and knows the labels of 200 of the common customers. It
fits a kernel ridge model on them and scores others, over its own columns without and with what it
saw of training. Two kinds of partner: *able* has its columns in the best of several forms (bins,
all splits between bins, ranks), *plain* has the numbers as they are. What it saw:

- *hidden* (the default over the hub): every number of every question that stands at a row; which
  splits were chosen is not among them, and there is nothing else that differs from row to row;
- *shown* (``--show-choice``): the sides of its splits that were chosen, as often as they were;
- *control*: a scheme that shows which customers are in which node, as SecureBoost does: membership
  in every node of every tree, its own chosen splits, and the leaves that these cut.

One attack for all three. What was seen tells which customers trees put together, also of those
whose labels nobody told (Takahashi, Liu and Liu, "Eliminating Label Leakage in Tree-Based Vertical
Federated Learning", 2023, cluster by it). So it is prepared over all customers: columns fade with
the trees' number, and directions in which many agree are stretched. Then kernels are added up,
own columns' and this one's, each with a weight. The attacker is given the form, fading, stretching
and weights that are best on the first half of the draws; the second half is what counts, as gains
over the best without a transcript, paired by draw, with standard errors.
Shown and control are taken from one run in the open, which chooses the same splits to the last bit;
hidden from a run under the lattice.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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
KNOWN, JUDGED, CHOSEN_BY = 200, 8000, 2000
MOST_NUMBERS = 300
WEIGHTS = (0.0003, 0.003, 0.03, 0.1, 0.3)
DECAYS = (0.0, 2.0, 4.0)
POWERS = (1.0, 2.0)

Stack: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Columns that were seen, and when: 0 at the beginning of training, 1 at its end."""


@dataclass
class Seen:
    """What the partner saw, a row a customer, and the model that came of it."""

    model: TreeModel
    sides: list[np.ndarray]
    numbers: list[np.ndarray]


def tables() -> tuple[LabelTable, LocalPartner, np.ndarray, np.ndarray]:
    """The shop's table, the bank, each common customer's row there, and the bank's numbers."""
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
    bank = LocalPartner(other.cells, seeded_root(1), PartnerPlan(allow_plain=True))
    numbers = np.stack([*other.cells.values()], 1).astype(np.float32)[there]
    return table, bank, there, (numbers - numbers.mean(0)) / numbers.std(0)


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


def spread(columns: np.ndarray, times: np.ndarray, decay: float, power: float) -> np.ndarray:
    """What was seen, as the attacker prepares it; it needs no label for that.

    Early trees see the label's plain signal and late ones what was left, so columns fade with
    time; directions in which many columns agree are stretched (``power`` above 1), as those are
    what the label drew. Shape ``(n, columns)``, in all about one a row.
    """
    if not columns.shape[1]:
        return columns
    faded = (columns - columns.mean(0)) * np.exp(-decay * times).astype(np.float32)
    values, vectors = np.linalg.eigh((faded.T @ faded).astype(float))
    stretched = (np.maximum(values, 1e-6 * values[-1]) / values[-1]) ** ((power - 1) / 2)
    return scaled(faded @ (vectors * stretched).astype(np.float32))


def scaled(columns: np.ndarray) -> np.ndarray:
    """Centred, and a row's squares add up to one in the mean."""
    made = columns - columns.mean(0)
    return made / np.sqrt((made**2).sum(1).mean())


def grams(columns: np.ndarray, known: np.ndarray, judged: np.ndarray) -> tuple[Any, Any]:
    """Inner products: known with known, judged with known."""
    mine = columns[known].astype(float)
    return mine @ mine.T, columns[judged].astype(float) @ mine.T


def draw_of(labels: np.ndarray, number: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Whose labels are known, and whose are guessed, at most so many."""
    order = np.random.default_rng([number, 0]).permutation(len(labels))
    return order[:KNOWN], order[KNOWN : KNOWN + most]


def guessed(
    own: np.ndarray,
    prepared: np.ndarray,
    labels: np.ndarray,
    draw: int,
    weights: Sequence[tuple[float, float]],
    most: int = CHOSEN_BY,
) -> list[float]:
    """AUC of a draw by each pair of weights, of own columns and of what was seen."""
    known, judged = draw_of(labels, draw, most)
    target = labels[known] - labels[known].mean()
    mine, seen = grams(own, known, judged), grams(prepared, known, judged)
    found = []
    for of_own, of_seen in weights:
        gram = of_own * mine[0] + of_seen * seen[0] + np.eye(KNOWN)
        solved = np.linalg.solve(gram, target)
        scores = of_own * (mine[1] @ solved) + of_seen * (seen[1] @ solved)
        found.append(auc(labels[judged], scores).value)
    return found


def attacked(
    kinds: dict[str, dict[str, np.ndarray]],
    seen: dict[str, Stack],
    labels: np.ndarray,
    draws: int,
) -> dict[str, dict[str, dict[str, Any]]]:
    """The best attack of the first half of the draws, judged on the other, for all that was seen.

    By kind of partner: the forms its columns may have. Gains are over the same partner's best
    without a transcript, paired by draw.
    """
    choosing, judging = range(draws // 2), range(draws // 2, draws)
    none = np.zeros((len(labels), 0), np.float32)
    alone = [(weight, 0.0) for weight in WEIGHTS]
    pairs = [*itertools.product((0.0, *WEIGHTS), WEIGHTS)]
    own, base, made = {}, {}, {}
    for kind, forms in kinds.items():
        mine = {form: scaled(columns) for form, columns in forms.items()}
        form, weight = best_of(
            (form, alone, [guessed(one, none, labels, draw, alone) for draw in choosing])
            for form, one in mine.items()
        )
        own[kind] = mine[form]
        found = [guessed(own[kind], none, labels, d, [weight], JUDGED)[0] for d in judging]
        base[kind] = np.array(found)
        made[kind] = {"alone": {"attack": form, "weights": weight} | summed(base[kind], base[kind])}
    for what, (columns, times) in seen.items():
        ways = itertools.product(DECAYS, POWERS)
        prepared = {way: spread(columns, times, *way) for way in ways}
        for kind, one in own.items():
            way, weight = best_of(
                (way, pairs, [guessed(one, ready, labels, d, pairs) for d in choosing])
                for way, ready in prepared.items()
            )
            ready = prepared[way]
            found = [guessed(one, ready, labels, d, [weight], JUDGED)[0] for d in judging]
            told = summed(np.array(found), base[kind])
            made[kind][what] = {"attack": way, "weights": weight} | told
    return made


def best_of(tried: Iterable[tuple[Any, Sequence[Any], list[list[float]]]]) -> tuple[Any, Any]:
    """The way and the weights with the best mean over draws."""
    best: tuple[float, Any, Any] = (-1.0, None, None)
    for way, weights, found in tried:
        means = np.mean(found, 0)
        at = int(means.argmax())
        if means[at] > best[0]:
            best = (float(means[at]), way, weights[at])
    return best[1:]


def summed(values: np.ndarray, base: np.ndarray) -> dict[str, float]:
    """Mean, mean gain, and the gain's standard error."""
    gap = values - base
    error = float(gap.std(ddof=1) / np.sqrt(len(gap))) if len(gap) > 1 else float("nan")
    return {"auc": float(values.mean()), "gain": float(gap.mean()), "se": error}


def main() -> None:
    """Gains with and without defence."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="8 draws of 5 trees")
    made.add_argument("--draws", type=int, default=40, help="half choose, half are judged")
    made.add_argument("--depth", type=int, default=3)
    args = made.parse_args()
    draws, trees = (8, 5) if args.quick else (args.draws, 30)
    table, bank, there, as_they_are = tables()
    plan = TreePlan(trees=trees, depth=args.depth, scheme="plain", check=False, hide_choice=False)
    open_run = watched(table, bank, there, plan)
    hiding = dataclasses.replace(plan, scheme="lattice", check=True, hide_choice=True)
    hidden_run = watched(table, bank, there, hiding)
    same = np.array_equal(open_run.model.weight, hidden_run.model.weight)
    nodes = memberships(open_run.model, table, args.depth)
    sides = np.stack(open_run.sides, 1)
    own_times, node_times = (np.linspace(0, 1, count) for count in (sides.shape[1], len(nodes)))
    numbers = np.stack(hidden_run.numbers, 1)
    stacks = {
        "hidden": (numbers, np.linspace(0, 1, numbers.shape[1])),
        "shown": (sides, own_times),
        "control": (
            np.hstack([np.stack(nodes, 1), sides]),
            np.concatenate([node_times, own_times]),
        ),
    }
    kinds = {"able": forms_of(bank, there), "plain": {"numbers": as_they_are}}
    found = attacked(kinds, stacks, table.labels, draws)
    seen = {"alone": 0} | {what: one[0].shape[1] for what, one in stacks.items()}
    show(
        f"{draws - draws // 2} draws of {KNOWN} labels judged, {trees} trees of depth {args.depth}",
        ("partner", "what it saw", "columns", "AUC", "gain", "standard error", "attack"),
        [
            (kind, what, seen[what], f"{one['auc']:.4f}", f"{one['gain']:+.4f}",
             f"{one['se']:.4f}", f"{one['attack']} {one['weights']}")
            for kind, by_what in found.items()
            for what, one in by_what.items()
        ],
    )  # fmt: skip
    print(f"\nthe same trees in both runs: {same}")
    bars = [at_least("the same trees with and without", float(same), 1)]
    for kind, by_what in found.items():
        gains = {what: one["gain"] for what, one in by_what.items()}
        bars += [
            at_most(f"{kind}: gain from the transcript, choices hidden", gains["hidden"], 0.005),
            at_least(f"{kind}: gain from node membership (control)", gains["control"], 0.05),
        ]
    finish("blindness", bars, found, args.json)


if __name__ == "__main__":
    main()
