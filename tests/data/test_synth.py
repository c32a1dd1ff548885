"""The synthetic market: seeded, disjoint, like a market, and true to its truth."""

import numpy as np
import pytest

from fedguide.data.baskets import baskets
from fedguide.data.goods import PRODUCT_KINDS
from fedguide.data.split import split
from fedguide.data.synth import Market, market
from fedguide.data.truth import MarketPlan
from fedguide.data.wares import DEPARTMENTS, LOOKS
from fedguide.errors import ConfigError
from fedguide.values import BUY, CART, SEARCH, VIEW
from tests.data.made import differences, spelled

PLAN = MarketPlan(shops=2, shoppers=200, items=150, days=200, visits=14, seed=3)


@pytest.fixture(scope="module")
def made() -> Market:
    return market(PLAN)


def test_the_same_plan_gives_the_same_market(made: Market) -> None:
    again = market(PLAN)
    for one, other in zip(made.shops, again.shops, strict=True):
        assert differences(one.events, other.events) == []
        assert differences(one.catalogue, other.catalogue) == []
    for one, other in zip(made.truths, again.truths, strict=True):
        assert differences(one, other) == []


def test_another_seed_gives_another_market(made: Market) -> None:
    small = MarketPlan(shops=1, shoppers=50, items=50, days=50, visits=5, seed=4)
    other = market(MarketPlan(shops=1, shoppers=50, items=50, days=50, visits=5, seed=5))
    assert spelled(market(small).shops[0]) != spelled(other.shops[0])


def test_shops_share_words_but_no_id(made: Market) -> None:
    one, other = made.shops
    assert not set(one.catalogue.ids) & set(other.catalogue.ids)
    assert not set(one.events.user_ids) & set(other.events.user_ids)
    words = [set(" ".join(shop.catalogue.titles).split()) for shop in made.shops]
    assert len(words[0] & words[1]) > 0.5 * len(words[0])


def test_titles_are_in_both_languages_and_all_is_marked_synthetic(made: Market) -> None:
    for shop in made.shops:
        assert shop.synthetic
        for title, category in zip(shop.catalogue.titles, shop.catalogue.categories, strict=True):
            assert any("\u4e00" <= c <= "\u9fff" for c in title)
            assert any(c.isascii() and c.isalpha() for c in title)
            assert category.count("/") == 1
        assert (shop.catalogue.prices > 0).all()


def test_shoppers_search_in_both_languages_for_what_is_sold(made: Market) -> None:
    texts = made.shops[0].events.query_texts
    chinese = [any("\u4e00" <= c <= "\u9fff" for c in text) for text in texts]
    assert 0.3 < np.mean(chinese) < 0.95
    nouns = {w for _, kind in PRODUCT_KINDS for w in (kind.name.zh, kind.name.en.lower())}
    assert all(any(noun in text for noun in nouns) for text in texts)


