"""What up to f bad parties can do at most under each robust rule, and what has to hold: as data.

One row an aggregator, by its name in ``names.AGGREGATORS``; ``fedguide explain`` and
``docs/threat.md`` follow them. A row says what the protocol leaves possible, not what is likely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fedguide.horizontal.names import ROBUST_RULES
from fedguide.horizontal.robust import LEAST_BUCKET


@dataclass(frozen=True)
class RuleThreat:
    """One aggregator's row.

    Attributes:
        aggregator: its name.
        learns: who can learn what.
        changes: who can change what.
        needs: what has to hold for that.
    """

    aggregator: str
    learns: str
    changes: str
    needs: str


_BOUNDS: Mapping[str, str] = MappingProxyType(
    {
        "median": "every coordinate stays within the range of the honest updates",
        "trimmed": "every coordinate stays within the range of the honest updates",
        "krum": (
            "the outcome is one update, no farther from an honest one than √(n - f - 2) times the "
            "farthest two honest ones are apart; one coordinate of it can be far off"
        ),
        "multi_krum": (
            "as krum for each of the updates averaged; f updates a little beside the honest mean "
            "are taken for honest and bias every round"
        ),
        "bulyan": ("no coordinate is farther outside the honest range than that range is wide"),
        "geometric": (
            "the outcome is at most 2 (1 - f/n) / (1 - 2 f/n) times as long as any honest update"
        ),
        "clipping": (
            "each update pulls the outcome by at most its share of the clip radius a pass, towards "
            "anything, every round"
        ),
        "norm_bound": (
            "each update moves the outcome by at most its share of the bound, towards anything, "
            "every round"
        ),
    }
)
"""What f bad updates can do at most, per rule; ``tests/horizontal/test_rules.py`` holds it."""

_OVER_UPDATES = (
    "the coordinator: every party's update of every round, in the clear; the parties: the model"
)

_OVER_OPEN_BUCKETS = "the coordinator: every party's update, because buckets are summed in the open"

_OVER_MASKED_BUCKETS = (
    f"the coordinator: the sum of each bucket of {LEAST_BUCKET} or more parties and no single "
    "update; buckets are dealt anew every round, so that over many rounds their sums tell more "
    "about a party than one sum does; a coordinator with two parties of its own can deal a third "
    "one between them"
)


def _over_updates(name: str) -> RuleThreat:
    return RuleThreat(
        name,
        _OVER_UPDATES,
        f"up to f malicious parties: {_BOUNDS[name]}",
        f"f as declared; {ROBUST_RULES[name].condition}",
    )


def _over_buckets(name: str, kind: str, learns: str) -> RuleThreat:
    rule = ROBUST_RULES[name]
    return RuleThreat(
        f"{kind}_{name}",
        learns,
        f"up to f malicious parties, each spoiling its bucket, with buckets' means for updates: "
        f"{_BOUNDS[name]}; nobody sees which member did it",
        f"{LEAST_BUCKET} parties a bucket and, counted in buckets, {rule.condition}",
    )


ROBUST_THREATS: tuple[RuleThreat, ...] = (
    *(_over_updates(name) for name in ROBUST_RULES),
    *(_over_buckets(name, "bucketed", _OVER_OPEN_BUCKETS) for name in ROBUST_RULES),
    *(_over_buckets(name, "masked_bucketed", _OVER_MASKED_BUCKETS) for name in ROBUST_RULES),
)
"""The rows of all robust rules: over single updates, and over bucket sums in the open or masked."""

UNDOING = RuleThreat(
    "rounds with a tolerance",
    "the coordinator: one validation score a shop and round",
    "a round that lowers the score by more than the tolerance changes nothing; up to f shops that "
    "lie about their scores move the judge only within what the honest ones say; harm below "
    "the tolerance, or that validation does not see (a promoted item, a backdoor), stays",
    "n >= 2 f + 1 shops with validation cases",
)
"""What undoing harmful rounds adds to any aggregator."""
