from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError
from fedguide.models.examples import shapes_of
from fedguide.models.fit import body_of, first_params, layout_of, make_gradient
from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import knowing, shopper_slopes, trained_scales, trained_slices
from fedguide.models.text import TextSpec
from fedguide.values import BUY, SEARCH, VIEW

from .small import catalogue, diary, random_shop

PLAN = GuidePlan(
    text=TextSpec(buckets=128),
    size=4,
    events=8,
    lines=4,
    token_dropout=0.0,
    event_dropout=0.0,
    dropout=0.0,
    cart=0.0,
)
ROUGH = GuidePlan(text=TextSpec(buckets=128), size=4, events=8, lines=4)
SHOP = random_shop(items=12, shoppers=9)


def every(slopes, params, seed=0):
    """Slopes of all shoppers, (n, p)."""
    wide = np.zeros((len(slopes.shoppers), len(params)), np.float32)
    row = 0
    for some in slopes.each(params, np.arange(len(slopes.shoppers)), seed):
        wide[row : row + len(some), slopes.places] = some
        row += len(some)
    assert row == len(wide)
    return wide


def params_of(plan, seed=3):
    return first_params(plan, seed)


def test_one_shopper_alone_has_the_shops_gradient():
    """Everything by itself: the full gradient of a shop whose only shopper it is."""
    train = diary([(0, 1, [0, 1]), (0, 5, [2]), (0, 9, [3, 1])])
    goods = catalogue(6)
    params = params_of(PLAN)
    ours = every(shopper_slopes(goods, train, PLAN), params)[0]
    layout = layout_of(PLAN)
    # The reference sees the shop's sales, but with terms at 0 they add nothing to a score.
    whole = layout.unflatten(make_gradient(goods, train, PLAN)(params).gradient)
    mine = layout.unflatten(ours)
    for name in layout.names:
        if name not in ("item", "terms"):
            np.testing.assert_allclose(mine[name], whole[name], atol=2e-6, err_msg=name)
    assert not mine["item"].any()
    assert mine["terms"][1:].tolist() == [0, 0]


@pytest.mark.parametrize("plan", [PLAN, ROUGH])
@pytest.mark.parametrize("part", ["tower", "head"])
def test_nobody_moves_anothers_slope(plan, part):
    """The others buy something else, or the last of them is not there at all: nothing changes."""
    visits = [(s, d, [(s + d) % 6, (s * d) % 6]) for s in range(5) for d in (1, 4, 8)]
    others = [(s, d, [5, 4] if s else items) for s, d, items in visits]
    goods, params = catalogue(6), params_of(plan)
    slopes = every(shopper_slopes(goods, diary(visits), plan, part), params, seed=7)
    changed = every(shopper_slopes(goods, diary(others), plan, part), params, seed=7)
    fewer = every(shopper_slopes(goods, diary(visits[:-3]), plan, part), params, seed=7)
    np.testing.assert_array_equal(slopes[0], changed[0])
    assert not np.array_equal(slopes[1], changed[1])
    np.testing.assert_array_equal(slopes[:4], fewer)


def test_what_was_released_of_the_sales_is_in_every_loss():
    """At weights of 1 the loss is the softmax of log(1 + sales) where the network says nothing."""
    goods, layout = catalogue(6), layout_of(PLAN)
    slopes = shopper_slopes(goods, diary([(0, 1, [0]), (1, 3, [4])]), PLAN)
    arrays = dict(layout.unflatten(params_of(PLAN)))
    arrays["terms"] = np.array([0, 0, 1], np.float32)  # the shopper's vector is 0 at the start
    losses, sales = np.zeros(2), np.array([3.0, 0, 0, 0, 1.0, -2.0])
    for _ in slopes.each(layout.flatten(arrays), np.arange(2), 0, losses, sales):
        pass
    np.testing.assert_allclose(losses, np.log(10) - np.log([4, 2]), rtol=1e-5)
    assert slopes.bought.tolist() == [[0, 0], [1, 4]]
    assert slopes.items == 6


