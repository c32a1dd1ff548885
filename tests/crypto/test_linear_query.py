"""The private linear query against its specification, and attacks that its defences stop."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedguide.codec import Limits, decode, encode
from fedguide.crypto.digits import balanced, carried, digits_of, numbers, packed, unpacked
from fedguide.crypto.lattice import (
    Load,
    Parameters,
    errors,
    least_noise_bits,
    noise,
    parameters,
    ternary,
)
from fedguide.crypto.linear_query import (
    Answer,
    Hint,
    Question,
    ask,
    hold,
    joint_seed,
    keep_hint,
    open_answer,
    open_session,
    public_polynomial,
    question_digest,
    reveal,
    share,
)
from fedguide.crypto.rows import DenseRows, bin_rows
from fedguide.errors import ConfigError, DataError, RefusedError, RunError, WrongShapeError
from fedguide.seeds import Root, derive, seeded_root
from tests.crypto import plq_reference as slow

VECTORS = Path(__file__).parent / "vectors" / "linear_query.json"
TOY = Parameters("toy", 16, 4, 40, 4, 42, 40)
SAMPLES, ROWS = 40, 4
Q = 1 << 96
SEED = hashlib.sha256(b"test").digest()


def free(_count: int) -> None:
    """A budget that never ends."""


def toy():
    matrix = np.random.default_rng(1).integers(-3, 4, (ROWS, SAMPLES)).astype(np.int32)
    values = np.random.default_rng(2).integers(-99, 100, (2, SAMPLES))
    return matrix, values


def asked_and_answered(params, rows, values, mode="reveal", seed=SEED):
    session = open_session(params, rows.shape[1], seed)
    holder, hint = hold(session, rows, seeded_root(1))
    question, asked = ask(session, values, seeded_root(2), 0)
    if mode == "reveal":
        made, kept = reveal(holder, question, free), None
    else:
        made, kept = share(holder, question, free)
    return (
        session,
        hint,
        question,
        made,
        kept,
        open_answer(session, keep_hint(session, hint), asked, made),
    )


def by_hand():
    """The toy session in whole numbers, from the same secrets: what the vectors hold."""
    matrix, values = toy()
    n = TOY.n
    public = [numbers(public_polynomial(SEED, TOY, c)) for c in range(3)]
    p = numbers(public_polynomial(SEED, TOY, -1))
    holder = seeded_root(1)
    blinds = ternary(holder, "blind", shape=(ROWS, n)).tolist()
    hint_errors = errors(holder, "hint error", shape=(ROWS, n)).tolist()
    hints = slow.hint(matrix.tolist(), public, p, blinds, hint_errors, Q)
    content = hashlib.sha256(values.astype("<i8").tobytes()).digest()
    own = Root(derive(seeded_root(2), "question", SEED, 0, 2, content))
    secrets = ternary(own, "secret", shape=(2, n)).tolist()
    key_errors = errors(own, "key error", shape=(2, n)).tolist()
    delta = 1 << TOY.delta_bits
    asked = [
        slow.question(
            values[t].tolist(),
            public,
            p,
            secrets[t],
            errors(own, "vector error", t, shape=(SAMPLES,)).tolist(),
            key_errors[t],
            delta,
            Q,
        )
        for t in range(2)
    ]
    question = Question(
        np.stack([packed(digits_of(b, 4)) for b, _ in asked]),
        np.stack([packed(digits_of(pk, 4)) for _, pk in asked]),
    )
    extra = noise(holder, "noise", question_digest(question), shape=(ROWS, 2), params=TOY)
    answers = [
        slow.answer(matrix.tolist(), blinds, b, pk, numbers(extra[:, t]), Q)
        for t, (b, pk) in enumerate(asked)
    ]
    sums = [slow.opened(hints, secrets[t], answers[t], delta, TOY.sum_bits, Q) for t in range(2)]
    return {
        "hint": [packed(digits_of(row, 4)).tobytes().hex() for row in hints],
        "b": [packed(digits_of(b, 4)).tobytes().hex() for b, _ in asked],
        "pk": [packed(digits_of(pk, 4)).tobytes().hex() for _, pk in asked],
        "answer": [packed(digits_of(a, 4)).tobytes().hex() for a in answers],
        "sums": sums,
    }


def test_the_reference_gives_the_published_vectors():
    assert by_hand() == json.loads(VECTORS.read_text("utf-8"))


def test_the_fast_code_gives_the_published_vectors_byte_for_byte():
    vectors = json.loads(VECTORS.read_text("utf-8"))
    matrix, values = toy()
    _, hint, question, made, _, sums = asked_and_answered(TOY, DenseRows(matrix), values)
    assert [row.tobytes().hex() for row in hint.rows] == vectors["hint"]
    assert [b.tobytes().hex() for b in question.vectors] == vectors["b"]
    assert [pk.tobytes().hex() for pk in question.keys] == vectors["pk"]
    assert [made.numbers[:, t].tobytes().hex() for t in range(2)] == vectors["answer"]
    assert sums.T.tolist() == vectors["sums"]
    assert np.array_equal(sums, matrix @ values.T)


@settings(max_examples=25)
@given(
    st.integers(1, 50), st.integers(1, 4), st.integers(1, 3), st.integers(0, 10**6), st.booleans()
)
def test_any_small_case_is_exact(samples, features, vectors, seed, shared):
    draws = np.random.default_rng(seed)
    bins = draws.integers(1, 6, features)
    codes = draws.integers(0, bins, (samples, features))
    values = draws.integers(-(2**15) + 1, 2**15, (vectors, samples))
    rows = bin_rows(codes, bins)
    params = replace(TOY, noise_terms=0) if shared else TOY
    *_, kept, sums = asked_and_answered(params, rows, values, "share" if shared else "reveal")
    expected = rows.dense(slice(None), slice(None)).astype(np.int64) @ values.T
    if shared:
        width = 1 << TOY.sum_bits
        assert ((sums + kept - expected) % width == 0).all()
    else:
        assert np.array_equal(sums, expected)


@pytest.mark.parametrize("name", ["S", "W"])
def test_real_parameters_with_extreme_values_and_more_than_one_polynomial(name):
    samples = 9000
    codes = np.zeros((samples, 2), int)
    codes[1::2, 1] = 1
    rows = bin_rows(codes, np.array([1, 2]))
    params = parameters(Load(rows.row_sum, rows.row_square, 2**15 - 1, 1 << 17), name)
    values = np.full((2, samples), 2**15 - 1)
    values[1] *= -1
    *_, sums = asked_and_answered(params, rows, values)
    most = samples * (2**15 - 1)
    assert sums.tolist() == [[most, -most]] + [[most // 2, -most // 2]] * 2


def test_a_real_case_is_pinned_by_its_digest():
    rows = bin_rows(np.arange(5000)[:, None] % 3, np.array([3]))
    params = parameters(Load(5000, 5000, 2047, 1 << 17))
    *_, made, _, _ = asked_and_answered(params, rows, np.arange(5000)[None] % 2047)
    pinned = json.loads((VECTORS.parent / "linear_query_s.json").read_text("utf-8"))
    assert hashlib.sha256(made.numbers.tobytes()).hexdigest() == pinned["answer_sha256"]


@pytest.mark.parametrize(
    ("squares", "budget", "w"),
    [
        (30_000, 17, 58), (30_000, 20, 60), (30_000, 23, 61),
        (100_000, 17, 59), (100_000, 20, 60), (100_000, 23, 62),
        (1 << 20, 17, 61), (1 << 20, 20, 62), (1 << 20, 23, 64),
    ],
)  # fmt: skip
def test_the_noise_rule_is_the_table_of_the_specification(squares, budget, w):
    assert least_noise_bits(Load(1, squares, 1, 1 << budget)) == w


@pytest.mark.parametrize(
    ("load", "name", "mode", "text"),
    [
        (Load(1 << 20, 1 << 20, 2**15 - 1, 1 << 20), "S", "reveal", "36 bits leave 58 bits"),
        (Load(1 << 40, 1, 2**21, 1), "W", "reveal", "too wide for set W"),
        (Load(1, 1 << 20, 1, 1 << 34), "W", "reveal", "distance"),
        (Load(1 << 40, 1, 2**21, 1), "S", "share", "too wide for set S in share mode"),
        (Load(1, 1, 1, 0), "S", "reveal", "budget must be at least 1"),
        (Load(1, 1, 1, 1), "T", "reveal", "S or W"),
        (Load(1, 1, 1, 1), "T", "share", "S or W"),
        (Load(1, 1, 1, 1), "S", "both", "reveal or share"),
    ],
)
def test_weak_or_impossible_parameters_are_refused(load, name, mode, text):
    with pytest.raises(ConfigError, match=text):
        parameters(load, name, mode)


def test_sums_always_fit_the_width_that_is_left_for_them():
    for load in (Load(100_000, 100_000, 2**15 - 1, 1 << 20), Load(1 << 20, 1 << 20, 2047, 1 << 20)):
        params = parameters(load)
        assert load.row_sum * load.max_abs < 1 << (params.sum_bits - 1)
        assert params.noise_bits >= least_noise_bits(load)
        assert params.delta_bits + params.sum_bits == 96


def test_the_budget_is_charged_before_anything_is_computed():
    matrix, values = toy()
    session = open_session(TOY, SAMPLES, SEED)
    holder, _ = hold(session, DenseRows(matrix), seeded_root(1))
    question, _ = ask(session, values, seeded_root(2), 0)
    spent = []

    def poor(count):
        spent.append(count)
        raise RefusedError("policy: the budget is spent")

    for answerer in (reveal, share):
        with pytest.raises(RefusedError):
            answerer(holder, question, poor)
    assert spent == [ROWS * 2] * 2


def test_another_question_has_other_secrets_and_the_same_one_the_same_bytes():
    """A6: b - b' of two questions with one secret would show m - m'."""
    _, values = toy()
    session = open_session(TOY, SAMPLES, SEED)
    one = ask(session, values, seeded_root(2), 0)
    assert encode(ask(session, values, seeded_root(2), 0)[0]) == encode(one[0])
    for other in (
        ask(session, values + 1, seeded_root(2), 0),
        ask(session, values, seeded_root(2), 1),
        ask(session, values, seeded_root(3), 0),
    ):
        assert not np.array_equal(other[1].secrets, one[1].secrets)


def test_noise_is_fresh_for_another_question_and_kept_for_the_same():
    matrix, values = toy()
    session = open_session(TOY, SAMPLES, SEED)
    holder, _ = hold(session, DenseRows(matrix), seeded_root(1))
    question, _ = ask(session, values, seeded_root(2), 0)
    again, _ = ask(session, values, seeded_root(2), 1)
    first = reveal(holder, question, free).numbers
    assert np.array_equal(reveal(holder, question, free).numbers, first)
    assert not np.array_equal(reveal(holder, again, free).numbers, first)


def test_a1_a_bare_hint_gives_the_table_away_and_a_blinded_one_does_not():
    """With fewer samples than N, M A is a polynomial product that a division undoes."""
    params = Parameters("toy", 64, 4, 40, 4, 42, 40)
    samples = 60
    row = np.random.default_rng(3).integers(0, 2, (1, samples)).astype(np.int32)
    session = open_session(params, samples, SEED)
    a = numbers(public_polynomial(SEED, params, 0))
    matrix = [slow.ring_row(a, j, Q) for j in range(64)]
    _, hint = hold(session, DenseRows(row), seeded_root(1))
    bare = [sum(int(m) * matrix[j][i] for j, m in enumerate(row[0])) % Q for i in range(64)]
    blinded = numbers(unpacked(hint.rows[0]))
    assert solve(matrix, bare)[:samples] == row[0].tolist()
    found = solve(matrix, blinded)[:samples]
    assert sum(value in (0, 1) for value in found) == 0


def solve(matrix: list[list[int]], row: list[int]) -> list[int]:
    """x with x · matrix = row modulo 2^96, by elimination on odd pivots."""
    size = len(row)
    columns = [[matrix[j][i] for j in range(size)] + [row[i]] for i in range(size)]
    for at in range(size):
        pivot = next((r for r in range(at, size) if columns[r][at] % 2), None)
        if pivot is None:  # an even pivot: this public polynomial has no inverse
            pytest.fail("choose another seed: the matrix is not invertible modulo 2^96")
        columns[at], columns[pivot] = columns[pivot], columns[at]
        scale = pow(columns[at][at], -1, Q)
        columns[at] = [value * scale % Q for value in columns[at]]
        for other in range(size):
            if other != at and columns[other][at]:
                factor = columns[other][at]
                columns[other] = [
                    (x - factor * y) % Q for x, y in zip(columns[other], columns[at], strict=True)
                ]
    return [columns[i][size] for i in range(size)]


def test_a2_a_guessed_row_cannot_be_confirmed():
    """Without e' the hint minus the guess is r p exactly: its ternary r says the guess is right."""
    matrix, _ = toy()
    session = open_session(TOY, SAMPLES, SEED)
    _, hint = hold(session, DenseRows(matrix), seeded_root(1))
    public = [numbers(public_polynomial(SEED, TOY, c)) for c in range(3)]
    p = numbers(public_polynomial(SEED, TOY, -1))
    blinds = ternary(seeded_root(1), "blind", shape=(ROWS, TOY.n)).tolist()
    none = [[0] * TOY.n] * ROWS
    bare = slow.hint(matrix.tolist(), public, p, blinds, none, Q)
    assert confirmed(matrix[0], bare[0], public, p)
    assert not confirmed(matrix[0], numbers(unpacked(hint.rows[0])), public, p)
    assert not confirmed(matrix[1], bare[0], public, p)


