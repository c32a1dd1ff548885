"""Scores in shares: right for any matrix and packing, uniform to the asker, refused if unfit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.crypto.digits import folding, from_spectra, numbers, shifted, to_spectrum, unpacked
from fedguide.crypto.lattice import Load, Parameters, parameters
from fedguide.crypto.linear_query import KEY, Answer, public_polynomial
from fedguide.crypto.product_query import (
    ProductHint,
    ProductQuestion,
    ask_products,
    columns_per,
    hold_products,
    keep_product_hint,
    open_product_session,
    open_products,
    share_products,
)
from fedguide.crypto.rows import DenseRows, bin_rows
from fedguide.errors import ConfigError, WrongShapeError
from fedguide.seeds import seeded_root
from tests.crypto import plq_reference as slow

TOY = Parameters("toy", 64, 4, 0, 0, 40, 56)
SEED = bytes(range(32))
Q = 1 << 96


def shared(params, rows, weights, per, mask=None):
    columns, samples = rows.shape
    session = open_product_session(params, samples, columns, per, SEED)
    holder, hint = hold_products(session, rows, seeded_root(1))
    question, asked = ask_products(session, weights, seeded_root(2), 0)
    answer, kept = share_products(holder, question, mask)
    mine = open_products(session, keep_product_hint(session, hint), asked, answer)
    return session, hint, question, answer, mine, kept


@settings(max_examples=30)
@given(
    st.integers(1, 90), st.integers(1, 9), st.sampled_from([1, 2, 4, 8, 16]), st.integers(0, 10**6)
)
def test_shares_add_up_to_the_scores_whatever_the_packing(samples, columns, per, seed):
    draws = np.random.default_rng(seed)
    rows = DenseRows(draws.integers(-127, 128, (columns, samples)).astype(np.int32))
    weights = draws.integers(-(1 << 55), 1 << 55, columns)
    *_, mine, kept = shared(TOY, rows, weights, per)
    exact = rows.matrix.astype(object).T @ weights.astype(object)
    assert all((int(u) + int(v) - e) % (1 << 56) == 0
               for u, v, e in zip(mine, kept, exact, strict=True))  # fmt: skip


def test_real_parameters_with_bins_and_more_than_one_block():
    params = parameters(Load(1, 1, 1, 1), "W", "share")
    draws = np.random.default_rng(0)
    rows = bin_rows(draws.integers(0, 5, (5000, 3)), np.full(3, 5))
    weights = draws.integers(-(1 << 59), 1 << 59, 15)
    session, *_, mine, kept = shared(params, rows, weights, 8)
    assert session.blocks == 5
    assert not ((mine + kept - rows.wrapped_products(weights)) % (1 << 60)).any()


def test_a_hint_and_a_question_by_hand():
    """Σ x_j a_j + r p + e' and a s + e + Δ w against big whole numbers: without their small parts
    nothing is left but those."""
    rows = DenseRows(np.array([[1, -2, 3], [0, 4, 5]], np.int32))
    session, hint, question, *_ = shared(TOY, rows, np.array([7, -9]), 2)
    a, p = (numbers(public_polynomial(SEED, TOY, name)) for name in (0, KEY))
    # Samples 0, 1, 2 stand at X^0, X^2, X^4: the second column first, then the first one.
    x = [0, 1, 4, -2, 5, 3] + [0] * 58
    bare = slow.product_row(x, a, Q)
    left = [(h - b) % Q for h, b in zip(numbers(unpacked(hint.blocks[0])), bare, strict=True)]
    rp = solved_ternary(left, p)
    assert rp is not None
    assert len(numbers(unpacked(question.polynomials[0]))) == session.params.n


def solved_ternary(left, p):
    """The ternary r whose multiple of p is within 21 of this, found by its holder's own draw."""
    from fedguide.crypto.lattice import ternary

    r = ternary(seeded_root(1), "product blind", shape=(1, 64))[0].tolist()
    off = [(x - y) % Q for x, y in zip(left, slow.product_row(r, p, Q), strict=True)]
    return r if all(min(value, Q - value) <= 21 for value in off) else None


