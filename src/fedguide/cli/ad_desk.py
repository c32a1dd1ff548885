"""Where ads lie under the home folder, and how a shop's desk is opened.

HOME/ads/SHOP.db   the book of served ads: views, clicks, spending, pace (0600)
"""

from __future__ import annotations

import dataclasses
import datetime
import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fedguide.errors import ConfigError, DataError

if TYPE_CHECKING:
    from fedguide.api.marketing import Market
    from fedguide.config import Settings
    from fedguide.data.ad_log import AdLog
    from fedguide.guide.ads import Ad, AdDesk, Moment
    from fedguide.guide.audience import Released
    from fedguide.guide.engine import Guide
    from fedguide.values import Catalogue

INVENTED_VIEWS = 6000
"""Views of the made-up log of a synthetic shop: a few hundred clicks."""

MOST_VIEWS = 50_000
"""Latest views that clicks are learnt from: they take half a minute."""


def book_path(settings: Settings, shop: str) -> Path:
    """Where the book of a shop's ads is."""
    return settings.home / "ads" / f"{shop}.db"


def shop_log(settings: Settings, folder: Path, guide: Guide) -> AdLog:
    """Views of ads of those who allow it, in rows of the release; made up for a synthetic shop.

    Raises:
        DataError: the shop has no ad views, or nobody allows it.
    """
    import numpy as np

    from fedguide.cli.source import cohorts
    from fedguide.data.ad_log import ad_log, synthetic_ad_log
    from fedguide.data.store import read_store
    from fedguide.values import AD_VIEW

    whole = read_store(folder / "shops" / guide.shop / "store.duckdb")
    (dataset,) = cohorts(settings, [whole])
    if guide.release.card.synthetic and not (dataset.events.kinds == AD_VIEW).any():
        log, _ = synthetic_ad_log(dataset, INVENTED_VIEWS, settings.train.seed)
    else:
        log = ad_log(dataset)
    rows = np.array([guide.rows.get(item, -1) for item in dataset.catalogue.ids], np.int64)
    kept = np.flatnonzero(rows[log.items] >= 0)[-MOST_VIEWS:]
    return dataclasses.replace(
        log,
        shoppers=tuple(log.shoppers[at] for at in kept.tolist()),
        items=rows[log.items[kept]],
        **{name: getattr(log, name)[kept] for name in ("slots", "days", "clicked", "bought")},
    )


def orders(guide: Guide, path: Path | None) -> tuple[Ad, ...]:
    """The orders in a file; invented ones for a synthetic shop without a file.

    Raises:
        ConfigError: a real shop, and no file.
        DataError, NotFoundError: see ``read_ads``; an item is not of this shop.
    """
    from fedguide.guide.ads import read_ads

    if path is None:
        if not guide.release.card.synthetic:
            raise ConfigError("a file of ads is needed", hint="--ads FILE.csv")
        return invented(guide.release.model.catalogue)
    ads = read_ads(path)
    unknown = sorted({ad.item_id for ad in ads if ad.item_id not in guide.rows})
    if unknown:
        raise DataError(
            f"{path.name}: {len(unknown)} items are not sold by {guide.shop}, the first is "
            f"{unknown[0][:40]!r}",
            hint=f"fedguide search WORDS --shop {guide.shop}",
        )
    return ads


def invented(catalogue: Catalogue) -> tuple[Ad, ...]:
    """A dozen made-up orders over a synthetic catalogue: bids 0.40 to 1.50, budgets of 40."""
    from fedguide.guide.ads import Ad

    step = max(1, len(catalogue) // 12)
    return tuple(
        Ad(
            f"ad-{number + 1:02d}",
            catalogue.ids[row],
            40 + 10 * (number % 12),
            4000,
            3,
            brand or "",
        )
        for number, row in enumerate(range(0, len(catalogue), step)[:12])
        for brand in [catalogue.brands[row]]
    )


def open_desk(settings: Settings, folder: Path, guide: Guide, path: Path | None) -> AdDesk:
    """The desk of one shop of a run; its model is learnt here.

    Raises:
        DataError, ConfigError, NotFoundError: see ``shop_log``, ``orders``, ``fit_ad_model``.
    """
    from fedguide.guide.ad_book import AdBook
    from fedguide.guide.ad_model import fit_ad_model
    from fedguide.guide.ads import AdDesk

    ads = orders(guide, path)
    log = shop_log(settings, folder, guide)
    model = fit_ad_model(log, guide.histories, guide.release.model.catalogue)
    book = AdBook(book_path(settings, guide.shop))
    return AdDesk(ads, model, book, now, random.random, lambda: secrets.token_hex(16))


@contextmanager
def market_of(
    settings: Settings, folder: Path, guides: Mapping[str, Guide], path: Path | None
) -> Iterator[Market]:
    """What is served to advertisers and partners: desks of shops that sell what the ads show.

    Without a file there are no desks; audiences that were built are there all the same.

    Raises:
        ConfigError: no served shop sells what the ads show.
        DataError, NotFoundError: see ``open_desk``.
    """
    from fedguide.api.marketing import Market
    from fedguide.guide.ads import read_ads

    with ExitStack() as stack:
        desks = {}
        if path is not None:
            items = {ad.item_id for ad in read_ads(path)}
            found = [name for name, guide in guides.items() if items <= guide.rows.keys()]
            if not found:
                raise ConfigError(
                    f"no shop served here sells all items of {path.name}",
                    hint="fedguide search WORDS",
                )
            for name in found:
                desks[name] = open_desk(settings, folder, guides[name], path)
                stack.enter_context(desks[name].book)
        yield Market(desks, released_by(settings))


def released_by(settings: Settings) -> Callable[[str], Released]:
    """Reads the counts of an audience as they were released."""
    from fedguide.cli.audience_store import kept_counts, report_of
    from fedguide.guide.audience import Released

    def released(name: str) -> Released:
        report = report_of(settings.home, name)
        return Released(report["name"], kept_counts(report["counts"]), report["synthetic"])

    return released


def now() -> Moment:
    """The moment by this machine's clock, in UTC."""
    from fedguide.guide.ads import Moment

    at = datetime.datetime.now(datetime.UTC)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return Moment((at.date() - datetime.date(1970, 1, 1)).days, (at - midnight).total_seconds())


def known(settings: Settings, shopper: str) -> list[dict[str, str | int | bool]]:
    """Every view of an ad that is kept of a shopper, with the shop.

    Raises:
        DataError: a book is damaged.
    """
    from fedguide.guide.ad_book import AdBook

    found: list[dict[str, str | int | bool]] = []
    for path in sorted((settings.home / "ads").glob("*.db")):
        with AdBook(path) as book:
            found += [{"shop": path.stem, **view} for view in book.known(shopper)]
    return found


def forget(settings: Settings, shopper: str) -> int:
    """Takes a shopper out of every book; how many lines there were.

    Raises:
        DataError: a book is damaged.
    """
    from fedguide.guide.ad_book import AdBook

    lines = 0
    for path in sorted((settings.home / "ads").glob("*.db")):
        with AdBook(path) as book:
            lines += book.forget(shopper)
    return lines


def known_ad(ads: tuple[Ad, ...], name: str) -> Ad:
    """The order of a name.

    Raises:
        DataError: there is none.
    """
    for ad in ads:
        if ad.ad_id == name:
            return ad
    known = ", ".join(ad.ad_id for ad in ads[:8])
    raise DataError(f"no ad {name[:40]!r}", hint=f"one of: {known}")
