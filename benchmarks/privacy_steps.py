"""What of private training costs the gain, one step at a time, without noise and on validation.

Between federated averaging and the guard of ``privacy_utility`` lie several differences. Each arm
here has some of them, on fewer shops, and is held against local blend in the same first six: by
the shared model under each shop's own blend, and after every shop has gone on by itself. Test
cases are thrown away before anything is trained.

    averaged, averaged -searches, averaged -sales, averaged -both
        federated averaging as it is; without searches, without the shop's sales in the loss
    steps, steps +sales
        the guard's own training without its clip: a round is one step of the coordinator's Adam
        along the mean of sampled shoppers' slopes, each the slope of the mean loss of at most two
        of its baskets; without the shop's sales in the loss, or with them as they are released

``--rounds``, ``--sampling``, ``--rate``, ``--falling`` and ``--table``, the noise of the released
sales, are those of the ``steps`` arms.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.server import adam
from fedguide.horizontal.sides import both
from fedguide.models import fit, shoppers
from fedguide.models.blend import over_settings
from fedguide.models.examples import Examples, examples_of
from fedguide.models.fit import common_shapes, first_params, layout_of
from fedguide.models.guide_net import draws_of, loss_of_rows, scaled, summed_features
from fedguide.models.plan import GuidePlan
from fedguide.privacy.sales import released_sales
from fedguide.runtime.arms import Trained, algorithm_of, fits_of, parties_of, trainings_of
from fedguide.runtime.couriers import in_process
from fedguide.runtime.private_arm import gone_on
from fedguide.runtime.rounds import RoundsPlan, in_memory, run_rounds
from fedguide.seeds import seeded_root, seeded_roots
from fedguide.values import Baskets, ShopData, Vector
from privacy_utility import NARROW, SEED, Lab, Population
from report import finish, parser, show

AVERAGED = {
    "averaged": (True, True),
    "averaged -searches": (False, True),
    "averaged -sales": (True, False),
    "averaged -both": (False, False),
}
"""Are searches there, and the shop's sales?"""

STEPS = {"steps": False, "steps +sales": True}
"""Are the shop's sales in the loss?"""

BASKETS = 2
AT_ONCE = 64


class Steps(Lab):
    """The shops, without a test case, and the local blend."""

    def __init__(self, options: argparse.Namespace) -> None:
        population = Population(
            f"x{options.shops}",
            options.shops,
            NARROW,
            averaged=2 if options.quick else options.averaged,
            baskets=BASKETS,
            measured=6,
            sampling=options.sampling,
            rounds=2 if options.quick else options.rounds,
            rate=options.rate,
        )
        super().__init__(population, options.quick)
        self.falling, self.table = options.falling, options.table
        self.shops = [replace(shop, test=nothing(shop.test)) for shop in self.shops]
        benches = self.base.benches
        self.local = np.concatenate(
            [over_settings(self.validated(b, self.alone, self.alone_blends)) for b in benches]
        )
        self.say(f"local blend {self.local.mean():.4f}")

    def gains(self, shared: Vector) -> tuple[float, float, float]:
        """Over local blend on validation: as it is, after going on, and the latter's error."""
        benches = self.base.benches
        names = [bench.shop.name for bench in benches]
        begun = Trained("together", dict.fromkeys(names, shared), dict.fromkeys(names, 0), 0, 0)
        found = []
        for trained in (begun, gone_on(begun, benches, *self.told)):
            blends = self.blends(trained)
            values = [over_settings(self.validated(b, trained, blends)) for b in benches]
            found.append(np.concatenate(values) - self.local)
        return (
            float(found[0].mean()),
            float(found[1].mean()),
            float(found[1].std() / np.sqrt(len(self.local))),
        )

    def averaged_without(self, searches: bool, sales: bool) -> Vector:
        """Federated averaging, the last round."""
        guide, aggregator = self.population.guide, weighted_mean()
        shops = self.shops if searches else [searchless(shop) for shop in self.shops]
        params = first_params(guide, SEED)
        with mock.patch.object(fit, "examples_of", examples_of if sales else unsold):
            trainings = trainings_of(shops, fits_of(shops, guide), self.plan, params)
        parties = parties_of(shops, trainings, both(aggregator), "averaged", SEED)
        run = run_rounds(
            algorithm_of(self.plan, aggregator),
            params,
            tuple(parties),
            in_process(parties, time.monotonic),
            RoundsPlan(self.population.averaged, None, min(12, len(parties))),
            durable=in_memory("averaged", seeded_roots(SEED), time.monotonic, params.size),
        )
        return run.best_params

    def stepped(self, sales: bool) -> Vector:
        """Steps of the coordinator along the mean of sampled shoppers' slopes, unclipped."""
        population, guide, layout = self.population, self.population.guide, layout_of(NARROW)
        shapes = replace(common_shapes(self.shops, guide), queries=0)
        table = self.table if sales else None
        parts = [part_of(shop, guide, shapes, table) for shop in self.shops]
        everybody = sum(count for _, _, count in parts)
        server = adam(population.rate)
        params, rng = first_params(guide, SEED), np.random.default_rng(SEED)
        memory = server.init(params)
        for number in range(population.rounds):
            if self.falling:
                server = adam(population.rate * (1 - number / population.rounds))
            arrays = {k: jnp.asarray(v) for k, v in layout.unflatten(params).items()}
            total = jax.tree.map(jnp.zeros_like, arrays)
            for place, (examples, owner, count) in enumerate(parts):
                shown = shoppers._shown(owner, count, BASKETS, rng)
                chosen, weight = flat(shown[rng.random(count) < population.sampling])
                draw = jax.random.fold_in(jax.random.key(number), place)
                slope = _summed_slope(arrays, examples, chosen, weight, draw, fit._shape_of(guide))
                total = jax.tree.map(jnp.add, total, slope)
            total["item"] = jnp.zeros_like(total["item"])  # stays, as under the guard
            mean = fit._vector(layout, total) / np.float32(population.sampling * everybody)
            params, memory = server.update(-mean, memory, params)
        return params


