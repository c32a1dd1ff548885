"""What each attack makes of an update or of data, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.data.baskets import baskets
from fedguide.data.split import cut_days, cut_shop
from fedguide.errors import ConfigError
from fedguide.protocol import Ask, Message, Missing, Replies
from fedguide.runtime.attacks import (
    FAKE,
    Collusion,
    Forged,
    Promotion,
    Sight,
    flipped_labels,
    gaussian,
    honest_cases,
    honest_first,
    inner_product,
    little_is_enough,
    malicious,
    most_deviation,
    overheard,
    own_update,
    promoted,
    scaling,
    shuffled_items,
    sign_flip,
)
from fedguide.values import PartyId

from .tiny import dataset, shops

HONEST = np.float32([[1, 2], [3, 2], [5, 8]])  # means 3 and 4, standard deviations √(8/3), √8


def sight(own=(1.0, -1.0), bad=1, honest=HONEST):
    return Sight(honest, np.float32(own), bad, np.random.default_rng(0))


def test_sign_flip_turns_and_lengthens_its_own_update():
    np.testing.assert_array_equal(sign_flip(4)(sight()), [-4, 4])


def test_scaling_outweighs_everybody():
    np.testing.assert_array_equal(scaling()(sight()), [4, -4])  # 3 + 1 parties
    np.testing.assert_array_equal(scaling()(sight(bad=3)), [6, -6])
    np.testing.assert_array_equal(scaling(7)(sight()), [7, -7])
    # The plain mean of nothing but this is the attacker's own update.
    quiet = np.zeros((3, 2), np.float32)
    update = scaling()(sight(honest=quiet))
    np.testing.assert_allclose(np.concatenate([quiet, update[None]]).mean(0), [1, -1])


def test_a_little_is_enough_stands_beside_the_mean():
    expected = [3 - 1.5 * np.sqrt(8 / 3), 4 - 1.5 * np.sqrt(8)]
    np.testing.assert_allclose(little_is_enough(1.5)(sight()), expected, rtol=1e-6)


def test_the_largest_deviation_of_the_paper():
    """Baruch et al. 2019, section 3: 24 of 50 corrupted; s = 26 - 24 = 2, φ(z) = 24 / 26."""
    assert most_deviation(50, 24) == pytest.approx(1.4260768722)
    # Two of ten: s = 4, φ(z) = 4 / 8, so no room at all.
    assert most_deviation(10, 2) == 0
    np.testing.assert_allclose(little_is_enough()(sight()), [3, 4])


def test_inner_product_is_against_the_honest_mean():
    update = inner_product(2)(sight())
    np.testing.assert_allclose(update, [-6, -8])
    assert float(update @ HONEST.mean(0)) < 0


def test_gaussian_noise_is_as_strong_as_said():
    honest = np.full((3, 10_000), 2, np.float32)
    update = gaussian(10)(sight(np.zeros(10_000), honest=honest))
    # The mean of 10,000 squares of N(0, 20²): relative standard error √(2 / 10,000), 5 of them.
    assert np.mean(update.astype(float) ** 2) == pytest.approx(400, rel=5 * np.sqrt(2 / 10_000))
    assert abs(update.mean()) < 5 * 20 / 100


def test_an_attack_on_data_alone_sends_what_it_fitted():
    np.testing.assert_array_equal(own_update(sight()), [1, -1])


def fit(step):
    return lambda params, state, seed: Forged(params + np.float32(step), params, 5, 0.5)


def test_malicious_parties_hear_the_honest_ones_of_the_same_round():
    collusion = Collusion((PartyId("z"),))
    honest = {
        name: overheard(fit(step), PartyId(name), collusion) for name, step in (("a", 1), ("b", 3))
    }
    seen = []

    def spy(one):
        seen.append(one)
        return np.float32([9, 9])

    evil = malicious(fit(5), spy, collusion)
    for start in (np.zeros(2, np.float32), np.ones(2, np.float32)):
        for party in honest.values():
            party(start, None, 0)
        fitted = evil(start, None, 0)
        np.testing.assert_array_equal(fitted.params, start + 9)
        assert (fitted.examples, fitted.loss) == (5, 0.5)
    np.testing.assert_array_equal(seen[1].honest, [[1, 1], [3, 3]])
    np.testing.assert_array_equal(seen[1].own, [5, 5])
    assert seen[1].bad == 1


def test_the_malicious_are_asked_last():
    order = []

    def courier(ask):
        order.append(sorted(ask.to))
        answers = {party: Message() for party in ask.to if party != "c"}
        return Replies(answers, tuple(Missing(p, "late") for p in ask.to if p == "c"))

    ask = Ask({PartyId(name): Message() for name in "abcd"}, 4, trip=3)
    replies = honest_first(courier, [PartyId("a")])(ask)
    assert order == [["b", "c", "d"], ["a"]]
    assert sorted(replies.answers) == ["a", "b", "d"]
    assert replies.missing == (Missing(PartyId("c"), "late"),)
    order.clear()
    honest_first(courier, [PartyId("x")])(ask)
    assert order == [["a", "b", "c", "d"]]


def test_labels_flip():
    np.testing.assert_array_equal(flipped_labels(np.array([0, 1, 2, 0]), 3), [2, 1, 0, 2])
    with pytest.raises(ConfigError, match=r"\[0, 1\], got 0 to 2"):
        flipped_labels(np.array([0, 2]), 2)


def test_shuffled_items_keep_every_shape_and_count():
    shop = shops(count=1)[0]
    n = len(shop.catalogue)
    shuffled = shuffled_items(shop.train, n, np.random.default_rng(1))
    np.testing.assert_array_equal(shuffled.offsets, shop.train.offsets)
    old, new = (np.bincount(b.items, minlength=n) for b in (shop.train, shuffled))
    np.testing.assert_array_equal(np.sort(old), np.sort(new))
    assert (old != new).any()
    for start, stop in zip(shuffled.offsets[:-1], shuffled.offsets[1:], strict=True):
        assert (np.diff(shuffled.items[start:stop]) > 0).all()  # sorted: the order tells nothing


@pytest.mark.parametrize("disguised", [False, True])
def test_promoters_buy_the_targets_and_nothing_honest_changes(disguised):
    shop = dataset(0)
    changed = promoted(shop, Promotion(0.25, (3, 7), disguised), np.random.default_rng(2))
    before, after = shop.events, changed.events
    rows = len(before)
    np.testing.assert_array_equal(after.items[:rows], before.items)
    np.testing.assert_array_equal(after.users[:rows], before.users)
    fakes = [name for name in after.user_ids if name.startswith(FAKE)]
    assert len(fakes) == 10  # 10 of 40 are a quarter
    made = baskets(after)
    for number in range(len(fakes)):
        person = len(before.user_ids) + number
        places = np.flatnonzero(made.shoppers == person)
        assert len(places) == 6  # as many visits as the honest shopper copied
        for place in places:
            bought = set(made.items[made.offsets[place] : made.offsets[place + 1]].tolist())
            assert bought >= {3, 7}
            assert (len(bought) > 2) == disguised
    assert changed.catalogue == shop.catalogue


def test_a_burst_of_promotion_begins_late():
    shop = dataset(0)
    late = promoted(shop, Promotion(0.25, (3,), False, first_day=50), np.random.default_rng(2))
    pushed = late.events.days[len(shop.events) :]
    assert pushed.min() >= 50
    assert len(set(late.events.users[len(shop.events) :].tolist())) == 10  # everybody takes part


def test_fakes_are_no_honest_cases():
    shop = dataset(0)
    attacked = promoted(shop, Promotion(0.2, (1,)), np.random.default_rng(0))
    days = cut_days([shop], 0.6, 0.15)
    clean, cut = (cut_shop(one, *days) for one in (shop, attacked))
    assert len(cut.test) > len(honest_cases(cut.test))
    np.testing.assert_array_equal(
        cut.test.baskets.shoppers[honest_cases(cut.test).targets],
        clean.test.baskets.shoppers[clean.test.targets],
    )


@pytest.mark.parametrize("change", [{"share": 0.0}, {"share": 1.0}, {"targets": ()}])
def test_promotions_out_of_range_are_refused(change):
    with pytest.raises(ConfigError, match=r"share must be|at least one target"):
        replace(Promotion(0.1, (1,)), **change)
