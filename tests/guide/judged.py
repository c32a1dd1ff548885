"""The wishes of ``benchmarks/wishes`` put to the guide, judged by what items are made of.

The truth is the synthetic market's own: kind, features and brand of each item as they were
drawn, and the look by its fixed place at a title's end. The rules are in
``benchmarks/wishes/README.md``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.data.goods import draw_goods, draw_nature
from fedguide.data.wares import DEPARTMENTS, LOOKS
from fedguide.guide.admission import all_of, parts_of
from fedguide.guide.ask import ask
from fedguide.guide.engine import Guide, open_guide
from fedguide.guide.grammar import understand
from fedguide.guide.histories import histories_from
from fedguide.guide.wish import REFUSE, WANT
from fedguide.models.card import Card
from fedguide.models.encoders import item_vectors
from fedguide.models.release import Release
from fedguide.models.scorer import SLATES, ShopModel, SlateWeights
from fedguide.models.served import silent_network
from fedguide.models.text import TextSpec
from fedguide.values import Baskets

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "wishes"
ITEMS, SEED, LANGUAGES = 2000, 7, ("zh", "en")
DEVELOPMENT, HELD_OUT, FRESH = "development", "held-out", "fresh"
SHOPPERS, SHOPPERS_HELD_OUT, AGAIN = "shoppers", "shoppers-held-out", "again"
MORE, THIRD, LAST, TALK, FINAL = "more", "third", "last", "talk", "final"

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """One wish and what became of it; ``relevant`` is NaN where no item could be."""

    wish: dict[str, Any]
    wrong: tuple[str, ...]
    relevant: float


def half_of(text: str) -> str:
    """Which half a wish belongs to, by a hash of its text."""
    even = hashlib.sha256(text.encode()).digest()[0] % 2 == 0
    return DEVELOPMENT if even else HELD_OUT


def wishes(lang: str, half: str) -> list[dict[str, Any]]:
    """The wishes of a language and half; ``README.md`` says how the later ones came about."""
    if half in (FRESH, AGAIN, MORE, THIRD, LAST, TALK, FINAL):
        path = FOLDER / f"{lang}-{half}.json"
        whole: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
        return whole
    like_shoppers = half in (SHOPPERS, SHOPPERS_HELD_OUT)
    name = f"{lang}-shoppers.json" if like_shoppers else f"{lang}.json"
    held_out = half in (HELD_OUT, SHOPPERS_HELD_OUT)
    rows = json.loads((FOLDER / name).read_text("utf-8"))
    return [row for row in rows if (half_of(row["text"]) == HELD_OUT) == held_out]


def a_market_guide(items: int = ITEMS) -> tuple[Guide, dict[str, Mask]]:
    """A guide of the synthetic market's first shop, untrained, and which items have which word."""
    nature_rng, shop_rng = map(np.random.default_rng, np.random.SeedSequence(SEED).spawn(2))
    goods, *_ = draw_goods(items, "shop1", draw_nature(nature_rng), shop_rng)
    network = silent_network(TextSpec(), 200)
    none = np.zeros(items, np.float32)
    model = ShopModel(
        catalogue=goods.catalogue,
        network=network,
        item_vectors=item_vectors(network, goods.catalogue),
        neighbours=np.full((items, 1), -1, np.int32),
        neighbour_weights=np.zeros((items, 1), np.float32),
        popularity=none,
        recent_sales=none,
        last_day=0,
        slates=dict.fromkeys(SLATES, SlateWeights()),
    )
    card = Card("shop1", "", "", "", ("shop1",), 0, None, synthetic=True)
    nobody = Baskets(*(np.zeros(0, np.int32),) * 2, np.zeros(1, np.int64), *_no_lines(), ())
    guide = open_guide(Release(model, card, "", ""), histories_from(nobody), lambda: 1)
    return guide, _truth(goods.catalogue.titles, goods.catalogue.categories, goods)


def judge(guide: Guide, truth: dict[str, Mask], wish: dict[str, Any]) -> Judged:
    """What is wrong with how a wish was understood, and how many of five items are relevant."""
    count, prices = len(guide.release.model), guide.release.model.catalogue.prices
    read = understand(guide.words(), wish["text"])
    parts = parts_of(guide.words(), read, prices)
    wanted = np.ones(count, np.bool_)
    for group in wish.get("want", []):
        wanted &= np.any([truth[word] for word in group], axis=0)
    refused = np.zeros(count, np.bool_)
    for word in wish.get("not", []):
        refused |= truth[word]
    low, high = wish.get("at_least", -math.inf), wish.get("at_most", math.inf)
    every = np.ones(count, np.bool_)
    checks = {
        "want": np.array_equal(all_of([p for p in parts if p.kind == WANT], every), wanted),
        "not": np.array_equal(all_of([p for p in parts if p.kind == REFUSE], every), ~refused),
        "price": (read.at_least, read.at_most) == (low, high),
        "sort": read.sort == wish.get("sort", ""),
        "unknown": all(
            any(word in said for said in read.unknown) for word in wish.get("unknown", [])
        ),
    }
    right = wanted & ~refused & (prices >= np.float32(low)) & (prices <= np.float32(high))
    wrong = tuple(name for name, holds in checks.items() if not holds)
    return Judged(wish, wrong, _relevant(guide, wish, right))


def scores(guide: Guide, truth: dict[str, Mask], some: Iterable[dict[str, Any]]) -> list[Judged]:
    """``judge`` of some wishes."""
    return [judge(guide, truth, wish) for wish in some]


def parts_right(judged: Sequence[Judged]) -> tuple[float, float]:
    """The part of wishes whose constraints are right, and the mean of relevant@5."""
    relevant = [one.relevant for one in judged if not math.isnan(one.relevant)]
    return sum(not one.wrong for one in judged) / len(judged), sum(relevant) / len(relevant)


def _relevant(guide: Guide, wish: dict[str, Any], right: Mask) -> float:
    if not any(name in wish for name in ("want", "not", "at_least", "at_most")):
        return math.nan
    answer = ask(guide, wish["text"], k=5)
    if not right.any():
        return float(not answer.exact and bool(answer.relax))
    if not answer.exact:
        return 0.0
    rows = [guide.rows[pick.item_id] for pick in answer.picks]
    return float(right[rows].sum()) / min(5, int(right.sum()))


def _truth(titles: Sequence[str], categories: Sequence[str], goods: Any) -> dict[str, Mask]:
    departments = {f"{part.name.zh} {part.name.en}": part.name.zh for part in DEPARTMENTS}
    truth: dict[str, Mask] = {}
    for row, title in enumerate(titles):
        # A look is the last word of a title in both languages.
        look = next(w.zh for w in LOOKS if title.endswith(f" {w.en}") and f" {w.zh} " in title)
        words = (goods.nouns[row], goods.makers[row], *goods.traits[row])
        department = departments[categories[row].split("/")[0]]
        for name in (look, department, *(word.zh for word in words)):
            truth.setdefault(name, np.zeros(len(titles), np.bool_))[row] = True
    everything = [kind.name for part in DEPARTMENTS for kind in part.kinds]
    everything += [w for part in DEPARTMENTS for w in (part.name, *part.features, *part.brands)]
    for word in (*everything, *LOOKS):
        truth.setdefault(word.zh, np.zeros(len(titles), np.bool_))
    return truth


def _no_lines() -> tuple[NDArray[Any], ...]:
    return np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.int32)
