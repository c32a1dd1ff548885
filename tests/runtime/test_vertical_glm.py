"""A GLM with two partners as a task over a real hub: aligned, trained in shares, scored, ended."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fedguide.codec import decode, encode
from fedguide.crypto.signing import make_key
from fedguide.runtime.consent import Desk
from fedguide.runtime.journal import MemoryJournal
from fedguide.runtime.vertical_party import VERTICAL_WIRE, Offered, VerticalEnv, vertical_work
from fedguide.runtime.vertical_proposal import VerticalProposal, vertical_limits
from fedguide.runtime.vertical_task import OwnTable, VerticalDriving, score_glm, train_vertical
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from fedguide.vertical.features import Feature, FeatureSpec
from fedguide.vertical.local import PartnerHalves, PartnerPlan
from fedguide.vertical.scaling import Scaling
from fedguide.vertical.sealed import Sealing
from fedguide.vertical.sums import Rule, no_limit
from tests.runtime.hub_world import DRIVER, Kept, at_work, hub_world

PARTNERS = (PartyId("shop-a"), PartyId("shop-b"))
PEOPLE = 300
IDENTITIES = {name: make_key() for name in (DRIVER, *PARTNERS)}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with hub_world(tmp_path_factory.mktemp("hub")) as world:
        yield world


def proposal():
    return VerticalProposal(
        task="lines",
        purpose="a test",
        driver=DRIVER,
        key=str(IDENTITIES[DRIVER].public),
        parties=PARTNERS,
        columns=(),
        key_kind="id",
        most_keys=4 * PEOPLE,
        most_rows=PEOPLE,
        least_common=100,
        model="glm",
        objective="binary",
        trees=1,
        depth=1,
        learning_rate=0.3,
        least_node=1,
        steps=4,
        l2=1.0,
        sums=1,
        scores=500,
        reveal_alignment=True,
        hide_choice=True,
        deadline_s=60.0,
    )


def test_a_shop_and_two_partners(world, tmp_path):
    told = proposal()
    assert any(
        "coordinator and shop-a, if they pool" in line and "every step" in line
        for line in told.learns
    )
    rng = np.random.default_rng(0)
    keys = tuple(f"c{who}" for who in range(PEOPLE))
    columns = rng.normal(size=(3, PEOPLE))
    labels = (columns.sum(0) + 0.5 * rng.logistic(size=PEOPLE) > 0).astype(float)
    held = rng.random(PEOPLE) < 0.3
    own = OwnTable(keys, {"own": columns[2]}, labels, held)
    halves = {}

    def prepare(name, asked, _keeping):
        at = PARTNERS.index(name)
        order = np.random.default_rng(at + 1).permutation(PEOPLE)[:280]
        offered = Offered(
            tuple(keys[who] for who in order),
            {"theirs": columns[at][order]},
            seeded_root(5, name),
            PartnerPlan(least_bin=5),
            no_limit(),
            lambda _attempt: None,
            lambda half: halves.__setitem__(name, half),
        )
        end = Sealing(
            asked.task, IDENTITIES[name], seeded_root(6, name), vertical_limits(), VERTICAL_WIRE
        )
        return vertical_work(VerticalEnv(asked, offered), name, end)

    world.propose(
        told.task, *PARTNERS, max_bytes=told.max_bytes, proposal=encode(told), approve=True
    )
    for name in PARTNERS:
        keeping = Kept(tmp_path / f"{name}.db")
        desk = Desk(keeping.engine)
        desk.see(told.task, encode(told), "open")
        desk.decide(told.task, "approved", by="owner", now_s=0.0)
        keeping.engine.dispose()
    driving = VerticalDriving(
        world.client(DRIVER),
        MemoryJournal(),
        lambda _task, number: seeded_root(9, number),
        time.monotonic,
        IDENTITIES[DRIVER],
        {party: IDENTITIES[party].public for party in PARTNERS},
    )
    with at_work(world, tmp_path, prepare, names=PARTNERS):
        result = train_vertical(driving, told, own)
        cells = {"own": columns[2][result.own_rows[:100]]}
        scores = score_glm(driving, told, cells, np.arange(100))
    assert result.half.model.partners == PARTNERS
    assert result.measured > 0.85
    assert scores.shape == (100,)
    assert np.corrcoef(scores, columns[:, result.own_rows[:100]].sum(0))[0, 1] > 0.8
    facts = {fact.party: fact.en for fact in result.learned}
    assert f"WHICH {(~held[result.own_rows]).sum()} of its rows" in facts["shop-b"]
    assert "label party + shop-a" in facts
    # Each half of the model is its owner's.
    kinds = (PartnerHalves, FeatureSpec, Feature, Scaling, Rule)
    for half in halves.values():
        kept = decode(half, kinds, vertical_limits())
        assert kept.spec.features[0].name == "theirs"
        assert np.frombuffer(kept.weights, "<i8").any()