def confirmed(guess, row, public, p) -> bool:
    """Is what is left of a hint after a guessed row a ternary multiple of p?"""
    zero = [[0] * TOY.n]
    guessed = slow.hint([guess.tolist()], public, p, zero, zero, Q)[0]
    left = [(x - y) % Q for x, y in zip(row, guessed, strict=True)]
    # left = row0(r p), which is linear in r: solve for r and look whether it is small.
    units = [[int(i == j) for j in range(TOY.n)] for i in range(TOY.n)]
    images = [slow.ring_row(slow.product_row(unit, p, Q), 0, Q) for unit in units]
    found = solve(images, left)
    return all(value in (0, 1, Q - 1) for value in found)


def test_a5_a_malicious_question_reads_the_table_in_reveal_mode_and_not_in_share_mode():
    """Documented, not defended: in reveal mode the budget alone stands in the way."""
    row = np.random.default_rng(4).integers(0, 2, (1, 24)).astype(np.int32)
    powers = (1 << np.arange(24))[None]
    *_, sums = asked_and_answered(TOY, DenseRows(row), powers)
    read = [int(sums[0, 0]) >> bit & 1 for bit in range(24)]
    assert read == row[0].tolist()
    quiet = replace(TOY, noise_terms=0)
    hits = 0
    for seed in range(100):
        *_, sums = asked_and_answered(
            quiet, DenseRows(row), powers, "share", hashlib.sha256(bytes([seed])).digest()
        )
        hits += sum((int(sums[0, 0]) >> bit & 1) == row[0, bit] for bit in range(24))
    # Binomial(2400, 1/2): 4.9 standard deviations are exceeded with probability 1e-6.
    assert abs(hits - 1200) < 4.9 * math.sqrt(2400) / 2


