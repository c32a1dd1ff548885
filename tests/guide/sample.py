"""A small bilingual shop with a network that knows which words go together, for tests."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fedguide.crypto.signing import PublicKey, SigningKey, make_key, sign, verify
from fedguide.guide.engine import Guide, everybody, open_guide
from fedguide.guide.histories import Histories, histories_from
from fedguide.guide.rules import Rules
from fedguide.models.card import Card, Metric
from fedguide.models.encoders import SCALES_DAYS, History, Network, item_vectors
from fedguide.models.release import PURPOSE, Release, Signer, load_release, save_release
from fedguide.models.scorer import TERMS, ShopModel, SlateWeights
from fedguide.models.text import TextSpec
from fedguide.values import BUY, CART, KINDS, SEARCH, VIEW, Baskets, Catalogue

LAST_DAY = (datetime.date(2026, 3, 1) - datetime.date(1970, 1, 1)).days

_KINDS_OF_THING = (
    ("户外/鞋", "Outdoor/Shoes", (("越野跑鞋", "trail shoes"), ("登山靴", "hiking boots"))),
    ("户外/装备", "Outdoor/Gear", (("登山杖", "trekking poles"), ("双人帐篷", "camping tent"))),
    ("服装", "Clothing", (("羊毛衫", "wool sweater"), ("雨衣外套", "rain jacket"))),
    ("厨房", "Kitchen", (("陶瓷杯", "ceramic mug"), ("铸铁锅", "cast iron pan"))),
    ("厨房/食品", "Kitchen/Food", (("绿茶", "green tea"), ("蜂蜜", "honey jar"))),
    ("家居", "Home", (("香薰蜡烛", "scented candle"), ("台灯", "desk lamp"))),
    ("文具", "Stationery", (("笔记本", "notebook"), ("钢笔", "fountain pen"))),
    ("玩具", "Toys", (("积木", "building blocks"), ("毛绒熊", "teddy bear"))),
)
_STYLES = (
    ("轻量", "Light"),
    ("红色", "Red"),
    ("经典", "Classic"),
    ("防水", "Waterproof"),
    ("便携", "Travel"),
)
_BRANDS = ("山行", "Northfield", "暮光", "Lumen", "")


def a_catalogue(copies: int = 1) -> Catalogue:
    """80 items a copy; one has no price, one no title."""
    titles, brands, categories, prices = [], [], [], []
    for copy in range(copies):
        for chinese, _, things in _KINDS_OF_THING:
            for thing_zh, thing_en in things:
                for style, (style_zh, style_en) in enumerate(_STYLES):
                    number = "" if copy == 0 else f" {copy + 1}"
                    titles.append(f"{style_zh}{thing_zh} {style_en} {thing_en}{number}")
                    brands.append(_BRANDS[(style + len(titles)) % len(_BRANDS)])
                    categories.append(chinese)
                    prices.append(19.0 + 10 * (len(titles) * 7 % 61))
    titles[5], prices[6] = "", float("nan")
    return Catalogue(
        tuple(f"sku-{row:04d}" for row in range(len(titles))),
        tuple(titles),
        tuple(brands),
        tuple(categories),
        np.array(prices, np.float32),
    )


def a_network(seed: int = 0, size: int = 24, events: int = 200) -> Network:
    rng = np.random.default_rng(seed)
    text = TextSpec(buckets=1024)
    arrays = {
        "table": rng.normal(size=(text.buckets, size)) / np.sqrt(size),
        "item": np.eye(size) + rng.normal(size=(size, size)) * 0.05,
        "temperature": np.zeros(1),
        "shopper": np.eye(size) * 0.8 + rng.normal(size=(size, size)) * 0.05,
        "start": rng.normal(size=size) * 0.05,
        "kind": rng.normal(size=len(KINDS)) * 0.2,
        "decay": rng.normal(size=len(SCALES_DAYS)) * 0.2,
        "terms": np.abs(rng.normal(size=len(TERMS))) * 0.1,
    }
    return Network(text, "bag", {n: a.astype(np.float32) for n, a in arrays.items()}, events)


def a_model(seed: int = 0, copies: int = 1, events: int = 200) -> ShopModel:
    rng = np.random.default_rng(seed)
    catalogue, network = a_catalogue(copies), a_network(seed, events=events)
    n, k = len(catalogue), 8
    popularity = np.floor(rng.pareto(1.2, n) * 4).astype(np.float32)
    neighbours = rng.integers(-1, n, (n, k)).astype(np.int32)
    weights = rng.normal(0.1, 0.1, (n, k)).astype(np.float32)
    # An item speaks for another one once, and never for itself.
    for row in range(n):
        seen: set[int] = {row}
        for at, other in enumerate(neighbours[row].tolist()):
            if other in seen:
                neighbours[row, at] = -1
            seen.add(other)
    weights[neighbours < 0] = 0
    return ShopModel(
        catalogue=catalogue,
        network=network,
        item_vectors=item_vectors(network, catalogue),
        neighbours=neighbours,
        neighbour_weights=weights,
        popularity=popularity,
        recent_sales=np.floor(popularity * rng.random(n) / 2).astype(np.float32),
        last_day=LAST_DAY,
        slates={
            "again": SlateWeights(0.2, 0.1, 1.0, 1.0, 0.3, 0.2, 0.2, 0.05),
            "discover": SlateWeights(1.0, 1.0, 0.0, 0.0, 0.0, 0.3, 0.1, 0.05),
        },
    )


def a_history(rng: np.random.Generator, items: int, length: int) -> History:
    kinds = rng.choice([VIEW, VIEW, CART, BUY, SEARCH], length).astype(np.uint8)
    rows = rng.integers(0, items, length).astype(np.int32)
    texts = ("防水 越野跑鞋", "mug", "蜡烛", "notebook")
    search = kinds == SEARCH
    rows[search] = -1
    queries = tuple(
        texts[int(pick)] if is_search else None
        for pick, is_search in zip(rng.integers(0, len(texts), length), search, strict=True)
    )
    days = np.sort(LAST_DAY - rng.integers(0, 90, length)).astype(np.int32)
    return History(rows, kinds, days, queries)


def some_histories(model: ShopModel, shoppers: int = 24, seed: int = 1) -> Histories:
    """Shoppers with 3 to 60 events; ``shopper-00`` has a history of one view."""
    rng = np.random.default_rng(seed)
    lengths = [1, *rng.integers(3, 60, shoppers - 1).tolist()]
    histories = [a_history(rng, len(model), length) for length in lengths]
    histories[0] = History(
        np.array([3], np.int32), np.array([VIEW], np.uint8), np.array([LAST_DAY], np.int32)
    )
    texts: dict[str, int] = {}
    columns: list[tuple[int, int, int, int, int]] = []
    for shopper, history in enumerate(histories):
        queries = history.queries or (None,) * len(history)
        columns += [
            (shopper, day, item, kind, -1 if text is None else texts.setdefault(text, len(texts)))
            for day, item, kind, text in zip(
                history.days.tolist(),
                history.items.tolist(),
                history.kinds.tolist(),
                queries,
                strict=True,
            )
        ]
    columns = sorted(set(columns))
    opens = [at for at, row in enumerate(columns) if at == 0 or columns[at - 1][:2] != row[:2]]
    lines = np.array(columns, np.int64)
    return histories_from(
        Baskets(
            shoppers=lines[opens, 0].astype(np.int32),
            days=lines[opens, 1].astype(np.int32),
            offsets=np.array([*opens, len(columns)], np.int64),
            items=lines[:, 2].astype(np.int32),
            kinds=lines[:, 3].astype(np.uint8),
            queries=lines[:, 4].astype(np.int32),
            shopper_ids=tuple(f"shopper-{row:02d}" for row in range(shoppers)),
            query_texts=tuple(texts),
        )
    )


def a_card(shop: str = "测试店 Test shop", *, synthetic: bool = True) -> Card:
    return Card(
        shop=shop,
        made="2026-03-02T08:00:00Z",
        data_from="2025-06-01",
        data_to="2026-03-01",
        shops=("north", "south", "west"),
        rounds=12,
        bytes_sent=12 * 533_000 * 4,
        synthetic=synthetic,
        currency="CNY",
        metrics=(Metric("NDCG@10", "discovery", 0.0949, 0.0861, 0.1037, 811),),
    )


def signer_of(key: SigningKey) -> Signer:
    return Signer(key.public, lambda message: sign(key, PURPOSE, message))


def verifier(signer: str, message: bytes, signature: bytes) -> None:
    verify(PublicKey(signer), PURPOSE, message, signature)


def a_release(folder: Path, model: ShopModel | None = None, card: Card | None = None) -> Release:
    """Saved and loaded again."""
    key = make_key()
    save_release(folder, model or a_model(), card or a_card(), signer_of(key))
    return load_release(folder, {key.public}, verifier)


def a_guide(
    model: ShopModel | None = None,
    card: Card | None = None,
    histories: Histories | None = None,
    today: Callable[[], int] = lambda: LAST_DAY + 1,
    allows: Callable[[str], bool] = everybody,
    rules: Rules | None = None,
) -> Guide:
    """A guide without files: its release is unsigned and says so."""
    model = model or a_model()
    release = Release(model, card or a_card(), "0" * 64, "f" * 64)
    if histories is None:
        histories = some_histories(model)
    return open_guide(release, histories, today, allows=allows, rules=rules)
