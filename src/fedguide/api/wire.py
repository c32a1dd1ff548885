"""The shapes of the API's JSON; absent fields are left out, never null, except a price."""

from __future__ import annotations

import msgspec

from fedguide.guide.answers import Answer, Because, Pick


class WireBecause(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why: without the events with this item (or search) the score falls by ``effect``.

    ``share`` is that effect as a part of everything that lifts the item, in (0, 1].
    """

    kind: str
    share: float
    effect: float
    times: int
    item: str = ""
    title: str = ""
    query: str = ""


class WireItem(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One item with its place in the answer."""

    item_id: str
    title: str
    price: float | None
    score: float
    rank: int
    source: str
    slate: str
    because: tuple[WireBecause, ...]
    brand: str = ""
    category: str = ""
    matched: tuple[str, ...] = ()


class Recommended(msgspec.Struct, frozen=True):
    """Answer of ``/recommend``."""

    shop: str
    user: str
    slate: str
    source: str
    release: str
    synthetic: bool
    items: tuple[WireItem, ...]


class Searched(msgspec.Struct, frozen=True):
    """Answer of ``/search``."""

    shop: str
    query: str
    source: str
    release: str
    synthetic: bool
    items: tuple[WireItem, ...]


class Similar(msgspec.Struct, frozen=True):
    """Answer of ``/similar/{item_id}``."""

    shop: str
    item_id: str
    source: str
    release: str
    synthetic: bool
    items: tuple[WireItem, ...]


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answer of ``/items/{item_id}``."""

    shop: str
    item_id: str
    title: str
    price: float | None
    brand: str = ""
    category: str = ""
    currency: str = ""


class Shop(msgspec.Struct, frozen=True):
    """One served shop and the release it is served from."""

    shop: str
    items: int
    shoppers: int
    release: str
    signer: str
    synthetic: bool


class Shops(msgspec.Struct, frozen=True):
    """Answer of ``/shops``."""

    shops: tuple[Shop, ...]


class Health(msgspec.Struct, frozen=True):
    """Answer of ``/healthz`` and ``/readyz``."""

    status: str


class Titles(msgspec.Struct, frozen=True):
    """A title in both languages."""

    zh: str
    en: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error, RFC 9457; ``code`` is stable, ``hint`` is one step that helps."""

    type: str
    title: str
    titles: Titles
    status: int
    detail: str
    code: str
    instance: str
    hint: str = ""


SHAPES = (Recommended, Searched, Similar, Item, Shops, Health, Problem)


def wire_items(answer: Answer) -> tuple[WireItem, ...]:
    """The picks of an answer as they are sent."""
    return tuple(map(_item, answer.picks))


def _item(pick: Pick) -> WireItem:
    return WireItem(
        pick.item_id,
        pick.title,
        pick.price,
        round(pick.score, 6),
        pick.rank,
        pick.source,
        pick.slate,
        tuple(map(_because, pick.because)),
        pick.brand,
        pick.category,
        pick.matched,
    )


def _because(reason: Because) -> WireBecause:
    return WireBecause(
        reason.kind,
        reason.share,
        reason.effect,
        reason.times,
        reason.item,
        reason.title,
        reason.query,
    )
