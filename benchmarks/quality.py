"""Is a guide trained together better than what each shop has by itself? The bars of EVALUATION.

Every part is one honest table: full ranking, ties half, one temporal cut for all shops, every
choice on validation, test touched once, 95 % intervals by paired bootstrap over shoppers.

    main      Online Retail, 6 shops, dirichlet:2, three seeds: the bars
    country   Online Retail cut by country, 6 shops
    twelve    Online Retail, 12 shops, dirichlet:0.5
    amazon    Amazon Beauty and Toys as two real shops (leave last out: no times)

Needs the real data of ``FEDGUIDE_DATA``; says so and stops without them.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from pathlib import Path
from typing import Any

from fedguide.data.shops import load_shops
from fedguide.models.evaluate import SETTINGS
from fedguide.runtime.arms import TrainPlan
from fedguide.runtime.compare import ComparePlan, Comparison, compare
from fedguide.values import ShopData
from report import Bar, at_least, data_folder, finish, parser, show

PARTS = ("main", "country", "twelve", "amazon")
ENOUGH_CASES = 80


def shops_of(part: str, data: Path, seed: int) -> tuple[ShopData, ...]:
    """The shops of one part."""
    retail = data / "online_retail" / "online_retail.parquet"
    if part == "main":
        return load_shops(retail, format_name="online-retail", shops=6, seed=seed)
    if part == "country":
        return load_shops(retail, format_name="online-retail", shops=6, spec="country", seed=seed)
    if part == "twelve":
        spec = "dirichlet:0.5"
        return load_shops(retail, format_name="online-retail", shops=12, spec=spec, seed=seed)
    return load_shops(data / "amazon", format_name="amazon", seed=seed)


def gap(found: Comparison, a: str, b: str, setting: str) -> Any:
    """One paired difference over all shoppers."""
    return next(g for g in found.differences if (g.a, g.b, g.setting) == (a, b, setting))


def mean(found: Comparison, model: str, setting: str) -> float:
    """Mean NDCG@10 over all shoppers."""
    return next(
        r.ndcg10 for r in found.rows if (r.model, r.setting, r.shop) == (model, setting, "mean")
    )


def main_bars(found: Comparison) -> list[Bar]:
    """The bars of the issue on the main cut."""
    nonneural = gap(found, "together", "nonneural", "discovery")
    alone = gap(found, "together", "alone", "discovery")
    pooled = gap(found, "together", "pooled", "discovery")
    recent = gap(found, "together", "history_recent", "all")
    return [
        at_least("discovery: together over best non-neural blend", nonneural.relative, 0.10),
        Bar("… its lower 95 % bound", nonneural.low, "> 0", nonneural.low > 0),
        at_least("discovery: together over alone", alone.relative, 0.08),
        Bar("… its lower 95 % bound", alone.low, "> 0", alone.low > 0),
        at_least("discovery: together as a share of pooled", 1 + pooled.relative, 0.97),
        at_least("… its lower 95 % bound", 1 + pooled.low, 0.93),
        at_least("all items: together over history + recent sales", recent.relative, -0.01),
        at_least("discovery NDCG@10, together", mean(found, "together", "discovery"), 0.090),
        at_least("all items NDCG@10, together", mean(found, "together", "all"), 0.340),
    ]


def shop_bars(part: str, found: Comparison) -> list[Bar]:
    """No shop with enough cases is more than one standard error below alone, in any setting."""
    judged = [g for g in found.shop_differences if g.cases >= ENOUGH_CASES]
    if not judged:
        return [Bar(f"{part}: shops with >= {ENOUGH_CASES} cases", 0.0, "some", holds=None)]
    worst = min(judged, key=lambda g: g.absolute / g.error if g.error else math.inf)
    in_errors = worst.absolute / worst.error if worst.error else 0.0
    return [at_least(f"{part}: worst shop against alone, in standard errors", in_errors, -1.0)]


def kept(found: Comparison, setting: str, shop: str) -> str:
    """In how many trainings a shop's gate kept the model trained together for a setting."""
    number = sum(outcome.kept["together", setting, shop] for outcome in found.outcomes)
    return f"{number} of {len(found.outcomes)}"


