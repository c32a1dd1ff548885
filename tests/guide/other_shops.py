"""Two shops unlike the synthetic market: electronics in English, clothes in Chinese.

What a wish is read by is the shop's own catalogue, so the guide must do as well here.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from fedguide.guide.engine import Guide
from fedguide.guide.histories import Histories, histories_from
from fedguide.models.encoders import item_vectors
from fedguide.models.scorer import SLATES, ShopModel, SlateWeights
from fedguide.models.served import silent_network
from fedguide.models.text import TextSpec
from fedguide.values import Baskets, Catalogue
from tests.guide.sample import a_guide

_GADGETS = {
    "Computers/Monitors": ("Curved Monitor", 240.0),
    "Computers/Graphics Cards": ("Graphics Card", 520.0),
    "Photo/Cameras": ("Mirrorless Camera", 900.0),
    "Photo/Tripods": ("Carbon Tripod", 130.0),
    "Audio/Soundbars": ("Soundbar", 180.0),
    "Audio/Turntables": ("Turntable", 210.0),
}
_POWERS = ("4K", "Silent", "Refurbished", "Bluetooth", "Compact")
_MAKERS = ("Kestrel", "Nordlys", "Vantage Point")
_PAINTS = ("Graphite", "Ivory", "Crimson")

_CLOTHES = {"裤装": ("牛仔裤", 260.0), "裙装": ("连衣裙", 320.0), "上衣": ("衬衫", 150.0)}
_CLOTHS = ("亚麻", "真丝", "修身", "宽松", "高腰")
_TAILORS = ("织语", "白桦")
_DYES = ("米色", "藏青", "酒红")


def electronics() -> Catalogue:
    """270 gadgets: six kinds, five features of which each has two, three brands, three colours."""
    titles, brands, categories, prices = [], [], [], []
    for (category, (name, price)), maker, paint in product(_GADGETS.items(), _MAKERS, _PAINTS):
        for at, power in enumerate(_POWERS):
            other = _POWERS[(at + 1) % len(_POWERS)]
            titles.append(f"{maker} {power} {other} {name} {paint}")
            brands.append(maker)
            categories.append(category)
            prices.append(round(price * (0.6 + 0.2 * at + 0.01 * len(titles) % 0.1), 2))
    return _catalogue(titles, brands, categories, prices)


def clothes() -> Catalogue:
    """90 clothes with Chinese titles alone."""
    titles, brands, categories, prices = [], [], [], []
    for (category, (name, price)), maker, dye in product(_CLOTHES.items(), _TAILORS, _DYES):
        for at, cloth in enumerate(_CLOTHS):
            titles.append(f"{maker} {cloth}{_CLOTHS[(at + 2) % len(_CLOTHS)]}{name} {dye}")
            brands.append(maker)
            categories.append(category)
            prices.append(round(price * (0.7 + 0.15 * at), 2))
    return _catalogue(titles, brands, categories, prices)


def guide_over(catalogue: Catalogue) -> Guide:
    """A guide of a shop nobody trained and nobody bought at."""
    network, count = silent_network(TextSpec(), 200), len(catalogue.ids)
    none = np.zeros(count, np.float32)
    model = ShopModel(
        catalogue=catalogue,
        network=network,
        item_vectors=item_vectors(network, catalogue),
        neighbours=np.full((count, 1), -1, np.int32),
        neighbour_weights=np.zeros((count, 1), np.float32),
        popularity=none,
        recent_sales=none,
        last_day=0,
        slates=dict.fromkeys(SLATES, SlateWeights()),
    )
    return a_guide(model, histories=nobody(), today=lambda: 1)


def nobody() -> Histories:
    """No shopper."""
    none = np.zeros(0, np.int32)
    lines = (none, np.zeros(0, np.uint8), none)
    return histories_from(Baskets(none, none, np.zeros(1, np.int64), *lines, ()))


def holding(catalogue: Catalogue, *words: str) -> NDArray[np.bool_]:
    """Which items have all of these words in title or category, read off the plain text."""
    texts = zip(catalogue.titles, catalogue.categories, strict=True)
    return np.array([all(word in f"{a} {b}" for word in words) for a, b in texts])


def _catalogue(
    titles: list[str], brands: list[str], categories: list[str], prices: list[float]
) -> Catalogue:
    ids = tuple(f"{row:04d}" for row in range(len(titles)))
    return Catalogue(
        ids, tuple(titles), tuple(brands), tuple(categories), np.array(prices, np.float32)
    )
