"""What the shops of the synthetic market sell: catalogues made of words, and their qualities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedguide.data.truth import TASTES, Floats, Ints
from fedguide.data.wares import DEPARTMENTS, LOOKS, Word
from fedguide.values import Catalogue

PRODUCT_KINDS = tuple(
    (place, kind) for place, part in enumerate(DEPARTMENTS) for kind in part.kinds
)
FEATURES = tuple((place, word) for place, part in enumerate(DEPARTMENTS) for word in part.features)
BRANDS = tuple((place, word) for place, part in enumerate(DEPARTMENTS) for word in part.brands)


@dataclass(frozen=True)
class Nature:
    """The meaning of words, the same in every shop: ``(words, d)`` each."""

    kinds: Floats
    features: Floats
    brands: Floats


def draw_nature(rng: np.random.Generator) -> Nature:
    """What every word means, the same for all shops of a market."""
    departments = rng.normal(size=(len(DEPARTMENTS), TASTES))
    homes = np.array([place for place, _ in PRODUCT_KINDS])
    kinds = 0.75 * departments[homes] + 0.65 * rng.normal(size=(len(PRODUCT_KINDS), TASTES))
    features = rng.normal(size=(len(FEATURES), TASTES))
    return Nature(kinds, features, rng.normal(size=(len(BRANDS), TASTES)))


@dataclass(frozen=True)
class Goods:
    """A catalogue, and for each item the words a shopper would search it by."""

    catalogue: Catalogue
    nouns: tuple[Word, ...]
    traits: tuple[tuple[Word, ...], ...]
    makers: tuple[Word, ...]


def draw_goods(
    count: int, shop: str, nature: Nature, rng: np.random.Generator
) -> tuple[Goods, Floats, Floats, Ints]:
    """Items of one shop with their qualities ``(n, d)``, priciness ``(n,)`` and kinds ``(n,)``."""
    # A shop leans to some departments but sells a little of everything.
    homes = np.array([place for place, _ in PRODUCT_KINDS])
    leaning = rng.dirichlet(np.full(len(DEPARTMENTS), 0.7))[homes] + 0.03
    kinds = np.sort(rng.choice(len(PRODUCT_KINDS), size=count, p=leaning / leaning.sum()))
    priciness = rng.normal(size=count)
    factors = nature.kinds[kinds] + 0.45 * rng.normal(size=(count, TASTES))
    width = len(str(count))
    rows = []
    for row, kind_number in enumerate(kinds.tolist()):
        home, kind = PRODUCT_KINDS[kind_number]
        picked = rng.choice(8, size=rng.integers(1, 4), replace=False) + 8 * home
        brand = 3 * home + int(rng.integers(3))
        factors[row] += 0.55 * nature.features[picked].sum(0) / np.sqrt(len(picked))
        factors[row] += 0.35 * nature.brands[brand]
        traits, look = tuple(FEATURES[p][1] for p in picked), LOOKS[int(rng.integers(len(LOOKS)))]
        maker, noun = BRANDS[brand][1], kind.name
        zh = f"{maker.zh} {''.join(w.zh for w in traits)}{noun.zh} {look.zh}"
        en = f"{maker.en} {' '.join(w.en for w in traits)} {noun.en} {look.en}"
        price = round(kind.price * float(np.exp(0.35 * priciness[row])), 1)
        part = DEPARTMENTS[home].name
        rows.append((zh, en, maker, part, noun, traits, price, f"{shop}-{row:0{width}}"))
    # Standard deviation of a score about 1.7: choices are neither random nor foregone.
    factors *= 1.7 / np.sqrt(TASTES) / factors.std()
    catalogue = Catalogue(
        ids=tuple(r[7] for r in rows),
        titles=tuple(f"{r[0]} {r[1]}" for r in rows),
        brands=tuple(f"{r[2].zh} {r[2].en}" for r in rows),
        categories=tuple(f"{r[3].zh} {r[3].en}/{r[4].zh} {r[4].en}" for r in rows),
        prices=np.array([r[6] for r in rows], np.float32),
    )
    goods = Goods(
        catalogue, tuple(r[4] for r in rows), tuple(r[5] for r in rows), tuple(r[2] for r in rows)
    )
    return goods, factors, priciness, kinds.astype(np.int64)
