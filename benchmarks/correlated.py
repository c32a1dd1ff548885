"""Prefix-sum error of correlated noise beside independent noise of the same ε.

Gain: how many times smaller the root mean square error of the sums of rounds 0 … t is, over all
t. By formula for each strategy and way to take part; by draws of the integer noise for one of
them; beside jax-privacy's own figure for the same coefficients. Also the time of one round.
"""

from __future__ import annotations

import math
import time

import numpy as np
from jax_privacy.matrix_factorization import toeplitz as library

from fedguide.privacy.correlated import (
    ONCE,
    Participation,
    Strategy,
    banded,
    calibrated,
    independent,
    next_noise,
    prefix_error,
    sensitivity,
    start,
    toeplitz,
)
from fedguide.seeds import seeded_root
from report import Bar, at_least, at_most, finish, parser, show

DRAWN = 2000  # coordinates of the noise that is drawn
MODEL = 1_000_000  # coordinates of a model


def error(strategy: Strategy, participation: Participation) -> float:
    """Root mean square error of prefix sums at noise multiplier 1 and sensitivity 1."""
    return sensitivity(strategy, participation) * rms(prefix_error(strategy))


def rms(values: np.ndarray) -> float:
    """Root of the mean of the squares."""
    return math.sqrt(float((np.asarray(values, np.float64) ** 2).mean()))


def drawn_gain(strategy: Strategy) -> float:
    """The gain of noise as it is really drawn, in integers."""
    spec = calibrated(strategy, ONCE, 1.0, 1000.0, DRAWN)
    state, noises = start(), []
    for t in range(strategy.rounds):
        state, noise = next_noise(strategy, spec, state, DRAWN, seeded_root(5, t))
        noises.append(noise)
    sums = np.cumsum(noises, axis=0)
    return math.sqrt((strategy.rounds + 1) / 2) * 1000.0 / rms(sums)


def peer_gain(strategy: Strategy) -> float:
    """The gain that jax-privacy computes for the same coefficients."""
    squared = library.loss(strategy.values.astype(np.float32), strategy.rounds)
    return math.sqrt((strategy.rounds + 1) / 2) / math.sqrt(float(squared))


def seconds_a_round(strategy: Strategy) -> float:
    """Time of the last of so many rounds that the history is full."""
    spec = calibrated(strategy, ONCE, 1.0, 4.0, MODEL)
    state = start()
    for t in range(len(strategy.coefficients) + 1):
        begun = time.perf_counter()
        state, _ = next_noise(strategy, spec, state, MODEL, seeded_root(6, t))
        taken = time.perf_counter() - begun
    return taken


def main() -> None:
    """Prints the gains and holds the two of the design."""
    args = parser(__doc__).parse_args()
    strategies = {f"Toeplitz, {n} rounds": toeplitz(n) for n in (64, 1024)}
    strategies |= {f"{b} bands, {n} rounds": banded(n, b) for n in (64, 1024) for b in (8, 16)}
    shown, figures = [], {}
    for name, strategy in strategies.items():
        n, bands = strategy.rounds, len(strategy.coefficients)
        ways = {
            "once": ONCE,
            "every 16th round": Participation(16, n),
            "every round": Participation(1, n),
        }
        gains = {w: error(independent(n), p) / error(strategy, p) for w, p in ways.items()}
        peer = peer_gain(strategy)
        figures[name] = {**gains, "jax-privacy": peer, "bands": bands}
        shown.append((name, *(f"{g:.2f}x" for g in gains.values()), f"{peer:.2f}x"))
    show("gain over independent noise", ("strategy", *ways, "jax-privacy, once"), shown)
    small, large = (figures[f"Toeplitz, {n} rounds"]["once"] for n in (64, 1024))
    off = max(abs(f["once"] / f["jax-privacy"] - 1) for f in figures.values())
    bars = [
        at_least("gain at 64 rounds, one participation", small, 2.55),
        at_least("gain at 1024 rounds, one participation", large, 7.25),
        at_least("the same at 64 rounds, of noise as drawn", drawn_gain(toeplitz(64)), 2.45),
        at_most("largest difference from jax-privacy's figure", off, 1e-3),
        Bar("a round of 16 bands, 1M coordinates, s", seconds_a_round(banded(64, 16)), "-", None),
    ]
    finish("correlated", bars, {"gains": figures}, args.json)


if __name__ == "__main__":
    main()
