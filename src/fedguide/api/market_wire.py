"""The shapes of ads and audiences over HTTP."""

from __future__ import annotations

import msgspec

from fedguide.guide.ads import Sponsored


class AdQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``POST /ads/rank``; without ``user`` nobody is profiled."""

    user: str = ""
    query: str = ""
    slots: int = 3


class AdsRanked(msgspec.Struct, frozen=True):
    """Answer of ``POST /ads/rank``: sponsored items, each labelled; none where no ads run."""

    shop: str
    sponsored: bool
    synthetic: bool
    items: tuple[Sponsored, ...]


class AdClick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /ads/click``."""

    placement: str


class AdClicked(msgspec.Struct, frozen=True):
    """Answer of ``POST /ads/click``; ``fresh`` is false where it was reported before."""

    fresh: bool


class EstimateQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``POST /audiences/estimate``; ``at_least`` is where a band begins."""

    audience: str
    at_least: float = 0.0


class Band(msgspec.Struct, frozen=True):
    """Noised shoppers of a band of probability; null below the floor."""

    band: str
    shoppers: int | None


class Estimated(msgspec.Struct, frozen=True):
    """Answer of ``POST /audiences/estimate``: the release that was made and paid for once.

    ``half_width`` is half of the 95 % interval of the noise in ``shoppers``.
    """

    audience: str
    synthetic: bool
    at_least: float
    shoppers: int
    half_width: float
    epsilon: float
    floor: int
    counts: tuple[Band, ...]


MARKET_SHAPES = (AdQuestion, AdsRanked, AdClick, AdClicked, EstimateQuestion, Estimated)
