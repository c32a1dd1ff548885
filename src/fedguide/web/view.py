"""From answers to what a page shows: sentences, prices, bars, drawings. No HTML here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from fedguide.guide.answers import Because, Pick
from fedguide.guide.engine import Guide
from fedguide.guide.newcomers import NEW
from fedguide.web.art import Art, Drawings, art_for

Say = Callable[..., str]
"""(key, **values) → the text in the page's language."""

_SIGNS = {"CNY": "¥", "GBP": "£", "EUR": "€", "USD": "$"}
_SELF_KINDS = ("buy", "cart", "view")


@dataclass(frozen=True)
class ReasonView:
    """One reason as a sentence; ``percent`` is its share of what lifts the item, 1 … 100."""

    text: str
    percent: int


@dataclass(frozen=True)
class CardView:
    """One product card; ``reasons`` are strongest first, ``lead`` is the line under the title.

    ``compare`` is the address that compares it with the page's own item, where there is one;
    ``tag`` is a word over the picture.
    """

    title: str
    price: str
    address: str
    art: Art
    lead: str
    reasons: tuple[ReasonView, ...]
    item_id: str = ""
    compare: str = ""
    tag: str = ""


@dataclass(frozen=True)
class EventView:
    """One line of what the guide knows."""

    kind: str
    title: str
    address: str
    ago: str


@dataclass(frozen=True)
class Setting:
    """What every view of a page needs to know."""

    guide: Guide
    user: str
    say: Say
    drawings: Drawings


def address(path: str, **query: str) -> str:
    """A link with its query; empty values are left out."""
    kept = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def cards(setting: Setting, picks: Iterable[Pick]) -> list[CardView]:
    """The cards of some picks."""
    return [card(setting, pick) for pick in picks]


def card(setting: Setting, pick: Pick) -> CardView:
    """The card of one pick."""
    say = setting.say
    reasons = tuple(
        ReasonView(_sentence(setting, reason, pick), max(1, round(100 * reason.share)))
        for reason in pick.because
    )
    if reasons:
        lead = reasons[0].text
    elif pick.matched:
        lead = say("search.match", words=" ".join(pick.matched))
    else:
        lead = {
            "popular": say("why.popular"),
            "new": say("why.new"),
            "meaning": say("search.near"),
        }.get(pick.source, pick.brand)
    return CardView(
        title=title_of(pick),
        price=price_of(setting, pick.price),
        address=item_address(setting, pick.item_id),
        art=art_for(setting.drawings, pick.title, pick.category),
        lead=lead,
        reasons=reasons,
        item_id=pick.item_id,
        tag=say("tag.new") if pick.source == NEW else "",
    )


def title_of(pick: Pick) -> str:
    """The title; the id where the shop gave none."""
    return pick.title or pick.item_id


def item_address(setting: Setting, item_id: str) -> str:
    """The page of an item, for the same shop and shopper."""
    return address(f"/items/{quote(item_id, safe='')}", shop=setting.guide.shop, user=setting.user)


def compare_address(setting: Setting, first: str, second: str) -> str:
    """The page that compares two items, for the same shop and shopper."""
    named = [("shop", setting.guide.shop), ("user", setting.user)]
    kept = [(name, value) for name, value in named if value]
    return f"/compare?{urlencode([*kept, ('item', first), ('item', second)])}"


def price_of(setting: Setting, price: float | None) -> str:
    """A price with its currency."""
    if price is None:
        return setting.say("price.none")
    currency = setting.guide.release.card.currency
    amount = f"{price:,.2f}"
    sign = _SIGNS.get(currency)
    return f"{sign}{amount}" if sign else f"{amount} {currency}".strip()


def events(setting: Setting, latest: Iterable[tuple[str, str, str, str, int]]) -> list[EventView]:
    """The latest events as lines."""
    say = setting.say
    return [
        EventView(
            kind=say(f"kind.{kind}"),
            title=say("known.search", query=query) if kind == "search" else title or item_id,
            address=item_address(setting, item_id) if item_id else "",
            ago=ago(setting, day),
        )
        for kind, item_id, title, query, day in latest
    ]


def ago(setting: Setting, day: int) -> str:
    """How long ago a day is; in visits where the shop's data have no dates."""
    past, say = max(0, setting.guide.today() - day), setting.say
    if not setting.guide.release.card.clocked:
        return say("ago.step_one") if past <= 1 else say("ago.step_many", count=past)
    if past == 0:
        return say("ago.today")
    return say("ago.one") if past == 1 else say("ago.many", count=past)


def size_of(size_bytes: int) -> str:
    """A number of bytes in the unit people read."""
    amount, units = float(size_bytes), ("B", "kB", "MB", "GB")
    for unit in units[:-1]:
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} {units[-1]}"


def _sentence(setting: Setting, reason: Because, pick: Pick) -> str:
    say, when = setting.say, ago(setting, reason.last_day)
    if reason.item == pick.item_id and reason.kind in _SELF_KINDS:
        if reason.kind == "buy":
            key = "why.self_buy_once" if reason.times == 1 else "why.self_buy_many"
            return say(key, count=reason.times, ago=when)
        return say(f"why.self_{reason.kind}", ago=when)
    if reason.query:
        return say("why.search", query=reason.query)
    return say(f"why.{reason.kind}", title=reason.title or reason.item)
