"""What the events cost: ε from what was done, and the noise that a wanted ε needs.

Truth is the privacy loss distribution (PLD; Koskela, Jälkö and Honkela, "Computing Tight
Differential Privacy Guarantees Using FFT", 2020) as ``dp_accounting`` composes it; Rényi DP
(Mironov, 2017) is the cross-check, always at or above it. Both are for data sets that differ by
one unit that is there or not: for one that is replaced they would answer different questions
(22.42 against 10.09 for z=4, T=50, δ=1e-6), so such events are refused.

Two adversaries. An *outsider* sees what was released and not who was sampled, so Poisson sampling
helps against it. An *insider* (the coordinator, the other parties) sees who takes part, so that
for it every q is 1. A receipt names both.

Laplace noise is judged as the discrete law it is where the spec says its units of the grid.
Known and small: a discrete Gaussian is judged as the continuous one of the same σ. Its Rényi
divergences are never larger (Canonne, Kamath and Steinke, 2020, theorem 4), so the RDP figure
holds as it stands; its true ε was found at most 0.06/σ² above the PLD's, relative, with σ in units
of the grid (0.1 % at 8 units; ``tests/privacy/test_accounting.py``).
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from fedguide.errors import ConfigError, RefusedError
from fedguide.privacy.events import Event, LocalEvent
from fedguide.privacy.mechanisms import (
    CorrelatedGaussian,
    Gaussian,
    GaussianShares,
    Laplace,
    LaplaceShares,
    Mechanism,
    Unnoised,
)
from fedguide.privacy.shares import excess_divergence, pure_epsilon

Adversary: TypeAlias = Literal["outsider", "insider"]
"""Whom an ε holds against; the insider knows who was sampled."""

_INTERVAL = 1e-4  # of the PLD's grid; dp_accounting's own choice, which the reference rows use
_WIDE_EPSILON = 100.0  # above this the grid grows with ε: nobody needs ε = 5000 to four digits
_PRECISION = 1e-5  # relative, of a calibrated noise multiplier
_COARSE, _FINE = 2e-3, 1e-4  # grids of the search for it, relative to ε
_MOST_UNITS = 1 << 16  # a sensitivity of more is judged as continuous: the two differ by 1e-9
_LARGEST_EXPONENT = 700.0  # e^x beyond this is no float


class Term(NamedTuple):
    """Rounds that cost the same, in the figures the judges need; what the caches are keyed by.

    Attributes:
        kind: what ``figure`` is.
        figure: the noise multiplier of a Gaussian, the scale over the sensitivity of a Laplace,
            the ε of anything else that is pure.
        sampling: q against the adversary.
        units: of a discrete Laplace, its sensitivity in units of the grid; 0 is the continuous.
        divergence: how far, in nats, the true law may be from the one judged.
    """

    kind: Literal["gaussian", "laplace", "pure", "none"]
    figure: float
    sampling: float = 1.0
    units: int = 0
    divergence: float = 0.0


Terms: TypeAlias = tuple[tuple[Term, int], ...]


@dataclass(frozen=True)
class Price:
    """What some events cost at one δ.

    Attributes:
        epsilon: against outsiders (PLD), amplified by sampling.
        epsilon_insider: against who knows the cohort (PLD), q = 1.
        epsilon_rdp: ``epsilon`` by the cross-check.
        epsilon_insider_rdp: ``epsilon_insider`` by the cross-check.
    """

    epsilon: float
    epsilon_insider: float
    epsilon_rdp: float
    epsilon_insider_rdp: float
    delta: float


def epsilon_of(events: Iterable[Event], delta: float, adversary: Adversary) -> float:
    """The ε of all these events together at ``delta``; ∞ where there is no such ε.

    At ``delta`` 0 it is the sum of the pure ε (basic composition; Dwork et al., 2006).

    Raises:
        ConfigError: ``delta`` is outside [0, 1), the adversary or an event is unknown, events
            protect different units, or dp-accounting is not installed.
        RefusedError: an event is local, or speaks of replaced units.
    """
    return _epsilon(_terms(events, delta, adversary), delta)


def rdp_epsilon_of(events: Iterable[Event], delta: float, adversary: Adversary) -> float:
    """The same by Rényi DP: the cross-check, at or above ``epsilon_of``.

    Raises:
        ConfigError: as ``epsilon_of``.
        RefusedError: as ``epsilon_of``.
    """
    return _rdp_epsilon(_terms(events, delta, adversary), delta)


def local_epsilon_of(events: Iterable[LocalEvent]) -> float:
    """The local ε that one shopper spent with its own randomised answers (basic composition).

    It holds against everybody, and is never added to the ε of ``epsilon_of``.

    Raises:
        RefusedError: an event is not local.
    """
    spent = 0.0
    for event in events:
        if not isinstance(event, LocalEvent):
            raise RefusedError(
                f"a local ε counts local events only, got {type(event).__name__}",
                hint="charge it centrally",
            )
        spent += event.rounds * event.mechanism.epsilon
    return spent


def price_of(events: Iterable[Event], delta: float) -> Price:
    """All figures of one receipt.

    Raises:
        ConfigError: as ``epsilon_of``.
        RefusedError: as ``epsilon_of``.
    """
    done = tuple(events)
    return Price(
        epsilon_of(done, delta, "outsider"),
        epsilon_of(done, delta, "insider"),
        rdp_epsilon_of(done, delta, "outsider"),
        rdp_epsilon_of(done, delta, "insider"),
        delta,
    )


def price(*, sampling: float, noise_multiplier: float, rounds: int, delta: float) -> Price:
    """What so many rounds of the Gaussian mechanism would cost.

    Raises:
        ConfigError: a figure is out of its range, or dp-accounting is not installed.
    """
    return price_of([Event("price", Gaussian(noise_multiplier, 1.0), sampling, rounds)], delta)


def noise_multiplier_for(
    epsilon: float, delta: float, rounds: int, sampling: float = 1.0, beside: float = math.inf
) -> float:
    """The least noise multiplier z, to 1e-5, whose rounds of the Gaussian cost at most ε.

    ``sampling`` below 1 buys an ε against outsiders only. ``beside`` is the noise multiplier of
    one more Gaussian, of all shoppers, that is paid for out of the same ε.

    Raises:
        ConfigError: ε is not finite and above 0, δ is outside (0, 1), ``rounds`` is below 1,
            ``sampling`` is outside (0, 1], ``beside`` alone costs ε, or dp-accounting is not
            installed.
    """
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ConfigError(f"epsilon must be finite and above 0, got {epsilon}")
    if not 0 < delta < 1:
        raise ConfigError(f"delta must be in (0, 1) for a Gaussian, got {delta}")
    Event("price", Gaussian(1.0, 1.0), sampling, rounds)  # checks the other two
    if beside <= float(_library().get_sigma_gaussian(epsilon, delta)) * (1 + _PRECISION):
        raise ConfigError(f"noise {beside:g} of what is released beside the rounds costs all of ε")
    return _calibrated(epsilon, delta, rounds, sampling, beside)


def _terms(events: Iterable[Event], delta: float, adversary: Adversary) -> Terms:
    """The multiset of events as sorted terms: equal multisets give equal terms."""
    if not 0 <= delta < 1:
        raise ConfigError(f"delta must be in [0, 1), got {delta}")
    if adversary not in get_args(Adversary):
        raise ConfigError(f"adversary must be one of {get_args(Adversary)}, got {adversary!r}")
    counted: Counter[Term] = Counter()
    units = set()
    for event in events:
        counted[_term(_known(event), adversary)] += event.rounds
        units.add(event.unit)
    if len(units) > 1:
        raise ConfigError(
            f"events protect different units, {' and '.join(sorted(units))}: their ε do not add up",
            hint="judge each unit on its own",
        )
    return tuple(sorted(counted.items()))


def _known(event: object) -> Event:
    """The event, if it is one that these accountants judge."""
    if isinstance(event, LocalEvent):
        raise RefusedError("a local ε is never added to a central one", hint="use local_epsilon_of")
    if not isinstance(event, Event):
        raise ConfigError(f"unknown event {type(event).__name__}")
    if event.relation != "add_or_remove_one":
        raise RefusedError(
            f"events are judged for units that are there or not, got {event.relation}",
            hint="record the event with relation add_or_remove_one and its own sensitivity",
        )
    return event


def _term(event: Event, adversary: Adversary) -> Term:
    sampling = event.sampling if adversary == "outsider" else 1.0
    return _unsampled(event.mechanism)._replace(sampling=sampling)


def _unsampled(mechanism: Mechanism) -> Term:
    """One round of the mechanism, with q = 1."""
    match mechanism:
        case Gaussian() | CorrelatedGaussian():
            return Term("gaussian", mechanism.noise_multiplier)
        case GaussianShares():
            divergence = excess_divergence(mechanism)
            return Term("gaussian", mechanism.noise_multiplier, divergence=divergence)
        case Laplace():
            ratio = mechanism.scale / mechanism.sensitivity_l1
            return Term("laplace", ratio, units=mechanism.units)
        case LaplaceShares() if mechanism.counted >= mechanism.divisor:
            ratio = mechanism.scale / mechanism.sensitivity_l1
            return Term("laplace", ratio, units=math.ceil(mechanism.sensitivity_l1))
        case LaplaceShares():
            return Term("pure", pure_epsilon(mechanism))
        case Unnoised():
            return Term("none", 0.0)


@lru_cache(maxsize=4096)
def _epsilon(terms: Terms, delta: float) -> float:
    """The least ε that one of the proofs gives: pure composition, closed form, PLD, Rényi."""
    if any(term.kind == "none" for term, _ in terms):
        return math.inf
    pure = _pure_sum(terms)
    if delta == 0 or not terms:
        return pure
    # The law judged is within e^±slack of the true one: (ε, δ) becomes (ε + 2·slack, δ·e^slack).
    slack = sum(rounds * term.divergence for term, rounds in terms)
    within = delta * math.exp(-slack)
    sampled, plain = _split(terms)
    if not sampled and slack == 0:  # no other proof gives less
        return _gaussian_epsilon(_one_sigma(plain), delta)
    rdp = _rdp_epsilon(terms, delta)
    if within == 0:
        return min(pure, rdp)
    if not sampled:
        return min(rdp, _gaussian_epsilon(_one_sigma(plain), within) + 2 * slack)
    interval = _INTERVAL * max(1.0, min(pure, rdp) / _WIDE_EPSILON)
    return min(pure, rdp, _pld_epsilon(terms, within, interval) + 2 * slack)


def _pure_sum(terms: Terms) -> float:
    """Σ ε of the pure terms, amplified where sampled; ∞ if one is Gaussian."""
    return sum((rounds * _pure(term) for term, rounds in terms), 0.0)


def _pure(term: Term) -> float:
    """ln(1 + q(e^ε - 1)): Balle, Barthe and Gaboardi, "Privacy Amplification", 2018, theorem 8."""
    if term.kind not in ("laplace", "pure"):
        return math.inf
    epsilon = 1 / term.figure if term.kind == "laplace" else term.figure
    if term.sampling == 1:
        return epsilon
    if epsilon > _LARGEST_EXPONENT:  # ε + ln q is then the same to all digits
        return epsilon + math.log(term.sampling)
    return math.log1p(term.sampling * math.expm1(epsilon))


def _split(terms: Terms) -> tuple[Terms, Terms]:
    """All that needs a PLD of its own, and the unsampled Gaussians, which compose to one."""
    plain = tuple(t for t in terms if t[0].kind == "gaussian" and t[0].sampling == 1)
    return tuple(t for t in terms if t not in plain), plain


def _one_sigma(plain: Terms) -> float:
    """σ of the one Gaussian that unsampled Gaussians compose to: 1/σ² adds up.

    Dong, Roth and Su, "Gaussian Differential Privacy", 2022, corollary 2.
    """
    return 1 / math.sqrt(sum(rounds / term.figure**2 for term, rounds in plain))


def _gaussian_epsilon(sigma: float, delta: float) -> float:
    """The closed form, which a PLD meets only to its grid.

    Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", 2018, theorem 8.
    """
    return float(_library().get_epsilon_gaussian(sigma, delta))


def _pld_epsilon(terms: Terms, delta: float, interval: float) -> float:
    """By composed privacy loss distributions on a grid of ``interval``, rounded upwards."""
    sampled, plain = _split(terms)
    if plain:  # as one: a PLD of each would cost a second each
        sampled += ((Term("gaussian", _one_sigma(plain)), 1),)
    first, *rest = (_composed(term, rounds, interval) for term, rounds in sampled)
    for loss in rest:
        first = first.compose(loss)
    return float(first.get_epsilon_for_delta(delta))


@lru_cache(maxsize=64)
def _composed(term: Term, rounds: int, interval: float) -> Any:
    """The PLD of all rounds of one term."""
    loss = _loss(term, interval)
    return loss if rounds == 1 else loss.self_compose(rounds)


def _loss(term: Term, interval: float) -> Any:
    """The PLD of one round of one term."""
    pld = _library().pld
    losses, grid = pld.privacy_loss_distribution, {"value_discretization_interval": interval}
    if term.kind == "pure":
        worst = pld.common.DifferentialPrivacyParameters(_pure(term), 0.0)
        return losses.from_privacy_parameters(worst, **grid)
    grid["sampling_prob"] = term.sampling
    if term.kind == "gaussian":
        return losses.from_gaussian_mechanism(term.figure, **grid)
    if 0 < term.units <= _MOST_UNITS:
        rate = 1 / (term.figure * term.units)
        return losses.from_discrete_laplace_mechanism(
            rate, sensitivity=term.units, use_connect_dots=True, **grid
        )
    return losses.from_laplace_mechanism(term.figure, **grid)


@lru_cache(maxsize=4096)
def _rdp_epsilon(terms: Terms, delta: float) -> float:
    """By dp-accounting's Rényi accountant, at its own orders."""
    if any(term.kind == "none" for term, _ in terms):
        return math.inf
    if delta == 0 or not terms:
        return _pure_sum(terms)
    library = _library()
    accountant = library.rdp.RdpAccountant(
        neighboring_relation=library.NeighboringRelation.ADD_OR_REMOVE_ONE
    )
    with _quiet_orders():
        for term, rounds in terms:
            accountant.compose(_rdp_event(library, term), rounds)
        return float(accountant.get_epsilon(delta))