def test_samplers_have_their_laws():
    root, size = seeded_root(9), 60_000
    signs = ternary(root, "t", shape=(size,))
    counts = np.bincount(signs + 1, minlength=3)
    assert stats.chisquare(counts).pvalue > 1e-6
    drawn = errors(root, "e", shape=(size,))
    law = stats.binom(42, 0.5).pmf(np.arange(10, 33))
    seen = np.bincount(drawn + 21, minlength=43)[10:33]
    expected = law / law.sum() * seen.sum()
    assert stats.chisquare(seen, expected).pvalue > 1e-6
    assert abs((drawn % 2).mean() - 0.5) < 4.9 * 0.5 / math.sqrt(size)
    wide = noise(root, "n", shape=(size,), params=TOY)
    as_float = balanced(wide).astype(np.float64) @ 2.0 ** (24 * np.arange(4))
    scaled = as_float / 2**40
    # A sum of four centred uniforms of width 1: variance 1/3, within ±2.
    assert np.abs(scaled).max() <= 2
    assert abs(scaled.var() - 1 / 3) < 4.9 * math.sqrt(stats.irwinhall(4).stats("k") + 2) / (
        3 * math.sqrt(size)
    )


def test_secrets_of_other_labels_are_others():
    assert not np.array_equal(
        ternary(seeded_root(1), "a", shape=(64,)), ternary(seeded_root(1), "b", shape=(64,))
    )


