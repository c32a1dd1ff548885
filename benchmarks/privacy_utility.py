"""What differential privacy costs the guide: NDCG@10 at ε 1 to 8 against the local blend.

The unit is a shopper over all rounds, δ = 1e-6. Every row is one whole training: shared rounds
under the guard, then every shop goes on by itself from the shared model, and fits its own blend
and gate on its own validation. It is held against what the same shops have without anybody else:
*local blend* trains, blends and gates by itself. The rows at ε = ∞ are the same training without
noise, and federated averaging as it is without any protection; the federated gain is the better
of the two minus local blend.

    retail   Online Retail in six shops, about 1,200 shoppers
    x10      synthetic market, 12 shops of 1,000 shoppers and 1,000 items, two visits each
    x100     the same shops and 108 more: 120,000 shoppers

Quality is measured in the first six shops, of the large market in 48. With several ``--seeds``
all is trained in as many markets, and a row's figures are over the shoppers of all of them.
Rows are kept in the first of ``--rows FILE...``: a row that is in one of them is not trained again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedguide.data.shops import load_shops
from fedguide.data.split import split
from fedguide.data.synth import market
from fedguide.data.truth import MarketPlan
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.sides import both
from fedguide.models.blend import over_settings
from fedguide.models.evaluate import SETTINGS, questions
from fedguide.models.fit import first_params
from fedguide.models.plan import GuidePlan
from fedguide.models.served import Contender, measure_all, vectors_of
from fedguide.runtime import compare
from fedguide.runtime.arms import (
    Trained,
    TrainPlan,
    algorithm_of,
    fits_of,
    network_of,
    parties_of,
    trainings_of,
)
from fedguide.runtime.baselines import own_baselines
from fedguide.runtime.couriers import in_process
from fedguide.runtime.private_arm import each_alone, gone_on
from fedguide.runtime.private_rounds import (
    PrivatePlan,
    guard_of,
    run_privately,
    seeded_actors,
    slopes_of,
    spent,
)
from fedguide.runtime.rounds import RoundsPlan, in_memory, run_rounds
from fedguide.seeds import seeded_roots
from fedguide.values import Cases, ShopData, Vector
from report import ROOT, Bar, data_folder, finish, parser, show

SEED = 0
CASES = 400
"""Validation and test shoppers of one shop of the market, evenly taken."""

NOISES = {"fresh": "guard", "correlated": "guard, correlated"}
"""Fresh noise on sampled shoppers; or banded noise on a known schedule that shows each shopper as
often, whose ε holds against insiders as well."""

CYCLE = 5
"""Rounds of the known schedule that a shopper is in one of."""

LOCAL = "local blend"
FEDAVG = "federated averaging"
TARGETS = (math.inf, 8.0, 4.0, 2.0, 1.0)
PICTURE = ROOT / "docs" / "privacy_utility.svg"


@dataclass(frozen=True)
class Population:
    """Who is trained on, and how; the private plan is one for all, chosen on another market.

    Attributes:
        name: of the row.
        shops: 0 for Online Retail.
        guide: the network.
        averaged: rounds of federated averaging, 12 shops each.
        baskets: most of one shopper in one round.
        measured: shops whose shoppers are measured.
        sampling: of the private rounds.
        rounds: of the private rounds.
        clip: clipping norm.
        rate: of the coordinator's Adam.
        sales: share of ε for the shops' own sales.
        searches: most of a shopper's own searches in its loss.
        others: scale of all but the text table before the clip; the head has no table.
    """

    name: str
    shops: int
    guide: GuidePlan
    averaged: int
    baskets: int
    measured: int
    sampling: float = 0.5
    rounds: int = 20
    clip: float = 2.0
    rate: float = 0.03
    sales: float = 0.25
    searches: int = 8
    others: float = 1.0


MARKETS = 7
"""Seed of the first market."""

NARROW = GuidePlan(size=32, events=32, lines=24)
"""Of the markets: a shopper has two visits of at most 22 lines; 32 of the 128 coordinates."""

POPULATIONS = {
    "retail": Population("retail", 0, GuidePlan(), averaged=20, baskets=4, measured=6),
    "x10": Population("x10", 12, NARROW, averaged=25, baskets=2, measured=6),
    "x100": Population("x100", 120, NARROW, averaged=25, baskets=2, measured=48),
}


@dataclass(frozen=True)
class Row:
    """One training, measured.

    ``kept`` counts the slates, two a shop, that the gates kept;
    ``values`` holds NDCG@10 of every test shopper by setting, so that rows can be paired;
    ``validated`` is the mean on validation, which is all that is told while choices are made.
    """

    seed: int
    population: str
    arm: str
    part: str
    epsilon: float
    insider: float
    seconds: float
    kept: int
    validated: float
    values: dict[str, list[float]]

    def mean(self, setting: str) -> float:
        """NDCG@10 over all test shoppers."""
        return float(np.mean(self.values[setting]))


def shops_of(population: Population, seed: int = SEED) -> list[ShopData]:
    """The shops; of a market's only some test cases are kept."""
    if not population.shops:
        folder = data_folder()
        if folder is None:
            raise SystemExit("Online Retail needs FEDGUIDE_DATA")
        retail = folder / "online_retail" / "online_retail.parquet"
        return list(load_shops(retail, format_name="online-retail", shops=6, seed=seed))
    shops = market_shops(population.shops, MARKETS + seed)
    return [replace(shop, validation=some(shop.validation), test=some(shop.test)) for shop in shops]


