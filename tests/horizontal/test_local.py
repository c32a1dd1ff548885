"""Local training: masked batches against plain numpy, and what is not a mean is refused."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fedguide.errors import ConfigError, WrongShapeError
from fedguide.horizontal.local import (
    Engine,
    Epochs,
    Model,
    check_means,
    engine,
    local_figures,
    local_fit,
    packer,
    ravel_params,
)
from fedguide.horizontal.shards import Shard
from tests.horizontal.linear import Descent, Rows, random_data

MODEL = Model(lambda key: {"w": jnp.ones(3)}, lambda params, x: x @ params["w"])
PARAMS = MODEL.init(None)
START = np.ones(3, np.float32)


def squared(model: Any, x: Any, y: Any) -> Any:
    return jnp.mean((model(x) - y) ** 2) / 2


def error(model: Any, x: Any, y: Any) -> Any:
    return jnp.mean(jnp.abs(model(x) - y))


def compiled(optimizer: Any = None, **changes: Any) -> Engine:
    means = {"error": error, **changes}
    return engine(MODEL, means.pop("loss", squared), means, optimizer or optax.sgd(0.1), PARAMS)


def shard(rows: Rows, cuts: tuple[int, ...] | None = None) -> Shard:
    return Shard(rows.x, rows.y, cuts)


ROWS = random_data(2)["shop2"]  # 9 rows


def test_one_full_batch_is_gradient_descent_and_padding_changes_nothing() -> None:
    expected = Descent(0.1, steps=2).fit(ROWS, START, None, 0)
    for batch_size in (9, 16):
        fitted = local_fit(compiled(), shard(ROWS), Epochs(2, batch_size))(START, None, 0)
        np.testing.assert_allclose(fitted.params, expected.params, rtol=1e-5)
        assert fitted.examples == 9


def test_cut_batches_are_steps_in_their_order() -> None:
    cuts = (4, 5, 9)
    fitted = local_fit(compiled(), shard(ROWS, cuts), Epochs(1, 2))(START, None, 0)
    params = START
    for start, end in ((0, 4), (4, 5), (5, 9)):
        part = Rows(ROWS.x[start:end], ROWS.y[start:end])
        params = Descent(0.1).fit(part, params, None, 0).params
    np.testing.assert_allclose(fitted.params, params, rtol=1e-5)


def test_shuffles_follow_the_seed() -> None:
    fit = local_fit(compiled(), shard(ROWS), Epochs(1, 2))
    assert fit(START, None, 1).params.tobytes() == fit(START, None, 1).params.tobytes()
    assert fit(START, None, 1).params.tobytes() != fit(START, None, 2).params.tobytes()


@pytest.mark.parametrize("optimizer", [optax.sgd(0.05, momentum=0.9), optax.adam(0.05)])
def test_kept_moments_continue_the_same_training(optimizer: Any) -> None:
    whole = local_fit(compiled(optimizer), shard(ROWS), Epochs(2, 9))(START, None, 0)
    half = local_fit(compiled(optimizer), shard(ROWS), Epochs(1, 9))
    first = half(START, None, 0)
    second = half(first.params, first.optimizer_state, 0)
    np.testing.assert_allclose(second.params, whole.params, rtol=1e-5)
    np.testing.assert_allclose(second.optimizer_state, whole.optimizer_state, rtol=1e-5, atol=1e-6)
    with pytest.raises(WrongShapeError, match="optimiser state must have shape"):
        half(START, np.zeros(99, np.float32), 0)


def test_figures_are_exact_means_over_all_examples() -> None:
    figures = local_figures(compiled(), shard(ROWS), Epochs(1, 4))(START)
    residual = ROWS.x.astype(float).sum(axis=1) - ROWS.y
    assert figures["loss"] == pytest.approx(float(np.mean(residual**2) / 2), rel=1e-5)
    assert figures["error"] == pytest.approx(float(np.mean(np.abs(residual))), rel=1e-5)


def test_a_padded_row_cannot_poison_the_gradient() -> None:
    # At x = 0 the gradient of sqrt is infinite: zeros as padding would give inf · 0 = NaN.
    rows = Rows(np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), np.zeros(3, np.float32))
    root = compiled(loss=lambda model, x, y: jnp.mean(jnp.sqrt(model(x)) + y))
    fitted = local_fit(root, shard(rows), Epochs(1, 2))(START, None, 0)
    assert np.isfinite(fitted.params).all()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"loss": lambda m, x, y: jnp.sum((m(x) - y) ** 2)}, "loss must be a mean over examples"),
        ({"rank": lambda m, x, y: jnp.max(m(x))}, "rank must be a mean over examples"),
        ({"loss": lambda m, x, y: (m(x) - y) ** 2}, r"loss must be one number .* shape \(8,\)"),
        ({"loss": lambda m, x, y: m(x[:, :2]).mean()}, r"fail on x float32\[8, 3\]"),
        ({"loss": lambda m, x, y: m.weight}, "AttributeError"),
    ],
)
def test_a_loss_or_metric_that_is_no_mean_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_means(compiled(**changes), START, shard(ROWS))


def test_one_example_is_enough_to_tell_a_sum() -> None:
    one = Shard(ROWS.x[:1], ROWS.y[:1])
    check_means(compiled(), START, one)
    with pytest.raises(ConfigError, match="2 examples together give"):
        check_means(compiled(loss=lambda m, x, y: jnp.sum((m(x) - y) ** 2)), START, one)


@pytest.mark.parametrize(
    ("params", "text"),
    [({}, "no parameters"), ({"n": jnp.arange(3)}, "int32"), ({"w": 1.5}, "float")],
)
def test_parameters_must_be_float32(params: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        ravel_params(params)


def test_an_optimiser_that_keeps_random_keys_is_refused() -> None:
    noisy = optax.add_noise(eta=0.1, gamma=0.5, key=0)
    with pytest.raises(ConfigError, match="may keep float32 and int32 arrays only"):
        packer(noisy, PARAMS)
