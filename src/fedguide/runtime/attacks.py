"""Attacks on a federation from within, for tests, benchmarks and ``attack-test``.

Two kinds. An attack on *updates* is a function of what the attacker sees: the honest updates of
the round (the papers' omniscient attacker: malicious parties that know everything and agree on
what they send) and what it would have sent itself. An attack on *data* changes what a malicious
party trains on, or what malicious shoppers do in an honest shop. Nothing here defends anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import COLUMNS, Dataset, Events
from fedguide.errors import ConfigError
from fedguide.horizontal.fitting import Fit, Fitted
from fedguide.protocol import Ask, Courier, Message, Missing, Replies
from fedguide.values import BUY, Baskets, Cases, PartyId, Vector

Updates: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Sight:
    """What an attacker knows when it makes its update.

    Attributes:
        honest: the honest parties' updates of the round, shape ``(h, p)``.
        own: what it would have sent itself, shape ``(p,)``.
        bad: how many malicious parties send the like.
        draw: random numbers.
    """

    honest: Updates
    own: Vector
    bad: int
    draw: np.random.Generator


Attack: TypeAlias = Callable[[Sight], Vector]


def sign_flip(strength: float = 10.0) -> Attack:
    """The attacker's own update, turned around and lengthened.

    Li, Xu, Chen, Giannakis and Ling, "RSA: Byzantine-Robust Stochastic Aggregation Methods for
    Distributed Learning from Heterogeneous Datasets", AAAI 2019, section 5.
    """
    return lambda sight: np.float32(-strength) * sight.own


def scaling(strength: float | None = None) -> Attack:
    """Model replacement: the attacker's own (poisoned) update, so long that it outweighs all.

    Bagdasaryan, Veit, Hua, Estrin and Shmatikov, "How To Backdoor Federated Learning", AISTATS
    2020, equation 3: the malicious change is multiplied by γ = n / η. Without ``strength`` γ is the
    number n of parties, so that each malicious one replaces the model as if it were alone. What is
    scaled is whatever the attacker's fit gives, so this is joined with an attack on its data.
    """

    def attack(sight: Sight) -> Vector:
        gamma = len(sight.honest) + sight.bad if strength is None else strength
        return np.float32(gamma) * sight.own

    return attack


def little_is_enough(strength: float | None = None) -> Attack:
    """Every coordinate a little beside the honest mean, always on the same side.

    Baruch, Baruch and Goldberg, "A Little Is Enough: Circumventing Defenses For Distributed
    Learning", NeurIPS 2019, algorithm 3: mean - z σ. Without ``strength``, z is the paper's
    z_max for these numbers of parties.
    """

    def attack(sight: Sight) -> Vector:
        z = most_deviation(len(sight.honest) + sight.bad, sight.bad)
        mean, spread = sight.honest.mean(0), sight.honest.std(0)
        moved: Vector = mean - np.float32(z if strength is None else strength) * spread
        return moved

    return attack


def most_deviation(parties: int, bad: int) -> float:
    """z_max of Baruch et al. 2019: how far off the mean enough honest parties still are.

    s = ⌊n / 2 + 1⌋ - f honest parties have to look worse; z_max is the z with
    φ(z) = (n - f - s) / (n - f). At least 0.
    """
    supporters = parties // 2 + 1 - bad
    share = (parties - bad - supporters) / (parties - bad)
    return max(NormalDist().inv_cdf(min(max(share, 1e-9), 1 - 1e-9)), 0.0)


def inner_product(strength: float = 10.0) -> Attack:
    """Against the honest mean: -ε times it.

    Xie, Koyejo and Gupta, "Fall of Empires: Breaking Byzantine-Tolerant SGD by Inner Product
    Manipulation", UAI 2020, section 4. A large ε turns a plain mean around, a small one
    passes distance-based rules.
    """

    def attack(sight: Sight) -> Vector:
        against: Vector = np.float32(-strength) * sight.honest.mean(0)
        return against

    return attack


def gaussian(strength: float = 100.0) -> Attack:
    """Noise instead of an update, ``strength`` times as strong as the honest updates.

    Blanchard et al., "Machine Learning with Adversaries", NIPS 2017, section 6, where its σ is
    200 throughout; here it is told in root mean squares of the honest coordinates.
    """

    def attack(sight: Sight) -> Vector:
        scale = math.sqrt(float(np.mean(np.square(sight.honest, dtype=np.float64))))
        noise: Vector = sight.draw.normal(size=sight.own.shape).astype(np.float32)
        return np.float32(strength * scale) * noise

    return attack


def own_update(sight: Sight) -> Vector:
    """What the attacker's fit gave: for attacks on data alone, such as flipped labels."""
    return sight.own


