"""Algorithms by name and number: every offer is registered, builds, and says what it needs."""

import pytest

from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Algorithm
from fedguide.horizontal.choice import OFFERS, Around, read_choice
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.names import ALGORITHMS, offer_of

AROUND = Around(weighted_mean())


@pytest.mark.parametrize("name", OFFERS)
def test_every_offer_is_run_by_the_contract_and_builds_with_its_own_number(name):
    assert name in ALGORITHMS
    choice = read_choice(name)
    assert choice == read_choice(str(choice))
    assert isinstance(choice.build(AROUND), Algorithm)
    assert offer_of(name) is choice.offer


def test_a_number_is_read_and_reaches_the_algorithm():
    assert read_choice("fedprox:0.5").number == 0.5
    assert read_choice("fedprox").number == 0.01
    with pytest.raises(ConfigError, match="pull must be finite and at least 0, got -1"):
        read_choice("fedprox:-1").build(AROUND)
    with pytest.raises(ConfigError, match=r"whole number of at least 0, got 1\.5"):
        read_choice("fedbuff:1.5").build(AROUND)


@pytest.mark.parametrize("text", ["", "fedsprox", "fedprox:", "fedprox:a", "fedprox:nan", ":1"])
def test_what_is_no_choice_is_refused(text):
    with pytest.raises(ConfigError, match="algorithm"):
        read_choice(text)


def test_what_cannot_keep_moments_says_so():
    kept = Around(weighted_mean(), keep_moments=True)
    assert isinstance(read_choice("fedprox").build(kept), Algorithm)
    for name in ("scaffold", "fedbuff", "fedper"):
        with pytest.raises(ConfigError, match=f"{name} begins every round with fresh moments"):
            read_choice(name).build(kept)


def test_update_sizes():
    assert [offer_of(n).size(10) for n in ("fedsgd", "fedavg", "scaffold", "qfedavg")] == [
        *(10, 10, 20, 11)
    ]