@given(st.lists(st.integers(0, Q - 1), min_size=1, max_size=20))
def test_digits_and_bytes_come_back(values):
    digits = digits_of(values, 4)
    assert numbers(unpacked(packed(digits))) == values
    assert [value % Q for value in numbers(balanced(digits))] == values
    assert numbers(carried(balanced(digits))) == values


def test_messages_cross_as_bytes():
    matrix, values = toy()
    _, hint, question, made, _, _ = asked_and_answered(TOY, DenseRows(matrix), values)
    for message in (hint, question, made):
        kinds = (Hint, Question, Answer)
        assert encode(decode(encode(message), kinds, Limits(1 << 20))) == encode(message)


def test_what_does_not_fit_is_refused():
    matrix, values = toy()
    session = open_session(TOY, SAMPLES, SEED)
    holder, hint = hold(session, DenseRows(matrix), seeded_root(1))
    question, asked = ask(session, values, seeded_root(2), 0)
    made = reveal(holder, question, free)
    with pytest.raises(WrongShapeError, match="40 samples, the session 41"):
        hold(open_session(TOY, 41, SEED), DenseRows(matrix), seeded_root(1))
    with pytest.raises(WrongShapeError, match=r"\(T, 40\)"):
        ask(session, values[:, 1:], seeded_root(2), 0)
    short = replace(question, vectors=question.vectors[:, 1:])
    with pytest.raises(WrongShapeError, match="question has shapes"):
        reveal(holder, short, free)
    with pytest.raises(WrongShapeError, match="a hint has shape"):
        keep_hint(session, Hint(hint.rows[:, 1:]))
    with pytest.raises(WrongShapeError, match="an answer has shape"):
        open_answer(session, keep_hint(session, hint), asked, Answer(made.numbers[1:]))
    with pytest.raises(ConfigError, match="at least 1 sample"):
        open_session(TOY, 0, SEED)
    with pytest.raises(ConfigError, match="32 bytes"):
        joint_seed("s", (b"x", bytes(32)), b"")
    with pytest.raises(DataError, match="outside"):
        bin_rows(np.array([[2]]), np.array([2]))
    with pytest.raises(ConfigError, match="do not fit together"):
        bin_rows(np.zeros((3, 2), int), np.array([2]))
    with pytest.raises(ConfigError, match="1 to 65535"):
        bin_rows(np.zeros((3, 1), int), np.array([0]))
    with pytest.raises(DataError, match="32767"):
        DenseRows(np.array([[1 << 15]], np.int32))


def test_a_seed_binds_everything():
    nonces = (bytes(32), bytes([1] * 32))
    seeds = {
        joint_seed("s", nonces, b"c"),
        joint_seed("t", nonces, b"c"),
        joint_seed("s", nonces[::-1], b"c"),
        joint_seed("s", nonces, b"d"),
    }
    assert len(seeds) == 4


def test_a_product_too_large_to_be_exact_is_refused():
    from fedguide.crypto.digits import from_spectra, to_spectrum

    with pytest.raises(RunError, match="too large to be exact"):
        from_spectra(to_spectrum(np.full((1, 8), 0.5)))


def test_nothing_secret_is_shown():
    matrix, values = toy()
    session = open_session(TOY, SAMPLES, SEED)
    holder, _ = hold(session, DenseRows(matrix), seeded_root(1))
    _, asked = ask(session, values, seeded_root(2), 0)
    assert "array" not in repr(holder) + repr(asked)
    assert str(seeded_root(1).value) not in repr(holder)