def test_released_sales_are_asked_for_when_the_first_slope_is_wanted_and_once():
    goods, params = catalogue(6), params_of(PLAN)
    plain = shopper_slopes(goods, diary([(0, 1, [0]), (1, 3, [4])]), PLAN)
    asked, sales = [], np.arange(6.0)

    def released():
        asked.append(True)
        return sales

    slopes = knowing(plain, released)
    assert not asked
    found = every(slopes, params)
    np.testing.assert_array_equal(found, every(slopes, params))
    assert len(asked) == 1
    direct = np.concatenate([s.copy() for s in plain.each(params, np.arange(2), 0, sales=sales)])
    np.testing.assert_array_equal(found[:, plain.places], direct)
    assert not np.array_equal(found, every(plain, params))


BOUGHT = [(0, 1, [0, 1]), (0, 5, [2]), (1, 3, [4])]


def with_searches(texts, owners=(0, 1)):
    """BOUGHT, with a search of each owner before its baskets: (text of shopper 0, of shopper 1)."""
    days = {0: 0, 1: 2}
    made = diary([*((one, days[one], [(-1, SEARCH)]) for one in owners), *BOUGHT])
    known = tuple(sorted({texts[one] for one in owners}))
    queries = np.full(len(made.items), -1, np.int32)
    lines = np.flatnonzero(made.kinds == SEARCH)
    queries[lines] = [known.index(texts[one]) for one in owners]
    return replace(made, queries=queries, query_texts=known)


