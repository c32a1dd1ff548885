"""The simulator against the plain loop: same answers, same refusals, every algorithm."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedguide.errors import ConfigError, RefusedError
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.local import Engine, Epochs, Model, engine, local_fit, ravel_params
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.messages import Train
from fedguide.horizontal.names import AGGREGATORS, ALGORITHMS
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.shards import Shard
from fedguide.horizontal.sides import Job, both
from fedguide.protocol import Ask, Courier, Replies, run
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.crowd import train_together
from fedguide.runtime.simulator import simulated
from fedguide.seeds import seeded_root
from fedguide.values import PartyId
from tests.horizontal.linear import clock

ROWS, WIDTH = 30, 4
PLAN = Epochs(2, 8)


def init(_key: Any) -> Any:
    rng = np.random.default_rng(5)
    shapes = {"behind": (1,), "items": (ROWS, WIDTH), "front": (2 * WIDTH, 3), "top": (3, 1)}
    return {
        name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()
    }


def apply(params: Any, x: Any) -> Any:
    seen = params["items"][x].reshape(len(x), 2 * WIDTH)
    return (jnp.tanh(seen @ params["front"]) @ params["top"])[:, 0] + params["behind"]


def loss(model: Any, x: Any, y: Any) -> Any:
    return optax.sigmoid_binary_cross_entropy(model(x), y).mean()


MODEL = Model(init, apply)
PARAMS = init(None)
FLAT = ravel_params(PARAMS)[0]


def shards_of(counts: Sequence[int]) -> dict[PartyId, Shard]:
    rng = np.random.default_rng(9)
    shards = {}
    for number, count in enumerate(counts):
        x = rng.integers(0, ROWS, (count, 2)).astype(np.int32)
        shards[PartyId(f"c{number:02d}")] = Shard(x, (x.sum(1) % 2).astype(np.float32))
    return shards


SHARDS = shards_of([9, 1, 30, 8, 17, 24, 3])
SHARDS[PartyId("cuts")] = replace(SHARDS[PartyId("c02")], cuts=(5, 6, 17, 30))


def compiled(optimizer: Any = None) -> Engine:
    return engine(MODEL, loss, {}, optimizer or optax.sgd(0.5), PARAMS)


SGD = compiled()


def parties_of(
    made: Engine, sides: Any = None, shards: Mapping[PartyId, Shard] = SHARDS
) -> dict[PartyId, Party]:
    sides = sides or both(weighted_mean())
    return {
        name: Party(
            PartyEnv(
                "sim",
                lambda task, number, name=name: seeded_root(3, name, task, number),
                sides.party(name),
                len(shard.x),
                fit=local_fit(made, shard, PLAN),
            ),
            answer,
            PartyState,
        )
        for name, shard in shards.items()
    }


def together_of(made: Engine, **options: Any) -> Any:
    return train_together(made, PARAMS, SHARDS, PLAN, "items", **options)


TOGETHER = together_of(SGD)


def two_rounds(algorithm: Any, courier: Courier, names: Sequence[PartyId]) -> Any:
    state = algorithm.init(FLAT)
    for number in range(2):
        state = run(algorithm.next_round(state, names, seeded_root(1, number)), courier)
    return state


def by_shape() -> optax.GradientTransformation:
    """Moves matrices half as far as vectors: flat arrays would go another way."""

    def update(updates: Any, state: Any, _params: Any = None) -> Any:
        return jax.tree.map(lambda one: one * (-0.5 if one.ndim < 2 else -0.25), updates), state

    return optax.GradientTransformation(lambda _params: optax.EmptyState(), update)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "by shape"])
def test_it_is_the_plain_loop_to_a_millionth(optimizer: str) -> None:
    made = {
        "sgd": SGD,
        # Without an epsilon Adam makes a whole step of a last bit of the gradient.
        "adam": compiled(optax.adam(0.05, eps=1e-3)),
        "by shape": compiled(by_shape()),
    }[optimizer]
    together = TOGETHER if made is SGD else together_of(made)
    algorithm = fedavg(weighted_mean())
    plain = two_rounds(algorithm, in_process(parties_of(made), clock), list(SHARDS))
    quick = two_rounds(algorithm, simulated(parties_of(made), together), list(SHARDS))
    assert np.abs(plain.params - FLAT).max() > 1e-2
    np.testing.assert_allclose(quick.params, plain.params, rtol=0, atol=1e-6)
    assert quick.report.parties == plain.report.parties == tuple(sorted(SHARDS))
    assert quick.report.examples == plain.report.examples
    assert quick.report.loss == pytest.approx(plain.report.loss, abs=1e-6)


def test_each_of_many_lanes_is_the_plain_loop() -> None:
    shards = shards_of(range(3, 25))  # 22 parties: 11 lanes of 2
    together = train_together(SGD, PARAMS, shards, PLAN, "items")
    fits = together(FLAT, list(shards), list(range(22)))
    for seed, (shard, fitted) in enumerate(zip(shards.values(), fits, strict=True)):
        alone = local_fit(SGD, shard, PLAN)(FLAT, None, seed)
        change = fitted.patch.spread(len(FLAT))
        np.testing.assert_allclose(change, alone.params - FLAT, rtol=0, atol=1e-6)
        assert np.abs(change).max() > 1e-2


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_runs_in_it(name: str) -> None:
    algorithm = ALGORITHMS[name](weighted_mean())
    plain = in_process(parties_of(SGD), clock)
    quick = simulated(parties_of(SGD), TOGETHER)
    ends = []
    for courier in (plain, quick):
        try:
            ends.append(two_rounds(algorithm, courier, list(SHARDS)).params)
        except Exception as error:  # noqa: BLE001 - what one cannot do, the other cannot either
            ends.append(str(error))
    if isinstance(ends[0], str):
        assert ends[0] == ends[1]
    else:
        np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["open_sum", "masked_sum", "median", "norm_bound"])
def test_aggregators_that_take_no_patches_get_plain_changes(name: str) -> None:
    job = Job("sim", tuple(sorted(SHARDS)), len(FLAT), seeded_root(4))
    algorithm = fedavg(AGGREGATORS[name](job).coordinator)
    ends = [
        two_rounds(algorithm, courier, list(SHARDS)).params
        for courier in (
            in_process(parties_of(SGD, AGGREGATORS[name](job)), clock),
            simulated(parties_of(SGD, AGGREGATORS[name](job)), TOGETHER),
        )
    ]
    assert np.abs(ends[0] - FLAT).max() > 1e-3
    # A sum on the grid rounds by chance, the same one for both; a millionth may cross a step.
    np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=1e-5)


def test_who_refuses_is_missing_and_a_round_gone_by_is_not_trained() -> None:
    def refuses(_message: object) -> None:
        raise RefusedError("policy: not today")

    parties = parties_of(SGD)
    first, second, third = sorted(parties)[:3]
    parties[first] = replace(parties[first], env=replace(parties[first].env, permit=refuses))
    parties[second] = replace(parties[second], env=replace(parties[second].env, fit=None))
    courier = simulated(parties, TOGETHER)

    def asked(round_number: int, names: Sequence[PartyId]) -> Replies:
        return courier(Ask(dict.fromkeys(names, Train(round_number, FLAT)), 1))

    replies = asked(4, [first, second, third, PartyId("nobody")])
    assert list(replies.answers) == [third]
    reasons = {missing.party: missing.reason for missing in replies.missing}
    assert reasons == {first: "refused", second: "refused", "nobody": "lost"}
    assert asked(3, [third]).missing[0].reason == "faulty"
    assert list(asked(4, [third]).answers) == [third]


def test_a_fit_that_runs_away_is_one_partys_fault() -> None:
    bad = replace(SHARDS[PartyId("c00")], y=np.full(9, np.nan, np.float32))
    shards = {**SHARDS, PartyId("c00"): bad}
    together = train_together(SGD, PARAMS, shards, PLAN, "items")
    names = sorted(shards)
    replies = simulated(parties_of(SGD, None, shards), together)(
        Ask(dict.fromkeys(names, Train(0, FLAT)), 1)
    )
    assert [missing.party for missing in replies.missing] == ["c00"]
    assert len(replies.answers) == len(names) - 1


def test_the_first_n_are_those_of_the_plain_loop() -> None:
    for trip in (0, 2):
        ask = Ask(dict.fromkeys(SHARDS, Train(0, FLAT)), 1, first=3, trip=trip)
        plain = in_process(parties_of(SGD), clock)(ask)
        quick = simulated(parties_of(SGD), TOGETHER)(ask)
        assert list(quick.answers) == list(plain.answers)
        assert quick.missing == plain.missing


def test_shapes_are_few_and_their_compilation_is_told() -> None:
    told: list[tuple[Any, float]] = []
    shards = shards_of(range(60, 76))
    together = train_together(
        SGD, PARAMS, shards, PLAN, "items", at_once=4, on_compile=lambda *one: told.append(one)
    )
    names = list(shards)
    for seed in range(3):
        fits = together(FLAT, names, [seed] * len(names))
        assert [fitted.examples for fitted in fits] == list(range(60, 76))
    shapes = [shape for shape, _ in told]
    assert len(shapes) == len(set(shapes)) <= 2
    assert all(seconds > 0 for _, seconds in told)


def test_what_it_cannot_do_exactly_it_refuses() -> None:
    with pytest.raises(ConfigError, match="moves parameters that have no gradient"):
        together_of(compiled(optax.adamw(0.1)))
    with pytest.raises(ConfigError, match="moves a row by what other rows are"):
        together_of(compiled(optax.lars(0.1)))
    with pytest.raises(ConfigError, match=r"table must be .*'items'.* got 'top2'"):
        train_together(SGD, PARAMS, SHARDS, PLAN, "top2")
    with pytest.raises(ConfigError, match="at_once must be at least 1, got 0"):
        together_of(SGD, at_once=0)
    outside = {PartyId("a"): Shard(np.array([[0, ROWS]]), np.ones(1, np.float32))}
    together = train_together(SGD, PARAMS, outside, PLAN, "items")
    replies = simulated(parties_of(SGD, None, outside), together)(
        Ask({PartyId("a"): Train(0, FLAT)}, 1)
    )
    assert replies.missing[0].reason == "faulty"
    assert "rows of the table in [0, 30)" in replies.missing[0].detail


def test_more_clients_need_no_more_programs() -> None:
    told: list[Any] = []
    shards = shards_of([20] * 200)
    together = train_together(
        SGD, PARAMS, shards, PLAN, "items", on_compile=lambda shape, _s: told.append(shape)
    )
    names = list(shards)
    together(FLAT, names[:64], [0] * 64)
    few = len(told)
    together(FLAT, names[:192], [0] * 192)
    assert few == len(told) == 1
