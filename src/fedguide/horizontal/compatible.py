"""Which algorithms, rules and aggregators cannot go together, and why.

A pair is refused here, with its reason, before a run begins; a pair that is not in the table is
one that the contract suite runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fedguide.errors import ConfigError

_NEEDS_SINGLE = (
    "it judges single updates, and under masks nobody sees one; use it on single updates, or on "
    "sums of buckets of at least 3 parties"
)

_FIRST_ANSWERS = (
    "FedBuff takes the first answers that arrive, and a rule that withstands some bad parties of "
    "the whole cohort does not withstand them among the quickest few"
)
_ONE_ROUND = (
    "FedBuff takes the first updates that arrive, from different models; masks cancel only "
    "between parties of one round"
)
_RULES = (
    *("median", "trimmed", "krum", "multi_krum"),
    *("bulyan", "geometric", "clipping", "norm_bound"),
)

_OWN_COORDINATES = (
    "each party sends the coordinates that are its largest, and a sum needs the same of everybody; "
    "a common random choice goes under sums"
)
_OWN_FACTORS = (
    "each party sends factors of its own, and the product of two sums of factors is not the sum of "
    "the products; a common random choice goes under sums"
)
_OWN_GRID = (
    "sums have a grid of their own, and levels of one party's scale do not add up with another's; "
    "a common random choice goes under sums"
)
_TWO_VECTORS = (
    "SCAFFOLD sends its control variates along with the model, and they are no small differences "
    "from what was sent before"
)
_SUMS = (
    *("open_sum", "masked_sum"),
    *(f"bucketed_{rule}" for rule in _RULES),
    *(f"masked_bucketed_{rule}" for rule in _RULES),
)

INCOMPATIBLE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("masked_sum", "fedbuff"): _ONE_ROUND,
        **{("masked_sum", rule): _NEEDS_SINGLE for rule in _RULES},
        **{(f"masked_bucketed_{rule}", "fedbuff"): _ONE_ROUND for rule in _RULES},
        **{(rule, "fedbuff"): _FIRST_ANSWERS for rule in _RULES},
        **{(f"bucketed_{rule}", "fedbuff"): _FIRST_ANSWERS for rule in _RULES},
        **{(name, "top"): _OWN_COORDINATES for name in _SUMS},
        **{(name, "rank"): _OWN_FACTORS for name in _SUMS},
        **{(name, way): _OWN_GRID for name in _SUMS for way in ("int8", "int4")},
        **{("scaffold", way): _TWO_VECTORS for way in ("int8", "int4", "top", "rank", "random")},
    }
)
"""Why the first does not go with the second; a pair stands here once, in either order."""


def refusal(first: str, second: str) -> str:
    """Why two names do not go together; empty if they do."""
    return INCOMPATIBLE.get((first, second)) or INCOMPATIBLE.get((second, first), "")


def check_together(*names: str) -> None:
    """Returns if all of these names go together.

    Raises:
        ConfigError: two of them do not; the text says why.
    """
    for at, first in enumerate(names):
        for second in names[at + 1 :]:
            if reason := refusal(first, second):
                raise ConfigError(f"{first} and {second} do not go together: {reason}")
