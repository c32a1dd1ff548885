"""The courier of a multitude against the plain loop: same model, same judgements."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedguide.errors import ConfigError, QuorumLostError
from fedguide.horizontal.algorithm import Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedsgd import fedsgd
from fedguide.horizontal.local import Epochs, Model, engine, local_fit, ravel_params
from fedguide.horizontal.mean import Weighting, weighted_mean
from fedguide.horizontal.messages import Train
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.shards import Shard
from fedguide.protocol import Ask, Courier, run
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.crowd import Bundle
from fedguide.runtime.multitude import Multitude, drawn_seeds, multitude
from fedguide.seeds import derive, seeded_root
from fedguide.values import PartyId
from tests.horizontal.linear import clock

ROWS, WIDTH = 30, 4
PLAN = Epochs(2, 8)
COUNTS = np.array([9, 1, 30, 8, 17, 24, 3])
NAMES = [PartyId(f"c{number:02d}") for number in range(len(COUNTS))]
RNG = np.random.default_rng(5)
PARAMS = {
    "behind": jnp.asarray(RNG.normal(size=1), jnp.float32),
    "items": jnp.asarray(RNG.normal(size=(ROWS, WIDTH)), jnp.float32),
    "top": jnp.asarray(RNG.normal(size=(2 * WIDTH, 1)), jnp.float32),
}
FLAT = ravel_params(PARAMS)[0]


def apply(params: Any, x: Any) -> Any:
    seen = jnp.tanh(params["items"][x].reshape(len(x), 2 * WIDTH))
    return (seen @ params["top"])[:, 0] + params["behind"]


def loss(model: Any, x: Any, y: Any) -> Any:
    return optax.sigmoid_binary_cross_entropy(model(x), y).mean()


MADE = engine(Model(lambda _key: PARAMS, apply), loss, {}, optax.sgd(0.5), PARAMS)
DRAWN = [RNG.integers(0, ROWS, (count, 2)).astype(np.int32) for count in COUNTS]
SHARDS = [Shard(x, (x.sum(1) % 2).astype(np.float32)) for x in DRAWN]


def bundle(rows: Any) -> Bundle:
    some = [SHARDS[row] for row in rows]
    return Bundle(COUNTS[rows], *(np.concatenate([getattr(s, p) for s in some]) for p in "xy"))


def roots_of(name: PartyId) -> Any:
    return lambda task, number: seeded_root(3, name, task, number)


def seeds(number: int, rows: Any) -> Any:
    """The seeds that the parties of the plain loop derive."""
    derived = (
        derive(roots_of(NAMES[row])("sim", number), "sim", number, "fit", size=4) for row in rows
    )
    return np.array([int.from_bytes(one, "big") >> 1 for one in derived])


def plain(weighting: Weighting = "num_examples", least: int = 1) -> Courier:
    aggregator = weighted_mean(weighting)
    parties = {
        name: Party(
            PartyEnv(
                "sim",
                roots_of(name),
                aggregator,
                len(shard.x),
                fit=local_fit(MADE, shard, PLAN),
                least_examples=least,
            ),
            answer,
            PartyState,
        )
        for name, shard in zip(NAMES, SHARDS, strict=True)
    }
    return in_process(parties, clock)


def many(weighting: Weighting = "num_examples", least: int = 1, piece: int = 3) -> Courier:
    crowd = Multitude(NAMES, COUNTS, bundle, seeds, least)
    return multitude(crowd, MADE, PARAMS, PLAN, "items", weighting, piece=piece)


def two_rounds(algorithm: Any, courier: Courier, names: Sequence[PartyId]) -> Any:
    state = algorithm.init(FLAT)
    for number in range(2):
        state = run(algorithm.next_round(state, names, seeded_root(1, number)), courier)
    return state


@pytest.mark.parametrize("weighting", ["num_examples", "uniform"])
def test_it_is_the_plain_loop_to_a_millionth(weighting: Weighting) -> None:
    algorithm = fedavg(weighted_mean(weighting), waiting=Waiting(1))
    # Two parties refuse by their own policy, one is nobody.
    names = [*NAMES, PartyId("nobody")]
    one = two_rounds(algorithm, plain(weighting, least=5), names)
    other = two_rounds(algorithm, many(weighting, least=5), names)
    assert np.abs(one.params - FLAT).max() > 1e-2
    np.testing.assert_allclose(other.params, one.params, rtol=0, atol=1e-6)
    assert other.report.parties == one.report.parties
    assert other.report.examples == one.report.examples
    assert other.report.loss == pytest.approx(one.report.loss, abs=1e-6)
    told = [{(m.party, m.reason) for m in state.report.missing} for state in (one, other)]
    assert told[0] == told[1]
    assert len(told[0]) == 3


def test_first_n_are_the_first_in_turn() -> None:
    message = Train(0, FLAT)
    ask = Ask(dict.fromkeys(NAMES, message), 2, 1.0, 2)
    replies = many()(ask)
    assert list(replies.answers) == NAMES[:2]
    assert {missing.reason for missing in replies.missing} == {"late"}


def test_a_round_gone_by_is_not_answered_again() -> None:
    courier = many()
    for number, answered in ((1, 7), (1, 7), (0, 0)):
        replies = courier(Ask(dict.fromkeys(NAMES, Train(number, FLAT)), 1, 1.0))
        assert len(replies.answers) == answered
    assert {missing.reason for missing in replies.missing} == {"faulty"}


def test_whatever_is_not_plain_training_is_refused() -> None:
    algorithm = fedsgd(weighted_mean(), 0.1)
    with pytest.raises(QuorumLostError, match="refused"):
        run(algorithm.next_round(algorithm.init(FLAT), NAMES, seeded_root(1)), many())
    # Other weights than those of the mean would be a wrong mean, not an error, were they let in.
    algorithm = fedavg(weighted_mean("uniform"))
    with pytest.raises(QuorumLostError, match="faulty"):
        run(algorithm.next_round(algorithm.init(FLAT), NAMES, seeded_root(1)), many())


def test_drawn_seeds_differ_by_round_and_row() -> None:
    rows = np.arange(1000)
    drawn = np.concatenate([drawn_seeds(7)(number, rows) for number in range(3)])
    assert len(np.unique(drawn)) == len(drawn)
    assert drawn.min() >= 0
    assert drawn.max() < 1 << 31
    np.testing.assert_array_equal(drawn_seeds(7)(1, rows[3:5]), drawn[1003:1005])


def test_nobody_is_without_examples() -> None:
    with pytest.raises(ConfigError, match="at least one example"):
        multitude(Multitude(NAMES, COUNTS * 0, bundle, seeds), MADE, PARAMS, PLAN, "items")
    with pytest.raises(ConfigError, match="piece"):
        many(piece=0)
