"""Whom should a campaign reach? Hillstrom's e-mail trial: T- and X-learners, Qini, treat-by-decile.

The women's (or men's) e-mail against none; the outcome is a visit within two weeks. Learnt on one
half of the customers, judged on the other; intervals are a bootstrap over the judged customers,
the same draws for every score, so that two scores can be compared.

    response      who visits anyway: a model of the treated alone, the usual mistake
    T / X ridge   meta-learners over logistic (outcome) and ridge (effect) regression
    T trees       over boosted trees of one table
    shop          T trees with the shop's columns only
    federated     T trees over two parties: the shop (recency, spend, newbie, channel, area) and a
                  partner that knows what categories were bought (mens, womens)

What is federated: both outcome models are host-blind trees; the treatment and the outcome stay with
the shop, and the partner answers two sessions without learning who is in them. What is not: the
trial's randomisation, the curve and the table, which need the shop's own columns alone.

    python benchmarks/uplift.py [--quick] [--json FILE]
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.data.tables import engine
from fedguide.models.qini import qini_coefficients, treat_table
from fedguide.models.uplift import Learner, logistic_learner, t_learner, x_learner
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import sums
from fedguide.vertical.features import FeatureSpec, codes_of, fit_spec
from fedguide.vertical.trees import LabelTable, TreePlan, grow, predict
from report import Bar, at_most, data_folder, finish, parser, show

Floats = NDArray[np.float64]
Arms = NDArray[np.bool_]

PARTNER = PartyId("partner")
OWN = ("recency", "history", "newbie", "zip_code", "channel")
THEIRS = ("mens", "womens")
TREES = TreePlan(trees=30, depth=3, learning_rate=0.1, scheme="plain")


def main() -> None:
    """Both e-mails, one table each of scores and one of deciles."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="the women's e-mail only, 100 draws")
    args = made.parse_args()
    folder = data_folder()
    if folder is None or not (folder / "hillstrom").is_dir():
        raise SystemExit("needs hillstrom under FEDGUIDE_DATA")
    data: dict[str, Any] = {}
    bars: list[Bar] = []
    for arm in ("Womens E-Mail",) if args.quick else ("Womens E-Mail", "Mens E-Mail"):
        columns, treated, visit = read(folder / "hillstrom" / "hillstrom.csv.gz", arm)
        data[arm] = judge(arm, columns, treated, visit, 100 if args.quick else 500)
        gap = data[arm]["federated - T trees"][0]
        bars.append(at_most(f"{arm}: |federated - T trees|", abs(gap), 0.0005))
    finish("uplift", bars, data, args.json)


def read(path: Path, arm: str) -> tuple[dict[str, NDArray[Any]], Arms, Floats]:
    """Columns, who got the e-mail, who visited; in a random order of the customers."""
    with engine() as db:
        rows = db.execute(
            "SELECT recency, history, newbie, zip_code, channel, mens, womens, segment, visit "
            "FROM read_csv(?) WHERE segment IN (?, 'No E-Mail')",
            [str(path), arm],
        ).fetchnumpy()
    order = np.random.default_rng(11).permutation(len(rows["visit"]))
    columns = {name: np.asarray(rows[name])[order] for name in (*OWN, *THEIRS)}
    columns = {n: c.astype(str if c.dtype == object else float) for n, c in columns.items()}
    return columns, np.asarray(rows["segment"])[order] == arm, rows["visit"][order].astype(float)


