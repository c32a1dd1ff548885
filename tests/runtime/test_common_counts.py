"""Counts over common products: the sum of the others, and nothing of a pair two shops sell."""

import numpy as np
import pytest

from fedguide.errors import ConfigError, OversizedError
from fedguide.models.ease import gram, spectrum, spectrum_of
from fedguide.runtime import common_counts as module
from fedguide.runtime.baselines import baselines
from fedguide.runtime.common_counts import common_counts

from .tiny import GUIDE, shops

SHOPS = shops()
N = 24
# Products 0 to 19 are sold by all three in other orders; 20 by two alone; the rest is matched to
# nothing.
TABLES = {
    "shop0": np.r_[np.arange(21), np.full(3, -1)],
    "shop1": np.r_[20, np.arange(19, -1, -1), np.full(3, -1)],
    "shop2": np.r_[np.full(3, -1), -1, np.arange(20)],
}


def expected(name: str) -> np.ndarray:
    """By product, one pair after the other."""
    counts = {shop.name: gram(shop.train, N) for shop in SHOPS}
    found = np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            a, b = TABLES[name][i], TABLES[name][j]
            both = [s for s, t in TABLES.items() if a >= 0 and b >= 0 and {a, b} <= set(t)]
            if len(both) >= 3:
                for other in set(both) - {name}:
                    places = [int(np.flatnonzero(TABLES[other] == p)[0]) for p in (a, b)]
                    found[i, j] += counts[other][places[0], places[1]]
    return found


@pytest.mark.parametrize("aggregator", ["weighted_mean", "masked_sum"])
def test_every_shop_gets_what_the_others_counted(aggregator: str) -> None:
    found = common_counts(SHOPS, TABLES, 0, aggregator=aggregator)
    for name, counts in found.items():
        wanted = expected(name)
        assert wanted.max() > 3
        np.testing.assert_allclose(counts, wanted, rtol=0, atol=0.03)
        assert not counts[wanted == 0].any()


def test_two_shops_do_not_show_each_other_their_tables() -> None:
    found = common_counts(SHOPS, TABLES, 0)
    assert not found["shop0"][20].any()
    assert not found["shop1"][0].any()
    with pytest.raises(ConfigError, match="at least 3"):
        common_counts(SHOPS, TABLES, 0, least=2)
    with pytest.raises(ConfigError, match="no product"):
        common_counts(SHOPS, TABLES, 0, least=4)


def test_a_table_too_long_for_the_grid_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 2.0)
    with pytest.raises(OversizedError, match="shop0"):
        common_counts(SHOPS, TABLES, 0)


def test_a_gram_decomposes_as_its_rows_do() -> None:
    train = SHOPS[0].train
    one, other = spectrum(train, N), spectrum_of(gram(train, N))
    np.testing.assert_allclose(
        (one.vectors * one.values) @ one.vectors.T,
        (other.vectors * other.values) @ other.vectors.T,
        atol=1e-3,
    )


def test_counts_of_all_shops_are_a_variant_that_validation_may_choose() -> None:
    # What a shop's validation shoppers go on to buy, told by the others: chosen, if it counts.
    told = {}
    for shop in SHOPS:
        told[shop.name] = 50 * gram(shop.validation.baskets, N)
    found = baselines(SHOPS, GUIDE, 0, elsewhere=told)
    assert found.chosen["ease discovery"].startswith("counts of all shops")
    assert baselines(SHOPS, GUIDE, 0).chosen["ease discovery"].startswith("ridge")
