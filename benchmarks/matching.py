"""Does matching catalogues in private help? Shops that share evidence about common products.

Online Retail, six shops (Dirichlet(2), seed 0), each with item ids of its own and titles written in
its own way: letters, punctuation and spaces, which matching reads over, and in one title of ten a
word changed for good, which it cannot. Pairs of shops match by title over the blind lookup of
``fedguide match``; precision and recall are against the file's own stock codes, which no shop uses.

Then the matched shops add up how often common products met in one shopper (masked sums, pairs that
three shops sell; ``runtime/common_counts.py``), and EASE of all shops' counts is one more variant
for validation to choose. *Matched* and *unmatched* have the same network (its training does not use
neighbours), and each its own blend, fitted on validation; test is touched once. Intervals: 95 %,
paired bootstrap over shoppers, metrics averaged over the seeds of training.

    FEDGUIDE_DATA=… python benchmarks/matching.py [--seeds 3] [--rounds 60] [--json FILE]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

import numpy as np

from fedguide.cli.matching import matched
from fedguide.data.shops import load_shops
from fedguide.models.blend import FLOOR, Blend, fit_blend
from fedguide.models.evaluate import SETTINGS, questions
from fedguide.models.metrics import Metrics
from fedguide.models.served import Contender, measure_all, vectors_of
from fedguide.runtime.arms import TrainPlan, fits_of, network_of, network_stack, train_together
from fedguide.runtime.baselines import Baselines, baselines
from fedguide.runtime.common_counts import common_counts
from fedguide.runtime.table import MEAN, gap_of, samples_of
from fedguide.values import PartyId, ShopData
from report import Bar, at_least, data_folder, finish, parser, show

EDITED = 0.1
"""Share of titles that a shop has changed for good."""

WORDS = ("VINTAGE", "NEW", "CLASSIC", "SMALL", "DELUXE")


def own_titles(shop: ShopData, number: int) -> ShopData:
    """The shop with its titles as it writes them."""
    draws = np.random.default_rng([91, number])

    def written(title: str) -> str:
        words = title.split()
        if words and draws.random() < EDITED:
            words[int(draws.integers(len(words)))] = WORDS[number % len(WORDS)]
        match number % 3:
            case 0:
                return " ".join(words)
            case 1:
                return "  ".join(words).title() + "."
            case _:
                return " - ".join(words).lower()

    titles = tuple(written(title) for title in shop.catalogue.titles)
    return replace(shop, catalogue=replace(shop.catalogue, titles=titles))


def judged(shops: Sequence[ShopData], tables: Mapping[str, Sequence[int]]) -> tuple[Any, ...]:
    """Precision and recall of pairs of items that are one product, and both counts."""
    right = found = there = 0
    for a, b in combinations(shops, 2):
        # The ids are the shop's name and the file's stock code, which stands in for the truth.
        code = [
            {one.removeprefix(f"{s.name}-"): row for row, one in enumerate(s.catalogue.ids)}
            for s in (a, b)
        ]
        common = code[0].keys() & code[1].keys()
        there += len(common)
        of_product = {product: row for row, product in enumerate(tables[b.name]) if product >= 0}
        for row, product in enumerate(tables[a.name]):
            if product in of_product:
                found += 1
                own = a.catalogue.ids[row].removeprefix(f"{a.name}-")
                right += code[1].get(own) == of_product[product]
    return right / max(found, 1), right / max(there, 1), found, there


def answers_of(
    base: Baselines, trained: Mapping[int, Any], plan: TrainPlan, label: str
) -> dict[tuple[str, str], dict[str, list[Metrics]]]:
    """Test metrics of the blend with and without the network, by setting and shop."""
    found: dict[tuple[str, str], dict[str, list[Metrics]]] = {}
    for setting in SETTINGS:
        blends: dict[int, Blend] = {}
        for seed, arm in trained.items():
            stacks = [
                network_stack(b, setting, arm.params[b.shop.name], plan.guide) for b in base.benches
            ]
            blends[seed] = fit_blend(stacks, floor=FLOOR if setting == "discovery" else 0.0)
        for bench in base.benches:
            name = bench.shop.name
            silent = (bench.model.network, bench.model.item_vectors)
            contenders: dict[Any, Contender] = {
                "nonneural": Contender(*silent, base.weights("nonneural", setting, name))
            }
            for seed, arm in trained.items():
                network = network_of(bench, arm, plan.guide)
                vectors = vectors_of(network, bench.features)
                contenders[seed] = Contender(network, vectors, blends[seed].weights)
            asked = questions(bench.shop.test, len(bench.shop.catalogue), setting)
            metrics = measure_all(
                bench.model, bench.shop, asked, contenders, plan.guide.recent_days
            )
            found.setdefault((f"together {label}", setting), {})[name] = [
                metrics[seed] for seed in trained
            ]
            found.setdefault((f"nonneural {label}", setting), {})[name] = [metrics["nonneural"]]
    return found


def main() -> None:
    """Matches, trains, measures, prints."""
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=3, help="trainings, averaged")
    made.add_argument("--rounds", type=int, default=60, help="most rounds")
    args = made.parse_args()
    data = data_folder()
    if data is None:
        print("matching needs the real data: set FEDGUIDE_DATA", file=sys.stderr)
        sys.exit(4)
    clock = time.perf_counter()

    def told(what: str) -> None:
        print(f"{time.perf_counter() - clock:.0f} s: {what}", file=sys.stderr, flush=True)

    source = data / "online_retail" / "online_retail.parquet"
    cut = load_shops(source, format_name="online-retail", shops=6, spec="dirichlet:2", seed=0)
    shops = tuple(own_titles(shop, number) for number, shop in enumerate(cut))
    numbers, _, _ = matched({PartyId(s.name): s.catalogue for s in shops}, "title", 100)
    tables: dict[str, list[int]] = {**numbers}
    precision, recall, found, there = judged(shops, tables)
    told(f"matched: precision {precision:.4f}, recall {recall:.4f}, {found} of {there}")
    rows = {name: np.array(table, np.int64) for name, table in tables.items()}
    elsewhere = common_counts(shops, rows, 0)
    told("counted")
    plan = TrainPlan(rounds=args.rounds, fine_tune_rounds=0)
    bases = {
        "unmatched": baselines(shops, plan.guide, 0),
        "matched": baselines(shops, plan.guide, 0, elsewhere=elsewhere),
    }
    chosen = {label: dict(base.chosen) for label, base in bases.items()}
    told(f"tuned: {chosen}")
    benches = bases["unmatched"].benches
    trained = {}
    for seed in range(args.seeds):
        fits = fits_of(shops, plan.guide)
        trained[seed] = train_together(
            benches, fits, plan, seed, time.monotonic, lambda *_told: None
        )
        told(f"trained {seed}: best round {max(trained[seed].rounds.values())}")
    answers: dict[tuple[str, str], dict[str, list[Metrics]]] = {}
    for label, base in bases.items():
        answers |= answers_of(base, trained, plan, label)
    samples = {s.setting: s for s in samples_of(answers, 0) if s.shop == MEAN}
    gaps = [
        gap_of(samples[setting], f"{kind} matched", f"{kind} unmatched")
        for setting in SETTINGS
        for kind in ("together", "nonneural")
    ]
    show(
        f"matched against unmatched, NDCG@10, {args.seeds} seed(s)",
        ("model", "setting", "shoppers", "unmatched", "matched", "gain", "95 %"),
        [
            (
                g.a.split()[0],
                g.setting,
                g.cases,
                f"{samples[g.setting].values[g.b]['ndcg10'].mean():.4f}",
                f"{samples[g.setting].values[g.a]['ndcg10'].mean():.4f}",
                f"{g.relative:+.1%}",
                f"[{g.low:+.1%}, {g.high:+.1%}]",
            )
            for g in gaps
        ],
    )
    bars = [
        at_least("matching: precision", precision, 0.99),
        *(Bar(f"{g.a.split()[0]}, {g.setting}: gain", g.relative, "reported", None) for g in gaps),
    ]
    data_out = {
        "precision": precision,
        "recall": recall,
        "pairs": [found, there],
        "chosen": chosen,
        "gaps": [asdict(g) for g in gaps],
        "common": {name: int((row >= 0).sum()) for name, row in rows.items()},
    }
    finish("matching", bars, data_out, args.json)


if __name__ == "__main__":
    main()
