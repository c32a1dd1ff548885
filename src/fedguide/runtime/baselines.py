"""What a shop can do without a network: neighbours, sales and history, tuned on validation.

It is what federated learning has to beat, so it gets the same validation questions, the same
search and the same components as the blends with a network, only without the network.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedguide.models.blend import DEPTH, Blend, fit_blend, stack
from fedguide.models.ease import (
    EASE_ITEMS,
    LAMBDAS,
    RIDGE,
    TRIED_RANK,
    by_ease,
    ease,
    gram,
    inverse_matrix,
    spectrum,
    spectrum_of,
)
from fedguide.models.evaluate import SETTINGS, Questions, Scorer, hide_bought, questions, some_of
from fedguide.models.itemknn import KEEP, Neighbours, by_neighbours, itemknn, strongest
from fedguide.models.metrics import ndcg_at
from fedguide.models.plan import GuidePlan
from fedguide.models.popularity import by_history, by_popularity
from fedguide.models.scorer import COMPONENTS, ShopModel, SlateWeights
from fedguide.models.served import Known, features_of, known, model_without_network
from fedguide.seeds import seeded_root, stream
from fedguide.values import ShopData

CELLS = 6_000_000
"""Questions x items of one shop and setting for choices: all there are, in most shops."""

FADES = (120.0, 36_500.0)
"""Days after which an event speaks 1/e as loudly to its neighbours; a century is never."""

SHRINKS = (5.0, 10.0, 20.0, 50.0, 100.0)
"""Shrinkages of ItemKNN tried on validation."""

NEAREST = (20, KEEP)
"""Numbers of ItemKNN neighbours tried on validation."""

WITHOUT_NETWORK = tuple(name for name in COMPONENTS if name != "network")
HISTORY_RECENT = ("history", "returning", "last_basket", "recent", "popularity")
"""Components of the two blends without a network."""

Asked = Mapping[str, Mapping[str, Questions]]
"""Setting to shop to questions."""


@dataclass(frozen=True)
class Bench:
    """A shop on the bench: its data, what it knows without a network, its validation questions.

    Attributes:
        shop: the data.
        model: sales and neighbours, no network.
        features: text features of the items.
        validation: setting to questions with all components but the network's.
    """

    shop: ShopData
    model: ShopModel
    features: NDArray[np.int32]
    validation: Mapping[str, Known]


@dataclass(frozen=True)
class Baselines:
    """Everything fitted without a network; a model is absent where a shop is too large for it.

    Attributes:
        benches: the shops, ready for the arms.
        scorers: (model, setting) to shop to scorer, for the models that are one scorer each.
        blends: (model, setting) to the blend, for ``nonneural`` and ``history_recent``.
        chosen: what was chosen on validation, in words.
        own: by shop, where every shop chose for itself; ``blends`` is then empty.
    """

    benches: tuple[Bench, ...]
    scorers: Mapping[tuple[str, str], Mapping[str, Scorer]]
    blends: Mapping[tuple[str, str], Blend]
    chosen: Mapping[str, str]
    own: Mapping[str, Baselines] = field(default_factory=dict)

    def weights(self, model: str, setting: str, shop: str) -> SlateWeights:
        """The weights of a blend in one shop."""
        blends = self.own[shop].blends if self.own else self.blends
        return blends[model, setting].weights


def baselines(
    shops: Sequence[ShopData],
    plan: GuidePlan,
    seed: int,
    on_step: Callable[[str], None] = lambda _step: None,
    elsewhere: Mapping[str, NDArray[np.float64]] | None = None,
) -> Baselines:
    """Fits and tunes all of them; ``on_step`` is told each when it is done.

    ``elsewhere`` holds by shop what other shops counted of its own items (``common_counts``),
    ``(n, n)``; EASE with these counts is one more variant to be chosen on validation.
    """
    asked = _validation(shops, seed)
    knn = _tuned(_itemknns(shops), asked)
    on_step("itemknn")
    ridge = _tuned(itertools.chain(_eases(shops), _eases_of_all(shops, elsewhere or {})), asked)
    on_step("ease")
    benches = tuple(
        _bench(shop, asked, plan, (ridge if _fits_ease(shop) else knn)["discovery"])
        for shop in shops
    )
    blends = {}
    for setting in SETTINGS:
        stacks = [stack(b.validation[setting].asked, b.validation[setting].terms) for b in benches]
        blends["nonneural", setting] = fit_blend(stacks, WITHOUT_NETWORK)
        blends["history_recent", setting] = fit_blend(stacks, HISTORY_RECENT)
    on_step("nonneural")
    scorers: dict[tuple[str, str], dict[str, Scorer]] = {}
    chosen = {}
    for setting in SETTINGS:
        sold = {bench.shop.name: bench.model.popularity for bench in benches}
        scorers["popularity", setting] = {name: by_popularity(p) for name, p in sold.items()}
        scorers["history", setting] = {name: by_history(p) for name, p in sold.items()}
        scorers["itemknn", setting] = knn[setting].scorers
        chosen[f"itemknn {setting}"] = knn[setting].label
        if all(map(_fits_ease, shops)):
            scorers["ease", setting] = ridge[setting].scorers
            chosen[f"ease {setting}"] = ridge[setting].label
    return Baselines(benches, scorers, blends, chosen)


def own_baselines(
    shops: Sequence[ShopData],
    plan: GuidePlan,
    seed: int,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Baselines:
    """The same with every choice made within each shop, on its own validation alone."""
    own = {shop.name: baselines([shop], plan, seed, on_step) for shop in shops}
    parts = list(own.values())
    common = [key for key in parts[0].scorers if all(key in part.scorers for part in parts)]
    return Baselines(
        tuple(bench for part in parts for bench in part.benches),
        {key: {n: s for part in parts for n, s in part.scorers[key].items()} for key in common},
        {},
        {f"{name} {what}": c for name, part in own.items() for what, c in part.chosen.items()},
        own,
    )


@dataclass(frozen=True)
class _Variant:
    """One way to make neighbours, for every shop it can be made for.

    Attributes:
        label: in words.
        fade_days: age at which an event speaks 1/e as loudly.
        tried: shop to the scorer it is judged by on validation.
        make: shop to its neighbours, made for the variant that is chosen.
    """

    label: str
    fade_days: float
    tried: Mapping[str, Scorer]
    make: Mapping[str, Callable[[], Neighbours]]

    @property
    def scorers(self) -> dict[str, Scorer]:
        """What is measured: the neighbours a release keeps, in every shop."""
        return {name: by_neighbours(make(), self.fade_days) for name, make in self.make.items()}


def _itemknns(shops: Sequence[ShopData]) -> Iterator[_Variant]:
    """Every combination of shrinkage, number of neighbours and fading."""
    for shrink in SHRINKS:
        full = {s.name: itemknn(s.train, len(s.catalogue), shrink=shrink) for s in shops}
        for nearest, fade in itertools.product(NEAREST, FADES):
            cut = {
                name: Neighbours(n.items[:, :nearest], n.weights[:, :nearest])
                for name, n in full.items()
            }
            yield _ready(f"shrink {shrink:g}, {nearest} neighbours, fade {fade:g}", fade, cut)


def _eases(shops: Sequence[ShopData]) -> Iterator[_Variant]:
    """Every ridge with every fading, in the shops that are small enough for EASE."""
    fit = [shop for shop in shops if _fits_ease(shop)]
    if any(min(len(s.train.shopper_ids), len(s.catalogue)) > TRIED_RANK for s in fit):
        made = {
            s.name: Neighbours(*strongest(inverse_matrix(s.train, len(s.catalogue)), KEEP))
            for s in fit
        }
        for fade in FADES:
            yield _ready(f"ridge {RIDGE:g}, fade {fade:g}", fade, made)
        return
    found = {s.name: spectrum(s.train, len(s.catalogue)) for s in fit}
    for ridge, fade in itertools.product(LAMBDAS, FADES):
        yield _Variant(
            f"ridge {ridge:g}, fade {fade:g}",
            fade,
            {name: by_ease(one, ridge, fade) for name, one in found.items()},
            {name: partial(ease, one, ridge) for name, one in found.items()},
        )


def _eases_of_all(
    shops: Sequence[ShopData], elsewhere: Mapping[str, NDArray[np.float64]]
) -> Iterator[_Variant]:
    """EASE of the shop's own counts and the other shops' together, where all can have it."""
    if not elsewhere or any(len(s.catalogue) > TRIED_RANK for s in shops):
        return
    found = {
        s.name: spectrum_of(gram(s.train, len(s.catalogue)) + elsewhere[s.name]) for s in shops
    }
    for ridge, fade in itertools.product(LAMBDAS, FADES):
        yield _Variant(
            f"counts of all shops, ridge {ridge:g}, fade {fade:g}",
            fade,
            {name: by_ease(one, ridge, fade) for name, one in found.items()},
            {name: partial(ease, one, ridge) for name, one in found.items()},
        )


def _ready(label: str, fade: float, made: Mapping[str, Neighbours]) -> _Variant:
    """A variant whose neighbours are there already."""
    return _Variant(
        label,
        fade,
        {name: by_neighbours(n, fade) for name, n in made.items()},
        {name: partial(_same, n) for name, n in made.items()},
    )


def _same(neighbours: Neighbours) -> Neighbours:
    return neighbours


def _fits_ease(shop: ShopData) -> bool:
    return len(shop.catalogue) <= EASE_ITEMS


def _tuned(variants: Iterable[_Variant], asked: Asked) -> dict[str, _Variant]:
    """For each setting the variant that is best on validation; the first of equals."""
    best: dict[str, tuple[float, _Variant]] = {}
    for variant in variants:
        for setting in SETTINGS:
            score = _validated(variant, asked[setting])
            if setting not in best or score > best[setting][0]:
                best[setting] = (score, variant)
    return {setting: variant for setting, (_, variant) in best.items()}


def _validated(variant: _Variant, asked: Mapping[str, Questions]) -> float:
    """Σ NDCG@20 over the validation shoppers of all shops that have the variant."""
    total = 0.0
    for name, scorer in variant.tried.items():
        if len(asked[name]):
            scores = hide_bought(asked[name], scorer(asked[name].cases))
            total += float(ndcg_at(scores, asked[name].targets, DEPTH).sum())
    return total


def _validation(shops: Sequence[ShopData], seed: int) -> Asked:
    """The validation questions of every setting and shop, or a fair part of very many."""
    return {
        setting: {
            shop.name: some_of(
                questions(shop.validation, len(shop.catalogue), setting),
                CELLS,
                stream(seeded_root(seed), "validation", setting, shop.name),
            )
            for shop in shops
        }
        for setting in SETTINGS
    }


def _bench(shop: ShopData, asked: Asked, plan: GuidePlan, variant: _Variant) -> Bench:
    model = model_without_network(
        shop,
        variant.make[shop.name](),
        variant.fade_days,
        plan,
    )
    validation = {
        setting: known(
            model, shop, asked[setting][shop.name], plan.recent_days, one_vote=plan.one_vote
        )
        for setting in SETTINGS
    }
    return Bench(shop, model, features_of(shop, plan.text), validation)
