"""The table of pairs that cannot go together, each with a reason somebody can act on."""

import pytest

from fedguide.errors import ConfigError
from fedguide.horizontal.compatible import INCOMPATIBLE, check_together, refusal
from fedguide.horizontal.compression import COMPRESSIONS
from fedguide.horizontal.names import AGGREGATORS, ALGORITHMS


def test_a_pair_stands_there_once_with_a_reason():
    assert len({frozenset(pair) for pair in INCOMPATIBLE}) == len(INCOMPATIBLE)
    for (first, second), reason in INCOMPATIBLE.items():
        assert first != second
        assert len(reason) > 30
        assert not reason.endswith(".")


@pytest.mark.parametrize("pair", INCOMPATIBLE)
def test_it_is_refused_in_either_order(pair):
    assert refusal(*pair) == refusal(*reversed(pair)) == INCOMPATIBLE[pair]
    with pytest.raises(ConfigError, match="do not go together"):
        check_together("weighted_mean", *pair)


def test_masks_exclude_what_needs_single_updates_or_no_rounds():
    for rule in ("krum", "median", "trimmed", "fedbuff"):
        assert refusal("masked_sum", rule)


def test_every_algorithm_goes_with_the_plain_mean_and_the_sums():
    for algorithm in ALGORITHMS:
        for aggregator in ("weighted_mean", "open_sum", "masked_sum"):
            assert aggregator in AGGREGATORS
            if (algorithm, aggregator) != ("fedbuff", "masked_sum"):
                check_together(algorithm, aggregator)


def test_every_name_is_one_that_can_be_chosen():
    known = {*AGGREGATORS, *ALGORITHMS, *COMPRESSIONS, "gaussian", "laplace"}
    assert {name for pair in INCOMPATIBLE for name in pair} <= known
