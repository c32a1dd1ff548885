"""What was done: frozen events, as the ledger stores them; what they cost is judged elsewhere.

An event says that a mechanism ran for some rounds, on which sampling, for which unit of privacy
and under which neighbouring relation. It never holds an ε: the ε is worked out again from the
events, by ``accounting``, so that a better accountant can judge old events (after the design of
``dp_accounting``). Local events are another type and can never be added to central ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from fedguide.errors import ConfigError
from fedguide.privacy.mechanisms import (
    CorrelatedGaussian,
    Gaussian,
    GaussianShares,
    Laplace,
    LaplaceShares,
    Mechanism,
    RandomisedResponse,
    Unnoised,
)

Placement: TypeAlias = Literal["central", "distributed", "local"]
"""Who adds the noise: who has the sum, every party a share, every party the whole of it."""

Unit: TypeAlias = Literal["shopper", "shop"]
"""Whose presence is hidden."""

Relation: TypeAlias = Literal["add_or_remove_one", "replace_one"]
"""Neighbours differ by one unit that is there or not, or by one that is another."""

_KINDS: dict[str, type[Any]] = {
    "laplace": Laplace,
    "gaussian": Gaussian,
    "gaussian_shares": GaussianShares,
    "laplace_shares": LaplaceShares,
    "correlated_gaussian": CorrelatedGaussian,
    "none": Unnoised,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_SHARES = (GaussianShares, LaplaceShares)


@dataclass(frozen=True)
class Event:
    """One mechanism, done ``rounds`` times to one population.

    Attributes:
        task: what it was done for.
        mechanism: what noise went onto what.
        sampling: probability q with which each unit was in a round, on its own and secretly
            (Poisson sampling); 1 for a fixed or a known cohort.
        rounds: how many times.
        placement: who added the noise.
        unit: whose presence is hidden.
        relation: what neighbouring data sets are.

    Raises:
        ConfigError: a field is outside of its range, or the fields do not fit together.
    """

    task: str
    mechanism: Mechanism
    sampling: float = 1.0
    rounds: int = 1
    placement: Placement = "central"
    unit: Unit = "shopper"
    relation: Relation = "add_or_remove_one"

    def __post_init__(self) -> None:
        """Checks each field, then what must hold between them."""
        if type(self.mechanism) not in _NAMES:
            raise ConfigError(
                f"mechanism must be one of {sorted(_KINDS)}, got {type(self.mechanism).__name__}"
            )
        if not self.task:
            raise ConfigError("an event needs a task, got an empty one")
        if not 0 < self.sampling <= 1:
            raise ConfigError(f"sampling must be in (0, 1], got {self.sampling}")
        if self.rounds < 1:
            raise ConfigError(f"rounds must be at least 1, got {self.rounds}")
        _check_choice("placement", self.placement, get_args(Placement))
        _check_choice("unit", self.unit, get_args(Unit))
        _check_choice("relation", self.relation, get_args(Relation))
        if isinstance(self.mechanism, _SHARES) and self.placement != "distributed":
            raise ConfigError(f"noise shares are placed distributed, got {self.placement}")
        if isinstance(self.mechanism, CorrelatedGaussian):
            _check_correlated(self)


@dataclass(frozen=True)
class LocalEvent:
    """A shopper's own randomised answer, given ``rounds`` times.

    Raises:
        ConfigError: no task, or ``rounds`` is below 1.
    """

    task: str
    mechanism: RandomisedResponse
    rounds: int = 1

    def __post_init__(self) -> None:
        """Checks the fields."""
        if not self.task:
            raise ConfigError("an event needs a task, got an empty one")
        if self.rounds < 1:
            raise ConfigError(f"rounds must be at least 1, got {self.rounds}")


def to_record(event: Event) -> dict[str, Any]:
    """The event as names, numbers and strings, fit for canonical JSON."""
    named = {f.name: getattr(event, f.name) for f in fields(event) if f.name != "mechanism"}
    spec = {"kind": _NAMES[type(event.mechanism)], **asdict(event.mechanism)}
    if spec.get("units") == 0:  # as in records from before there were units
        del spec["units"]
    return {**named, "mechanism": spec}


def from_record(record: Mapping[str, Any]) -> Event:
    """The event that ``to_record`` wrote.

    Raises:
        ConfigError: an unknown mechanism, a field too many or missing, of another type, or
            outside of its range.
    """
    spec = record.get("mechanism")
    kind = _KINDS.get(str(spec.get("kind"))) if isinstance(spec, Mapping) else None
    if not isinstance(spec, Mapping) or kind is None:
        raise ConfigError(f"mechanism must have a kind out of {sorted(_KINDS)}")
    figures = {k: v for k, v in spec.items() if k != "kind"}
    if kind is Laplace:
        figures.setdefault("units", 0)
    mechanism = kind(**_checked(kind, figures))
    rest = {k: v for k, v in record.items() if k != "mechanism"}
    return Event(mechanism=mechanism, **_checked(Event, rest, but="mechanism"))


def _checked(kind: type[Any], values: Mapping[str, Any], but: str = "") -> dict[str, Any]:
    """The values, if they are exactly the fields of ``kind`` and each of its type."""
    wanted = {f.name: str(f.type) for f in fields(kind) if f.name != but}
    if set(values) != set(wanted):
        raise ConfigError(f"a record has the fields {sorted(wanted)}, got {sorted(values)}")
    return {name: _typed(name, wanted[name], value) for name, value in values.items()}


def _typed(name: str, wanted: str, value: Any) -> Any:
    """The value, if it is of the type wanted; an integer may stand for a float."""
    if wanted == "float" and type(value) is int:
        return float(value)
    expected: type[Any] = {"float": float, "int": int}.get(wanted, str)
    if type(value) is not expected:
        raise ConfigError(f"{name} must be of type {expected.__name__}, got {type(value).__name__}")
    return value


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {list(choices)}, got {value!r}")


def _check_correlated(event: Event) -> None:
    """Correlated noise is one mechanism over all its rounds, for one cohort, with one adder."""
    if event.placement != "central" or event.sampling < 1 or event.rounds > 1:
        raise ConfigError(
            "correlated noise needs central placement, a fixed cohort (sampling 1) and one event "
            f"for all its steps (rounds 1), got {event.placement}, {event.sampling:g} and "
            f"{event.rounds}"
        )
