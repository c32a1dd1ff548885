"""What stands on each page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment
from starlette.requests import Request

from fedguide.errors import FedGuideError, NotAuthorizedError, NotFoundError
from fedguide.guide import engine
from fedguide.guide.answers import AGAIN, DISCOVER, POPULAR
from fedguide.guide.engine import Guide
from fedguide.guide.histories import busiest
from fedguide.models.card import Card
from fedguide.office.desk import Desk
from fedguide.web import view
from fedguide.web.art import Art, Drawings, art_for, symbols
from fedguide.web.view import CardView, Setting
from fedguide.web.words import HTML_LANG, Language, Tables, say

# Numbers that fill whole rows of two, three and five columns.
_AGAIN, _DISCOVER, _FOUND, _SIMILAR = 6, 12, 20, 10
_EVENTS, _SHOPPERS, _SAMPLES = 7, 6, 3


@dataclass(frozen=True)
class Site:
    """What all pages share.

    Attributes:
        guides: the served shops by name.
        lang: the language where neither address, cookie nor browser asks for another.
        demo: may the pages list a few shoppers?
        tables: the words.
        drawings: the art.
        templates: the Jinja environment, escaping everything.
        desk: what does the work behind pages that are more than the guide.
    """

    guides: Mapping[str, Guide]
    lang: Language
    demo: bool
    tables: Tables
    drawings: Drawings
    templates: Environment
    desk: Desk | None = None


@dataclass(frozen=True)
class Visit:
    """One request for a page; ``guide`` is ``None`` until a shop is chosen."""

    site: Site
    request: Request
    lang: Language
    guide: Guide | None
    user: str

    def say(self, key: str, **values: object) -> str:
        """A text in the visit's language."""
        return say(self.site.tables, self.lang, key, **values)


@dataclass(frozen=True)
class Page:
    """A template with its values; ``art`` are the drawings it uses."""

    template: str
    title: str
    values: Mapping[str, Any]
    art: frozenset[str] = field(default_factory=frozenset)
    status: int = 200


def guide(visit: Visit) -> Page:
    """The guide: a shop to choose, a shopper to choose, or the two slates."""
    if visit.guide is None:
        return shops(visit)
    if not visit.user and visit.site.demo and "user" not in visit.request.query_params:
        return _shoppers(visit, visit.guide)
    return _slates(visit, visit.guide)


def search(visit: Visit) -> Page:
    """What fits some words; an empty search says what to do."""
    if visit.guide is None:
        return shops(visit)
    query = visit.request.query_params.get("q", "").strip()
    cards, source = [], ""
    if query:
        answer = engine.search(visit.guide, query, _FOUND)
        cards, source = view.cards(setting_of(visit, visit.guide), answer.picks), answer.source
    total = len(visit.guide.release.model)
    title = visit.say("search.title", query=query) if query else visit.say("search.label")
    values = {"query": query, "cards": cards, "source": source, "total": total}
    return Page("search.html", title, values, drawn(cards))


def item(visit: Visit) -> Page:
    """A product and what is similar to it."""
    item_id = visit.request.path_params["item_id"]
    shop = visit.guide
    if shop is None:
        holders = [guide for guide in visit.site.guides.values() if item_id in guide.rows]
        if len(holders) != 1:
            raise NotFoundError(item_id[:64])
        shop = holders[0]
    pick = engine.item(shop, item_id)
    setting = setting_of(visit, shop)
    cards = [
        replace(
            view.card(setting, close), compare=view.compare_address(setting, item_id, close.item_id)
        )
        for close in engine.similar(shop, item_id, _SIMILAR).picks
    ]
    art = art_for(visit.site.drawings, pick.title, pick.category)
    values = {
        "pick": pick,
        "name": view.title_of(pick),
        "price": view.price_of(setting, pick.price),
        "art": art,
        "cards": cards,
    }
    return Page("item.html", view.title_of(pick), values, drawn(cards, art))


def about(visit: Visit) -> Page:
    """The release: facts of its model card."""
    if visit.guide is None:
        return shops(visit)
    release = visit.guide.release
    values = {"release": release, "card": release.card, "left": left_of(visit, release.card)}
    return Page("about.html", visit.say("about.title"), values)


def how(visit: Visit) -> Page:
    """How it works, in plain words, with the figures of this release."""
    card = visit.guide.release.card if visit.guide else None
    values = {"card": card, "left": left_of(visit, card) if card else []}
    return Page("how.html", visit.say("how.title"), values)


def error(visit: Visit, problem: FedGuideError | None) -> Page:
    """What went wrong, in the visitor's language; ``None`` is a defect of ours."""
    code = "FG900" if problem is None else problem.code
    if f"error.{code}" not in visit.site.tables[visit.lang]:
        code = "FG400"
    hint = f"error.hint.{code}"
    values = {
        "what": visit.say(f"error.{code}"),
        "detail": "" if problem is None else str(problem),
        "hint": visit.say(hint) if hint in visit.site.tables[visit.lang] else "",
        "code": code,
    }
    return Page("error.html", visit.say("error.title"), values, status=_status(problem))


