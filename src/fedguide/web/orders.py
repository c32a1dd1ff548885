"""The console's page of ads: what each order did today, and what of it has left the shop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedguide.guide.ad_book import Day
from fedguide.guide.ad_model import Half
from fedguide.guide.ads import Ad, AdDesk
from fedguide.web.console import Inside, page_of
from fedguide.web.content import Page


def orders(here: Inside) -> Page:
    """Every shop that serves ads, or that released what they achieved."""
    desks, released = here.desk.ads, here.desk.ad_reports()
    found = [
        _shop(here, shop, desks.get(shop), released.get(shop, {}))
        for shop in sorted(desks.keys() | released.keys())
    ]
    return page_of(here, "ads", "console_ads.html", {"shops": found})


def _shop(
    here: Inside, shop: str, desk: AdDesk | None, released: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    today = {} if desk is None else desk.book.today(desk.now().day)
    return {
        "name": shop,
        "synthetic": desk is not None and desk.model.synthetic,
        "models": [] if desk is None else _models(here, desk),
        "orders": [
            _order(here, shop, ad, today.get(ad.ad_id, Day())) for ad in (desk.ads if desk else ())
        ],
        "released": [_released(one) for one in released.values()],
    }


def _models(here: Inside, desk: AdDesk) -> list[tuple[str, str]]:
    """How good both models of clicks are."""
    halves = (("orders.personal", desk.model.personal), ("orders.plain", desk.model.plain))
    return [(here.say(key), _judged(here, half)) for key, half in halves]


def _judged(here: Inside, half: Half) -> str:
    auc, judged = half.judged.auc, half.judged
    return here.say(
        "orders.judged",
        auc=f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]",
        error=f"{judged.error:.3f}",
        views=f"{judged.views:,}",
    )


def _order(here: Inside, shop: str, ad: Ad, day: Day) -> dict[str, Any]:
    guide = here.visit.site.guides.get(shop)
    row = None if guide is None else guide.rows.get(ad.item_id)
    title = "" if guide is None or row is None else guide.release.model.catalogue.titles[row]
    return {
        "ad": ad.ad_id,
        "title": title or ad.item_id,
        "advertiser": ad.advertiser or "–",
        "bid": _money(ad.bid_fen),
        "views": f"{day.views:,}",
        "clicks": f"{day.clicks:,}",
        "spent": f"{_money(day.spent_fen)} / {_money(ad.budget_fen)}",
    }


def _released(report: Mapping[str, Any]) -> dict[str, Any]:
    under = f"<{report['floor']}"
    return {
        "ad": report["ad"],
        "made": report["made"],
        "recipient": report["recipient"],
        "counts": [under if value is None else f"{value:,}" for value in report["counts"].values()],
        "half_width": f"± {report['half_width']:.0f}",
        "charged": f"ε {report['epsilon']:g}, #{report['ledger_record']}",
    }


def _money(fen: int) -> str:
    return f"{fen / 100:,.2f}"