ATTACKS: Mapping[str, Attack] = MappingProxyType(
    {
        "sign_flip": sign_flip(),
        "scaling": scaling(),
        "little_is_enough": little_is_enough(1.5),
        "inner_product": inner_product(),
        "gaussian": gaussian(),
        "label_flip": own_update,
    }
)
"""Every attack on updates by name; ``POISONED_DATA`` names those that need poisoned data, too."""

POISONED_DATA = frozenset({"scaling", "label_flip"})


@dataclass
class Collusion:
    """What the malicious parties of one run know: the honest updates of the current round."""

    bad: tuple[PartyId, ...]
    honest: dict[PartyId, Vector] = field(default_factory=dict)


def overheard(fit: Fit, party: PartyId, collusion: Collusion) -> Fit:
    """An honest party's fit, of which the malicious ones learn the outcome."""

    def run(params: Vector, optimizer_state: Vector | None, seed: int) -> Fitted:
        fitted = fit(params, optimizer_state, seed)
        collusion.honest[party] = fitted.params - params
        return fitted

    return run


@dataclass(frozen=True)
class Forged:
    """A fit whose parameters were put in the place of the trained ones."""

    params: Vector
    optimizer_state: Vector
    examples: int
    loss: float


def malicious(fit: Fit, attack: Attack, collusion: Collusion) -> Fit:
    """A malicious party's fit: its own, then the attack. Has to run after the honest ones."""

    def run(params: Vector, optimizer_state: Vector | None, seed: int) -> Fitted:
        fitted = fit(params, optimizer_state, seed)
        honest = np.stack([update for _, update in sorted(collusion.honest.items())])
        draw = np.random.default_rng(seed)
        update = attack(Sight(honest, fitted.params - params, len(collusion.bad), draw))
        return Forged(params + update, fitted.optimizer_state, fitted.examples, fitted.loss)

    return run


def honest_first(courier: Courier, bad: Sequence[PartyId]) -> Courier:
    """A courier that asks the malicious parties last, so that they have seen the others."""

    def carry(ask: Ask) -> Replies:
        answers: dict[PartyId, Message] = {}
        missing: list[Missing] = []
        for some in (set(ask.to) - set(bad), set(ask.to) & set(bad)):
            if some:
                to = {party: ask.to[party] for party in some}
                got = courier(replace(ask, to=to, quorum=1, first=None))
                answers |= got.answers
                missing += got.missing
        return Replies(answers, tuple(missing))

    return carry


def flipped_labels(labels: NDArray[Any], classes: int) -> NDArray[Any]:
    """Class c becomes classes - 1 - c.

    Tolpegin, Truex, Gursoy and Liu, "Data Poisoning Attacks Against Federated Learning Systems",
    ESORICS 2020, flips one class to another; this flips all of them.

    Raises:
        ConfigError: a label is outside [0, classes).
    """
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise ConfigError(
            f"labels must be in [0, {classes - 1}], got {labels.min()} to {labels.max()}"
        )
    flipped: NDArray[Any] = (classes - 1 - labels).astype(labels.dtype)
    return flipped


def shuffled_items(baskets: Baskets, items: int, draw: np.random.Generator) -> Baskets:
    """Label flipping for a shop: every item stands for another one, the same throughout.

    What is asked for and what leads to it are then wrong everywhere, while every count of
    baskets, lines and shoppers stays as it was. ``items`` is the size n of the catalogue.
    """
    other = draw.permutation(items).astype(np.int32)
    renamed = np.where(baskets.items >= 0, other[np.maximum(baskets.items, 0)], baskets.items)
    basket = np.repeat(np.arange(len(baskets)), np.diff(baskets.offsets))
    # Lines of a basket stand sorted by item, then kind: their order must not tell anything.
    order = np.lexsort((baskets.queries, baskets.kinds, renamed, basket))
    return replace(
        baskets,
        items=renamed[order],
        kinds=baskets.kinds[order],
        queries=baskets.queries[order],
    )