def _status(problem: FedGuideError | None) -> int:
    if problem is None:
        return 500
    if isinstance(problem, NotFoundError):
        return 404
    if isinstance(problem, NotAuthorizedError):
        return 403
    return 400


def render(visit: Visit, page: Page) -> str:
    """The page as HTML."""
    guide, site = visit.guide, visit.site
    other: Language = "en" if visit.lang == "zh" else "zh"
    shop = guide.shop if guide else ""
    link = partial(view.address, shop=shop, user=visit.user)
    shown = [guide] if guide else list(site.guides.values())
    return site.templates.get_template(page.template).render(
        **page.values,
        title=page.title,
        t=visit.say,
        html_lang=HTML_LANG[visit.lang],
        other_lang=HTML_LANG[other],
        other_address=_in_language(visit, other),
        home=link("/"),
        about_address=link("/about") if guide else "",
        how_address=link("/how"),
        mine_address=link("/me") if guide and site.desk else "",
        shop=shop,
        user=visit.user,
        asked=visit.request.query_params.get("q", ""),
        can_search=guide is not None,
        synthetic=any(one.release.card.synthetic for one in shown),
        together=bool(shown) and all(_trained_together(one.release.card) for one in shown),
        symbols=symbols(site.drawings, set(page.art)),
        address=view.address,
        quote=quote,
        size_of=view.size_of,
    )


def shops(visit: Visit) -> Page:
    """A shop to choose, each with what it sells best."""
    rows, drawn = [], frozenset[str]()
    for shop in visit.site.guides.values():
        best = engine.recommend(shop, "", _SAMPLES).picks
        art = [art_for(visit.site.drawings, pick.title, pick.category) for pick in best]
        drawn |= {one.shape for one in art}
        rows.append(
            {
                "name": shop.shop,
                "address": view.address("/", shop=shop.shop),
                "items": f"{len(shop.release.model):,}",
                "shoppers": f"{len(shop.histories):,}",
                "art": art,
            }
        )
    return Page("shops.html", visit.say("start.title"), {"shops": rows}, drawn)


def _shoppers(visit: Visit, shop: Guide) -> Page:
    """A shopper to choose; only where listing some is allowed."""
    rows = [
        {
            "name": name,
            "events": count,
            "address": view.address("/", shop=shop.shop, user=name),
        }
        for name, count in busiest(shop.histories, _SHOPPERS)
        if engine.addressed(shop, name)
    ]
    best = engine.recommend(shop, "", _SIMILAR).picks
    cards = view.cards(setting_of(visit, shop), best)
    values = {"shoppers": rows, "cards": cards, "many": len(visit.site.guides) > 1}
    return Page("shoppers.html", visit.say("start.shopper"), values, drawn(cards))


def _slates(visit: Visit, shop: Guide) -> Page:
    """The two slates of a shopper, what the guide knows, and what left the shop."""
    setting, user = setting_of(visit, shop), visit.user
    found = engine.recommend(shop, user, _DISCOVER, DISCOVER)
    popular = found.source == POPULAR
    again = () if popular else engine.recommend(shop, user, _AGAIN, AGAIN).picks
    discover, before = view.cards(setting, found.picks), view.cards(setting, again)
    values = {
        "again": before,
        "discover": discover,
        "popular": popular,
        "known": view.events(setting, engine.latest_events(shop, user, _EVENTS)),
        "left": left_of(visit, shop.release.card),
        "demo": visit.site.demo,
        "change": view.address("/", shop=shop.shop),
    }
    return Page("guide.html", visit.say("guide.title"), values, drawn([*before, *discover]))


def left_of(visit: Visit, card: Card) -> list[tuple[str, str]]:
    """What left the shop: label and fact; only what the model card says."""
    say = visit.say
    if card.rounds == 0:
        updates = say("left.none_value")
    elif card.bytes_sent is None:
        updates = say("left.unknown")
    else:
        size = view.size_of(card.bytes_sent)
        updates = say("left.updates_value", bytes=size, rounds=card.rounds)
    privacy = say("left.dp_none") if card.privacy == "dp: none" else card.privacy
    return [
        (say("left.rows"), say("left.rows_value")),
        (say("left.updates"), updates),
        (say("left.privacy"), privacy),
    ]


def _trained_together(card: Card) -> bool:
    kept = (card.chosen,) if isinstance(card.chosen, str) else card.chosen.values()
    return card.rounds > 0 and len(card.shops) > 1 and "together" in kept


def setting_of(visit: Visit, shop: Guide) -> Setting:
    """What every view of this visit's page needs to know."""
    return Setting(shop, visit.user, visit.say, visit.site.drawings)


def drawn(cards: list[CardView], *more: Art) -> frozenset[str]:
    """The names of the drawings that some cards use."""
    return frozenset({card.art.shape for card in cards} | {art.shape for art in more})


def _in_language(visit: Visit, lang: Language) -> str:
    """The same page in another language; it names the shopper only where the page may."""
    path, asked = visit.request.url.path, visit.request.query_params.multi_items()
    kept = [(name, value) for name, value in asked if name not in ("lang", "user")]
    if "user" in visit.request.query_params:
        kept.append(("user", visit.user))
    return f"{quote(path)}?{urlencode([*kept, ('lang', lang)])}"