def market_shops(shops: int, seed: int) -> list[ShopData]:
    """Shops of a market of that seed; the first twelve of more are the same in every number."""
    plan = MarketPlan(shops=shops, shoppers=1000, items=1000, visits=2.0, seed=seed)
    return list(split(market(plan).shops))


def some(cases: Cases) -> Cases:
    """At most ``CASES`` of them."""
    kept = np.unique(np.linspace(0, len(cases) - 1, min(CASES, len(cases))).astype(np.int64))
    return Cases(cases.baskets, cases.targets[kept], cases.starts[kept])


class Lab:
    """One population with what every row needs once: shops, benches, fits, the local blend."""

    def __init__(
        self, population: Population, quick: bool, seed: int = SEED, models: Path | None = None
    ) -> None:
        self.population, self.quick, self.seed = population, quick, seed
        self.models = models
        self.started = time.perf_counter()
        self.shops = shops_of(population, seed)
        self.measured = self.shops[: population.measured]
        private = PrivatePlan()  # says that every choice is made within a shop
        rounds, patience = (2, 1) if quick else (40, 5)
        self.plan = TrainPlan(population.guide, rounds, patience, private=private)
        self.base = own_baselines(self.measured, population.guide, seed)
        self.fits = fits_of(self.measured, population.guide)
        self.told = (self.plan, seed, time.monotonic, lambda *_: None)
        self.alone = each_alone(self.base.benches, self.fits, *self.told)
        self.alone_blends = self.blends(self.alone)
        self.slopes: dict[str, Any] = {}
        self.say("local blend is ready")

    def say(self, text: str) -> None:
        """One line of progress."""
        print(
            f"  {self.population.name} {time.perf_counter() - self.started:6.0f} s {text}",
            flush=True,
        )

    def blends(self, trained: Trained) -> Any:
        """Each shop's own blend of both settings."""
        found: dict[Any, Any] = {}
        for setting in SETTINGS:
            found |= compare._blends(self.base.benches, trained, setting, self.plan)
        return found

    def validated(self, bench: Any, trained: Trained, blends: Any) -> Any:
        """NDCG@10 of one shop's validation shoppers by setting."""
        return compare._validated(bench, trained, blends, self.plan)

    def row(
        self,
        arm: str,
        part: str,
        epsilon: float,
        insider: float,
        shared: Vector | None,
        seconds: float,
    ) -> Row:
        """Goes on in every shop, blends, gates, and measures on test."""
        benches = self.base.benches
        names = [bench.shop.name for bench in benches]
        local = {b.shop.name: self.validated(b, self.alone, self.alone_blends) for b in benches}
        if shared is None:
            trained, blends, values = self.alone, self.alone_blends, local
            kept = dict.fromkeys(itertools.product(SETTINGS, names), True)
        else:
            begun = Trained("together", dict.fromkeys(names, shared), dict.fromkeys(names, 0), 0, 0)
            trained = gone_on(begun, benches, *self.told)
            blends = self.blends(trained)
            values = {b.shop.name: self.validated(b, trained, blends) for b in benches}
            kept = compare._gate(values, local, self.plan)
        found: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
        for bench in benches:
            name = bench.shop.name
            for setting in SETTINGS:
                source, its = self.alone, self.alone_blends
                if kept[setting, name]:
                    source, its = trained, blends
                network = network_of(bench, source, self.plan.guide)
                vectors = vectors_of(network, bench.features)
                weights = its[source.arm, setting, name].weights
                asked = questions(bench.shop.test, len(bench.shop.catalogue), setting)
                metrics = measure_all(
                    bench.model,
                    bench.shop,
                    asked,
                    {0: Contender(network, vectors, weights)},
                    self.plan.guide.recent_days,
                )[0]
                found[setting] += metrics.ndcg10.tolist()
        row = Row(
            self.seed,
            self.population.name,
            arm,
            part,
            epsilon,
            insider,
            round(seconds, 1),
            sum(kept.values()),
            float(np.concatenate([over_settings(v) for v in values.values()]).mean()),
            found,
        )
        self.say(
            f"{arm} {part} ε={epsilon:g}: {row.validated:.4f} on validation, kept {row.kept}, "
            f"{time.process_time():.0f} CPU s so far"
        )
        return row

    def shared(self, name: str, train: Callable[[], Vector]) -> tuple[Vector, float]:
        """The shared model and the seconds it took; one that was kept took none."""
        start = time.perf_counter()
        path = None
        if self.models is not None:
            path = self.models / f"{self.population.name}-{self.seed}-{name}.npy"
            if path.is_file():
                return np.load(path, allow_pickle=False), 0.0
        params = train()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, params, allow_pickle=False)
        return params, time.perf_counter() - start

    def averaged(self) -> Row:
        """Federated averaging without any protection, the last round as well."""
        params, seconds = self.shared("averaged", self._averaged)
        return self.row(FEDAVG, "tower", math.inf, math.inf, params, seconds)

    def _averaged(self) -> Vector:
        population, guide = self.population, self.population.guide
        aggregator = weighted_mean()
        params = first_params(guide, self.seed)
        trainings = trainings_of(self.shops, fits_of(self.shops, guide), self.plan, params)
        parties = parties_of(self.shops, trainings, both(aggregator), "averaged", self.seed)
        run = run_rounds(
            algorithm_of(self.plan, aggregator),
            params,
            tuple(parties),
            in_process(parties, time.monotonic),
            RoundsPlan(2 if self.quick else population.averaged, None, min(12, len(parties))),
            durable=in_memory("averaged", seeded_roots(self.seed), time.monotonic, params.size),
        )
        return run.best_params

    def private(self, arm: str, part: str, epsilon: float) -> Row:
        """The guard at one ε."""
        population, guide = self.population, self.population.guide
        shoppers = sum(len(shop.train.shopper_ids) for shop in self.shops)
        rounds, rate = population.rounds, population.rate
        is_tied = arm == NOISES["correlated"]
        if is_tied:  # as many turns for everybody, and shorter steps where there are more
            rounds = CYCLE * round(population.sampling * population.rounds)
            rate *= math.sqrt(population.rounds / rounds)
        rounds = 2 if self.quick else rounds
        cycle = min(rounds, CYCLE)
        private = PrivatePlan(
            noise="none" if math.isinf(epsilon) else "gaussian",
            epsilon=epsilon,
            shoppers=round(shoppers, -2),
            clip=population.clip,
            sampling=1.0 if is_tied else population.sampling,
            cycle=cycle if is_tied else 1,
            bands=cycle if is_tied and epsilon < math.inf else 1,
            rounds=rounds,
            part=part,
            baskets=population.baskets,
            learning_rate=rate,
            sales=population.sales,
            searches=population.searches,
            others=population.others if part == "tower" else 1.0,
        )
        price = spent(private, guard_of(private, guide, len(self.shops)))
        name = f"{arm}-{part}-{epsilon:g}".replace(", ", "-")
        params, seconds = self.shared(name, lambda: self._private(private, part))
        return self.row(arm, part, epsilon, price.epsilon_insider, params, seconds)

    def _private(self, private: PrivatePlan, part: str) -> Vector:
        guide, epsilon = self.population.guide, private.epsilon
        if part not in self.slopes:
            self.slopes[part] = slopes_of(self.shops, guide, private)
        run = run_privately(
            self.slopes[part],
            guide,
            private,
            first_params(guide, self.seed),
            f"{part}-{epsilon:g}",
            seeded_actors(self.seed),
            time.monotonic,
            on_round=lambda report: (
                self.say(f"{part} ε={epsilon:g} round {report.round}")
                if report.round % 10 == 0
                else None
            ),
        )
        return run.best_params


