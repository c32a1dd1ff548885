"""Laws: their weights against independent formulas, and what they refuse."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.privacy.laws import (
    EXACT,
    Answers,
    DiscreteGaussian,
    DiscreteLaplace,
    Polya,
    weight_ratio,
)

scales = st.floats(0.25, 2.0**30)
magnitudes = st.integers(0, 10**9)


def weight(law, k):
    with localcontext(EXACT):
        return law.weight(k)


@given(scales, magnitudes)
def test_gaussian_weights(sigma, k):
    exponent = Fraction(k) ** 2 / (2 * Fraction(sigma) ** 2)
    found = weight(DiscreteGaussian(sigma), k)
    assert float(found) == pytest.approx(math.exp(-min(float(exponent), 1e4)), rel=1e-9, abs=1e-300)


@given(scales, magnitudes)
def test_laplace_weights(scale, k):
    found = weight(DiscreteLaplace(scale), k)
    assert float(found) == pytest.approx(math.exp(-min(k / scale, 1e4)), rel=1e-9, abs=1e-300)


def test_weights_of_a_known_scale_to_fifty_digits():
    """e^-2 = 0.13533528323661269189399949497248440340763154590957588…"""
    e_2 = Decimal("0.13533528323661269189399949497248440340763154590958")
    assert abs(weight(DiscreteLaplace(1000.0), 2000) / e_2 - 1) < Decimal("1e-49")
    assert abs(weight(DiscreteGaussian(500.0), 1000) / e_2 - 1) < Decimal("1e-49")


@pytest.mark.parametrize("divisor", [1, 2, 7, 1000])
def test_polya_weights_are_exact_products_across_the_change_of_method(divisor):
    """w(k) = Π_{i<k} (i + r)/(i + 1) · e^(-k/b), here multiplied out up to k = 700."""
    law, product, r = Polya(50.0, divisor), Fraction(1), Fraction(1, divisor)
    for k in range(700):
        if k in (0, 1, 255, 256, 257, 300, 699):
            with localcontext(EXACT):
                falling = (Decimal(-k) / 50).exp()
                wanted = Decimal(product.numerator) / Decimal(product.denominator) * falling
                assert abs(law.weight(k) / wanted - 1) < Decimal("1e-70")
        product *= (k + r) / (k + 1)


def test_polya_weights_add_up_to_their_generating_function():
    """Σ w(k) = (1 - e^(-1/b))^-r, the binomial series; b = 3 and r = 1/4 to 60 digits."""
    law = Polya(3.0, 4)
    with localcontext(EXACT):
        total = sum((law.weight(k) for k in range(600)), Decimal(0))
        wanted = (1 - (Decimal(-1) / 3).exp()) ** (Decimal(-1) / 4)
        assert abs(total / wanted - 1) < Decimal("1e-60")


def test_polya_with_divisor_one_is_geometric():
    assert weight(Polya(5.0, 1), 1000) == pytest.approx(weight(DiscreteLaplace(5.0), 1000))


def test_answers():
    """ε = ln 3: a lie weighs 1/3 of the truth."""
    law = Answers(4, math.log(3))
    assert [float(weight(law, k)) for k in range(4)] == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])


@given(st.one_of(st.builds(DiscreteGaussian, scales), st.builds(DiscreteLaplace, scales)))
def test_no_weight_is_above_the_one_before(law):
    scale = getattr(law, "sigma", None) or law.scale
    steps = [weight(law, int(scale * i / 8)) for i in range(40)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] == 1


def test_a_ratio_is_the_quotient_of_the_weights():
    assert float(weight_ratio(DiscreteLaplace(10.0), 30, 5)) == pytest.approx(math.exp(-0.5))
    assert float(weight_ratio(DiscreteGaussian(10.0), 10, 10)) == pytest.approx(math.exp(-1.5))


@pytest.mark.parametrize("scale", [0.2, 2.0**30 + 1, math.nan, math.inf, -1.0])
@pytest.mark.parametrize("make", [DiscreteGaussian, DiscreteLaplace, lambda s: Polya(s, 3)])
def test_a_scale_out_of_range_is_refused(make, scale):
    with pytest.raises(ConfigError, match=r"must be in \[0.25, 2\^30\] units of the grid, got"):
        make(scale)


def test_other_figures_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="divisor must be at least 1, got 0"):
        Polya(1.0, 0)
    with pytest.raises(ConfigError, match=r"categories must be in .*, got 1"):
        Answers(1, 1.0)
    for epsilon in (0.0, math.nan, 81.0):
        with pytest.raises(ConfigError, match=r"epsilon must be in \(0, 80\]"):
            Answers(2, epsilon)
