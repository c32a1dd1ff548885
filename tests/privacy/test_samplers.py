"""Samplers: the law of what they give, that it is exact, and that it repeats."""

import builtins
import subprocess
import sys

import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.privacy.bits import Bits
from fedguide.privacy.inversion import table_of
from fedguide.privacy.laws import (
    Answers,
    DiscreteGaussian,
    DiscreteLaplace,
    Polya,
)
from fedguide.privacy.samplers import discrete_gaussian, discrete_laplace, draw, fill_from
from fedguide.seeds import seeded_root
from tests.privacy.chi_square import FALSE_ALARM, p_value, two_sample_p_value

ROOT = seeded_root(11)
N = 100_000
SCALES = [0.7, 2.0, 100.0, 129.0, 4096.0, 1e6]


def polya(scale):
    return Polya(scale, 5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("make", [DiscreteGaussian, DiscreteLaplace, polya])
def test_draws_have_their_law_and_a_mutant_of_nine_tenths_has_not(make, scale):
    """χ² of 100,000 draws on 40 bins: a p below 1e-6 is the false alarm.

    A scale of 0.9 moves the log-likelihood by at least 0.005 a draw (0.01 for a Gaussian), so
    that χ² grows by about 1000 where 100 would do. Draws of 0.9 times the scale and draws of the
    scale rounded to 0.9 times both have to fail.
    """
    draws = draw(make(scale), N, ROOT, "chi")
    assert p_value(draws, make(scale)) > FALSE_ALARM
    mutant = draw(make(0.9 * scale), N, ROOT, "chi")
    assert p_value(mutant, make(scale)) < FALSE_ALARM
    if scale > 10:
        assert p_value(np.rint(0.9 * draws).astype(int), make(scale)) < FALSE_ALARM


@pytest.mark.parametrize("sigma", [2.0, 100.0, 1e6])
def test_laplace_does_not_pass_for_gaussian_of_the_same_spread_nor_the_other_way(sigma):
    """Laplace of scale b has the standard deviation √2·b."""
    laplace = discrete_laplace(sigma / 2**0.5, N, ROOT, "shape")
    gaussian = discrete_gaussian(sigma, N, ROOT, "shape")
    assert p_value(laplace, DiscreteGaussian(sigma)) < FALSE_ALARM
    assert p_value(gaussian, DiscreteLaplace(sigma / 2**0.5)) < FALSE_ALARM


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("make", [DiscreteGaussian, DiscreteLaplace])
def test_neighbours_are_not_correlated(make, scale):
    """The lag-1 correlation of n independent draws has sd 1/√n: 4.9 sd are 1e-6."""
    draws = draw(make(scale), N, ROOT, "lag").astype(float)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 4.9 / N**0.5
    assert abs((draws > 0).mean() - (draws < 0).mean()) < 4.9 / N**0.5


@pytest.mark.parametrize("scale", [2.0, 300.0])
@pytest.mark.parametrize("make", [DiscreteGaussian, DiscreteLaplace])
def test_draws_have_the_law_of_opendps(make, scale):
    """Two samples of 20,000, χ² with a false alarm of 1e-6; the 0.9 mutant of ours must fail."""
    theirs = opendp_draws(make, scale, 20_000)
    ours = draw(make(scale), 20_000, ROOT, "opendp")
    mutant = draw(make(0.9 * scale), 20_000, ROOT, "opendp")
    assert two_sample_p_value(ours, theirs) > FALSE_ALARM
    assert two_sample_p_value(mutant, theirs) < FALSE_ALARM


def opendp_draws(make, scale, size):
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int))
    if make is DiscreteGaussian:
        mechanism = dp.m.make_gaussian(space, dp.l2_distance(T=float), scale=scale)
    else:
        mechanism = dp.m.make_laplace(space, dp.l1_distance(T=int), scale=scale)
    return np.array(mechanism([0] * size))


LAWS = [
    DiscreteGaussian(2.0),
    DiscreteGaussian(1000.0),
    DiscreteLaplace(1000.0),
    Polya(1000.0, 7),
    Polya(1e6, 7),
    Answers(3, 1.0),
]


@pytest.mark.parametrize("law", LAWS)
def test_compares_made_exactly_give_what_compares_in_floating_point_gave(law):
    """With a slack above 1 no float is trusted, and every place is settled in exact integers."""
    table = table_of(law)
    nothing_sure = np.full_like(table.surely, -1.0)
    unsure = table._replace(slack=2.0, surely=nothing_sure)
    quick = fill_from(Bits(ROOT, "exact"), law, table, 3000)
    exact = fill_from(Bits(ROOT, "exact"), law, unsure, 3000)
    assert np.array_equal(quick, exact)
    only_floats = fill_from(Bits(ROOT, "exact"), law, table._replace(surely=nothing_sure), 3000)
    assert np.array_equal(quick, only_floats)


@given(st.sampled_from(LAWS), st.integers(0, 50), st.integers(0, 50))
def test_a_longer_draw_begins_with_the_shorter_one(law, short, more):
    longer = draw(law, short + more, ROOT, "prefix")
    assert np.array_equal(longer[:short], draw(law, short, ROOT, "prefix"))