def test_what_the_asker_gets_is_uniform_and_bound_to_its_question():
    rows = DenseRows(np.ones((3, 60), np.int32))
    first = shared(TOY, rows, np.array([0, 0, 0]), 2)
    again = shared(TOY, rows, np.array([0, 0, 0]), 2)
    other = shared(TOY, rows, np.array([0, 0, 1]), 2)
    assert np.array_equal(first[3].numbers, again[3].numbers)
    assert not np.array_equal(first[5], other[5])
    assert not np.array_equal(first[2].polynomials, other[2].polynomials)
    bits = np.unpackbits(first[3].numbers)
    assert abs(bits.mean() - 0.5) < 4.9 * 0.5 / np.sqrt(bits.size)


def test_folding_picks_every_so_manieth_coefficient():
    values = np.arange(32.0)[None]
    spectrum = to_spectrum(values) * folding(32, 4, 3)
    part = spectrum.reshape(1, 4, 4).sum(1)
    assert from_spectra(part[:, None])[0, :, 0].tolist() == list(range(3, 32, 4))


def test_any_number_of_64_bits_is_shifted():
    values = np.array([-1, 1, (1 << 62) + 5, -(1 << 62) - 7])
    modulus = 1 << 144
    found = numbers(shifted(values, 84, 6))
    assert [f % modulus for f in found] == [(int(v) << 84) % modulus for v in values]


def test_the_packing_weighs_hint_against_questions():
    assert columns_per(10, 100_000, 1, 8192) == 1
    assert columns_per(100, 100_000, 40, 8192) > columns_per(100, 100_000, 4, 8192)
    assert columns_per(1, 100, 1000, 8192) == 1


def test_what_does_not_fit_is_refused():
    rows = DenseRows(np.ones((3, 60), np.int32))
    session, hint, question, answer, *_ = shared(TOY, rows, np.zeros(3, np.int64), 2)
    holder, _ = hold_products(session, rows, seeded_root(1))
    kept = keep_product_hint(session, hint)
    _, asked = ask_products(session, np.zeros(3, np.int64), seeded_root(2), 0)
    with pytest.raises(WrongShapeError, match="X must have shape"):
        hold_products(session, DenseRows(np.ones((2, 60), np.int32)), seeded_root(1))
    with pytest.raises(WrongShapeError, match="weights must have shape"):
        ask_products(session, np.zeros(2, np.int64), seeded_root(2), 0)
    with pytest.raises(WrongShapeError, match="a question has shape"):
        share_products(holder, ProductQuestion(question.polynomials[1:]))
    with pytest.raises(WrongShapeError, match="a hint has shape"):
        keep_product_hint(session, ProductHint(hint.blocks[1:]))
    with pytest.raises(WrongShapeError, match="an answer has shape"):
        open_products(session, kept, asked, Answer(answer.numbers[1:]))
    for wrong in ({"samples": 0}, {"columns": 0}, {"per": 3}, {"per": 64}):
        with pytest.raises(ConfigError):
            open_product_session(TOY, **({"samples": 5, "columns": 3, "per": 2} | wrong), seed=SEED)
    assert "array" not in repr(holder) + repr(asked) + repr(replace(kept))


@pytest.mark.parametrize(("samples", "bins"), [(200, (7, 5)), (64, (3, 9, 2)), (1, (4,))])
def test_bins_added_up_one_by_one_give_the_same_bytes_as_transforms(samples, bins):
    """In a ring of words, for blocks that are full or not, and columns that fill no polynomial."""
    params = Parameters("toy", 256, 2, 0, 0, 46, 2)
    rng = np.random.default_rng(samples)
    codes = np.stack([rng.integers(0, size, samples) for size in bins], 1)
    sparse = bin_rows(codes, np.array(bins))
    dense = DenseRows(sparse.dense(slice(None), slice(None)).astype(np.int32))
    columns = sum(bins)
    session = open_product_session(params, samples, columns, 16, bytes(32))
    holders = [hold_products(session, rows, seeded_root(1)) for rows in (sparse, dense)]
    assert holders[0][0].bins is sparse, "this one adds"
    assert np.array_equal(holders[0][1].blocks, holders[1][1].blocks)
    weights = rng.integers(0, 2, columns)
    question, asked = ask_products(session, weights, seeded_root(2), 0)
    answers = [share_products(holder, question) for holder, _ in holders]
    assert np.array_equal(answers[0][0].numbers, answers[1][0].numbers)
    kept = keep_product_hint(session, holders[0][1])
    mine = open_products(session, kept, asked, answers[0][0])
    wanted = sparse.wrapped_products(weights.astype(np.int64))
    assert ((mine + answers[0][1] - wanted) % 4 == 0).all()
