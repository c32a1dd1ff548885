"""Is the click model as good as plain logistic regression: public samples, and known truth?

Real: the tiny samples of Criteo, Avazu and AliExpress (100 to 200 rows each, all there is here):
out-of-fold predictions of ten times five folds, averaged. Made up: 6,000 views of a synthetic
shop's ads, learnt on the first 80 %, judged on the last 20 %, beside the truth itself. The peer is
logistic regression with an L2 penalty on standardised numbers and one column a word (what
scikit-learn's LogisticRegression minimises, here by Newton's method).

    python benchmarks/ctr.py [--quick] [--json FILE]
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.cli.folders import served_histories
from fedguide.data.ad_log import synthetic_ad_log
from fedguide.data.synth import market
from fedguide.data.truth import MarketPlan
from fedguide.guide.ad_model import before, features, fit_ad_model
from fedguide.guide.histories import history_for
from fedguide.models.auc import auc, auc_difference, log_loss
from fedguide.models.calibration import calibration_error
from fedguide.models.ctr import CtrPlan, fit_ctr, hashed
from fedguide.models.logistic import fit_logistic, sigmoid
from report import Bar, data_folder, finish, parser, show

Floats = NDArray[np.float64]
Rows: TypeAlias = Sequence[dict[str, str]]
Fit: TypeAlias = Callable[[Rows, Floats, Rows], Floats]

SAMPLES = {
    "criteo": ("criteo_sample.txt", "label", ()),
    "avazu": ("avazu_sample.txt", "click", ("id",)),
    "aliexpress": ("aliexpress_train_sample.csv", "click", ("search_id", "conversion")),
}
FOLDS = 5


def main() -> None:
    """One table of samples and one of the made-up log."""
    made = parser(__doc__)
    made.add_argument("--quick", action="store_true", help="one repetition, 3000 views")
    args = made.parse_args()
    data: dict[str, Any] = {}
    bars: list[Bar] = []
    lines = []
    folder = data_folder()
    for name, (file, label, dropped) in SAMPLES.items():
        path = None if folder is None else folder / "ctr_samples" / file
        if path is None or not path.is_file():
            print(f"{name}: not here, skipped")
            continue
        rows, clicks = read(path, label, dropped)
        ours, peer = (folded(rows, clicks, fit, 1 if args.quick else 10) for fit in (ftrl, newton))
        data[name] = figures(clicks, ours, peer)
        lines += [(name, len(rows), *cells) for cells in table(data[name])]
        high = data[name]["ours - peer"][2]
        bars.append(Bar(f"{name}: AUC ours - peer, upper end", round(high, 4), ">= 0", high >= 0))
    heads = ("sample", "rows", "model", "AUC", "95 %", "log loss", "ECE")
    show("public samples, out of fold", heads, lines)
    data["made up"] = invented(3000 if args.quick else 6000)
    show("made-up ads of a synthetic shop, last fifth", heads[2:], table(data["made up"]))
    high = data["made up"]["ours - peer"][2]
    bars.append(Bar("made up: AUC ours - peer, upper end", round(high, 4), ">= 0", high >= 0))
    finish("ctr", bars, data, args.json)


def read(path: Path, label: str, dropped: Sequence[str]) -> tuple[Rows, Floats]:
    """Rows without the label, and the clicks."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clicks = np.array([float(row.pop(label)) for row in rows])
    return [{k: v for k, v in row.items() if k not in dropped} for row in rows], clicks


def folded(rows: Rows, clicks: Floats, fit: Fit, repeats: int) -> Floats:
    """Out-of-fold probabilities, the mean of several ways to cut."""
    total = np.zeros(len(rows))
    for repeat in range(repeats):
        fold = np.random.default_rng(repeat).permutation(len(rows)) % FOLDS
        for number in range(FOLDS):
            learn, asked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            total[asked] += fit([rows[i] for i in learn], clicks[learn], [rows[i] for i in asked])
    return total / repeats


def ftrl(rows: Rows, clicks: Floats, asked: Rows) -> Floats:
    """The house's: hashed features, numbers as steps of their logarithm."""
    plan = CtrPlan()
    model = fit_ctr([hashed(names(row), plan.bits) for row in rows], clicks, plan)
    return sigmoid(model([hashed(names(row), plan.bits) for row in asked]))


