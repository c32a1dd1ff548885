"""Can malicious shops or shoppers spoil the guide? Attacks, undefended and defended.

    shops      two of ten shops are malicious; they know every honest update and agree on theirs
    shoppers   one of twenty shoppers in every shop is malicious and promotes items
    speed      seconds and extra memory of every rule on 50 updates of a million coordinates

Online Retail, ten shops by dirichlet:2, the temporal split of EVALUATION, the bare federated
network (no blend: it would hide a spoilt network behind the shop's own neighbours). The malicious
shops are the two that hold together the share of all baskets nearest to 20 %. Figures are NDCG@10
over the test shoppers of the honest shops. All runs of *shops* start from one model trained by ten
honest shops (``--warm`` rounds), and go on under attack for ``--rounds``. Undefended runs give the
last of their models. Defended ones are judged by what all shops say, the malicious ones lying;
they undo rounds that harm and give the best of their models. The rule that is recommended is the
best one without attack among those that no attack lowers by more than the bar, all on validation;
test is then reported for all.

Needs the real data of ``FEDGUIDE_DATA``; says so and stops without them.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import Dataset
from fedguide.data.importers import import_data
from fedguide.data.shops import cut, load_shops
from fedguide.data.split import cut_days, cut_shop
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fitting import Fit
from fedguide.horizontal.mean import Aggregator, weighted_mean
from fedguide.horizontal.names import ROBUST_RULES
from fedguide.horizontal.packing import Bounds, weighted_packing
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.robust import bucketed, robust_mean
from fedguide.horizontal.rules import most_bad
from fedguide.horizontal.summed import open_sum
from fedguide.models.blend import weigh
from fedguide.models.bootstrap import Interval, difference, resampled_means
from fedguide.models.evaluate import SETTINGS, questions
from fedguide.models.examples import buying_baskets
from fedguide.models.fit import common_shapes, first_params, make_fit, to_network
from fedguide.models.itemknn import Neighbours
from fedguide.models.metrics import exposure_at, measure
from fedguide.models.plan import GuidePlan
from fedguide.models.served import (
    Known,
    features_of,
    known,
    model_without_network,
    vectors_of,
    with_network,
)
from fedguide.runtime.arms import BARE, even_work, validation_values
from fedguide.runtime.attacks import (
    ATTACKS,
    POISONED_DATA,
    Attack,
    Collusion,
    Promotion,
    honest_cases,
    honest_first,
    inner_product,
    malicious,
    overheard,
    promoted,
    shuffled_items,
)
from fedguide.runtime.baselines import Bench
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.holdout import holdout
from fedguide.runtime.rounds import RoundsPlan, Run, in_memory, run_rounds
from fedguide.seeds import seeded_root, seeded_roots, stream
from fedguide.values import PartyId, ShopData, Vector
from report import Bar, at_least, at_most, data_folder, finish, parser, show

SHOPS, BAD = 10, 2
STEPS = 10
"""Optimiser steps of every shop in a round: as many in a small one as in a large one."""

TOLERANCE = 0.01
"""How far a round may fall below the best validation NDCG@20 before it is undone."""

MAX_NORM = 20.0
"""Clip bound of the bucketed sums: no honest change of a round was longer (printed)."""

BAR = 0.02
"""Most that an attack may take from NDCG@10, relative."""

SHARE, TARGETS = 0.05, 5
"""Malicious shoppers in every shop, and the items they promote in each."""

PUSHING = ("disguised", "bare")
"""Promotions that must succeed where sales are counted in baskets."""

CANDIDATES = ("trimmed", "multi_krum")
STRONG = ("sign_flip", "scaling", "inner_product", "gaussian")
"""Attacks that destroy a plain mean in the literature; the other two only hurt it there."""


@dataclass(frozen=True)
class Ground:
    """What all runs share.

    Attributes:
        shops: all ten.
        bad: the malicious two.
        benches: validation questions, by shop.
        tests: (shop, setting) to the test questions of the honest shops.
        fits: every shop's own fit, all of the same number of steps.
        recipe: the fits of the ordinary recipe: one epoch, long in large shops.
        poisoned: the malicious shops' fits on items that stand for others.
    """

    plan: GuidePlan
    shops: tuple[ShopData, ...]
    bad: tuple[PartyId, ...]
    benches: Mapping[str, Bench]
    tests: Mapping[tuple[str, str], Known]
    fits: Mapping[str, Fit]
    recipe: Mapping[str, Fit]
    poisoned: Mapping[str, Fit]


def nearest_pair(shops: Sequence[ShopData]) -> tuple[PartyId, ...]:
    """The two shops whose share of all baskets is nearest to their share of all shops."""
    counts = {shop.name: len(buying_baskets(shop.train)) for shop in shops}
    wanted = sum(counts.values()) * BAD / len(shops)
    pairs = itertools.combinations(sorted(counts), BAD)
    best = min(pairs, key=lambda pair: abs(sum(counts[name] for name in pair) - wanted))
    return tuple(PartyId(name) for name in best)


def bench_of(shop: ShopData, plan: GuidePlan) -> Bench:
    """A bench without neighbours: the bare network needs none."""
    n = len(shop.catalogue)
    nobody = Neighbours(np.zeros((n, 0), np.int32), np.zeros((n, 0), np.float32))
    model = model_without_network(shop, nobody, 120.0, plan)
    asked = {
        setting: known(model, shop, questions(shop.validation, n, setting), plan.recent_days)
        for setting in SETTINGS
    }
    return Bench(shop, model, features_of(shop, plan.text), asked)


def ground(data: Path, size: int) -> Ground:
    """Cuts the shops and prepares every question and fit."""
    plan = GuidePlan(size=size, steps=STEPS)
    source = data / "online_retail" / "online_retail.parquet"
    shops = load_shops(source, format_name="online-retail", shops=SHOPS, spec="dirichlet:2", seed=0)
    bad = nearest_pair(shops)
    benches = {shop.name: bench_of(shop, plan) for shop in shops}
    tests = {
        (shop.name, setting): known(
            benches[shop.name].model,
            shop,
            questions(shop.test, len(shop.catalogue), setting),
            plan.recent_days,
        )
        for shop in shops
        if shop.name not in bad
        for setting in SETTINGS
    }
    shapes = common_shapes(shops, plan)
    made = {s.name: make_fit(s.catalogue, s.train, plan, shapes) for s in shops}
    fits = {s.name: even_work(made[s.name], s, plan) for s in shops}
    whole = replace(plan, steps=GuidePlan().steps)
    recipe = {s.name: make_fit(s.catalogue, s.train, whole, shapes) for s in shops}
    poisoned = {}
    for shop in shops:
        if shop.name in bad:
            draw = stream(seeded_root(0), "shuffled items", shop.name)
            wrong = shuffled_items(shop.train, len(shop.catalogue), draw)
            poisoned[shop.name] = even_work(
                make_fit(shop.catalogue, wrong, plan, shapes), shop, plan
            )
    return Ground(plan, shops, bad, benches, tests, fits, recipe, poisoned)


def parties_of(
    field: Ground, aggregator: Aggregator, attack: Attack | None, *, poison: bool
) -> dict[PartyId, Party]:
    """All ten shops; under an attack the bad ones send what it makes of their update."""
    collusion = Collusion(field.bad)
    parties = {}
    for shop in field.shops:
        name = PartyId(shop.name)
        if attack is not None and name in field.bad:
            own = field.poisoned[name] if poison else field.fits[name]
            fit = malicious(own, attack, collusion)
        else:
            fit = overheard(field.fits[name], name, collusion)
        env = PartyEnv(
            "robust",
            lambda task, number, name=name: seeded_root(0, name, task, number),
            aggregator,
            examples=len(buying_baskets(shop.train)),
            fit=fit,
        )
        parties[name] = Party(env, answer, PartyState)
    return parties


def says(field: Ground, name: str, *, lies: bool) -> Callable[[Vector], float]:
    """A shop's validation NDCG@20 of a model; a liar says the opposite."""

    def value(params: Vector) -> float:
        values = validation_values(field.benches[name], params, field.plan)
        honest = float(values.mean()) if len(values) else 0.0
        return 1 - honest if lies else honest

    return value


