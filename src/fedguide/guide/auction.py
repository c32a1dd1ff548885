"""Who gets an ad slot, and for how much: the generalised second-price auction.

Edelman, Ostrovsky and Schwarz, "Internet Advertising and the Generalized Second-Price Auction",
2007, section 1, ranked by bid times probability of a click. A click costs the least whole fen that
would still have kept the slot: the next one's bid times probability over one's own, never more
than one's bid, never less than the reserve. The price is paid by the advertiser; what a shopper
pays for the item has nothing to do with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedguide.errors import ConfigError


@dataclass(frozen=True)
class Bid:
    """What an ad offers for a click, and how likely it is clicked.

    Raises:
        ConfigError: the bid is below 1 fen, or the probability is outside of (0, 1].
    """

    ad: str
    bid_fen: int
    ctr: float

    def __post_init__(self) -> None:
        """Checks both figures."""
        if self.bid_fen < 1:
            raise ConfigError(f"a bid must be at least 1 fen, got {self.bid_fen}")
        if not 0 < self.ctr <= 1:
            raise ConfigError(f"a click has a probability in (0, 1], got {self.ctr}")

    @property
    def worth(self) -> float:
        """Expected fen of a view."""
        return self.bid_fen * self.ctr


@dataclass(frozen=True)
class Won:
    """A slot, from 1, and the price of a click."""

    bid: Bid
    slot: int
    price_fen: int


def second_price(bids: Sequence[Bid], slots: int, reserve_fen: int = 1) -> list[Won]:
    """The slots, best first; bids below the reserve take no part, equals go by the ad's name.

    Raises:
        ConfigError: there is no slot, or the reserve is below 1 fen.
    """
    if slots < 1 or reserve_fen < 1:
        raise ConfigError(
            f"slots and reserve_fen must be at least 1, got {slots} and {reserve_fen}"
        )
    running = [bid for bid in bids if bid.bid_fen >= reserve_fen]
    ranked = sorted(running, key=lambda bid: (-bid.worth, bid.ad))
    won = []
    for slot, bid in enumerate(ranked[:slots], start=1):
        below = ranked[slot].worth if slot < len(ranked) else 0.0
        # A hair less, so that a quotient that is whole but for rounding costs no fen more.
        least = math.ceil(below / bid.ctr - 1e-9)
        won.append(Won(bid, slot, min(bid.bid_fen, max(reserve_fen, least))))
    return won