def test_events_look_like_visits(made: Market) -> None:
    for shop in made.shops:
        e = shop.events
        counts = np.bincount(e.kinds, minlength=6)
        assert counts[VIEW] > counts[CART] > counts[BUY] > counts[SEARCH] > 0
        assert (np.diff(e.users) >= 0).all()
        same = np.diff(e.users) == 0
        assert (np.diff(e.times)[same] >= 0).all()
        assert (e.days == e.times // 86_400).all()
        assert e.days.max() - e.days.min() < PLAN.days
        bought = set(zip(e.users[e.kinds == BUY], e.items[e.kinds == BUY], strict=True))
        viewed = set(zip(e.users[e.kinds == VIEW], e.items[e.kinds == VIEW], strict=True))
        assert bought <= viewed
        assert 0.7 < len(baskets(e)) / (PLAN.shoppers * PLAN.visits) < 1.3


def test_nothing_is_seen_before_it_is_on_sale(made: Market) -> None:
    for shop, truth in zip(made.shops, made.truths, strict=True):
        e = shop.events
        items = e.items[e.items >= 0]
        assert (e.days[e.items >= 0] - 19_723 >= truth.launches[items]).all()
        assert truth.launches.max() > 0


def test_popularity_has_a_long_tail(made: Market) -> None:
    for shop in made.shops:
        e = shop.events
        sales = np.sort(np.bincount(e.items[e.kinds == BUY], minlength=PLAN.items))[::-1]
        assert sales[:15].sum() > 2.5 * sales.sum() * 15 / PLAN.items


def test_what_is_used_up_is_bought_again_and_what_lasts_is_not(made: Market) -> None:
    again: dict[bool, list[int]] = {True: [], False: []}
    for shop, truth in zip(made.shops, made.truths, strict=True):
        e = shop.events
        buys = e.kinds == BUY
        pairs, counts = np.unique(
            e.users[buys].astype(int) * PLAN.items + e.items[buys], return_counts=True
        )
        for pair, count in zip(pairs, counts, strict=True):
            cycle = PRODUCT_KINDS[truth.kinds[pair % PLAN.items]][1].cycle_days
            again[cycle > 0].append(count - 1)
    assert np.mean(again[True]) > 5 * np.mean(again[False])


def test_the_truth_ranks_first_purchases_far_above_chance(made: Market) -> None:
    """Mean percentile of what is bought for the first time, by true liking: .5 is chance."""
    for shop, truth in zip(made.shops, made.truths, strict=True):
        e = shop.events
        first = np.zeros(len(e), bool)
        buys = np.flatnonzero(e.kinds == BUY)
        owners = np.array([int(name.rsplit("u", 1)[1]) for name in e.user_ids])[e.users[buys]]
        _, places = np.unique(owners * PLAN.items + e.items[buys], return_index=True)
        first[buys[places]] = True
        liking = truth.relevance(PLAN.days / 2)
        better = liking[owners[places]] < liking[owners[places], e.items[buys[places]]][:, None]
        own = better.mean()
        stranger = np.roll(owners[places], 37)
        better = (liking[stranger] < liking[stranger, e.items[buys[places]]][:, None]).mean()
        assert own > 0.75
        assert own > better + 0.05  # taste, not only popularity
        assert own < 0.97  # and not a foregone conclusion


def test_words_mean_the_same_in_every_shop(made: Market) -> None:
    """Items of one kind are alike across shops: what federation can transfer, and no more."""
    one, other = made.truths
    within, between = [], []
    for kind in np.intersect1d(one.kinds, other.kinds):
        a, b = one.factors[one.kinds == kind], other.factors[other.kinds == kind]
        within.append(a.mean(0) @ b.mean(0) / np.linalg.norm(a.mean(0)) / np.linalg.norm(b.mean(0)))
        rest = other.factors[other.kinds != kind].mean(0)
        between.append(a.mean(0) @ rest / np.linalg.norm(a.mean(0)) / np.linalg.norm(rest))
    assert np.mean(within) > np.mean(between) + 0.3


def test_it_can_be_split(made: Market) -> None:
    for shop in split(made.shops):
        assert len(shop.test) > 0.5 * PLAN.shoppers
        assert len(shop.validation) > 0.3 * PLAN.shoppers


def test_every_word_stands_in_both_languages_once() -> None:
    for part in DEPARTMENTS:
        assert (len(part.kinds), len(part.features), len(part.brands)) == (6, 8, 3)
    words = [word for part in DEPARTMENTS for word in (*part.features, *part.brands)]
    words += [kind.name for part in DEPARTMENTS for kind in part.kinds] + list(LOOKS)
    assert all(word.zh and word.en and word.en.isascii() for word in words)
    assert len({word.zh for word in words}) == len(words)


@pytest.mark.parametrize(
    "sizes",
    [{"shops": 0}, {"shoppers": 0}, {"items": 9}, {"days": 9}, {"visits": 0.5}, {"visits": 241.0}],
)
def test_impossible_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"must be in \["):
        MarketPlan(**sizes)


def test_a_market_too_large_for_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="times items"):
        MarketPlan(shoppers=1_000_000, items=1_000)


def test_the_smallest_market_works() -> None:
    (shop,) = market(MarketPlan(shops=1, shoppers=1, items=10, days=10, visits=10)).shops
    assert len(shop.events) > 0
