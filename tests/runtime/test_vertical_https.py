"""Boosted trees of three parties over a real hub and TLS, with the label party killed at each trip.

The label party drives through the hub; both partners are at work in threads that keep nothing in
memory between two messages. Everything travels in sealed boxes: the hub's database holds no message
of the protocol that could be read.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from fedguide.codec import Limits, encode
from fedguide.crypto.signing import make_key
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.driver import Durable, drive_round, resume
from fedguide.runtime.https import over_https
from fedguide.runtime.journal import MemoryJournal
from fedguide.runtime.party_process import Work
from fedguide.seeds import Root, derive, seeded_root
from fedguide.values import PartyId
from fedguide.vertical import sums
from fedguide.vertical.sealed import (
    SEALED_WIRE,
    Box,
    Hello,
    SealedEnv,
    SealedState,
    Sealing,
    sealed,
)
from fedguide.vertical.sealed import answer as sealed_answer
from fedguide.vertical.sums import FEATURE_WIRE, FeatureEnv, FeatureState, Parted, no_limit
from fedguide.vertical.trees import LabelTable, PartnerHalf, TreeModel, TreePlan, grow
from tests.runtime.hub_world import DRIVER, agreed, at_work, hub_world, proposal_of

PARTNERS = (PartyId("shop-a"), PartyId("shop-b"))
ROWS, COMMON, BINS = 300, 250, 4
LIMITS = Limits(1 << 21)
WIRE = (*FEATURE_WIRE, TreeModel, PartnerHalf)
ALLOWED = (*WIRE, *SEALED_WIRE)
IDENTITIES = {name: make_key() for name in (DRIVER, *PARTNERS)}
KIND = b"Parted"
PLAN = TreePlan(trees=2, depth=2, least_node=20)
EMPTY = TreeModel(
    "binary", np.zeros(1), *(np.zeros(0, np.int64) for _ in range(4)),
    np.zeros(0, np.bool_), np.zeros(0, np.int64), np.zeros(0), (),
)  # fmt: skip


class Killed(Exception):  # noqa: N818 - what happened, not what is wrong
    """The label party's process died."""


def end(name, root=None):
    """One end of the boxes."""
    return Sealing("trees", IDENTITIES[name], root or seeded_root(4, name), LIMITS, WIRE)


def tables():
    """The label party's table and what each partner brings."""
    rng = np.random.default_rng(0)
    codes = {party: rng.integers(0, BINS, (ROWS, 2)).astype(np.uint16) for party in PARTNERS}
    rows = {party: rng.permutation(ROWS)[:COMMON] for party in PARTNERS}
    score = sum(codes[party][rows[party], 0].astype(float) for party in PARTNERS) - 3
    labels = (score + rng.logistic(size=COMMON) > 0).astype(float)
    table = LabelTable(labels, np.zeros((COMMON, 0), np.uint16), np.zeros(0, np.int64), rows)
    envs = {
        party: FeatureEnv(codes[party], np.full(2, BINS), seeded_root(3, party), no_limit())
        for party in PARTNERS
    }
    return table, envs


def dying_before(courier, trip, crossed):
    """A courier whose driver dies when it is about to send this trip."""

    def carry(ask):
        if ask.trip == trip:
            raise Killed
        replies = courier(ask)
        crossed.update(map(type, [*ask.to.values(), *replies.answers.values()]))
        return replies

    return carry


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with hub_world(tmp_path_factory.mktemp("hub")) as world:
        yield world


def test_killed_at_each_trip_and_resumed_it_grows_the_same_trees(world, tmp_path):
    table, envs = tables()
    root = seeded_root(9, "trees", 0)
    parties = {party: Party(env, sums.answer, FeatureState) for party, env in envs.items()}
    direct, trips = in_process(parties, lambda: 0.0), []

    def counted(ask):
        trips.append(ask.trip)
        return direct(ask)

    undisturbed, _ = run(grow(table, PLAN, Root(derive(root, "inner"))), counted)

    def forgetful(env, state, message):
        env.made.clear()
        return sums.answer(env, state, message)

    def prepare(name, _proposal, _keeping):
        half = SealedEnv(
            name, end(name), IDENTITIES[DRIVER].public, envs[name], forgetful, FeatureState
        )
        return Work(Party(half, sealed_answer, SealedState), ALLOWED, LIMITS)

    def growing(_state, drawn):
        inner = grow(table, PLAN, Root(derive(drawn, "inner")))
        peers = {party: IDENTITIES[party].public for party in PARTNERS}
        model, _ = yield from sealed(inner, end(DRIVER, drawn), peers)
        return model

    durable = Durable(
        "trees", MemoryJournal(), lambda _task, _round: root, time.monotonic, ALLOWED, LIMITS
    )
    with at_work(world, tmp_path, prepare, names=PARTNERS):
        agreed(world, proposal_of("trees", 400_000, parties=PARTNERS))
        courier = over_https(world.client(DRIVER), "trees", LIMITS, ALLOWED)
        deaths, crossed = 0, set()
        while True:
            progress = resume(durable, EMPTY)
            try:
                done = drive_round(
                    durable, progress, growing, dying_before(courier, deaths, crossed)
                )
            except Killed:
                deaths += 1
                continue
            break
    assert deaths == len(trips) + 1 > 6, "the keys are a trip of their own"
    assert encode(done.state) == encode(undisturbed)
    # The kind of a message stands in its bytes: none of the protocol's own reached the hub.
    assert crossed == {Hello, Box}
    assert KIND in encode(Parted(0, np.zeros((1, 1), np.uint8)))
    where = Path(world.url.removeprefix("sqlite:///"))
    held = [path.read_bytes() for path in where.parent.rglob("*") if path.is_file()]
    assert held
    assert not any(KIND in database for database in held)
