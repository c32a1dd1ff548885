"""Partners of a synthetic shop: a logistics and a payment firm that know the same customers.

Both tables have one row a customer, other customers too, and key columns by which rows can be
aligned. The shop holds a label: does the customer answer a campaign? It depends on the shop's own
columns and on both partners', with coefficients that are returned, so that a test can ask how much
of the truth a vertical model finds. Addresses use the reserved domain ``.invalid`` and numbers the
unassigned country code +999: none of them can be anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.data.synth import Market
from fedguide.data.truth import Floats, Ints
from fedguide.errors import ConfigError
from fedguide.values import BUY

AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
CITIES = ("tier1", "tier2", "tier3", "county")

COEFFICIENTS: Mapping[str, Mapping[str, float]] = {
    "shop": {"visits": 0.5, "spend": 0.4},
    "logistics": {"parcels": 0.9, "return_share": -0.8, "evening_share": 0.5},
    "payment": {"log_spend": 0.8, "instalment_share": 0.7, "late_payments": -0.6},
}
"""Log odds of the label for one standard deviation of a column; all other columns say nothing."""

OVERLAP = 0.8
"""Share of the shop's customers that each partner knows."""


@dataclass(frozen=True)
class PartnerTable:
    """One row a customer, c customers; the order of rows says nothing.

    Attributes:
        name: of the party that holds it.
        keys: columns to align by, each of c texts; they never leave the party in the clear.
        numbers: float64 ``(c,)`` columns, NaN where absent.
        words: categorical columns of c texts.
        label: float64 ``(c,)`` of 0 and 1, or ``None``: a feature party has none.
    """

    name: str
    keys: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, Floats]
    words: Mapping[str, tuple[str, ...]]
    label: Floats | None = None

    def __len__(self) -> int:
        """Number of customers c."""
        return len(next(iter(self.keys.values())))


@dataclass(frozen=True)
class Partners:
    """A shop's table with the label, its partners' tables, and the truth behind the label.

    Attributes:
        shop: the label party's table; its rows stand in the order of ``events.user_ids``.
        logistics: a feature party's table.
        payment: a feature party's table.
        log_odds: ``(c,)`` true log odds of the label, in the order of ``shop``'s rows.
        coefficients: by party and column, for columns in standard deviations.
    """

    shop: PartnerTable
    logistics: PartnerTable
    payment: PartnerTable
    log_odds: Floats
    coefficients: Mapping[str, Mapping[str, float]]


def partners(market: Market, shop: int = 0) -> Partners:
    """The partners of one shop of the market; the same market gives the same partners.

    Raises:
        ConfigError: the market has no such shop.
    """
    if not 0 <= shop < len(market.shops):
        raise ConfigError(f"shop must be in [0, {len(market.shops)}), got {shop}")
    rng = np.random.default_rng(np.random.SeedSequence(market.plan.seed, spawn_key=(10_000, shop)))
    own = _own_columns(market, shop)
    logistics, words_l, payment, words_p = _traits(own, rng)
    columns = {"shop": own, "logistics": logistics, "payment": payment}
    log_odds = np.full(len(own["visits"]), -0.6)
    for party, weights in COEFFICIENTS.items():
        for name, weight in weights.items():
            log_odds += weight * _standard(columns[party][name])
    label = (rng.random(len(log_odds)) < 1 / (1 + np.exp(-log_odds))).astype(np.float64)
    people = len(label)
    return Partners(
        shop=_table("shop", np.arange(people), own, {}, label),
        logistics=_partner("logistics", logistics, words_l, rng),
        payment=_partner("payment", payment, words_p, rng),
        log_odds=log_odds,
        coefficients=COEFFICIENTS,
    )


def lasting_partners(market: Market, shop: int = 0) -> dict[str, PartnerTable]:
    """Partners of a shop whose columns follow lasting traits of its shoppers, not its events.

    How active a shopper is and what they pay are the truth's, so that the columns know nothing of
    any one day: a target may lie after any cut. The logistics firm sees activity, the payment firm
    the level of prices, each through noise of its own; the shop sees both through few visits.

    Raises:
        ConfigError: the market has no such shop.
    """
    if not 0 <= shop < len(market.shops):
        raise ConfigError(f"shop must be in [0, {len(market.shops)}), got {shop}")
    rng = np.random.default_rng(np.random.SeedSequence(market.plan.seed, spawn_key=(20_000, shop)))
    truth, ids = market.truths[shop], market.shops[shop].events.user_ids
    people = np.array([int(name.rsplit("u", 1)[1]) for name in ids])
    traits = {"visits": truth.activity[people], "spend": truth.levels[people]}
    logistics, words_l, payment, words_p = _traits(traits, rng)
    return {
        "logistics": _partner("logistics", logistics, words_l, rng),
        "payment": _partner("payment", payment, words_p, rng),
    }


