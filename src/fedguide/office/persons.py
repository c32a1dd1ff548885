"""A shopper's own data and rights, as pages and API see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

Statement: TypeAlias = Literal["in", "out", "erased"]


@dataclass(frozen=True)
class Kept:
    """One event that is kept of a shopper; ``time`` is ISO 8601, or a position without times."""

    kind: str
    time: str
    item: str
    title: str
    query: str


@dataclass(frozen=True)
class Bound:
    """How much a trained model may tell of somebody who took part.

    Attributes:
        run: which trained it; empty for all that the party's own ledger was charged for.
        epsilon: ∞ for something without noise; ``None`` where no accountant is installed.
        delta: at which δ; 0 for something without noise.
    """

    run: str
    epsilon: float | None
    delta: float


@dataclass(frozen=True)
class Known:
    """What is kept of a shopper, and what they said about it.

    Attributes:
        shop: the shop that keeps it.
        said: what they said last: consented, opted out, erased; ``None`` for nothing.
        used: may they be profiled and trained with?
        events: how many events are kept.
        kinds: how many of each kind.
        latest: the latest of them, newest first.
        ignored: items they do not want to be reckoned with.
        residual: what trained models may still tell of them: ε with its δ, in words.
        epsilon: the largest ε of the models that are served; ``None`` where there is no bound.
        bounds: what ``residual`` says, for pages that say it in another language.
    """

    shop: str
    said: Statement | None
    used: bool
    events: int
    kinds: Mapping[str, int]
    latest: tuple[Kept, ...]
    ignored: tuple[str, ...]
    residual: str
    epsilon: float | None
    bounds: tuple[Bound, ...] = ()


@dataclass(frozen=True)
class Erased:
    """What an erasure did: events that are gone, and what models may remember."""

    events: int
    residual: str
    ledger_record: int


class Persons(Protocol):
    """Sees to shoppers' rights; calls may read files and take a while."""

    def known(self, shop: str, shopper: str, latest: int) -> Known:
        """What is kept of a shopper; of somebody unknown nothing."""
        ...

    def personalise(self, shopper: str, *, wanted: bool) -> bool:
        """Records yes or no; gives whether they are used from now on.

        Raises:
            ConfigError: they were erased.
        """
        ...

    def ignore(self, shop: str, shopper: str, items: Sequence[str]) -> None:
        """Replaces the items that are not reckoned with."""
        ...

    def export(self, shop: str, shopper: str) -> Mapping[str, Any]:
        """Everything that is kept of them, as JSON."""
        ...

    def erase(self, shopper: str) -> Erased:
        """Removes them everywhere, for good."""
        ...