def judge_of(field: Ground, *, lies: bool) -> Callable[[Vector], float]:
    """The coordinator's judge out of what all shops say."""
    shops = [says(field, s.name, lies=lies and s.name in field.bad) for s in field.shops]
    return holdout(shops, BAD)


def truth_of(field: Ground, params: Vector) -> float:
    """Mean validation NDCG@20 of the honest shops' shoppers: what a choice of rule is made on."""
    honest = [field.benches[s.name] for s in field.shops if s.name not in field.bad]
    return float(np.concatenate([validation_values(b, params, field.plan) for b in honest]).mean())


def tested(field: Ground, params: Vector) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 of each of the honest shops' test shoppers, by setting."""
    network = to_network(params, field.plan)
    values: dict[str, list[NDArray[np.float64]]] = {}
    vectors = {}
    for (shop, setting), asked in field.tests.items():
        if shop not in vectors:
            vectors[shop] = vectors_of(network, field.benches[shop].features)
        st = with_network(asked, network, vectors[shop])
        metrics = measure(weigh(st, BARE), st.asked.targets)
        values.setdefault(setting, []).append(metrics.ndcg10)
    return {setting: np.concatenate(parts) for setting, parts in values.items()}


def means(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """The mean over shoppers, by setting."""
    return {setting: float(one.mean()) for setting, one in values.items()}


def trained(
    field: Ground,
    aggregator: Aggregator,
    start: Vector,
    rounds: int,
    attack: Attack | None = None,
    *,
    poison: bool = False,
    defended: bool = False,
) -> Run:
    """One run; ``defended`` undoes harmful rounds on the word of shops of which some lie."""
    parties = parties_of(field, aggregator, attack, poison=poison)
    plan = RoundsPlan(rounds, None, tolerance=TOLERANCE if defended else None, most_undone=rounds)
    return run_rounds(
        fedavg(aggregator),
        start,
        tuple(parties),
        honest_first(in_process(parties, time.monotonic), field.bad),
        plan,
        durable=in_memory("robust", seeded_roots(0), time.monotonic, start.size),
        judge=judge_of(field, lies=attack is not None) if defended else None,
    )


def aggregators() -> dict[str, Aggregator]:
    """The undefended mean, the candidates on single updates, and one on bucket sums."""
    bounds = Bounds(MAX_NORM, SHOPS)
    return {
        "mean": weighted_mean(),
        **{name: robust_mean(ROBUST_RULES[name], BAD, name) for name in CANDIDATES},
        "bucketed_median": bucketed(
            ROBUST_RULES["median"], 1, open_sum(), weighted_packing(bounds), name="median"
        ),
    }


def attacks_of(name: str, args: Any) -> dict[str, tuple[Attack | None, bool]]:
    """What an aggregator is put to: attack and whether its data are poisoned."""
    chosen: dict[str, tuple[Attack | None, bool]] = {"none": (None, False)}
    for attack, made in ATTACKS.items():
        few = args.quick or name.startswith("bucketed")
        if not few or attack in ("sign_flip", "scaling", "little_is_enough"):
            chosen[attack] = (made, attack in POISONED_DATA)
    if name in CANDIDATES and not args.quick:  # a small one passes where a large one is seen
        chosen["inner_product_0.5"] = (inner_product(0.5), False)
    wanted = args.attacks.split(",") if args.attacks else list(chosen)
    return {attack: one for attack, one in chosen.items() if attack in ("none", *wanted)}


def shops_part(data: Path, args: Any, results: dict[str, Any]) -> list[Bar]:
    """Every aggregator under every attack."""
    field = ground(data, args.size)
    share = sum(len(buying_baskets(s.train)) for s in field.shops if s.name in field.bad) / sum(
        len(buying_baskets(s.train)) for s in field.shops
    )
    print(f"malicious: {', '.join(field.bad)}, {share:.1%} of the baskets", flush=True)
    start = first_params(field.plan, 0)
    if args.warm:
        start = trained(field, weighted_mean(), start, args.warm).best_params
    values = {("start", "none"): tested(field, start)}
    print(f"start after {args.warm} clean rounds: {means(values['start', 'none'])}", flush=True)
    ordinary = trained(replace(field, fits=field.recipe), weighted_mean(), start, args.rounds)
    values["recipe", "none"] = tested(field, ordinary.best_params)
    print(f"the ordinary recipe, unattacked: {means(values['recipe', 'none'])}", flush=True)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, aggregator in aggregators().items():
        for attack, (made, poison) in attacks_of(name, args).items():
            began = time.monotonic()
            run = trained(
                field, aggregator, start, args.rounds, made, poison=poison, defended=name != "mean"
            )
            values[name, attack] = tested(field, run.best_params)
            found[name, attack] = {
                "validation": truth_of(field, run.best_params),
                "test": means(values[name, attack]),
                "best_round": run.best_round,
                "undone": sum(report.undone for report in run.history),
                "seconds": time.monotonic() - began,
            }
            print(json.dumps([name, attack, found[name, attack]]), flush=True)
    results["shops"] = {
        "malicious": list(field.bad),
        "share": share,
        "runs": {f"{name} {attack}": one for (name, attack), one in found.items()},
        **{name: means(values[name, "none"]) for name in ("start", "recipe")},
    }
    shops_table(found, values)
    return shop_bars(found, values)


Values = Mapping[tuple[str, str], Mapping[str, NDArray[np.float64]]]
"""(aggregator, attack) to setting to the NDCG@10 of every honest test shopper."""


def fall(values: Values, run: tuple[str, str], of: tuple[str, str], setting: str) -> Interval:
    """How far a run is below another one over the same shoppers, relative, with its interval."""
    a, b = values[run][setting], values[of][setting]
    drawn = resampled_means(np.stack([a, b]), np.random.default_rng(0))
    gap = difference(a, b, drawn[0], drawn[1]).relative
    return Interval(-gap.value, -gap.high, -gap.low)


def shops_table(found: Mapping[tuple[str, str], Mapping[str, Any]], values: Values) -> None:
    """Every run against the same aggregator and the plain mean, both unattacked."""
    rows = []
    for (name, attack), one in found.items():
        line = [name, attack, f"{one['validation']:.4f}"]
        for setting in SETTINGS:
            own = fall(values, (name, attack), (name, "none"), setting)
            mean = fall(values, (name, attack), ("mean", "none"), setting)
            line += [
                f"{one['test'][setting]:.4f}",
                f"{own.value:+.1%} [{own.low:+.1%}, {own.high:+.1%}]",
                f"{mean.value:+.1%}",
            ]
        rows.append([*line, str(one["undone"])])
    heads = [f"{s}{of}" for s in SETTINGS for of in ("", " fall [95 %]", " of mean")]
    columns = ("aggregator", "attack", "validation", *heads, "undone")
    show("NDCG@10 on test; falls against itself and the mean, both unattacked", columns, rows)


def recommended(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """The candidate that is best unattacked, of those whose worst fall on validation holds.

    Where none holds, the one with the smallest worst fall.
    """
    clean = {name: found[name, "none"]["validation"] for name in CANDIDATES}
    falls = {
        name: max(
            1 - one["validation"] / clean[name] for (of, _), one in found.items() if of == name
        )
        for name in CANDIDATES
    }
    print(f"\nworst fall on validation: {falls}; unattacked: {clean}")
    holding = [name for name in CANDIDATES if falls[name] <= BAR]
    if holding:
        return max(holding, key=lambda name: clean[name])
    return min(falls, key=lambda name: falls[name])


def shop_bars(found: Mapping[tuple[str, str], Mapping[str, Any]], values: Values) -> list[Bar]:
    """The recommended rule by validation, its falls on test, and the controls."""
    chosen = recommended(found)
    bars = []
    for setting in SETTINGS:
        for of in ("mean", "recipe"):
            cost = fall(values, (chosen, "none"), (of, "none"), setting).value
            text = f"{chosen}: cost without attack, {setting}, against {of}"
            bars.append(Bar(text, round(cost, 6), "told", None))
        for name, attack in found:
            if name == chosen and attack != "none":
                lost = fall(values, (name, attack), (name, "none"), setting).value
                bars.append(at_most(f"{name} under {attack}: fall, {setting}", lost, BAR))
    for name, attack in found:
        if name == "mean" and attack != "none":
            lost = fall(values, (name, attack), (name, "none"), "discovery").value
            text = f"undefended under {attack}: fall, discovery"
            bars.append(
                at_least(text, lost, 0.1)
                if attack in STRONG
                else Bar(text, round(lost, 6), "told: weak in the literature, too", None)
            )
    return bars


@dataclass(frozen=True)
class Exposed:
    """What one training of *shoppers* gave, by setting: ER@10 of the targets and NDCG@10."""

    exposure: Mapping[str, float]
    ndcg10: Mapping[str, float]


def targets_of(shop: Dataset, first_day: int) -> tuple[int, ...]:
    """The items that are promoted: drawn from all that the shop sold before the cut."""
    sold = np.unique(shop.events.items[shop.events.days < first_day])
    draw = stream(seeded_root(0), "targets", shop.name)
    return tuple(sorted(draw.choice(sold, TARGETS, replace=False).tolist()))


def exposed(
    datasets: Sequence[Dataset],
    days: tuple[int, int],
    promotion: Callable[[Dataset, tuple[int, ...]], Promotion | None],
    plan: GuidePlan,
    rounds: int,
) -> Exposed:
    """Trains ten honest shops together, some of whose shoppers may be malicious."""
    targets = {one.name: targets_of(one, days[0]) for one in datasets}
    shops = []
    for one in datasets:
        attack = promotion(one, targets[one.name])
        draw = stream(seeded_root(0), "malicious shoppers", one.name)
        shops.append(cut_shop(promoted(one, attack, draw) if attack else one, *days))
    shapes = common_shapes(shops, plan)
    fits = {s.name: make_fit(s.catalogue, s.train, plan, shapes) for s in shops}
    field = Ground(plan, tuple(shops), (), {}, {}, fits, {}, {})
    aggregator = weighted_mean()
    parties = parties_of(field, aggregator, None, poison=False)
    start = first_params(plan, 0)
    run = run_rounds(
        fedavg(aggregator),
        start,
        tuple(parties),
        in_process(parties, time.monotonic),
        RoundsPlan(rounds, None),
        durable=in_memory("robust", seeded_roots(0), time.monotonic, start.size),
    )
    return measured(shops, targets, run.best_params, plan)


def measured(
    shops: Sequence[ShopData],
    targets: Mapping[str, tuple[int, ...]],
    params: Vector,
    plan: GuidePlan,
) -> Exposed:
    """Exposure and quality over the honest test shoppers of all shops."""
    network = to_network(params, plan)
    rates: dict[str, list[tuple[float, int]]] = {setting: [] for setting in SETTINGS}
    ndcg: dict[str, list[NDArray[np.float64]]] = {setting: [] for setting in SETTINGS}
    for shop in shops:
        bench = bench_of(shop, plan)
        vectors = vectors_of(network, bench.features)
        for setting in SETTINGS:
            asked = questions(honest_cases(shop.test), len(shop.catalogue), setting)
            seen = known(bench.model, shop, asked, plan.recent_days, one_vote=plan.one_vote)
            scores = weigh(with_network(seen, network, vectors), BARE)
            rate = exposure_at(scores, np.array(targets[shop.name]), 10)
            rates[setting].append((float(np.nanmean(rate)), len(asked)))
            ndcg[setting].append(measure(scores, asked.targets).ndcg10)
    return Exposed(
        {s: sum(r * n for r, n in rates[s]) / sum(n for _, n in rates[s]) for s in SETTINGS},
        {s: float(np.concatenate(ndcg[s]).mean()) for s in SETTINGS},
    )


def shoppers_part(data: Path, args: Any, results: dict[str, Any]) -> list[Bar]:
    """Promotion by one shopper in twenty, with sales counted in baskets and in shoppers."""
    source = data / "online_retail" / "online_retail.parquet"
    datasets = cut(import_data(source, "online-retail"), SHOPS, "dirichlet:2", 0)
    days = cut_days(datasets, 0.7, 0.1)
    attacks: dict[str, Callable[[Dataset, tuple[int, ...]], Promotion | None]] = {
        "none": lambda _shop, _targets: None,
        "disguised": lambda _shop, targets: Promotion(SHARE, targets),
        "bare": lambda _shop, targets: Promotion(SHARE, targets, disguised=False),
        # Everybody's first purchase falls into the last weeks before the test.
        "burst": lambda _shop, targets: Promotion(SHARE, targets, first_day=days[1] - 20),
    }
    if args.quick:
        attacks = {name: attacks[name] for name in ("none", "disguised")}
    found: dict[tuple[str, str], Exposed] = {}
    for defence, one_vote in (("baskets", False), ("one_vote", True)):
        plan = GuidePlan(size=args.size, one_vote=one_vote)
        for name, promotion in attacks.items():
            began = time.monotonic()
            found[defence, name] = exposed(datasets, days, promotion, plan, args.epochs)
            line = [defence, name, asdict(found[defence, name]), time.monotonic() - began]
            print(json.dumps(line), flush=True)
    results["shoppers"] = {f"{d} {n}": asdict(one) for (d, n), one in found.items()}
    clean = found["baskets", "none"]
    rows = [
        [d, n]
        + [f"{one.exposure[s]:.4f} ({one.exposure[s] / clean.exposure[s]:.1f}x)" for s in SETTINGS]
        + [f"{one.ndcg10[s]:.4f}" for s in SETTINGS]
        for (d, n), one in found.items()
    ]
    heads = [f"{what} {s}" for what in ("ER@10", "NDCG@10") for s in SETTINGS]
    show("malicious shoppers, 5 %", ("sales counted in", "attack", *heads), rows)
    return shopper_bars(found)


def shopper_bars(found: Mapping[tuple[str, str], Exposed]) -> list[Bar]:
    """Exposure against the clean one, the undefended controls, and what one vote costs."""
    clean = found["baskets", "none"]
    bars = []
    for (defence, attack), one in found.items():
        if attack == "none":
            continue
        for setting in SETTINGS:
            ratio = one.exposure[setting] / clean.exposure[setting]
            text = f"{defence}, {attack}: ER@10 over clean, {setting}"
            bars.append(
                at_most(text, ratio, 2.0)
                if defence == "one_vote"
                else Bar(text, round(ratio, 4), "> 2 (control)", ratio > 2)
                if attack in PUSHING
                else Bar(text, round(ratio, 4), "told", None)
            )
    for setting in SETTINGS:
        cost = 1 - found["one_vote", "none"].ndcg10[setting] / clean.ndcg10[setting]
        bars.append(Bar(f"one vote: cost without attack, {setting}", round(cost, 6), "told", None))
    return bars


def speed_part(results: dict[str, Any]) -> list[Bar]:
    """Every rule on fifty updates of a million coordinates."""
    updates = np.random.default_rng(0).normal(size=(50, 1_000_000)).astype(np.float32)
    rows, bars = [], []
    for name, rule in ROBUST_RULES.items():
        tracemalloc.start()
        began = time.process_time()
        rule.combine(updates, np.ones(len(updates)), most_bad(rule, len(updates)))
        seconds = time.process_time() - began
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        results.setdefault("speed", {})[name] = {"cpu_seconds": seconds, "peak_bytes": peak}
        rows.append((name, f"{seconds:.2f}", f"{peak / 1e6:.0f}"))
        bars.append(at_most(f"{name}: CPU seconds, n = 50, d = 1M", seconds, 10.0))
    show("speed, 50 updates of 1M (200 MB)", ("rule", "CPU s", "extra MB"), rows)
    return bars


def main() -> None:
    """Runs the parts asked for, one table each, and the bars at the end."""
    made = parser(__doc__)
    made.add_argument("--part", choices=("shops", "shoppers", "speed", "all"), default="all")
    made.add_argument(
        "--size", type=int, default=32, help="width of the guide network; served: 128"
    )
    made.add_argument("--warm", type=int, default=15, help="clean rounds before the attack")
    made.add_argument("--rounds", type=int, default=5, help="rounds under attack")
    made.add_argument("--epochs", type=int, default=8, help="rounds of the shoppers part")
    made.add_argument("--attacks", help="of the shops part, separated by commas; default all")
    made.add_argument("--quick", action="store_true", help="few attacks and rounds")
    args = made.parse_args()
    data = data_folder()
    if data is None and args.part != "speed":
        print("robust needs the real data: set FEDGUIDE_DATA", file=sys.stderr)
        sys.exit(4)
    if args.quick:
        args.warm, args.rounds, args.epochs = min(args.warm, 3), min(args.rounds, 2), 3
    results: dict[str, Any] = {"plan": {k: v for k, v in vars(args).items() if k != "json"}}
    bars: list[Bar] = []
    if data is not None and args.part in ("shops", "all"):
        bars += shops_part(data, args, results)
    if data is not None and args.part in ("shoppers", "all"):
        bars += shoppers_part(data, args, results)
    if args.part in ("speed", "all"):
        bars += speed_part(results)
    finish("robust", bars, results, args.json)


if __name__ == "__main__":
    main()