def gain_interval(row: Row, local: Row, setting: str) -> tuple[float, float, float]:
    """Paired difference to local blend and its 95 % bootstrap interval over shoppers."""
    gaps = np.array(row.values[setting]) - np.array(local.values[setting])
    draws = np.random.default_rng(SEED).integers(len(gaps), size=(2000, len(gaps)))
    low, high = np.percentile(gaps[draws].mean(axis=1), [2.5, 97.5])
    return float(gaps.mean()), float(low), float(high)


def load(paths: Sequence[Path]) -> list[Row]:
    """The rows that are there, each once; ∞ is null in a file."""
    found: dict[tuple[object, ...], Row] = {}
    for read in (json.loads(path.read_text("utf-8")) for path in paths if path.is_file()):
        for kept in read:
            for name in ("epsilon", "insider"):
                kept[name] = math.inf if kept[name] is None else kept[name]
            row = Row(**kept)
            found.setdefault((row.seed, row.population, row.arm, row.part, row.epsilon), row)
    return list(found.values())


def save(path: Path, rows: Sequence[Row]) -> None:
    """All rows."""
    made = [
        {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in asdict(r).items()}
        for r in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made), encoding="utf-8")


def planned(population: Population, options: argparse.Namespace) -> Population:
    """The population with what the command line says of its private plan."""
    told = {name: getattr(options, name) for name in ("sampling", "rounds", "rate", "others")}
    return replace(population, **{name: told[name] for name in told if told[name] is not None})