def shopper_keys(people: int, kind: str = "phone") -> tuple[str, ...]:
    """The keys of a shop's shoppers in the order of ``events.user_ids``, as partners know them."""
    return _table("shop", np.arange(people), {}, {}, None).keys[kind]


def _own_columns(market: Market, shop: int) -> dict[str, Floats]:
    """What the shop knows of each of its shoppers; columns of shape ``(m,)``."""
    events, people = market.shops[shop].events, len(market.shops[shop].events.user_ids)
    buys = events.kinds == BUY
    visits = np.unique(np.stack([events.users, events.days]), axis=1)[0]
    amounts = events.prices[buys].astype(np.float64) * events.quantities[buys]
    last = np.zeros(people)
    np.maximum.at(last, events.users, events.days.astype(np.float64))
    return {
        "visits": np.bincount(visits, minlength=people).astype(np.float64),
        "spend": np.round(np.log1p(np.bincount(events.users[buys], amounts, people)), 4),
        "idle_days": events.days.max() - last,
    }


def _traits(
    own: Mapping[str, Floats], rng: np.random.Generator
) -> tuple[dict[str, Floats], dict[str, Ints], dict[str, Floats], dict[str, Ints]]:
    """Columns of both partners for the shop's shoppers: numbers and codes of words."""
    people = len(own["visits"])
    busy = 0.6 * _standard(own["visits"]) + 0.8 * rng.normal(size=people)
    wealth = 0.5 * _standard(own["spend"]) + 0.87 * rng.normal(size=people)
    logistics: dict[str, Floats] = {
        "parcels": rng.poisson(np.exp(1.6 + 0.5 * busy)).astype(np.float64),
        "return_share": np.round(rng.beta(2, 12, people), 3),
        "evening_share": np.round(rng.beta(2, 3, people), 3),
        "mean_weight_kg": np.round(rng.lognormal(0, 0.4, people), 2),
    }
    payment: dict[str, Floats] = {
        "log_spend": np.round(7.5 + 0.6 * wealth, 4),
        "instalment_share": np.round(rng.beta(2, 5, people), 3),
        "late_payments": rng.poisson(0.6, people).astype(np.float64),
        "merchants": rng.poisson(np.exp(2.0 + 0.3 * busy)).astype(np.float64),
    }
    codes_l = {"city": rng.integers(len(CITIES), size=people)}
    codes_p = {"age_band": rng.integers(len(AGES), size=people)}
    return logistics, codes_l, payment, codes_p


def _partner(
    name: str, numbers: Mapping[str, Floats], words: Mapping[str, Ints], rng: np.random.Generator
) -> PartnerTable:
    """A partner's table: most of the shop's customers, strangers as well, shuffled."""
    people = len(next(iter(numbers.values())))
    known = np.flatnonzero(rng.random(people) < OVERLAP)
    strangers = rng.integers(people, size=people // 2)
    rows = np.concatenate([known, strangers])
    # A stranger resembles a customer but is somebody else: a number of their own.
    base = people + (1 if name == "logistics" else 2) * 1_000_000
    numbers_of_people = np.concatenate([known, base + np.arange(len(strangers))])
    order = rng.permutation(len(rows))
    return _table(
        name,
        numbers_of_people[order],
        {key: column[rows][order] for key, column in numbers.items()},
        {key: column[rows][order] for key, column in words.items()},
        None,
    )


def _table(
    name: str,
    people: Ints,
    numbers: Mapping[str, Floats],
    words: Mapping[str, Ints],
    label: Floats | None,
) -> PartnerTable:
    spoken = {"city": CITIES, "age_band": AGES}
    return PartnerTable(
        name=name,
        keys={
            "phone": tuple(f"+999{10_000_000 + person:08d}" for person in people.tolist()),
            "email": tuple(f"customer{person}@example.invalid" for person in people.tolist()),
        },
        numbers=dict(numbers),
        words={
            key: tuple(spoken[key][code] for code in codes.tolist()) for key, codes in words.items()
        },
        label=label,
    )


def _standard(column: NDArray[np.float64]) -> Floats:
    """The column in standard deviations from its mean."""
    return np.asarray((column - column.mean()) / max(float(column.std()), 1e-12))