def test_a_shopper_alone_has_the_shops_gradient_with_its_searches():
    """The words typed are all in the catalogue, so nothing of the shop's own rows is left out."""
    goods, params = catalogue(6), params_of(PLAN)
    train = with_searches(("thing 3 物品",), owners=(0,))
    train = replace(
        train,
        shoppers=train.shoppers[train.shoppers == 0],
        days=train.days[:3],
        offsets=train.offsets[:4],
        items=train.items[:4],
        kinds=train.kinds[:4],
        queries=train.queries[:4],
        shopper_ids=train.shopper_ids[:1],
    )
    layout = layout_of(PLAN)
    whole = layout.unflatten(make_gradient(goods, train, PLAN)(params).gradient)
    mine = layout.unflatten(every(shopper_slopes(goods, train, PLAN, searches=1), params)[0])
    without = layout.unflatten(every(shopper_slopes(goods, train, PLAN), params)[0])
    for name in ("table", "shopper", "start", "kind", "decay"):
        np.testing.assert_allclose(mine[name], whole[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert np.abs(mine["table"] - without["table"]).max() > 1e-3


@pytest.mark.parametrize("plan", [PLAN, ROUGH])
@pytest.mark.parametrize("part", ["tower", "head"])
def test_a_search_moves_its_own_shoppers_slope_alone(plan, part):
    goods, params = catalogue(6), params_of(plan)
    whole = replace(with_searches(("thing 2", "thing 3")), query_texts=())
    shapes = shapes_of(goods, whole, plan.text)  # of all: one is compiled

    def slopes(seed, *said, **more):
        made = shopper_slopes(
            goods, with_searches(said, **more), plan, part, searches=2, shapes=shapes
        )
        return every(made, params, seed)

    moved = []
    for seed in range(4):  # in some the only line is in the cart, so that nothing is asked
        one, other = slopes(seed, "thing 2", "thing 3"), slopes(seed, "thing 2", "物品 5")
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[0], slopes(seed, "thing 2", "", owners=(0,))[0])
        moved.append(not np.array_equal(one[1], other[1]))
    assert any(moved)


def test_words_that_no_item_has_are_not_read():
    """Else the coordinates of a slope would tell what was typed."""
    goods, params = catalogue(6), params_of(PLAN)
    plain = shopper_slopes(goods, diary(BOUGHT), PLAN)
    found = shopper_slopes(goods, with_searches(("zzzz", "thing 1 qqqq")), PLAN, searches=3)
    known = shopper_slopes(goods, with_searches(("zzzz", "thing 1")), PLAN, searches=3)
    np.testing.assert_array_equal(found.places, plain.places)
    shape = np.flatnonzero(every(found, params)[1])
    np.testing.assert_array_equal(shape, np.flatnonzero(every(known, params)[1]))


def test_of_many_searches_the_latest_are_read():
    goods, params = catalogue(6), params_of(PLAN)
    texts = ("thing 1", "thing 2", "thing 3")

    def typed(numbers):
        made = diary([(0, day, [(-1, SEARCH)]) for day in range(len(numbers))] + [(0, 9, [4])])
        queries = np.full(len(made.items), -1, np.int32)
        queries[: len(numbers)] = numbers
        return replace(made, queries=queries, query_texts=texts)

    two = every(shopper_slopes(goods, typed([0, 1, 2]), PLAN, searches=2), params)
    three = every(shopper_slopes(goods, typed([0, 1, 2]), PLAN, searches=3), params)
    changed = every(shopper_slopes(goods, typed([2, 1, 2]), PLAN, searches=2), params)
    again = every(shopper_slopes(goods, typed([1, 1, 2]), PLAN, searches=2), params)
    assert not np.array_equal(two, three)
    assert not np.array_equal(two, changed)  # the repeated text counts twice, as it does elsewhere
    assert not np.array_equal(two, again)


def test_without_being_asked_for_searches_are_nobodys_rows():
    goods, params = catalogue(6), params_of(PLAN)
    plain = shopper_slopes(goods, diary(BOUGHT), PLAN)
    searched = with_searches(("my own words", "thing 1"))
    found = shopper_slopes(goods, searched, PLAN)
    np.testing.assert_array_equal(found.places, plain.places)
    np.testing.assert_array_equal(found.shoppers, plain.shoppers)
    np.testing.assert_array_equal(every(found, params), every(plain, params))


def test_a_linear_layer_that_is_no_identity_is_passed_through():
    """The slope of the table by autodiff of the whole loss, at another linear layer."""
    from fedguide.models.examples import examples_of
    from fedguide.models.guide_net import loss

    train = diary([(0, 1, [0, 1]), (0, 5, [2])])
    goods, layout = catalogue(6), layout_of(PLAN)
    arrays = dict(layout.unflatten(params_of(PLAN)))
    rng = np.random.default_rng(1)
    arrays["item"] = rng.normal(size=arrays["item"].shape).astype(np.float32)
    params = layout.flatten(arrays)
    examples = jax.tree.map(jnp.asarray, examples_of(goods, train, PLAN))
    ours = layout.unflatten(every(shopper_slopes(goods, train, PLAN), params)[0])

    def value(table):
        return loss(
            {**arrays, "table": table},
            examples,
            jnp.array([0, 1]),
            jax.random.key(0),
            PLAN,
            body_of(PLAN).encode,
        )[0]

    np.testing.assert_allclose(
        ours["table"], jax.jit(jax.grad(value))(arrays["table"]), rtol=1e-5, atol=1e-5
    )


def test_a_shopper_shows_another_part_of_many_baskets_each_round():
    train = diary([(0, d, [d % 6]) for d in range(12)])
    slopes, params = shopper_slopes(catalogue(6), train, PLAN, baskets=2), params_of(PLAN)
    assert not np.array_equal(every(slopes, params, 1), every(slopes, params, 2))
    np.testing.assert_array_equal(every(slopes, params, 1), every(slopes, params, 1))


def test_who_has_nothing_to_learn_from_is_not_there():
    train = diary([(0, 1, [0]), (1, 2, [(3, VIEW)]), (2, 5, [(2, BUY)])])
    assert shopper_slopes(catalogue(6), train, PLAN).shoppers.tolist() == [0, 2]


def test_a_basket_is_asked_for_as_a_whole_whatever_the_plans_carts():
    train = diary([(0, 1, [0, 1, 2, 3]), (1, 3, [1, 4, 5]), (1, 9, [0, 2, 5])])
    goods, params = catalogue(6), params_of(PLAN)
    whole = every(shopper_slopes(goods, train, replace(PLAN, cart=0.0)), params, seed=5)
    carts = every(shopper_slopes(goods, train, replace(PLAN, cart=1.0)), params, seed=5)
    assert np.abs(whole).max() > 0
    np.testing.assert_array_equal(whole, carts)


def test_the_parts():
    layout = layout_of(PLAN)
    tower = sum(s.stop - s.start for s in trained_slices(PLAN, "tower"))
    head = sum(s.stop - s.start for s in trained_slices(PLAN, "head"))
    assert tower == layout.size - 4 * 4
    assert head == tower - 128 * 4 - 1  # the table, and the length of all rows
    slopes = shopper_slopes(SHOP.catalogue, SHOP.train, PLAN, "head")
    assert len(slopes.places) == head


def test_all_but_the_table_counts_less_where_it_is_told_to():
    params = params_of(PLAN)
    whole = every(shopper_slopes(SHOP.catalogue, SHOP.train, PLAN), params)
    less = every(shopper_slopes(SHOP.catalogue, SHOP.train, PLAN, others=0.25), params)
    stretches = trained_slices(PLAN, "tower")
    scales = trained_scales(PLAN, "tower", 0.25)
    assert set(scales) == {1.0, 0.25}
    assert len(scales) == len(stretches)
    for where, scale in zip(stretches, scales, strict=True):
        np.testing.assert_array_equal(less[:, where], np.float32(scale) * whole[:, where])
    table = 128 * 4
    assert (less[:, :table] == whole[:, :table]).all()
    assert whole[:, :table].any()


def test_many_are_handed_over_in_their_order():
    slopes, params = shopper_slopes(SHOP.catalogue, SHOP.train, PLAN), params_of(PLAN)
    whole = every(slopes, params)
    some = np.array([7, 2])
    parts = [part.copy() for part in slopes.each(params, some, 0)]
    np.testing.assert_allclose(np.concatenate(parts), whole[some][:, slopes.places], atol=1e-7)
    assert not list(slopes.each(params, np.zeros(0, np.int64), 0))


def test_what_cannot_be():
    with pytest.raises(ConfigError, match="part"):
        shopper_slopes(SHOP.catalogue, SHOP.train, PLAN, "foot")
    with pytest.raises(ConfigError, match="baskets"):
        shopper_slopes(SHOP.catalogue, SHOP.train, PLAN, baskets=0)
    with pytest.raises(ConfigError, match="searches"):
        shopper_slopes(SHOP.catalogue, SHOP.train, PLAN, searches=-1)
    for others, part in ((0.0, "tower"), (1.5, "tower"), (0.5, "head")):
        with pytest.raises(ConfigError, match="others"):
            shopper_slopes(SHOP.catalogue, SHOP.train, PLAN, part, others=others)
    with pytest.raises(DataError, match="no purchase"):
        shopper_slopes(SHOP.catalogue, diary([(0, 1, [(0, VIEW)])]), PLAN)


def test_losses_of_shoppers_are_the_losses_of_their_examples():
    """One shopper at a time, against the loss of the whole shop's only shopper."""
    from fedguide.models.shoppers import shopper_losses

    train = diary([(0, 1, [0, 1]), (0, 5, [2]), (0, 9, [3, 1])])
    goods, params = catalogue(6), params_of(ROUGH)
    shoppers, losses = shopper_losses(goods, train, ROUGH, params)
    assert shoppers.tolist() == [0]
    wanted = make_gradient(goods, train, ROUGH)(params).loss
    assert losses[0] == pytest.approx(wanted, rel=1e-5)