def train(options: argparse.Namespace, rows: list[Row]) -> None:
    """Trains every row that is asked for and not there."""
    for seed, name in itertools.product(options.seeds, options.only):
        wanted: list[tuple[str, str, float]] = [(LOCAL, "-", 0.0), (FEDAVG, "tower", math.inf)]
        wanted += [
            (NOISES[noise], part, e)
            for part in options.parts
            for noise in options.noises
            for e in options.epsilons
            if noise == "fresh" or e < math.inf
        ]
        have = {(r.arm, r.part, r.epsilon) for r in rows if (r.population, r.seed) == (name, seed)}
        missing = [key for key in wanted if key not in have]
        if not missing:
            continue
        lab = Lab(planned(POPULATIONS[name], options), options.quick, seed, options.models)
        for arm, part, epsilon in missing:
            if arm == LOCAL:
                rows.append(lab.row(LOCAL, "-", 0.0, 0.0, None, 0.0))
            elif arm == FEDAVG:
                rows.append(lab.averaged())
            else:
                rows.append(lab.private(arm, part, epsilon))
            save(options.rows[0], rows)


def joined(rows: Sequence[Row]) -> Row:
    """The same training in several markets as one row over all their shoppers."""
    rows = sorted(rows, key=lambda r: r.seed)
    values = {s: list(itertools.chain(*(r.values[s] for r in rows))) for s in SETTINGS}
    return replace(
        rows[0],
        seconds=round(sum(r.seconds for r in rows) / len(rows), 1),
        kept=sum(r.kept for r in rows),
        validated=float(np.mean([r.validated for r in rows])),
        values=values,
    )


def paired(rows: Sequence[Row]) -> list[tuple[int, Row, Row]]:
    """Each training over the seeds it has: how many, it, and local blend over the same seeds."""
    local = {(r.population, r.seed): r for r in rows if r.arm == LOCAL}
    groups: dict[tuple[str, str, str, float], list[Row]] = {}
    for r in rows:
        groups.setdefault((r.population, r.arm, r.part, r.epsilon), []).append(r)
    return [
        (len(same), joined(same), joined([local[r.population, r.seed] for r in same]))
        for same in groups.values()
    ]


