"""Robust means: a rule over the updates of single parties, or over sums of buckets of them.

``robust_mean`` hands every update to its rule, so its coordinator sees each of them: it is chosen
*instead* of secret sums by parties that fear each other more than the coordinator. ``bucketed``
keeps single updates hidden: the parties are dealt anew each round into buckets of three or more,
each bucket is added up by any summation, and the rule judges the buckets' means (Karimireddy, He
and Jaggi, "Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing", ICLR 2022). One
bad party spoils its whole bucket, so it withstands as many bad parties as its rule withstands bad
buckets; ten parties in buckets of three are three buckets, and those withstand one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedguide.errors import ConfigError, ProtocolError
from fedguide.horizontal.alongside import alongside, part_of
from fedguide.horizontal.mean import (
    Aggregator,
    Mean,
    Terms,
    Update,
    Weighting,
    inspected,
    weighted_mean,
)
from fedguide.horizontal.rules import Rule, Weights, require
from fedguide.horizontal.summed import Packing, Summation, SumTerms
from fedguide.protocol import Ask, Coordinator, Message, Missing, QuorumLost, Replies, State
from fedguide.seeds import Root, derive, stream
from fedguide.values import PartyId, Vector

LEAST_BUCKET = 3
"""Fewest parties of a bucket: the sum of two tells each of them the other's update."""


def robust_mean(
    rule: Rule, bad: int, name: str = "this rule", weighting: Weighting = "uniform"
) -> Aggregator:
    """The rule over updates sent in the open.

    Loss and figures are the medians of what was handed in. With ``num_examples`` no party weighs
    more than the (f + 1)-th heaviest: the number is a claim that nobody can check, and of f + 1
    claims one is honest.

    Args:
        rule: makes one update of many.
        bad: how many bad updates it has to withstand.
        name: of the rule, for its refusals.
        weighting: p_k by ``"num_examples"`` or ``"uniform"``; most rules use no weights.

    Raises:
        ConfigError: ``bad`` is negative, or ``weighting`` unknown. While running: the cohort is
            too small for ``bad``.
    """
    require(name, rule, bad, rule.least(max(bad, 0)))
    plain = weighted_mean(weighting)

    def collect(ask: Ask, replies: Replies, terms: Terms) -> Coordinator[Mean]:
        yield from ()  # everything needed came with the first replies
        require(name, rule, bad, len(ask.to))
        sound, faulty = inspected(replies.answers, terms)
        missing = replies.missing + faulty
        enough = replace(ask, quorum=max(ask.quorum, rule.least(bad)))
        if len(sound) < enough.quorum:
            raise QuorumLost(enough, Replies(sound, missing))
        means = [
            Mean(one.vector, one.examples, one.loss, one.figures, (party,), ())
            for party, one in sound.items()
        ]
        return _combined(rule, bad, means, missing, weighting, terms)

    return Aggregator(plain.submit, plain.answer, collect, remembers=rule.around_last)


def bucketed(
    rule: Rule,
    bad: int,
    summation: Summation,
    packing: Packing,
    *,
    size: int = LEAST_BUCKET,
    name: str = "this rule",
) -> Aggregator:
    """The rule over the means of buckets, each a sum made by ``summation``.

    A bucket in which fewer than three parties are left is left out, and so is one whose sum makes
    no sense.

    Args:
        rule: makes one update of many.
        bad: how many bad buckets, so at most as many bad parties, it has to withstand.
        summation: adds up one bucket.
        packing: lays updates on the grid; its bounds must allow a bucket's number of parties.
        size: fewest parties in a bucket; those left over join the others.
        name: of the rule, for its refusals.

    Raises:
        ConfigError: ``bad`` is negative, or ``size`` below 3. While running: the cohort makes
            too few buckets for ``bad``.
    """
    require(name, rule, bad, rule.least(max(bad, 0)))
    if size < LEAST_BUCKET:
        raise ConfigError(f"size must be at least {LEAST_BUCKET}, got {size}")

    def submit(update: Update, root: Root) -> tuple[State | None, Message]:
        return summation.submit(update.round, packing.pack(update, root), root)

    def collect(ask: Ask, replies: Replies, terms: Terms) -> Coordinator[Mean]:
        buckets = deal(sorted(ask.to), size, terms.root)
        require(f"{name} over buckets of {size}", rule, bad, len(buckets))
        outcomes = yield from alongside(
            [
                _bucket_mean(ask, replies, bucket, summation, packing, _terms_of(terms, number))
                for number, bucket in enumerate(buckets)
            ]
        )
        means = [one for one in outcomes if isinstance(one, Mean)]
        missing = tuple(one for outcome in outcomes for one in outcome.missing)
        enough = rule.least(bad) * size
        parties = sum(len(one.parties) for one in means)
        if len(means) < rule.least(bad) or parties < ask.quorum:
            left = {party: ask.to[party] for one in means for party in one.parties}
            lost = replace(ask, quorum=min(max(ask.quorum, enough), len(ask.to)))
            raise QuorumLost(lost, Replies(left, missing))
        return _combined(rule, bad, means, missing, "uniform", terms)

    return Aggregator(submit, summation.answer, collect, "bucket sums", rule.around_last)


