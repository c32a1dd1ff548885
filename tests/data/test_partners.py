"""Partners of a synthetic shop: their columns really say something about the label."""

import numpy as np
import pytest

from fedguide.data.partners import COEFFICIENTS, OVERLAP, Partners, PartnerTable, partners
from fedguide.data.synth import Market, market
from fedguide.data.truth import MarketPlan
from fedguide.errors import ConfigError


@pytest.fixture(scope="module")
def town() -> Market:
    return market(MarketPlan(shops=2, shoppers=3_000, items=40, days=60, visits=6, seed=1))


@pytest.fixture(scope="module")
def made(town: Market) -> Partners:
    return partners(town)


def aligned(made: Partners, table: PartnerTable) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the shop and of the partner that are the same customer."""
    place = {key: row for row, key in enumerate(table.keys["phone"])}
    pairs = [(row, place[key]) for row, key in enumerate(made.shop.keys["phone"]) if key in place]
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


def test_one_row_a_customer_and_keys_that_agree(made: Partners, town: Market) -> None:
    assert len(made.shop) == len(town.shops[0].events.user_ids)
    for table in (made.shop, made.logistics, made.payment):
        assert len(set(table.keys["phone"])) == len(set(table.keys["email"])) == len(table)
        for column in (*table.numbers.values(), *table.words.values()):
            assert len(column) == len(table)
    for table in (made.logistics, made.payment):
        mine, theirs = aligned(made, table)
        share = len(mine) / len(made.shop)
        # Binomial(3000, .8): five standard deviations are .037.
        assert abs(share - OVERLAP) < 0.037
        assert len(table) > len(mine)  # strangers too
        emails = [made.shop.keys["email"][row] for row in mine]
        assert emails == [table.keys["email"][row] for row in theirs]
    assert not set(made.logistics.keys["phone"]) - set(made.shop.keys["phone"]) & set(
        made.payment.keys["phone"]
    ) - set(made.shop.keys["phone"])


def test_keys_can_be_nobodys(made: Partners) -> None:
    for table in (made.shop, made.logistics, made.payment):
        assert all(phone.startswith("+999") for phone in table.keys["phone"])
        assert all(email.endswith(".invalid") for email in table.keys["email"])


def test_only_the_shop_has_the_label(made: Partners) -> None:
    assert made.logistics.label is None
    assert made.payment.label is None
    assert made.shop.label is not None
    assert 0.2 < made.shop.label.mean() < 0.6


def test_every_coefficient_can_be_found_again(made: Partners) -> None:
    """Logistic regression on all columns finds the truth within five standard errors."""
    common = np.intersect1d(aligned(made, made.logistics)[0], aligned(made, made.payment)[0])
    columns, truth = [np.ones(len(common))], [-0.6]
    for table in (made.shop, made.logistics, made.payment):
        place = {key: row for row, key in enumerate(table.keys["phone"])}
        order = np.array([place[made.shop.keys["phone"][row]] for row in common])
        for name, weight in COEFFICIENTS[table.name].items():
            known = table.numbers[name]
            columns.append((known[order] - known.mean()) / known.std())
            truth.append(weight)
    x, y = np.stack(columns, 1), made.shop.label[common]
    weights = np.zeros(len(truth))
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x
        weights += np.linalg.solve(hessian, x.T @ (y - p))
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    # The partner's mean and deviation include strangers: allow a tenth besides chance.
    assert (np.abs(weights - truth)[1:] < 5 * errors[1:] + 0.1).all(), (weights, truth)


def test_partners_add_to_what_the_shop_knows(made: Partners) -> None:
    """Area under the curve: by the shop's own columns against the true log odds."""

    def auc(scores: np.ndarray) -> float:
        ranks = scores.argsort().argsort() + 1.0
        ones = made.shop.label == 1
        total = ranks[ones].sum() - ones.sum() * (ones.sum() + 1) / 2
        return float(total / ones.sum() / (~ones).sum())

    own = sum(
        w * made.shop.numbers[n] / made.shop.numbers[n].std()
        for n, w in COEFFICIENTS["shop"].items()
    )
    assert auc(own) > 0.55
    assert auc(made.log_odds) > auc(own) + 0.1


def test_the_same_market_gives_the_same_partners(town: Market, made: Partners) -> None:
    again = partners(town)
    assert (again.log_odds == made.log_odds).all()
    assert again.payment.keys == made.payment.keys
    assert partners(town, 1).shop.keys["phone"] != ()


def test_a_shop_that_is_not_there_is_refused(town: Market) -> None:
    with pytest.raises(ConfigError, match=r"\[0, 2\), got 2"):
        partners(town, 2)