def share_kept(
    rows: Sequence[Row], population: str, epsilon: float, setting: str
) -> tuple[float, float, float] | None:
    """The best part's gain at ε over the best gain without noise, with its 95 % interval.

    Over the seeds that every training has; ``None`` where there is no gain without noise. The
    interval is a bootstrap over shoppers and knows nothing of how trainings differ.
    """
    mine = [r for r in rows if r.population == population]
    is_paid = {r.seed for r in mine if r.arm in NOISES.values() and r.epsilon == epsilon}
    is_free = {r.seed for r in mine if r.arm != LOCAL and math.isinf(r.epsilon)}
    seeds = is_paid & is_free
    found = paired([r for r in mine if r.seed in seeds])
    whole = [(r, local) for count, r, local in found if count == len(seeds) and r.arm != LOCAL]
    gaps = {
        which: [np.array(r.values[setting]) - np.array(local.values[setting]) for r, local in kind]
        for which, kind in {
            "free": [pair for pair in whole if math.isinf(pair[0].epsilon)],
            "paid": [pair for pair in whole if pair[0].epsilon == epsilon],
        }.items()
    }
    if not gaps["free"] or not gaps["paid"]:
        return None
    free, paid = (max(gaps[which], key=lambda gap: float(gap.mean())) for which in gaps)
    if free.mean() <= 0:
        return None
    draws = np.random.default_rng(SEED).integers(len(free), size=(2000, len(free)))
    shares = paid[draws].mean(axis=1) / free[draws].mean(axis=1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(paid.mean() / free.mean()), float(low), float(high)


def main(options: argparse.Namespace) -> None:
    """Trains what is missing, prints everything, draws the picture."""
    rows = load(options.rows)
    if not options.show:
        train(options, rows)
    order = {name: i for i, name in enumerate(POPULATIONS)}
    rows.sort(key=lambda r: (order[r.population], r.part, -r.epsilon, r.arm))
    lines = []
    for count, row, local in paired(rows):
        gaps = {s: gain_interval(row, local, s) for s in ("discovery", "all")}
        lines.append(
            (
                row.population,
                row.arm,
                row.part,
                "-" if row.arm == LOCAL else f"{row.epsilon:g}",
                "-" if row.arm == LOCAL else f"{row.insider:.3g}",
                *(
                    cell
                    for s in gaps
                    for cell in (
                        f"{row.mean(s):.4f}",
                        "{:+.4f} [{:+.4f}, {:+.4f}]".format(*gaps[s]),
                    )
                ),
                row.kept,
                count,
            )
        )
    show(
        "NDCG@10 against local blend",
        (
            "data",
            "arm",
            "part",
            "ε",
            "insider ε",
            "discovery",
            "minus local",
            "all items",
            "minus local",
            "slates kept",
            "markets",
        ),
        lines,
    )
    bars = []
    for setting in ("discovery", "all"):
        share = share_kept(rows, "x100", 8.0, setting)
        value = None if share is None else share[0]
        name = f"x100: share of the federated gain kept at ε = 8, {setting}"
        if share is not None:
            name += f" [{share[1]:.2f}, {share[2]:.2f}]"
        bars.append(Bar(name, value, ">= 0.9", None if value is None else value >= 0.9))
    if options.plot and rows:
        PICTURE.write_text(picture(rows), encoding="utf-8")
        print(f"\ndrawn: {PICTURE.relative_to(ROOT)}")
    made = [{**asdict(r), "values": {s: r.mean(s) for s in SETTINGS}} for r in rows]
    finish("privacy_utility", bars, {"rows": made}, options.json)


WORDS = {"discovery": "discovery", "all": "all items"}


def picture(rows: Sequence[Row]) -> str:
    """The curve of each population and setting as SVG: gain over local blend by ε, with 95 %."""
    height, left, top, inner_w, inner_h = 330, 64, 42, 200, 220
    places = {math.inf: 4, 8.0: 3, 4.0: 2, 2.0: 1, 1.0: 0}
    colours = {"tower": "#2563a8", "head": "#b45309"}
    panels = [(p, s) for p in POPULATIONS if any(r.population == p for r in rows) for s in WORDS]
    width = max(850, left + len(panels) * (inner_w + 34))
    gains: dict[tuple[str, str, str, str, float], tuple[float, float, float]] = {}
    for _, row, local in paired(rows):
        for setting in WORDS:
            if row.arm != LOCAL:
                key = (row.population, setting, row.arm, row.part, row.epsilon)
                found = gain_interval(row, local, setting)
                share = 100 / local.mean(setting)
                gains[key] = (share * found[0], share * found[1], share * found[2])
    high = max([2.0, *(g[2] for g in gains.values())]) * 1.05
    low = min([-1.0, *(g[1] for g in gains.values())]) * 1.05

    def y(value: float) -> float:
        return top + inner_h * (high - value) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" role="img" '
        'aria-label="Gain of the federated guide over local blend by epsilon">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<text x="16" y="20" font-weight="bold">NDCG@10 over local blend, %</text>',
    ]
    for number, (name, setting) in enumerate(panels):
        x0 = left + number * (inner_w + 34)

        def x(epsilon: float, x0: float = x0) -> float:
            return x0 + 14 + places[epsilon] * (inner_w - 28) / 4

        parts.append(f'<text x="{x0}" y="{top - 6}">{name}, {WORDS[setting]}</text>')
        parts.append(
            f'<line x1="{x0}" x2="{x0 + inner_w}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#888"/>'
        )
        for epsilon in places:
            label = "∞" if math.isinf(epsilon) else f"{epsilon:g}"
            parts.append(
                f'<text x="{x(epsilon):.1f}" y="{top + inner_h + 16}" '
                f'text-anchor="middle">{label}</text>'
            )
        for (part, colour), (arm, dash, shift) in itertools.product(
            colours.items(),
            (
                (NOISES["fresh"], "", 0.0),
                (NOISES["correlated"], ' stroke-dasharray="5 4"', 3.0),
            ),
        ):
            aside = shift + (2.5 if part == "head" else -2.5)
            dots = sorted(
                (x(key[4]) + aside, *map(y, found))
                for key, found in gains.items()
                if key[:4] == (name, setting, arm, part)
            )
            if not dots:
                continue
            line = " ".join(f"{dot[0]:.1f},{dot[1]:.1f}" for dot in dots)
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
            )
            for at, middle, below, above in dots:
                parts.append(
                    f'<path d="M{at:.1f} {below:.1f}V{above:.1f}" stroke="{colour}" opacity=".4"/>'
                )
                parts.append(f'<circle cx="{at:.1f}" cy="{middle:.1f}" r="3.5" fill="{colour}"/>')
        free = gains.get((name, setting, FEDAVG, "tower", math.inf))
        if free is not None:
            at, middle = x(math.inf) + 9, y(free[0])
            parts.append(
                f'<path d="M{at - 5:.1f} {middle:.1f}h10M{at:.1f} {middle - 5:.1f}v10" '
                'stroke="black"/>'
            )
        if number == 0:
            parts += [
                f'<text x="{x0 - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:+.1f}</text>'
                for tick in (low / 1.05, 0.0, high / 1.05)
            ]
    foot = height - 12
    parts += [
        f'<circle cx="70" cy="{foot - 4}" r="3.5" fill="{colours["tower"]}"/>',
        f'<text x="80" y="{foot}">full tower</text>',
        f'<circle cx="155" cy="{foot - 4}" r="3.5" fill="{colours["head"]}"/>',
        f'<text x="165" y="{foot}">small head; thin: 95 %, dashed: correlated noise</text>',
        f'<path d="M485 {foot - 4}h10M490 {foot - 9}v10" stroke="black"/>',
        f'<text x="502" y="{foot}">federated averaging, unprotected; x: ε, δ = 1e-6</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    made = parser(__doc__)
    made.add_argument("--only", nargs="+", choices=POPULATIONS, default=list(POPULATIONS))
    made.add_argument("--parts", nargs="+", choices=("tower", "head"), default=["tower", "head"])
    made.add_argument("--noises", nargs="+", choices=NOISES, default=list(NOISES))
    made.add_argument("--epsilons", nargs="+", type=float, default=list(TARGETS))
    made.add_argument("--seeds", nargs="+", type=int, default=[0], help="of markets and trainings")
    other = "another one than in the plan for all (rows do not tell: keep a file of their own)"
    made.add_argument("--sampling", type=float, help=other)
    made.add_argument("--rounds", type=int, help=other)
    made.add_argument("--rate", type=float, help=other)
    made.add_argument("--others", type=float, help=other)
    made.add_argument(
        "--rows", nargs="+", type=Path, default=[ROOT / "build" / "privacy_utility_rows.json"]
    )
    made.add_argument(
        "--models", type=Path, help="folder of shared models: one that is there is not trained"
    )
    made.add_argument("--plot", action="store_true", help="draw docs/privacy_utility.svg")
    made.add_argument("--show", action="store_true", help="train nothing, show the rows there are")
    made.add_argument("--quick", action="store_true", help="two rounds of everything: a smoke test")
    main(made.parse_args())
