"""FedNova: FedAvg at equal steps, the right optimum at unequal ones, path lengths by hand."""

import numpy as np
import pytest

from fedguide.errors import ConfigError, QuorumLostError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fednova import fednova, path_length
from fedguide.horizontal.mean import weighted_mean
from fedguide.values import PartyId
from tests.horizontal.linear import Descent, Rows, parties_of, party, random_data
from tests.horizontal.rounds import rounds

MEAN = weighted_mean()
START = np.float32([0.5, -1, 2])


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_at_equal_steps_it_is_fedavg(momentum):
    parties = parties_of(random_data(3), MEAN, Descent(steps=5, momentum=momentum))
    plain = rounds(fedavg(MEAN), parties, START, 3).states[-1]
    nova = rounds(fednova(MEAN, momentum), parties, START, 3).states[-1]
    np.testing.assert_allclose(nova.params, plain.params, rtol=1e-5)
    assert nova.report is not None
    assert not nova.report.figures


def test_who_takes_more_steps_pulls_no_harder():
    # One row each, x = 1, y = 1 and y = −1: the joint optimum is 0. FedAvg leans to who steps more.
    data = {
        "fast": Rows(np.float32([[1]]), np.float32([1])),
        "slow": Rows(np.float32([[1]]), np.float32([-1])),
    }
    descents = {"fast": Descent(0.05, steps=10), "slow": Descent(0.05, steps=1)}
    parties = {PartyId(n): party(n, rows, MEAN, descents[n]) for n, rows in data.items()}
    start = np.float32([0])
    ends = {b.__name__: rounds(b(MEAN), parties, start, 80).states[-1].params[0]
            for b in (fedavg, fednova)}  # fmt: skip
    assert ends["fedavg"] > 0.7
    assert abs(ends["fednova"]) < 0.15


def test_path_lengths_by_hand():
    assert path_length(4, 0.0) == 4
    # a = (1 + ρ + ρ², 1 + ρ, 1) for three steps: with ρ = .5 its sum is 1.75 + 1.5 + 1.
    assert path_length(3, 0.5) == pytest.approx(4.25)
    assert path_length(1, 0.9) == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="at least 1 step"):
        path_length(0, 0.0)


def test_steps_that_the_figure_cannot_count_are_refused_and_not_cut():
    parties = parties_of(random_data(3), MEAN, Descent(0.01, steps=129))
    with pytest.raises(QuorumLostError, match="faulty"):
        rounds(fednova(MEAN, unit=2.0), parties, START, 1)
    assert rounds(fednova(MEAN, unit=2.1), parties, START, 1).states[-1].round == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [((1.0,), r"momentum must be in \[0, 1\), got 1.0"), ((-0.1,), "momentum")],
)
def test_numbers_out_of_range_are_refused(arguments, text):
    with pytest.raises(ConfigError, match=text):
        fednova(MEAN, *arguments)
    with pytest.raises(ConfigError, match="unit must be finite and above 0"):
        fednova(MEAN, unit=0.0)