def nothing(cases: Any) -> Any:
    """None of them."""
    return replace(cases, targets=cases.targets[:0], starts=cases.starts[:0])


def searchless(shop: ShopData) -> ShopData:
    """The shop as if nobody had searched before the cut."""
    return replace(shop, train=shoppers._without_searches(shop.train))


def unsold(catalogue: Any, train: Baskets, plan: GuidePlan, shapes: Any = None) -> Examples:
    """Examples whose loss knows no sales."""
    made = examples_of(catalogue, train, plan, shapes)
    return made._replace(
        recent=np.zeros_like(made.recent), popularity=np.zeros_like(made.popularity)
    )


def part_of(
    shop: ShopData, guide: GuidePlan, shapes: Any, table: float | None
) -> tuple[Examples, NDArray[np.int64], int]:
    """A shop's examples, the shopper of each, and how many shoppers there are.

    ``table`` is the noise of the sales in the loss; ``None`` leaves them out.
    """
    train = shoppers._without_searches(shop.train)
    made = unsold(shop.catalogue, train, guide, shapes)
    count = int((made.stop > made.start).sum())
    ids, owner = shoppers._owners(train, made.start[:count])
    if table is not None:
        root = seeded_root(SEED, shop.name)
        sold = released_sales(shoppers._bought(train), len(shop.catalogue), table, root)
        made = made._replace(popularity=shoppers._known(made, sold))
    return jax.tree.map(jnp.asarray, made), owner, len(ids)


def flat(shown: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Chosen shoppers' examples and one over how many each has; padded with -1 and 0."""
    there = shown >= 0
    weight = there / np.maximum(there.sum(axis=1, keepdims=True), 1)
    size = -(-shown.size // (2 * AT_ONCE)) * 2 * AT_ONCE  # few shapes to compile
    chosen, weights = np.full(size, -1, np.int32), np.zeros(size, np.float32)
    chosen[: shown.size], weights[: shown.size] = shown.ravel(), weight.ravel()
    return chosen, weights


@partial(jax.jit, static_argnames=("plan",))
def _summed_slope(
    arrays: Any, examples: Examples, chosen: Any, weight: Any, key: Any, plan: GuidePlan
) -> Any:
    """Σ weight x slope of each example's own mean loss; features are dropped for all alike."""
    kept, own = jax.random.split(key)
    keep = jax.random.uniform(kept, examples.features.shape) >= plan.token_dropout
    factors = keep / (1 - plan.token_dropout)
    uniform = jax.random.uniform(own, (len(chosen), draws_of(1, plan)))
    encode = fit.body_of(plan).encode

    def value(arrays: Any) -> Any:
        vectors = scaled(summed_features(arrays["table"], factors, examples), arrays)

        def one(place: Any, draws: Any) -> Any:
            return loss_of_rows(arrays, vectors, examples, place[None], draws, plan, encode)[0]

        return (jax.vmap(one)(chosen, uniform) * weight).sum()

    return jax.grad(value)(arrays)


def main(options: argparse.Namespace) -> None:
    """Trains every arm that is asked for."""
    lab, rows = Steps(options), []
    for arm in options.arms:
        start = time.perf_counter()
        train: Callable[[], Vector] = (
            partial(lab.averaged_without, *AVERAGED[arm])
            if arm in AVERAGED
            else partial(lab.stepped, STEPS[arm])
        )
        params = train()
        seconds = time.perf_counter() - start
        shared, after, error = lab.gains(params)
        rows.append((arm, f"{shared:+.4f}", f"{after:+.4f}", f"{error:.4f}", f"{seconds:.0f}"))
        lab.say(f"{arm}: {rows[-1]}")
    show(
        f"NDCG@10 on validation over local blend, {len(lab.local)} shoppers of six shops",
        ("arm", "shared", "gone on", "its error", "seconds"),
        rows,
    )
    finish("privacy_steps", [], {"rows": rows}, options.json)


if __name__ == "__main__":
    made = parser(__doc__)
    made.add_argument("--shops", type=int, default=24)
    made.add_argument("--arms", nargs="+", choices=[*AVERAGED, *STEPS], default=[*AVERAGED, *STEPS])
    made.add_argument("--averaged", type=int, default=25, help="rounds of federated averaging")
    made.add_argument("--rounds", type=int, default=40, help="of the steps")
    made.add_argument("--sampling", type=float, default=0.25)
    made.add_argument("--rate", type=float, default=0.02)
    made.add_argument("--falling", action="store_true", help="the rate falls on a line")
    made.add_argument("--table", type=float, default=0.0, help="noise of released sales; 0: exact")
    made.add_argument("--quick", action="store_true", help="two rounds of everything: a smoke test")
    main(made.parse_args())