def table(part: str, found: Comparison) -> None:
    """Every model's mean and worst shop in both settings."""
    rows = []
    cells = {(r.model, r.setting, r.shop): r for r in found.rows}
    for model in dict.fromkeys(r.model for r in found.rows):
        line: list[str] = [model]
        for setting in ("discovery", "all"):
            row, worst = cells[model, setting, "mean"], cells[model, setting, "worst"]
            line += [
                f"{row.ndcg10:.4f} [{row.low:.4f}, {row.high:.4f}]",
                f"{row.recall20:.4f}",
                f"{row.hr10:.3f}",
                f"{row.mrr:.3f}",
                f"{worst.ndcg10:.4f}",
            ]
        rows.append(line)
    heads = ("NDCG@10 [95 %]", "R@20", "HR@10", "MRR", "worst")
    columns = ("model", *(f"disc. {h}" for h in heads), *(f"all {h}" for h in heads))
    cases = cells["together", "all", "mean"].cases
    show(f"{part}: {cases} shoppers, {sum(found.cold.values())} cold ones not in it", columns, rows)
    differences = [
        (f"{g.a} / {g.b}", g.setting, f"{g.relative:+.1%}", f"[{g.low:+.1%}, {g.high:+.1%}]")
        for g in found.differences
    ]
    show(f"{part}: paired differences", ("pair", "setting", "relative", "95 %"), differences)
    by_shop = [
        (
            g.shop,
            g.setting,
            g.cases,
            f"{g.absolute:+.4f}",
            f"{g.error:.4f}",
            kept(found, g.setting, g.shop),
        )
        for g in found.shop_differences
    ]
    heads = ("shop", "setting", "cases", "NDCG@10", "SE", "seeds that kept together")
    show(f"{part}: together - alone by shop", heads, by_shop)
    chosen = [
        (
            o.seed,
            max(o.trained["together"].rounds.values()),
            *(sum(o.kept["together", s, shop] for shop in found.models) for s in SETTINGS),
        )
        for o in found.outcomes
    ]
    heads = ("seed", "best round", *(f"shops that kept together, {s}" for s in SETTINGS))
    show(f"{part}: choices", heads, chosen)
    seconds = [(stage, f"{s:.0f}") for stage, s in found.seconds.items()]
    show(f"{part}: seconds", ("stage", "s"), seconds)


def main() -> None:
    """Runs the parts asked for, one table each, and the bars at the end."""
    made = parser(__doc__)
    made.add_argument("--part", choices=(*PARTS, "all"), default="all")
    made.add_argument("--seeds", type=int, default=3, help="trainings of every part, averaged")
    made.add_argument("--rounds", type=int, help="most rounds; default 60")
    made.add_argument("--patience", type=int, help="rounds without progress; default 12")
    made.add_argument("--cut-seed", type=int, default=0, help="seed of the cut into shops")
    args = made.parse_args()
    data = data_folder()
    if data is None:
        print("quality needs the real data: set FEDGUIDE_DATA", file=sys.stderr)
        sys.exit(4)
    bars: list[Bar] = []
    results: dict[str, Any] = {}
    for part in PARTS if args.part == "all" else (args.part,):
        seeds = tuple(range(args.seeds))
        print(f"\n{part}: training with seeds {seeds} …", flush=True)
        plain = TrainPlan()
        train = TrainPlan(
            rounds=args.rounds or plain.rounds, patience=args.patience or plain.patience
        )
        shops = shops_of(part, data, args.cut_seed)
        found = compare(shops, ComparePlan(train, seeds), time.monotonic)
        table(part, found)
        bars += main_bars(found) if part == "main" else []
        bars += shop_bars(part, found)
        results[part] = {
            "rows": [dataclasses.asdict(row) for row in found.rows],
            "differences": [dataclasses.asdict(g) for g in found.differences],
            "shops": [dataclasses.asdict(g) for g in found.shop_differences],
            "kept": {
                shop: {s: [o.kept["together", s, shop] for o in found.outcomes] for s in SETTINGS}
                for shop in found.models
            },
            "rounds": [dict(outcome.trained["together"].rounds) for outcome in found.outcomes],
            "seconds": dict(found.seconds),
        }
    finish("quality", bars, results, args.json)


if __name__ == "__main__":
    main()
