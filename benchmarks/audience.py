"""Does a partner help to choose an audience? Complete Journey: a grocer and a demographics firm.

The shop has transactions, coupons and campaigns of 801 households, the partner what is known of the
households themselves (age, income, home, family). Who buys from a department within 30 days? Each
model learns from one window and is tested on the next, for several pairs of windows; the interval
is a bootstrap over households, with all windows of a household together.

    alone       the shop's columns
    together    federated trees, sums hidden from both sides (the same bits as in the open: tested)
    pooled      all columns in one table, which nobody may have; not the same trees, since a partner
                is asked about nodes of 60 households at least and its bins hold 20 at least

    python benchmarks/audience.py [--quick] [--json FILE]
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import Dataset
from fedguide.data.importers import import_data
from fedguide.data.partner_file import Columns, read_partner
from fedguide.data.periods import reached, seen_by, shopper_columns
from fedguide.data.tables import engine
from fedguide.models.auc import midranks
from fedguide.models.calibration import calibration_error
from fedguide.models.lift import lift_table
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.propensity import PLAN, fit_propensity, score
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import sums
from fedguide.vertical.features import codes_of, fit_spec
from report import Bar, at_least, data_folder, finish, parser, show

Floats = NDArray[np.float64]

FIRM = PartyId("demographics")
DAYS = 30
LAST_CUT = 17_480
"""Day of the last cut: the data end 52 days after it, so that every window is whole."""

# 801 households: nodes of 200, the default between real companies, would end at the root.
TREES = replace(PLAN, scheme="plain", least_node=60)
MODELS = ("alone", "together", "pooled")


def main() -> None:
    """Trains and tests every model on every window, and prints one table a target."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="two windows, 200 draws")
    args = made.parse_args()
    folder = data_folder()
    if folder is None or not (folder / "completejourney").is_dir():
        raise SystemExit("needs completejourney under FEDGUIDE_DATA")
    windows, draws = (2, 200) if args.quick else (6, 2000)
    shop, extra = read_shop(folder / "completejourney")
    firm = read_partner(folder / "completejourney" / "demographics.parquet", "household_id")
    cuts = [LAST_CUT - DAYS * back for back in range(windows)]
    data: dict[str, Any] = {"windows": windows, "households": len(shop.events.user_ids)}
    bars: list[Bar] = []
    for target in ("DRUG GM", "MEAT"):
        tested = [test(shop, extra, firm, target, cut) for cut in cuts]
        rows = summary(tested, np.random.default_rng(7), draws)
        data[target] = rows
        show(
            f"{target}: bought within {DAYS} days, {rows['rate']:.1%} of {rows['cases']} cases",
            ("model", "AUC", "95 %", "lift, best tenth", "in best three tenths", "ECE"),
            [
                (
                    name,
                    f"{rows[name]['auc'][0]:.4f}",
                    f"[{rows[name]['auc'][1]:.4f}, {rows[name]['auc'][2]:.4f}]",
                    f"{rows[name]['lift'][0]:.2f}",
                    f"{rows[name]['gain'][2]:.0%}",
                    f"{rows[name]['ece']:.3f}",
                )
                for name in MODELS
            ],
        )
        for name in ("together - alone", "together - pooled"):
            value, low, high = rows[name]
            word = "no significant difference" if low <= 0 <= high else ""
            print(f"  {name}: {value:+.4f} [{low:+.4f}, {high:+.4f}] {word}")
        high = rows["together - pooled"][2]
        bars.append(at_least(f"{target}: together - pooled, upper end", high, 0.0))
    finish("audience", bars, data, args.json)


def read_shop(folder: Path) -> tuple[Dataset, dict[str, list[tuple[int, int]]]]:
    """The households the partner knows, with their transactions; and their coupons and campaigns.

    The second gives (row of the household, day) of every redemption and every campaign.
    """
    with tempfile.TemporaryDirectory() as temporary, engine() as db:
        for name in ("transactions_sample", "demographics", "coupon_redemptions", "campaigns"):
            db.execute(f"CREATE VIEW {name} AS FROM '{folder / name}.parquet'")
        db.execute(f"CREATE VIEW started AS FROM '{folder / 'campaign_descriptions'}.parquet'")
        db.execute(f"CREATE VIEW products AS FROM '{folder / 'products'}.parquet'")
        db.sql(
            "SELECT household_id AS user_id, product_id AS item_id, 'buy' AS kind, "
            "CAST(transaction_timestamp AS BIGINT) AS time, quantity, "
            "sales_value / greatest(quantity, 1) AS price, basket_id AS basket "
            "FROM transactions_sample SEMI JOIN demographics USING (household_id) "
            "WHERE quantity > 0"
        ).write_parquet(f"{temporary}/events.parquet")
        db.sql(
            "SELECT product_id AS item_id, product_type AS title, department AS category "
            "FROM products"
        ).write_parquet(f"{temporary}/items.parquet")
        (shop,) = import_data(Path(temporary), "parquet")
        rows = {name: row for row, name in enumerate(shop.events.user_ids)}
        days = {
            "redeemed": db.execute(
                "SELECT household_id, redemption_date FROM coupon_redemptions"
            ).fetchall(),
            "campaigns": db.execute(
                "SELECT household_id, start_date FROM campaigns JOIN started USING (campaign_id)"
            ).fetchall(),
        }
    found = {
        name: [(rows[who], int(day)) for who, day in events if who in rows]
        for name, events in days.items()
    }
    return shop, found


