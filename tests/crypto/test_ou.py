"""Sums by Okamoto-Uchiyama: as exact as the lattice's, and refusing what is none of it."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from fedguide.crypto import ou
from fedguide.crypto.ou import encrypt_pairs, make_ou_key, open_sums, sum_pairs
from fedguide.crypto.rows import bin_rows
from fedguide.errors import ConfigError, OversizedError, WrongShapeError
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical import sums
from fedguide.vertical.estimators import VerticalGBDTClassifier
from fedguide.vertical.glm import GlmPlan
from fedguide.vertical.local import LocalPartner, PartnerPlan
from fedguide.vertical.sums import begin_session

SIZES = np.array([5, 6, 32])


@pytest.fixture(scope="module")
def key():
    """One for all tests: primes of 1,024 bits take seconds to find."""
    pytest.importorskip("heu", reason="scheme ou needs the extra heu (sf-heu)")
    return make_ou_key()


def table(samples=60):
    """Codes of three features; the second has empty bins."""
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(low, high, samples) for low, high in ((0, 5), (1, 4), (0, 32))])
    return bin_rows(codes.T, SIZES)


def vectors(count, samples=60):
    most = (1 << 15) - 1
    found = np.random.default_rng(1).integers(-most, most + 1, (count, samples))
    found[0], found[-1, 3:] = -most, 0
    return found


@pytest.mark.parametrize("count", [1, 4, 5])
def test_sums_are_exact_for_any_number_of_vectors(key, count):
    rows, values = table(), vectors(count)
    answers = sum_pairs(key.public, encrypt_pairs(key, values), rows)
    expected = rows.sums(np.ascontiguousarray(values.T))
    assert np.array_equal(open_sums(key, answers, SIZES, count), expected)


def test_the_same_sums_again_are_other_ciphertexts(key):
    """Without a fresh zero a bin of one customer comes back as it was sent."""
    rows = bin_rows(np.array([[0], [1], [2]]), np.array([3]))
    sent = encrypt_pairs(key, vectors(2, 3))
    numbers = [sent[0][at : at + 300] for at in range(60, len(sent[0]) - 300)]
    phe, arrays = ou._library()
    kit, codes = arrays.setup(phe.PublicKey.load_from(key.public)), rows.codes.T.astype(np.int8)
    bare = kit.evaluator().feature_wise_bucket_sum(
        arrays.CiphertextArray.load_from(sent[0]), np.ones(3, np.int8), codes.copy(), 3, False
    )
    assert any(number in bare.serialize() for number in numbers)
    first, again = (sum_pairs(key.public, sent, rows) for _ in range(2))
    assert first != again
    assert not any(number in first[0] for number in numbers)
    assert "kit" not in repr(key)


def test_what_is_none_of_it_is_refused_by_size_or_by_form(key):
    rows = table()
    sent = encrypt_pairs(key, vectors(2))
    answers = sum_pairs(key.public, sent, rows)
    for public, flat, error, text in (
        (bytes(5000), sent[0], OversizedError, "at most 2048 bytes, got 5000"),
        (b"", sent[0], WrongShapeError, "not a key"),
        (key.public[:-4], sent[0], WrongShapeError, "not a key"),
        (key.public, bytes(10**6), OversizedError, "60 ciphertexts have at most"),
        (key.public, b"", WrongShapeError, "not ciphertexts"),
        (key.public, sent[0][:-3], WrongShapeError, "not ciphertexts"),
        (key.public, encrypt_pairs(key, vectors(2, 50))[0], WrongShapeError, "60 .* are due"),
    ):
        with pytest.raises(error, match=text):
            sum_pairs(public, [flat], rows)
    for wrong, text in (((), "2 vectors have 1 answers"), (sent, "96 ciphertexts are due")):
        with pytest.raises(WrongShapeError, match=text):
            open_sums(key, wrong, SIZES, 2)
    assert open_sums(key, answers, SIZES, 2).shape == (43, 2)
    wide = bin_rows(np.zeros((60, 1), int), np.array([128]))
    with pytest.raises(ConfigError, match="up to 127 bins"):
        sum_pairs(key.public, sent, wide)


def test_trees_under_ou_are_those_under_the_lattice(key, capfd, monkeypatch):
    monkeypatch.setattr(sums, "make_ou_key", lambda: key)
    rng = np.random.default_rng(2)
    own, theirs = rng.normal(size=(2, 220))
    labels = own + 2 * theirs + rng.logistic(size=220) > 0
    rows, halves = {PartyId("bank"): rng.permutation(220)[:200]}, []
    for scheme in ("ou", "lattice"):
        partner = LocalPartner({"pay": theirs}, seeded_root(1), PartnerPlan(8, 5))
        model = VerticalGBDTClassifier(2, 2, least_node=20, most_bins=8, scheme=scheme)
        at = rows[PartyId("bank")]
        model.fit({"own": own[at]}, labels[at], {PartyId("bank"): partner}, rows, seeded_root(3))
        halves.append(model.half_)
    assert halves[0].model.partners[0] == halves[1].model.partners[0]
    for name in ("owner", "feature", "bin", "left", "weight"):
        assert np.array_equal(getattr(halves[0].model, name), getattr(halves[1].model, name))
    assert capfd.readouterr().out == ""


def test_without_the_library_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("heu"):
            raise ImportError(name)
        return real(name, *rest)

    ou._library.cache_clear()
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ConfigError, match="needs sf-heu") as missing:
        make_ou_key()
    assert "fedguide[heu]" in missing.value.hint


def test_ou_is_for_sums_over_bins():
    with pytest.raises(ConfigError, match="a GLM in shares takes lattice"):
        GlmPlan(scheme="ou", reveal_alignment=True)
    with pytest.raises(ConfigError, match="sums over bins, not over scaled"):
        begin_session("s", seeded_root(1), "ou", None, PartyId("bank"), "scaled")