def judge(
    arm: str, columns: dict[str, NDArray[Any]], treated: Arms, visit: Floats, draws: int
) -> dict[str, Any]:
    """Fits on the first half, judges on the second."""
    count, half = len(visit), len(visit) // 2
    learns = np.arange(count) < half
    rows = one_hot(columns, learns)
    ours, theirs = (fitted(columns, names, learns) for names in (OWN, THEIRS))
    both = fitted(columns, (*OWN, *THEIRS), learns)
    learn, judged = rows[learns], rows[~learns]
    outcome, arms = visit[learns], treated[learns]
    scores = {
        "response": logistic_learner()(learn[arms], outcome[arms])(judged),
        "T ridge": t_learner(learn, arms, outcome, logistic_learner())(judged),
        "X ridge": x_learner(learn, arms, outcome, logistic_learner())(judged),
        "T trees": t_learner(both[learns], arms, outcome, tree_learner(both, None))(both[~learns]),
        "shop": t_learner(ours[learns], arms, outcome, tree_learner(ours, None))(ours[~learns]),
    }
    begun = time.perf_counter()
    # The federated learner is handed numbers of customers, since each party finds its own rows.
    federated = tree_learner(ours, theirs)
    numbers = np.arange(count, dtype=np.float64)[:, None]
    scores["federated"] = t_learner(numbers[learns], arms, outcome, federated)(numbers[~learns])
    seconds = time.perf_counter() - begun
    names = list(scores)
    found, drawn = qini_coefficients(
        [scores[name] for name in names],
        treated[~learns],
        visit[~learns],
        np.random.default_rng(5),
        draws,
    )
    effect = visit[treated].mean() - visit[~treated].mean()
    show(
        f"{arm}: {count} customers, {visit[~treated].mean():.2%} visit without it, "
        f"{effect:+.2%} by it",
        ("score", "Qini x 1000", "95 %"),
        [
            (name, f"{1000 * q.value:.2f}", f"[{1000 * q.low:.2f}, {1000 * q.high:.2f}]")
            for name, q in zip(names, found, strict=True)
        ],
    )
    made: dict[str, Any] = {
        name: [q.value, q.low, q.high] for name, q in zip(names, found, strict=True)
    }
    for a, b in (("federated", "shop"), ("federated", "T trees"), ("X ridge", "response")):
        gap = drawn[names.index(a)] - drawn[names.index(b)]
        low, high = np.quantile(gap, [0.025, 0.975])
        made[f"{a} - {b}"] = [made[a][0] - made[b][0], float(low), float(high)]
        word = "no significant difference" if low <= 0 <= high else ""
        print(
            f"  {a} - {b}: {1000 * made[f'{a} - {b}'][0]:+.2f} "
            f"[{1000 * low:+.2f}, {1000 * high:+.2f}] {word}"
        )
    table = treat_table(scores["federated"], treated[~learns], visit[~learns])
    show(
        f"{arm}: federated, treat by decile",
        ("tenth", "treated", "control", "predicted", "visits with", "without", "uplift, 95 %"),
        [
            (
                row.group,
                row.treated,
                row.control,
                f"{row.predicted:+.2%}",
                f"{row.with_it:.2%}",
                f"{row.without:.2%}",
                f"{row.uplift.value:+.2%} [{row.uplift.low:+.2%}, {row.uplift.high:+.2%}]",
            )
            for row in table
        ],
    )
    made["deciles"] = [[r.group, r.uplift.value, r.uplift.low, r.uplift.high] for r in table]
    return {**made, "effect": float(effect), "federated_seconds": seconds}


def one_hot(columns: dict[str, NDArray[Any]], learns: Arms) -> Floats:
    """Numbers as they are, words as a column each but the first."""
    parts = []
    for cells in columns.values():
        if cells.dtype.kind == "f":
            parts.append(cells[:, None])
        else:
            words = np.unique(cells[learns])[1:]
            parts.append((cells[:, None] == words).astype(float))
    return np.concatenate(parts, axis=1)


def fitted(columns: dict[str, NDArray[Any]], names: tuple[str, ...], learns: Arms) -> Floats:
    """Bins of some columns, fitted on those who learn; as numbers, so that a learner takes them."""
    spec = spec_of(columns, names, learns)
    return codes_of(spec, {name: columns[name] for name in names}).astype(np.float64)


def spec_of(columns: dict[str, NDArray[Any]], names: tuple[str, ...], learns: Arms) -> FeatureSpec:
    """The spec of a party's columns."""
    return fit_spec({name: columns[name][learns] for name in names})


def tree_learner(own: Floats, partner: Floats | None) -> Learner:
    """Boosted trees of an outcome of 0 and 1, over one party's bins or over two parties'."""
    bins = own.max(0).astype(np.int64) + 1

    def learn(rows: Floats, outcomes: Floats) -> Any:
        if partner is None:
            table = LabelTable(outcomes, rows.astype(np.uint16), bins, {})
            model, _ = run(grow(table, TREES, seeded_root(3)), in_process({}, lambda: 0.0))
            return lambda asked: predict(model, asked.astype(np.uint16), {})[0]
        at = rows[:, 0].astype(np.int64)
        table = LabelTable(outcomes, own[at].astype(np.uint16), bins, {PARTNER: at})
        env = sums.FeatureEnv(
            partner.astype(np.uint16),
            partner.max(0).astype(np.int64) + 1,
            seeded_root(4),
            sums.no_limit(),
            allow_plain=True,
        )
        courier = in_process({PARTNER: Party(env, sums.answer, sums.FeatureState)}, lambda: 0.0)
        model, _ = run(grow(table, TREES, seeded_root(3)), courier)

        def effect(asked: Floats) -> Floats:
            wanted = asked[:, 0].astype(np.int64)
            return predict(model, own[wanted].astype(np.uint16), {PARTNER: wanted})[0]

        return effect

    return learn


if __name__ == "__main__":
    main()
