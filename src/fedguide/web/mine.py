"""A shopper's own page: what is known, what left, and the switches; and what may be done there.

Whoever opens it shows a pass, which the shop's own systems get for a shopper they have signed in
(``POST /api/v1/shoppers/ID/pass``). The shoppers of a synthetic market are nobody: theirs open to
everybody. A form carries the pass, so no other site can send it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from fedguide.errors import ConfigError, NotAuthorizedError, NotFoundError
from fedguide.guide.engine import Guide
from fedguide.office.desk import Desk
from fedguide.office.passes import FOR_SHOPPER, make_pass, read_pass
from fedguide.office.persons import Known
from fedguide.web import view
from fedguide.web.content import Page, Visit, left_of, setting_of, shops

_LATEST = 20
_DEMO_S = 3600
_MOST_IGNORED = 200


@dataclass(frozen=True)
class Mine:
    """A visit of a shopper to their own page, with a pass that was checked."""

    visit: Visit
    desk: Desk
    guide: Guide
    user: str
    ticket: str

    @property
    def address(self) -> str:
        """The page itself."""
        asked = {"shop": self.guide.shop, "user": self.user, "pass": self.ticket}
        return f"/me?{urlencode(asked)}"


def mine(visit: Visit) -> Page:
    """The page; a shop or a shopper to choose where none is named."""
    if visit.guide is None:
        return shops(visit)
    if not visit.request.query_params.get("user", "").strip():
        return _nobody(visit, visit.guide)
    opened = open_mine(visit, visit.request.query_params)
    known = opened.desk.persons.known(opened.guide.shop, opened.user, _LATEST)
    setting = replace(setting_of(visit, opened.guide), user=opened.user)
    titles = _titles(opened.guide)
    values = {
        "mine": opened,
        "known": known,
        "kinds": [(visit.say(f"kind.{kind}"), count) for kind, count in known.kinds.items()],
        "latest": [
            {
                "kind": visit.say(f"kind.{one.kind}"),
                "title": visit.say("known.search", query=one.query)
                if one.query
                else one.title or titles(one.item),
                "time": one.time.replace("T", " ")[:16],
                "item": one.item if one.item in opened.guide.rows else "",
                "ignored": one.item in known.ignored,
                "address": view.item_address(setting, one.item)
                if one.item in opened.guide.rows
                else "",
            }
            for one in known.latest
        ],
        "ignored": [(item, titles(item)) for item in known.ignored],
        "left": left_of(visit, opened.guide.release.card),
        "in_words": _in_words(visit, known),
        "remains": _remains(visit, known),
    }
    return Page("mine.html", visit.say("mine.title"), values)


def export(visit: Visit) -> tuple[str, bytes]:
    """A file's name and content: everything that is kept of a shopper."""
    opened = open_mine(visit, visit.request.query_params)
    data = opened.desk.persons.export(opened.guide.shop, opened.user)
    text = json.dumps(data, ensure_ascii=False, indent=1, allow_nan=False)
    return "my-data.json", text.encode()


def act(visit: Visit, form: Mapping[str, str]) -> str:
    """Does what a form asks for; gives the address to go on to.

    Raises:
        NotAuthorizedError: the form has no pass that counts.
        ConfigError: it asks for something that is not there.
    """
    opened = open_mine(visit, form)
    persons, shop, user = opened.desk.persons, opened.guide.shop, opened.user
    match form.get("do", ""):
        case "on" | "off" as wanted:
            persons.personalise(user, wanted=wanted == "on")
        case "ignore":
            item = form.get("item", "")
            if item not in opened.guide.rows:
                raise NotFoundError(f"item {item[:64]!r} is not in shop {shop!r}")
            before = persons.known(shop, user, 0).ignored
            if len(before) >= _MOST_IGNORED:
                raise ConfigError(f"at most {_MOST_IGNORED} items can be left out")
            persons.ignore(shop, user, (*before, item))
        case "heed":
            before = persons.known(shop, user, 0).ignored
            persons.ignore(shop, user, [one for one in before if one != form.get("item", "")])
        case "erase":
            if form.get("sure") != "yes":
                raise ConfigError("deleting has to be confirmed", hint="tick the box")
            persons.erase(user)
        case other:
            raise ConfigError(f"there is nothing to do called {other[:32]!r}")
    return opened.address


def open_mine(visit: Visit, asked: Mapping[str, str]) -> Mine:
    """Checks the pass of a shopper's own page.

    Raises:
        NotFoundError: this server keeps no shoppers' data.
        NotAuthorizedError: there is no pass for this shopper that counts.
    """
    desk, user = visit.site.desk, asked.get("user", "").strip()
    shop = visit.site.guides.get(asked.get("shop", ""), visit.guide)
    if desk is None or shop is None or not user:
        raise NotFoundError("/me")
    now, facts = desk.clock(), {"shop": shop.shop, "user": user}
    if visit.site.demo and shop.release.card.synthetic:
        ticket = make_pass(desk.secret, FOR_SHOPPER, facts, int(now) + _DEMO_S)
        return Mine(visit, desk, shop, user, ticket)
    ticket = asked.get("pass", "")
    if read_pass(desk.secret, FOR_SHOPPER, ticket, now) != facts:
        raise NotAuthorizedError(visit.say("mine.no_pass"))
    return Mine(visit, desk, shop, user, ticket)


def _nobody(visit: Visit, guide: Guide) -> Page:
    values = {"known": None, "left": left_of(visit, guide.release.card), "demo": visit.site.demo}
    return Page("mine.html", visit.say("mine.title"), values)


def _titles(guide: Guide) -> Callable[[str], str]:
    catalogue = guide.release.model.catalogue

    def title(item: str) -> str:
        row = guide.rows.get(item)
        return item if row is None else catalogue.titles[row] or item

    return title


def _remains(visit: Visit, known: Known) -> str:
    """What trained models may still tell, in the visit's language."""
    say = visit.say
    bare = [one.run for one in known.bounds if one.run and one.delta == 0]
    said = [say("mine.remains_bare", runs=", ".join(bare))] if bare else []
    for one in known.bounds:
        if one.epsilon is None:
            said.append(say("console.forecast_unknown"))
        elif one.delta:
            epsilon = f"{one.epsilon:.3g}" if math.isfinite(one.epsilon) else "∞"
            key = "mine.remains_run" if one.run else "mine.remains_ledger"
            said.append(say(key, epsilon=epsilon, delta=f"{one.delta:.1g}", run=one.run))
    return "; ".join(said) or say("mine.remains_none")


def _in_words(visit: Visit, known: Known) -> str:
    """The ε of what was trained, as people can weigh it."""
    if known.epsilon is None:
        return visit.say("mine.epsilon_none")
    values: dict[str, Any] = {"epsilon": f"{known.epsilon:.3g}"}
    if known.epsilon > math.log(1000):
        return visit.say("mine.epsilon_weak", **values)
    return visit.say("mine.epsilon", **values, factor=f"{math.exp(known.epsilon):.3g}")
