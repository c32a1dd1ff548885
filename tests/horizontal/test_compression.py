"""Sending less: same optimum, fewer bytes, nothing lost for good, over bytes and under masks."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.codec import Limits, encode
from fedguide.errors import ConfigError, ProtocolError, QuorumLostError
from fedguide.horizontal.compression import read_compression
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fednova import fednova
from fedguide.horizontal.mean import Update, weighted_mean
from fedguide.horizontal.names import AGGREGATORS, WIRE
from fedguide.horizontal.party import PartyState, answer
from fedguide.horizontal.sides import Job, both
from fedguide.horizontal.thin import Step, Thinned, Whole
from fedguide.horizontal.thrift import FOLD, Packed, Squeezed, Thrift, spread, squeeze, thrifty
from fedguide.runtime.couriers import Party, through_bytes
from fedguide.runtime.driver import Durable, drive_round, resume
from fedguide.runtime.faulty import Fault, faulty
from fedguide.runtime.journal import MemoryJournal
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from tests.horizontal.linear import Descent, clock, loss_of, parties_of, pooled, random_data
from tests.horizontal.rounds import rounds

WIDTH = 600
DATA = random_data(3, sizes=(400, 300, 350), width=WIDTH)
NAMES = tuple(PartyId(name) for name in DATA)
START = np.zeros(WIDTH, np.float32)
DESCENT = Descent(learning_rate=0.1, steps=3)
WAYS = ("int8", "int4", "top:0.2", "rank:1", "random:0.4")


def squeezed(aggregators, way, data=DATA):
    """The parties of this data with everything made short."""
    compression = read_compression(way)
    sides = aggregators.through(compression.up)
    made = {}
    for name, rows in data.items():
        party = parties_of({name: rows}, sides.party(PartyId(name)), DESCENT)[PartyId(name)]
        half, first = compression.party(answer, PartyState)
        made[PartyId(name)] = replace(party, answer=half, initial=first)
    return compression.down(fedavg(sides.coordinator)), made


@pytest.mark.parametrize(("way", "slack"), [*zip(WAYS, (1.02, 1.1, 1.3, 3.0, 2.0), strict=True)])
def test_it_goes_where_plain_averaging_goes_with_fewer_bytes(way, slack):
    plain = rounds(fedavg(weighted_mean()), parties_of(DATA, weighted_mean(), DESCENT), START, 25)
    algorithm, parties = squeezed(both(weighted_mean()), way)
    told = rounds(algorithm, parties, START, 25)
    rows = pooled(DATA)
    ends = [loss_of(rows, run.states[-1].params) for run in (plain, told)]
    assert ends[1] < slack * ends[0] + 1e-3
    sizes = [
        sum(len(encode(ask)) + len(encode(reply)) for _, ask, reply in run.answers)
        for run in (plain, told)
    ]
    share = {"int8": 0.3, "int4": 0.19, "top:0.2": 0.19, "rank:1": 0.25, "random:0.4": 0.35}
    assert sizes[1] < share[way] * sizes[0]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_through_bytes_and_the_durable_driver_is_the_same(way):
    algorithm, parties = squeezed(both(weighted_mean()), way)
    plain = rounds(algorithm, parties, START, 4).states[1:]
    limits = Limits(1 << 20)
    courier = through_bytes(parties, clock, MemoryPartyStore(), limits, WIRE)
    first = algorithm.init(START)
    durable = Durable(
        "test", MemoryJournal(), lambda *_: seeded_root(0), clock, (*WIRE, type(first)), limits
    )
    progress = resume(durable, first)
    for expected in plain:
        progress = drive_round(
            durable,
            progress,
            lambda s, root: algorithm.next_round(s, list(NAMES), root),
            courier,
        )
        assert encode(progress.state) == encode(expected)


def test_a_common_choice_goes_under_masks_bit_for_bit_like_the_open_sum():
    compression = read_compression("random:0.4")
    job = Job("test", NAMES, compression.size(WIDTH), seeded_root(4), max_examples=1000)
    ends = []
    for name in ("masked_sum", "open_sum"):
        algorithm, parties = squeezed(AGGREGATORS[name](job), "random:0.4")
        ends.append(rounds(algorithm, parties, START, 3).states[-1])
    assert encode(ends[0]) == encode(ends[1])
    assert loss_of(pooled(DATA), ends[0].params) < 0.9 * loss_of(pooled(DATA), START)


def test_what_is_left_out_comes_later():
    aggregator = thrifty(weighted_mean(), Thrift(8, 0.25))
    vector, root, state = np.float32([8, 4, 2, 1]), seeded_root(0), None
    total = np.zeros(4, np.float32)
    for number in range(40):
        update = Update(number, vector, 1, 0.0, np.zeros(0))
        state, packed = aggregator.submit_after(state, update, root)
        assert np.count_nonzero(spread(packed.update)) <= 1
        again = aggregator.submit_after(state, update, root)  # the same round once more
        assert encode(again[1]) == encode(packed)
        total += spread(packed.update)
    np.testing.assert_allclose(total + state.after, 40 * vector, rtol=1e-3)
    assert np.abs(state.after).max() <= 32


def test_low_rank_is_the_nearest_matrix_and_the_rest_comes_later():
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=(40, 3)), rng.normal(size=(FOLD, 3))
    low = (left @ right.T).astype(np.float32).ravel()[:-5]
    sent = squeeze(low, Thrift(8, rank=3), None)
    assert np.linalg.norm(spread(sent) - low) < 0.02 * np.linalg.norm(low)
    assert len(encode(sent)) < 3 * (40 + FOLD) + 200
    # Of any vector: no nearer matrix of the rank (Eckart and Young), up to 8 bits.
    vector = rng.normal(size=FOLD * 40).astype(np.float32)
    values = np.linalg.svd(vector.reshape(40, FOLD), compute_uv=False)
    error = np.linalg.norm(spread(squeeze(vector, Thrift(8, rank=5), None)) - vector)
    assert np.sqrt((values[5:] ** 2).sum()) - 1e-3 < error < 1.01 * np.sqrt((values[5:] ** 2).sum())
    # Error feedback: what came and what is kept are together what was to be sent.
    aggregator, state = thrifty(weighted_mean(), Thrift(8, rank=2)), None
    total = np.zeros_like(vector)
    for number in range(30):
        update = Update(number, vector, 1, 0.0, np.zeros(0))
        state, packed = aggregator.submit_after(state, update, seeded_root(0))
        total += spread(packed.update)
    np.testing.assert_allclose(total + state.after, 30 * vector, rtol=0, atol=1e-2)
    assert np.linalg.norm(state.after) < 25 * np.linalg.norm(vector)


@pytest.mark.parametrize("rank", [-1, 6, 200])
def test_a_rank_that_no_matrix_has_is_refused(rank):
    sent = squeeze(START, Thrift(8, rank=2), None)
    with pytest.raises(ProtocolError, match="is none of 5 rows"):
        spread(replace(sent, rank=rank))


def test_who_missed_a_round_gets_the_whole_model_and_goes_on_alike():
    algorithm, parties = squeezed(both(weighted_mean()), "int8")
    late = [Fault(1, NAMES[0], "drop"), Fault(2, NAMES[1], "delay")]
    told = rounds(
        algorithm,
        parties,
        START,
        5,
        lambda courier: faulty(courier, late, WIRE, Limits(1 << 20)),
    )
    kinds = {
        name: [type(ask).__name__ for party, ask, _ in told.answers if party == name]
        for name in NAMES
    }
    assert kinds[NAMES[0]] == ["Step", "Whole", "Step", "Step"]
    assert kinds[NAMES[1]] == ["Step", "Step", "Step", "Whole", "Step"]
    models = {told.kept[name].params.tobytes() for name in NAMES}
    assert models == {told.states[-1].kept.params.tobytes()}


def test_a_round_asked_again_is_a_difference_from_the_same_model():
    algorithm, parties = squeezed(both(weighted_mean()), "top:0.2")
    told = rounds(algorithm, parties, START, 3)
    for name, ask, reply in told.answers[-3:]:
        state, again = parties[name].answer(parties[name].env, told.kept[name], ask)
        assert encode(again) == encode(reply)
        assert state.params.tobytes() == told.kept[name].params.tobytes()


def test_a_difference_from_an_unknown_model_is_refused():
    _, parties = squeezed(both(weighted_mean()), "int8")
    party: Party = parties[NAMES[0]]
    change = squeeze(START, Thrift(8), None)
    with pytest.raises(ProtocolError, match="model of round 7, this party has that of -1"):
        party.answer(party.env, party.initial(), Step(7, change, fednova_message()))


def fednova_message():
    """Any question of a round."""
    algorithm = fednova(weighted_mean())
    return next(algorithm.next_round(algorithm.init(START), list(NAMES), seeded_root(0))).to[
        NAMES[0]
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"size": WIDTH - 1}, "an update of 599 numbers, 600 are expected"),
        ({"bits": 5}, "600 numbers in 5 bits are no vector"),
        ({"levels": np.zeros(1, np.uint8)}, "600 numbers in 8 bits are 600 bytes"),
        ({"gaps": np.uint8([255])}, "in the middle of one"),
    ],
)
def test_a_damaged_update_is_its_partys_fault(changes, text):
    algorithm, parties = squeezed(both(weighted_mean()), "int8")

    def damage(env, state, message):
        state, reply = good.answer(env, state, message)
        return state, replace(reply, update=replace(reply.update, **changes))

    good = parties[NAMES[0]]
    parties[NAMES[0]] = replace(good, answer=damage)
    state = rounds(algorithm, parties, START, 1).states[-1]
    assert [(one.party, one.reason) for one in state.report.missing] == [(NAMES[0], "faulty")]
    assert text in state.report.missing[0].detail


def test_sums_refuse_single_updates_made_short():
    job = Job("test", NAMES, WIDTH, seeded_root(4), max_examples=1000)
    algorithm, parties = squeezed(AGGREGATORS["open_sum"](job), "int8")
    with pytest.raises(QuorumLostError, match="refused"):
        rounds(algorithm, parties, START, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "int3",
        "int8:0.5",
        "top",
        "top:",
        "top:0",
        "top:1.5",
        "random:x",
        "rank",
        "rank:0",
        "rank:1.5",
    ],
)
def test_what_is_no_way_to_send_less_is_refused(text):
    with pytest.raises(ConfigError, match=r"compress must be|share|rank:R needs"):
        read_compression(text)


def test_kinds_are_known_on_the_wire():
    assert {Step, Whole, Thinned, Packed, Squeezed} <= set(WIRE)
