import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedguide.errors import ConfigError, DataError
from fedguide.models.fit import body_of, first_params, layout_of, make_gradient
from fedguide.models.plan import GuidePlan
from fedguide.models.shoppers import knowing, shopper_slopes, trained_slices
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


def test_searches_and_their_words_are_nobodys_rows():
    bought = [(0, 1, [0, 1]), (0, 5, [2]), (1, 3, [4])]
    goods, params = catalogue(6), params_of(PLAN)
    plain = shopper_slopes(goods, diary(bought), PLAN)
    searched = diary([(0, 0, [(-1, SEARCH)]), *bought[:2], (1, 2, [(-1, SEARCH)]), *bought[2:]])
    searched = type(searched)(
        **(
            vars(searched)
            | {
                "queries": np.where(searched.kinds == SEARCH, 0, -1).astype(np.int32),
                "query_texts": ("my own words",),
            }
        )
    )
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


def test_the_parts():
    layout = layout_of(PLAN)
    tower = sum(s.stop - s.start for s in trained_slices(PLAN, "tower"))
    head = sum(s.stop - s.start for s in trained_slices(PLAN, "head"))
    assert tower == layout.size - 4 * 4
    assert head == tower - 128 * 4 - 1  # the table, and the length of all rows
    slopes = shopper_slopes(SHOP.catalogue, SHOP.train, PLAN, "head")
    assert len(slopes.places) == head


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