def _rdp_event(library: Any, term: Term) -> Any:
    """The term as an event that the Rényi accountant knows."""
    if term.kind == "gaussian" and term.sampling < 1:
        # Kairouz, Liu and Steinke, 2021, proposition 14, second bound, with d·τ for its √d·τ.
        sigma = 1 / (1 / term.figure + term.divergence)
        return library.PoissonSampledDpEvent(term.sampling, library.GaussianDpEvent(sigma))
    if term.kind == "gaussian":
        # The same proposition, first bound: α/(2z²) and the divergence of the sum of shares.
        return library.ZCDpEvent(0.5 / term.figure**2, term.divergence)
    if term.kind == "laplace" and term.sampling == 1 and not 0 < term.units <= _MOST_UNITS:
        return library.LaplaceDpEvent(term.figure)
    # Bun and Steinke, "Concentrated Differential Privacy", 2016, proposition 3.3.
    return library.ZCDpEvent(0.5 * _pure(term) ** 2)


@lru_cache(maxsize=1024)
def _calibrated(epsilon: float, delta: float, rounds: int, sampling: float, beside: float) -> float:
    """The least z of ``noise_multiplier_for``, from above."""
    if sampling == 1:
        sigma = float(_library().get_sigma_gaussian(epsilon, delta))
        left = 1 / math.sqrt(1 / sigma**2 - 1 / beside**2)  # see ``_one_sigma``
        return left * math.sqrt(rounds) * (1 + _PRECISION)

    def terms(log_z: float) -> Terms:
        one = ((Term("gaussian", math.exp(log_z), sampling), rounds),)
        return one if math.isinf(beside) else (*one, (Term("gaussian", beside), 1))

    @cache
    def excess(log_z: float, interval: float) -> float:
        return _pld_epsilon(terms(log_z), delta, interval) - epsilon

    # On a coarse grid first: it is ten times quicker and leaves the fine one little to search.
    # Both are pessimistic, so that the true ε of what comes out is never above the one asked for.
    coarse, fine = (max(_INTERVAL, epsilon * relative) for relative in (_COARSE, _FINE))
    rough = _root(lambda log_z: excess(log_z, coarse), 0.0, 0.5, _COARSE)
    log_z = _root(lambda log_z: excess(log_z, fine), rough, _COARSE, _PRECISION / 4)
    while excess(log_z, fine) > 0:
        log_z += _PRECISION / 4
    return math.exp(log_z)


def _root(f: Callable[[float], float], start: float, step: float, precision: float) -> float:
    """Where the falling function ``f`` crosses 0, within ``precision``; ``step`` wide first."""
    from scipy.optimize import brentq

    high = start
    while f(high) > 0:
        high += step
    low = high - step
    while f(low) <= 0:
        high, low = low, low - step
    return float(brentq(f, low, high, xtol=precision, rtol=1e-12))


def _library() -> Any:
    """``dp_accounting``, imported when something is judged and not before."""
    try:
        import dp_accounting
    except ImportError:
        raise ConfigError(
            "the accountant needs the package dp-accounting, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from None
    return dp_accounting


@contextmanager
def _quiet_orders() -> Iterator[None]:
    """Keeps the Rényi accountant from warning of the orders it leaves out, as it may."""
    log = logging.getLogger("absl")
    log.addFilter(_not_about_orders)
    try:
        yield
    finally:
        log.removeFilter(_not_about_orders)


def _not_about_orders(record: logging.LogRecord) -> bool:
    return "Excluding this order" not in record.getMessage()
