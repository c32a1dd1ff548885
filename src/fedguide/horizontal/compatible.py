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

INCOMPATIBLE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("masked_sum", "fedbuff"): (
            "FedBuff takes the first updates that arrive, from different models; masks cancel only "
            "between parties of one round"
        ),
        ("masked_sum", "median"): _NEEDS_SINGLE,
        ("masked_sum", "trimmed"): _NEEDS_SINGLE,
        ("masked_sum", "krum"): _NEEDS_SINGLE,
        ("masked_sum", "multi_krum"): _NEEDS_SINGLE,
        ("masked_sum", "bulyan"): _NEEDS_SINGLE,
        ("masked_sum", "geometric"): _NEEDS_SINGLE,
        ("masked_sum", "clipping"): _NEEDS_SINGLE,
        ("masked_sum", "norm_bound"): _NEEDS_SINGLE,
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