FAKE = "~fake-"
"""Begins the name of a malicious shopper that ``promoted`` added; sorts after all real names."""


@dataclass(frozen=True)
class Promotion:
    """How malicious shoppers push items.

    Attributes:
        share: of the shop's shoppers, malicious ones included, that are malicious.
        targets: rows of the catalogue they push.
        disguised: each buys everything an honest shopper bought, on the same days, and the targets
            with every basket; otherwise it buys nothing but the targets, on the same days.
        first_day: the targets are bought from this day on; who has no visit after it makes one.

    Raises:
        ConfigError: ``share`` is outside (0, 1), or there is no target.
    """

    share: float
    targets: tuple[int, ...]
    disguised: bool = True
    first_day: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 0 < self.share < 1:
            raise ConfigError(f"share must be in (0, 1), got {self.share}")
        if not self.targets:
            raise ConfigError("a promotion needs at least one target, got none")


def promoted(shop: Dataset, promotion: Promotion, draw: np.random.Generator) -> Dataset:
    """The shop with malicious shoppers who promote items.

    Zhang et al., "PipAttack: Poisoning Federated Recommender Systems for Manipulating Item
    Promotion", WSDM 2022; the profiles follow the average attack of Lam and Riedl, "Shilling
    Recommender Systems for Fun and Profit", WWW 2004, with whole honest profiles as its filler.
    The more often a shopper bought, the more likely it is copied.
    """
    events = shop.events
    people = len(events.user_ids)
    fakes = max(round(people * promotion.share / (1 - promotion.share)), 1)
    visits = np.unique(np.stack([events.users, events.days]), axis=1)
    chance = np.bincount(visits[0], minlength=people) / visits.shape[1]
    copied = draw.choice(people, min(fakes, int((chance > 0).sum())), replace=False, p=chance)
    opening = np.unique(events.days[events.days >= promotion.first_day])[:1]
    parts = [_all_rows(events)]
    for number, person in enumerate(copied.tolist()):
        days = visits[1, visits[0] == person]
        days = days[days >= promotion.first_day] if days[-1] >= promotion.first_day else opening
        pushes = _pushes(events, days, promotion.targets)
        if promotion.disguised:
            rows = np.flatnonzero(events.users == person)
            pushes = {name: np.append(getattr(events, name)[rows], pushes[name]) for name in pushes}
        pushes["users"] = np.full(len(pushes["items"]), people + number, np.int32)
        parts.append(pushes)
    columns: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts]) for name in COLUMNS
    }
    names = tuple(f"{FAKE}{number:06}" for number in range(len(copied)))
    changed = replace(
        events,
        **columns,
        user_ids=events.user_ids + names,
        groups=events.groups + ("",) * len(names),
    )
    return replace(shop, events=changed)


def honest_cases(cases: Cases) -> Cases:
    """Only the cases of shoppers that ``promoted`` did not add."""
    shoppers = cases.baskets.shoppers[cases.targets]
    fake = np.array([name.startswith(FAKE) for name in cases.baskets.shopper_ids], np.bool_)
    rows = np.flatnonzero(~fake[shoppers])
    return replace(cases, targets=cases.targets[rows], starts=cases.starts[rows])


def _all_rows(events: Events) -> dict[str, NDArray[Any]]:
    return {name: getattr(events, name) for name in COLUMNS}


def _pushes(
    events: Events, days: NDArray[np.int32], targets: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """A purchase of every target on every one of these days."""
    on = np.repeat(days, len(targets))
    count = len(on)
    first = dict(zip(*np.unique(events.days, return_index=True), strict=True))
    times = events.times[[first[day] for day in on]]
    return {
        "users": np.zeros(count, np.int32),
        "items": np.tile(np.array(targets, np.int32), len(days)),
        "kinds": np.full(count, BUY, np.uint8),
        "times": times,
        "days": on.astype(np.int32),
        "queries": np.full(count, -1, np.int32),
        "quantities": np.ones(count, np.float32),
        "prices": np.full(count, np.nan, np.float32),
        "baskets": np.full(count, -1, np.int32),
    }