def own_columns(
    shop: Dataset, extra: Mapping[str, list[tuple[int, int]]], day: int
) -> dict[str, Any]:
    """All that the grocer knows on a day."""
    columns: dict[str, Any] = dict(shopper_columns(shop, day))
    for name, events in extra.items():
        counts = np.zeros(len(shop.events.user_ids))
        for row, when in events:
            counts[row] += when <= day
        columns[name] = counts
    for department in ("DRUG GM", "MEAT", "PRODUCE", "DELI"):
        columns[f"lately {department}"] = reached(shop, "buy", day - 3 * DAYS, 3 * DAYS, department)
    return columns


def test(
    shop: Dataset,
    extra: Mapping[str, list[tuple[int, int]]],
    firm: Columns,
    target: str,
    cut: int,
) -> dict[str, Any]:
    """Learns from the window that ends at ``cut`` and gives scores of the one that begins there."""
    learnt = cut - DAYS
    place = {key: row for row, key in enumerate(firm.keys)}
    rows = np.array([place[name] for name in shop.events.user_ids], np.int64)
    theirs = {name: cells[rows] for name, cells in firm.cells.items()}
    before, now = own_columns(shop, extra, learnt), own_columns(shop, extra, cut)
    did = reached(shop, "buy", learnt, DAYS, target)
    who = seen_by(shop, learnt)
    spec = fit_spec(firm.cells, least_bin=20)
    codes = codes_of(spec, firm.cells)
    env = sums.FeatureEnv(codes, spec.bins, seeded_root(1), sums.no_limit(), allow_plain=True)
    courier = in_process({FIRM: Party(env, sums.answer, sums.FeatureState)}, lambda: 0.0)
    root = seeded_root(cut, target)
    both = run(fit_propensity(before, did, who, {FIRM: rows}, root, TREES), courier)
    pooled = run(fit_propensity(before | theirs, did, who, {}, root, TREES), courier)
    scores = score(both, now)
    asked = seen_by(shop, cut)
    return {
        "households": np.flatnonzero(asked),
        "labels": reached(shop, "buy", cut, DAYS, target)[asked],
        "alone": scores.alone[asked],
        "together": scores.together[asked],
        "pooled": score(pooled, now | theirs).alone[asked],
    }


def summary(tested: list[dict[str, Any]], rng: np.random.Generator, draws: int) -> dict[str, Any]:
    """Figures over all windows, with intervals over households."""
    joined = {name: np.concatenate([one[name] for one in tested]) for name in tested[0]}
    labels, homes = joined["labels"], joined["households"]
    count = int(homes.max()) + 1
    values = {name: area(labels, joined[name], np.ones(len(labels))) for name in MODELS}
    drawn = {name: np.empty(draws) for name in MODELS}
    for draw in range(draws):
        often = np.bincount(rng.integers(count, size=count), minlength=count)[homes].astype(float)
        for name in MODELS:
            drawn[name][draw] = area(labels, joined[name], often)
    made: dict[str, Any] = {"rate": float(labels.mean()), "cases": len(labels)}
    for name in MODELS:
        table = lift_table(labels, joined[name])
        made[name] = {
            "auc": spread(values[name], drawn[name]),
            "lift": [row.lift.value for row in table],
            "gain": [row.gain for row in table],
            "ece": calibration_error(labels, joined[name]),
        }
    for other in ("alone", "pooled"):
        gap = values["together"] - values[other]
        made[f"together - {other}"] = spread(gap, drawn["together"] - drawn[other])
    return made


def area(labels: Floats, scores: Floats, often: Floats) -> float:
    """The area where each case stands ``often`` times; ties count half."""
    order = np.argsort(scores, kind="stable")
    ones, zeros = often[order] * labels[order], often[order] * (1 - labels[order])
    place = midranks(scores)[order]
    _, group = np.unique(place, return_inverse=True)
    of_ones, of_zeros = np.bincount(group, ones), np.bincount(group, zeros)
    below = np.cumsum(of_zeros) - of_zeros / 2
    return float((of_ones * below).sum() / (ones.sum() * zeros.sum()))


def spread(value: float, drawn: Floats) -> list[float]:
    """The value and its 95 % interval."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [float(value), float(low), float(high)]


if __name__ == "__main__":
    main()
