"""Statistics of columns across parties: what a partner's columns say of labels it must not see.

All are sums by the private linear query in reveal mode over the common customers: the label party
learns the sums named here, the partner nothing but their number. Information value: Siddiqi,
"Credit Risk Scorecards", 2006, chapter 6. Population stability index: the same, chapter 13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.lattice import Load
from fedguide.errors import DataError, ProtocolError
from fedguide.protocol import Ask, Coordinator
from fedguide.seeds import Root, derive
from fedguide.values import PartyId
from fedguide.vertical.scaling import SCALED_MOST
from fedguide.vertical.sums import (
    AMOUNT_BITS,
    Kind,
    Scheme,
    begin_session,
    opened_session,
    question_of,
    session_key,
    sums_of,
)

Floats = NDArray[np.float64]

_HALF = 0.5  # added to every count, so that an empty bin has a finite weight


@dataclass(frozen=True)
class BinSums:
    """Sums over a party's bins: of each feature, shape ``(bins, vectors)``."""

    features: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True)
class Evidence:
    """What one feature says of a label of two classes.

    Attributes:
        woe: weight of evidence of each bin, ln of its share of ones over its share of zeros.
        iv: information value: 0.02 is weak, 0.1 medium, 0.3 strong.
    """

    woe: Floats
    iv: float


@dataclass(frozen=True)
class Correlations:
    """Pearson correlations of own and partners' columns over the common customers.

    Attributes:
        owners: of each column: ``None`` for the label party's own.
        matrix: shape ``(d, d)``; NaN between two partners, who do not ask each other.
        vif: variance inflation of each column among all; NaN where correlations are missing.
    """

    owners: tuple[PartyId | None, ...]
    matrix: Floats
    vif: Floats


def bin_sums(
    vectors: NDArray[np.int64],
    rows: Mapping[PartyId, NDArray[np.int64]],
    root: Root,
    scheme: Scheme = "lattice",
) -> Coordinator[dict[PartyId, BinSums]]:
    """Sums of whole-number vectors over every partner's bins.

    Args:
        vectors: shape ``(T, c)``.
        rows: the common customers' rows at each partner, shape ``(c,)``.
        root: the label party's own, fresh.
        scheme: how vectors are hidden.

    Raises:
        ProtocolError: a partner's sums do not add up.
        QuorumLost: a partner refused or is gone.
    """
    found = {}
    for party in sorted(rows):
        sums, sizes = yield from _sums(vectors, party, rows[party], root, scheme, "bins")
        parts = np.split(sums, np.cumsum(sizes)[:-1])
        if any((part.sum(0) != vectors.sum(1)).any() for part in parts):
            raise ProtocolError(f"{party}: sums do not add up; the session is over")
        found[party] = BinSums(tuple(parts))
    return found


def evidence(
    labels: Floats,
    rows: Mapping[PartyId, NDArray[np.int64]],
    root: Root,
    scheme: Scheme = "lattice",
) -> Coordinator[dict[PartyId, tuple[Evidence, ...]]]:
    """Weight of evidence and information value of every partner's features.

    Raises:
        DataError: labels are not 0 and 1.
        ProtocolError, QuorumLost: see ``bin_sums``.
    """
    ones = _ones(labels)
    sums = yield from bin_sums(np.stack([ones, 1 - ones]), rows, root, scheme)
    return {
        party: tuple(evidence_of(part[:, 0], part[:, 1]) for part in found.features)
        for party, found in sums.items()
    }


def own_evidence(
    labels: Floats, codes: NDArray[np.uint16], bins: NDArray[np.int64]
) -> tuple[Evidence, ...]:
    """The same of one's own features: nobody is asked.

    Raises:
        DataError: labels are not 0 and 1.
    """
    ones = _ones(labels)
    found = []
    for feature, count in enumerate(bins):
        all_of = np.bincount(codes[:, feature], minlength=int(count))
        mine = np.bincount(codes[:, feature], weights=ones, minlength=int(count))
        found.append(evidence_of(mine.astype(np.int64), all_of - mine.astype(np.int64)))
    return tuple(found)


