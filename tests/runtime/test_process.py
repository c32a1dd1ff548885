"""The seed's example as a user would type it, its laws, and bad input."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fedguide
from fedguide.errors import ConfigError, DataError
from fedguide.horizontal.fedsgd import fedsgd
from fedguide.horizontal.mean import weighted_mean
from fedguide.protocol import run
from fedguide.runtime.couriers import in_process
from fedguide.seeds import seeded_root
from tests.horizontal.linear import Rows, clock, parties_of, pooled, random_data


def shop(seed: int, count: int) -> tuple[Any, Any]:
    """Two classes no straight line can part: the sign of x0 · x1."""
    x = np.random.default_rng(seed).normal(size=(count, 2))
    return x, (x[:, 0] * x[:, 1] > 0).astype(int)


def test_the_seeds_loop_trains_a_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    def create_model() -> fedguide.Model:
        def init(key: Any) -> Any:
            one, two = jax.random.split(key)
            return {
                "w1": jax.random.normal(one, (2, 16)) * 0.7,
                "b1": jnp.zeros(16),
                "w2": jax.random.normal(two, (16, 2)) * 0.3,
            }

        def apply(params: Any, x: Any) -> Any:
            return jnp.tanh(x @ params["w1"] + params["b1"]) @ params["w2"]

        return fedguide.Model(init, apply)

    def loss_fn(model: Any, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

    def metrics_fn() -> Any:
        return {"accuracy": lambda model, x, y: (model(x).argmax(-1) == y).mean()}

    federated_data = {"a": shop(1, 300), "b": shop(2, 57), "c": shop(3, 120)}
    num_rounds = 12

    process = fedguide.build_process(
        model_fn=create_model,
        loss_fn=loss_fn,
        metrics_fn=metrics_fn,
        client_optimizer_fn=lambda: optax.adam(0.05),
        server_optimizer_fn=lambda: optax.sgd(1.0),
        client_weighting="num_examples",
    )
    state = process.initialize()
    for round_num in range(num_rounds):
        state, metrics = process.next(state, federated_data)
        print("round {}, metrics={}".format(round_num, metrics))  # noqa: T201, UP032 - the seed's

    assert state.round == num_rounds
    assert capsys.readouterr().out.count("metrics={'loss': ") == num_rounds
    assert metrics["accuracy"] > 0.9
    assert (metrics["examples"], metrics["parties"]) == (477, 3)
    x, y = shop(9, 500)
    assert np.mean(np.asarray(process.model(state)(x)).argmax(-1) == y) > 0.9


def squared(model: Any, x: Any, y: Any) -> Any:
    return jnp.mean((model(x) - y) ** 2) / 2


def linear(**changes: Any) -> Any:
    plan: dict[str, Any] = {
        "model_fn": lambda: fedguide.Model(lambda _key: jnp.ones(3), lambda w, x: x @ w),
        "loss_fn": squared,
        "client_optimizer_fn": lambda: optax.sgd(0.1),
        "batch_size": 64,
    }
    return fedguide.build_process(**{**plan, **changes})


DATA = random_data(4)
ARRAYS = {name: (rows.x, rows.y) for name, rows in DATA.items()}


def after(process: Any, data: Any, rounds: int) -> Any:
    state = process.initialize()
    for _ in range(rounds):
        state, _metrics = process.next(state, data)
    return state


def test_one_full_batch_step_is_fedsgd() -> None:
    aggregator = weighted_mean()
    algorithm, parties = fedsgd(aggregator, 0.1), parties_of(DATA, aggregator)
    expected = algorithm.init(np.ones(3, np.float32))
    for _ in range(4):
        expected = run(
            algorithm.next_round(expected, list(parties), seeded_root(0)),
            in_process(parties, clock),
        )
    np.testing.assert_allclose(after(linear(), ARRAYS, 4).params, expected.params, rtol=1e-5)


def test_one_party_alone_is_local_training() -> None:
    rows = DATA["shop2"]
    optimizer, params = optax.sgd(0.1), jnp.ones(3)
    moments = optimizer.init(params)
    for _ in range(6):
        gradient = jax.grad(lambda w: squared(lambda x: x @ w, rows.x, rows.y))(params)
        updates, moments = optimizer.update(gradient, moments, params)
        params = optax.apply_updates(params, updates)
    state = after(linear(epochs=2), {"only": (rows.x, rows.y)}, 3)
    np.testing.assert_allclose(state.params, params, rtol=1e-5)


def test_metrics_are_of_the_model_the_round_began_with_weighted_by_p_k() -> None:
    process = linear(metrics_fn=lambda: {"mean": lambda model, x, y: jnp.mean(model(x))})
    _, metrics = process.next(process.initialize(), ARRAYS)
    rows: Rows = pooled(DATA)
    predictions = rows.x.sum(axis=1)
    assert metrics["loss"] == pytest.approx(np.mean((predictions - rows.y) ** 2) / 2, rel=1e-5)
    assert metrics["mean"] == pytest.approx(predictions.mean(), rel=1e-4)
    assert all(type(value) in (int, float) for value in metrics.values())
    uniform = linear(client_weighting="uniform")
    _, metrics = uniform.next(uniform.initialize(), ARRAYS)
    losses = [np.mean((r.x.sum(axis=1) - r.y) ** 2) / 2 for r in DATA.values()]
    assert metrics["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_server_optimiser_takes_the_negative_mean_change_and_keeps_its_moments() -> None:
    process = linear(server_optimizer_fn=lambda: optax.adam(0.01))
    state = after(process, ARRAYS, 1)
    moved = after(linear(), ARRAYS, 1).params - 1  # the plain mean change
    # Adam's first step is its rate times the sign of the gradient.
    np.testing.assert_allclose(state.params - 1, 0.01 * np.sign(moved), rtol=1e-3)
    assert state.memory.shape == (7,)  # count, mu (3), nu (3)
    state, _ = process.next(state, ARRAYS)
    assert state.memory[0] == 2


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, same, other = (
        after(linear(batch_size=2, seed=seed), ARRAYS, 2).params.tobytes() for seed in (1, 1, 2)
    )
    assert one == same != other


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"client_weighting": "examples"}, "num_examples or uniform, got 'examples'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"metrics_fn": lambda: {"loss": squared}}, r"may not be named .* got \['loss'\]"),
        ({"model_fn": lambda: 3}, "must give a Model with init and apply, got a int"),
        (
            {"model_fn": lambda: fedguide.Model(lambda _k: jnp.arange(3), lambda w, x: x @ w)},
            "float32 arrays, got",
        ),
    ],
)
def test_a_process_that_cannot_work_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        linear(**changes)


def test_bad_data_and_losses_are_named_not_traced() -> None:
    process = linear()
    state = process.initialize()
    with pytest.raises(DataError, match=r"shop0: x and y must have as many rows"):
        process.next(state, {"shop0": (DATA["shop0"].x, DATA["shop0"].y[:-1])})
    with pytest.raises(ConfigError, match=r"fail on x float32\[5, 2\]"):
        process.next(state, {"shop0": (DATA["shop0"].x[:, :2], DATA["shop0"].y)})
    with pytest.raises(ConfigError, match="state must come from this process, got a tuple"):
        process.next((state, {}), ARRAYS)
    wild = linear(client_optimizer_fn=lambda: optax.sgd(1e30), epochs=5)
    with pytest.raises(DataError, match=r"round 0: shop0: DataError: local loss is (nan|inf)"):
        wild.next(wild.initialize(), ARRAYS)


def test_importing_the_package_stays_light_and_unknown_names_are_errors() -> None:
    code = "import sys, fedguide; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'build_proces'"):
        _ = fedguide.build_proces