def deal(parties: Sequence[PartyId], size: int, root: Root) -> list[tuple[PartyId, ...]]:
    """The parties dealt at random into as many buckets of at least ``size`` as there can be.

    Raises:
        ConfigError: there are fewer parties than one bucket needs.
    """
    if len(parties) < size:
        raise ConfigError(f"a bucket needs at least {size} parties, the cohort has {len(parties)}")
    dealt = stream(root, "buckets").permutation(len(parties))
    parts = np.array_split(dealt, len(parties) // size)
    return [tuple(parties[i] for i in sorted(part.tolist())) for part in parts]


@dataclass(frozen=True)
class _Spoilt:
    """A bucket that gave no mean; all of its parties are missing."""

    missing: tuple[Missing, ...]


def _bucket_mean(
    ask: Ask,
    replies: Replies,
    bucket: tuple[PartyId, ...],
    summation: Summation,
    packing: Packing,
    terms: Terms,
) -> Coordinator[Mean | _Spoilt]:
    """The mean of one bucket, made by its own sum."""
    to = {party: ask.to[party] for party in bucket}
    asked = replace(ask, to=to, quorum=LEAST_BUCKET, first=None)
    wanted = SumTerms(terms.round, packing.length(terms), terms.root)
    try:
        total = yield from summation.collect(asked, part_of(replies, to), wanted)
        return packing.unpack(total, terms)
    except QuorumLost as lost:
        return _spoilt(bucket, lost.replies.missing, "lost", f"fewer than {LEAST_BUCKET} answered")
    except (
        ProtocolError
    ) as error:  # a liar's sum that makes no sense ends its bucket, not the round
        return _spoilt(bucket, (), "faulty", str(error))


def _spoilt(
    bucket: tuple[PartyId, ...], known: Sequence[Missing], reason: str, detail: str
) -> _Spoilt:
    """All of a bucket's parties as missing: those with a reason of their own keep it."""
    named = {one.party: one for one in known}
    others = f"its bucket was left out: {detail}"
    return _Spoilt(tuple(named.get(party, Missing(party, reason, others)) for party in bucket))


def _terms_of(terms: Terms, bucket: int) -> Terms:
    """The terms of one bucket: a root of its own, so that no two sums share a secret."""
    return replace(terms, root=Root(derive(terms.root, "bucket", bucket)))


def _combined(
    rule: Rule,
    bad: int,
    means: Sequence[Mean],
    missing: tuple[Missing, ...],
    weighting: Weighting,
    terms: Terms,
) -> Mean:
    """The rule's outcome, with the medians of loss and figures."""
    updates = np.stack([one.vector for one in means])
    weights = _weights([one.examples for one in means], weighting, bad)
    if rule.around_last and terms.last is not None:
        updates -= terms.last
        vector: Vector = rule.combine(updates, weights, bad) + terms.last
    else:
        vector = rule.combine(updates, weights, bad)
    return Mean(
        vector,
        sum(one.examples for one in means),
        float(np.median([one.loss for one in means])),
        np.median(np.stack([one.figures for one in means]), axis=0),
        tuple(sorted(party for one in means for party in one.parties)),
        missing,
    )


def _weights(examples: Sequence[int], weighting: Weighting, bad: int) -> Weights:
    """How much each update counts: alike, or by its examples up to the (f + 1)-th largest."""
    if weighting == "uniform":
        return np.ones(len(examples))
    counts = np.array(examples, np.float64)
    bounded: Weights = np.minimum(counts, np.sort(counts)[-1 - bad])
    return bounded