def evidence_of(ones: NDArray[np.int64], zeros: NDArray[np.int64]) -> Evidence:
    """The evidence of one feature from counts by bin; bins that are empty say nothing."""
    present = ones + zeros > 0
    good = (ones + _HALF) / (ones.sum() + _HALF * present.sum())
    bad = (zeros + _HALF) / (zeros.sum() + _HALF * present.sum())
    woe = np.where(present, np.log(good / bad), 0.0)
    return Evidence(woe, float(((good - bad) * woe)[present].sum()))


def select_by_iv(found: Sequence[Evidence], least: float = 0.02) -> tuple[int, ...]:
    """Numbers of the features that say at least this much, the strongest first."""
    order = sorted(range(len(found)), key=lambda at: -found[at].iv)
    return tuple(at for at in order if found[at].iv >= least)


def stability(
    later: NDArray[np.bool_],
    rows: Mapping[PartyId, NDArray[np.int64]],
    root: Root,
    scheme: Scheme = "lattice",
) -> Coordinator[dict[PartyId, Floats]]:
    """Population stability index of each feature between two groups of customers.

    Below 0.1 a feature is stable, above 0.25 it has shifted.

    Args:
        later: who is in the second group, shape ``(c,)``.
        rows: the common customers' rows at each partner.
        root: the label party's own, fresh.
        scheme: how vectors are hidden.

    Raises:
        DataError: a group is empty.
        ProtocolError, QuorumLost: see ``bin_sums``.
    """
    if later.all() or not later.any():
        raise DataError("stability needs customers in both groups")
    second = later.astype(np.int64)
    sums = yield from bin_sums(np.stack([second, 1 - second]), rows, root, scheme)
    return {
        party: np.array([evidence_of(part[:, 0], part[:, 1]).iv for part in found.features])
        for party, found in sums.items()
    }


def sums_over_common(
    rows: Mapping[PartyId, NDArray[np.int64]], root: Root, scheme: Scheme = "lattice"
) -> Coordinator[dict[PartyId, tuple[int, ...]]]:
    """The sum over the common customers of each column that a partner lets be added up.

    The label party learns the sums (of the halves of amounts, which tell no more), the partner
    nothing but how many customers at most. ``align.count_common`` tells the number alone.

    Args:
        rows: the common customers' rows at each partner.
        root: the label party's own, fresh.
        scheme: how the customers are hidden.

    Raises:
        ProtocolError, QuorumLost: see ``bin_sums``; a partner refuses where it named no column.
    """
    found = {}
    for party in sorted(rows):
        ones = np.ones((1, len(rows[party])), np.int64)
        halves, _ = yield from _sums(ones, party, rows[party], root, scheme, "amounts")
        low, high = halves[:, 0].reshape(2, -1)
        whole = low + (high << AMOUNT_BITS)
        found[party] = tuple(int(one) for one in whole)
    return found


def correlations(
    own: NDArray[np.int32],
    rows: Mapping[PartyId, NDArray[np.int64]],
    root: Root,
    scheme: Scheme = "lattice",
) -> Coordinator[Correlations]:
    """Pearson correlations and variance inflation over own and partners' scaled columns.

    Args:
        own: the label party's scaled columns of the common customers, shape ``(p, c)``.
        rows: the common customers' rows at each partner.
        root: the label party's own, fresh.
        scheme: how vectors are hidden.

    Raises:
        DataError: own columns are beyond ±127.
        ProtocolError, QuorumLost: see ``bin_sums``.
    """
    mine, count = own.astype(np.int64), own.shape[1]
    if mine.size and int(np.abs(mine).max()) > SCALED_MOST:
        raise DataError(f"scaled columns are within ±{SCALED_MOST}")
    ones = np.ones((1, count), np.int64)
    blocks = {}
    for party in sorted(rows):
        there = rows[party]
        first, _ = yield from _sums(
            np.concatenate([ones, mine]), party, there, root, scheme, "scaled"
        )
        pairs, _ = yield from _sums(ones, party, there, root, scheme, "pairs")
        blocks[party] = (first, _square(pairs[:, 0], len(first)))
    return _correlated(mine, blocks, count)


