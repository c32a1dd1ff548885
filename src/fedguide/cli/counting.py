"""Who releases counts from the command line: ledger, policy and floor of a party."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.guide.counts import Office

SIMULATED = "synthetic"
"""Under ``HOME/ledgers``: the ledger of shoppers who do not exist."""


@contextmanager
def office_of(
    settings: Settings, purpose: str, epsilon: float, *, synthetic: bool
) -> Iterator[Office]:
    """The party's own ledger and policy; a ledger apart, open to any purpose, for made-up shoppers.

    Raises:
        LedgerError, ConfigError: see ``open_ledger`` and ``Office``.
    """
    from fedguide.cli.ledgers import Place, opened, own_place, policy_of
    from fedguide.guide.counts import Office

    policy, place = policy_of(settings), own_place(settings)
    if synthetic:
        folder = settings.home / "ledgers" / SIMULATED
        place = Place("shop1", str(folder / "shop1.db"), folder / "shop1.mark")
        policy = replace(policy, purposes=(*policy.purposes, purpose))
    with opened(place) as ledger:
        yield Office(ledger, policy, place.party, settings.privacy.least_audience, epsilon)
