"""The shapes of what is asked in a body, and of the answers to it."""

from __future__ import annotations

import msgspec

from fedguide.api.wire import WireItem
from fedguide.guide.asked import Chip, Relax, Understood
from fedguide.guide.compare import Difference


class SessionEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One event of this visit: an item that was viewed, carted or bought, or a searched text."""

    kind: str
    item: str = ""
    query: str = ""


class GuideQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``POST /guide``; ``text`` may be empty where chips are set."""

    text: str = ""
    user: str = ""
    session: tuple[SessionEvent, ...] = ()
    chips: tuple[str, ...] = ()
    lang: str = ""
    k: int = 10


class SessionQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``POST /session/recommend``."""

    session: tuple[SessionEvent, ...] = ()
    user: str = ""
    slate: str = "discover"
    k: int = 10


class RankQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``POST /rank``."""

    items: tuple[str, ...]
    user: str = ""
    session: tuple[SessionEvent, ...] = ()
    query: str = ""


class Guided(msgspec.Struct, frozen=True):
    """Answer of ``POST /guide``; ``voice`` says who phrased ``said``: ``engine`` or ``model``."""

    shop: str
    text: str
    lang: str
    said: str
    voice: str
    understood: tuple[Understood, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    exact: bool
    total: int
    source: str
    chips: tuple[Chip, ...]
    active: tuple[str, ...]
    relax: tuple[Relax, ...]
    currency: str
    release: str
    synthetic: bool
    items: tuple[WireItem, ...]


class SessionRecommended(msgspec.Struct, frozen=True):
    """Answer of ``POST /session/recommend``."""

    shop: str
    slate: str
    source: str
    release: str
    synthetic: bool
    items: tuple[WireItem, ...]


class Ranked(msgspec.Struct, frozen=True):
    """Answer of ``POST /rank``."""

    shop: str
    source: str
    release: str
    synthetic: bool
    items: tuple[WireItem, ...]


class ComparedItems(msgspec.Struct, frozen=True):
    """Answer of ``GET /compare``; ``suits`` is empty when neither suits more."""

    shop: str
    suits: str
    said: str
    source: str
    alike: float
    differences: tuple[Difference, ...]
    release: str
    synthetic: bool
    items: tuple[WireItem, ...]


ASKED_SHAPES = (
    GuideQuestion,
    SessionQuestion,
    RankQuestion,
    Guided,
    SessionRecommended,
    Ranked,
    ComparedItems,
)
"""Every shape of this file that the API's description names."""