def _sums(
    vectors: NDArray[np.int64],
    party: PartyId,
    rows: NDArray[np.int64],
    root: Root,
    scheme: Scheme,
    kind: Kind,
) -> Coordinator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Sums over a partner's rows of a kind, shape ``(R, T)``, and what it says of its rows."""
    own = Root(derive(root, "statistics", kind, party))
    most = max(1, int(np.abs(vectors).max()))
    # K of bins is that of the trees. Products of columns are so wide that the noise covers one
    # question over at most 2^12 rows only; further ones are charged to the table's budget alone.
    budget = 1 << 20 if kind == "bins" else len(vectors) << 12
    load = Load(vectors.shape[1], 1, most, budget)
    key = session_key(scheme)
    begin = begin_session(f"statistics {kind}", own, scheme, load, party, kind, key)
    replies = yield Ask({party: begin}, 1)
    opened = opened_session(party, rows, begin, replies.answers[party], key)
    question, asked = question_of(opened, vectors, own, 0)
    replies = yield Ask({party: question}, 1)
    sums = sums_of(opened, asked, replies.answers[party], len(vectors))
    if sums.shape != (int(opened.table.bins.sum()), len(vectors)):
        raise ProtocolError(f"{party} answered with another number of sums")
    return sums, opened.table.bins


def _ones(labels: Floats) -> NDArray[np.int64]:
    """Labels as whole numbers."""
    if not np.isin(labels, [0, 1]).all() or len(np.unique(labels)) < 2:
        raise DataError("evidence needs labels 0 and 1, both of them")
    return labels.astype(np.int64)


def _square(pairs: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The symmetric matrix whose upper triangle these are."""
    if len(pairs) != size * (size + 1) // 2:
        raise ProtocolError("sums of pairs do not fit the number of columns")
    whole = np.zeros((size, size), np.int64)
    whole[np.triu_indices(size)] = pairs
    return np.maximum(whole, whole.T) if size == 1 else whole + np.triu(whole, 1).T


def _correlated(
    mine: NDArray[np.int64],
    blocks: Mapping[PartyId, tuple[NDArray[np.int64], NDArray[np.int64]]],
    count: int,
) -> Correlations:
    """Correlations from sums, sums of products and their owners."""
    owners: list[PartyId | None] = [None] * len(mine)
    owners += [party for party, (first, _) in blocks.items() for _ in first]
    size = len(owners)
    sums, products = np.zeros(size), np.full((size, size), np.nan)
    own = slice(0, len(mine))
    sums[own], products[own, own] = mine.sum(1), mine @ mine.T
    start = len(mine)
    for first, pairs in blocks.values():
        here = slice(start, start + len(first))
        sums[here], products[here, here] = first[:, 0], pairs
        products[here, own], products[own, here] = first[:, 1:], first[:, 1:].T
        start += len(first)
    covariance = products / count - np.outer(sums, sums) / count**2
    spread = np.sqrt(np.diag(covariance))
    # A column that is constant among the common customers correlates with nothing.
    matrix = covariance / np.where(spread > 0, np.outer(spread, spread), np.nan)
    return Correlations(tuple(owners), matrix, _vif(matrix))


def _vif(matrix: Floats) -> Floats:
    """The diagonal of the inverse, if all correlations are known and none is perfect."""
    if np.isnan(matrix).any() or np.linalg.matrix_rank(matrix, tol=1e-9) < len(matrix):
        return np.full(len(matrix), np.nan)
    inflation: Floats = np.diag(np.linalg.inv(matrix)).copy()
    return inflation