def names(row: dict[str, str]) -> list[str]:
    """A row as features: words as they are, numbers by step of their logarithm."""
    made = []
    for column, cell in row.items():
        value = number(cell) if "." in cell else None
        made.append(f"{column}={cell}" if value is None else f"{column}~{step(value)}")
    return made


def step(value: float) -> int:
    """A step of the logarithm, with its sign."""
    return int(math.copysign(round(2 * math.log1p(abs(value))), value))


def number(cell: str) -> float | None:
    """A cell as a number, if it is one."""
    try:
        return float(cell)
    except ValueError:
        return None


def newton(rows: Rows, clicks: Floats, asked: Rows) -> Floats:
    """The peer: one column a word of the rows it learns from, numbers standardised."""
    columns = {
        column: sorted({row[column] for row in rows})
        for column in rows[0]
        if not any("." in row[column] for row in rows)
    }
    numeric = [column for column in rows[0] if column not in columns]

    def design(these: Rows) -> Floats:
        words = [
            [float(row[column] == word) for column, known in columns.items() for word in known]
            for row in these
        ]
        numbers = [
            [math.log1p(abs(number(row[column]) or 0.0)) for column in numeric] for row in these
        ]
        return np.concatenate([np.array(words), np.array(numbers).reshape(len(these), -1)], axis=1)

    return sigmoid(fit_logistic(design(rows), clicks, l2=10.0)(design(asked)))


def figures(clicks: Floats, ours: Floats, peer: Floats) -> dict[str, Any]:
    """What both say of the same views."""
    made: dict[str, Any] = {"clicks": int(clicks.sum())}
    for name, said in (("ours", ours), ("peer", peer)):
        area = auc(clicks, said)
        made[name] = {
            "auc": [area.value, area.low, area.high],
            "log_loss": log_loss(clicks, said),
            "ece": calibration_error(clicks, said),
        }
    gap = auc_difference(clicks, ours, peer)
    return {**made, "ours - peer": [gap.value, gap.low, gap.high]}


def table(made: dict[str, Any]) -> list[tuple[str, ...]]:
    """The lines of one sample."""
    lines = []
    for name in ("ours", "peer", "truth"):
        if name in made:
            value, low, high = made[name]["auc"]
            rest = (f"{made[name]['log_loss']:.4f}", f"{made[name]['ece']:.4f}")
            lines.append((name, f"{value:.4f}", f"[{low:.4f}, {high:.4f}]", *rest))
    return lines


def invented(views: int) -> dict[str, Any]:
    """A synthetic shop's ads: the served model, the peer on the same features, and the truth."""
    shop = market(MarketPlan(shops=1, shoppers=600, items=120)).shops[0]
    histories = served_histories(shop, shop.catalogue.ids, lambda _: True)
    log, truth = synthetic_ad_log(shop, views, 7)
    model = fit_ad_model(log, histories, shop.catalogue)

    def told(at: int) -> list[str]:
        known = before(history_for(histories, log.shoppers[at]), int(log.days[at]))
        return features(shop.catalogue, int(log.items[at]), int(log.slots[at]), known)

    cut = int(0.8 * views)
    rows = [dict.fromkeys(told(at), "1") for at in range(views)]
    clicks = log.clicked.astype(np.float64)
    kept = sorted({name for row in rows[:cut] for name in row})
    place = {name: column for column, name in enumerate(kept)}
    design = np.zeros((views, len(kept)))
    for at, row in enumerate(rows):
        design[at, [place[name] for name in row if name in place]] = 1.0
    peer = sigmoid(fit_logistic(design[:cut], clicks[:cut], l2=10.0)(design[cut:]))
    asked = [hashed(list(row), model.bits) for row in rows[cut:]]
    ours = model.personal.curve(model.personal.ctr(asked))
    made = figures(clicks[cut:], ours, peer)
    area = auc(clicks[cut:], truth[cut:])
    made["truth"] = {
        "auc": [area.value, area.low, area.high],
        "log_loss": log_loss(clicks[cut:], truth[cut:]),
        "ece": calibration_error(clicks[cut:], truth[cut:]),
    }
    return made


if __name__ == "__main__":
    main()