@pytest.mark.parametrize("law", LAWS)
def test_a_draw_of_many_chunks_is_what_smaller_buffers_would_give(law):
    """The stream is read without a gap: a sampler written out in Python gives the same values."""
    found = draw(law, 20_000, ROOT, "chunks")
    assert np.array_equal(found[-3000:], plain_draws(law, 20_000, "chunks")[-3000:])


def plain_draws(law, size, label):
    """Von Neumann's rejection in Python integers and floats, word by word."""
    table, bits, values = table_of(law), Bits(ROOT, repr(law), label), []
    cuts = [(int(h) << 63) + int(b) for h, b in zip(table.high, table.low, strict=True)]
    cuts = np.array([cut / 2.0**127 for cut in cuts])
    words = np.concatenate([bits.chunk() for _ in range(8)]).tolist()
    at = 0
    while len(values) < size:
        first, second, third, fourth = words[at : at + 4]
        i = int(np.searchsorted(cuts, ((first << 63) + (second >> 1)) / 2.0**127, side="right"))
        k, shift = int(table.start[i]), int(table.shift[i])
        at += 4 if shift else 2
        if shift:
            place = third % (1 << shift)
            p = float(np.exp(-table.rate * place * (2 * k + place if table.kind == 0 else 1)))
            if table.kind == 2:
                steps = np.arange(k, k + place)
                p *= np.prod((steps + table.shape) / (steps + 1))
            if fourth / 2**64 >= p:
                continue
            k += place
        values.append(-k if table.signed and second % 2 else k)
    return np.array(values)


def test_one_root_law_and_label_repeat_and_any_other_does_not():
    first = discrete_gaussian(50.0, 100, ROOT, "round", 3)
    assert np.array_equal(first, discrete_gaussian(50.0, 100, ROOT, "round", 3))
    others = [
        discrete_gaussian(50.0, 100, ROOT, "round", 4),
        discrete_gaussian(50.0, 100, seeded_root(12), "round", 3),
        discrete_gaussian(50.5, 100, ROOT, "round", 3),
        discrete_laplace(50.0, 100, ROOT, "round", 3),
    ]
    for other in others:
        # Values of independent draws coincide here and there, about one in 180.
        assert (first == other).sum() < 20


def test_another_process_draws_the_same():
    code = (
        "from fedguide.privacy.samplers import discrete_laplace;"
        "from fedguide.seeds import seeded_root;"
        "print(discrete_laplace(1e5, 5, seeded_root(11), 'other').tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(discrete_laplace(1e5, 5, ROOT, "other").tolist())


def test_values_come_in_the_smallest_type_that_holds_the_law():
    assert discrete_gaussian(1e6, 3, ROOT, "t").dtype == np.int32
    wide = discrete_laplace(2.0**30, 1000, ROOT, "t")
    assert wide.dtype == np.int64
    assert np.abs(wide).max() > 2**31


def test_nothing_is_drawn_for_size_nought():
    assert discrete_gaussian(2.0, 0, ROOT, "t").shape == (0,)


def test_a_tiny_scale_gives_nearly_only_zeros():
    """σ = 1/4: P(0) = 1/(1 + 2e^-8 + …) = 0.99932952; sd of the share √(P(1 - P)/n)."""
    zeros = (discrete_gaussian(0.25, N, ROOT, "t") == 0).mean()
    assert abs(zeros - 0.99932952) < 4.9 * (6.7e-4 / N) ** 0.5


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="size must be at least 0, got -1"):
        discrete_gaussian(2.0, -1, ROOT, "t")
    with pytest.raises(ConfigError, match="at least one label"):
        discrete_gaussian(2.0, 1, ROOT)
    with pytest.raises(ConfigError, match="sigma must be"):
        discrete_gaussian(0.0, 1, ROOT, "t")


def test_without_numba_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def no_numba(name, *rest):
        if name == "numba" or (name == "fedguide.privacy" and "kernels" in (rest[2] or ())):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_numba)
    with pytest.raises(ConfigError, match="numba, which is not installed") as error:
        discrete_gaussian(2.0, 1, ROOT, "t")
    assert error.value.hint == "pip install 'fedguide[train]'"


def test_importing_the_room_imports_nothing_heavy():
    code = (
        "import sys; import fedguide.privacy.samplers, fedguide.privacy.accounting;"
        "print(sorted({m.split('.')[0] for m in sys.modules}"
        " & {'numba', 'jax', 'scipy', 'dp_accounting', 'jax_privacy'}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_where_no_cache_can_be_written_the_loops_are_compiled_all_the_same(monkeypatch):
    from fedguide.privacy import kernels

    real, asked = kernels.numba.njit, []

    def njit(**options):
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("no locator available")
        return real(**options)

    monkeypatch.setattr(kernels.numba, "njit", njit)
    assert kernels.compiled(lambda x: x + 1)(2) == 3
    assert asked == [{"cache": True, "nogil": True}, {"nogil": True}]
