"""``fedguide ads``: which ads a shopper is shown and why, and what an ad achieved, noised."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.guide import RunOption, ShopOption
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.cli.released import AgainOption
from fedguide.errors import ConfigError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.guide.ad_model import AdModel, Judged
    from fedguide.guide.ads import Ad, Sponsored
    from fedguide.guide.engine import Guide

app = typer.Typer(help="Ads: rank, report / 广告", no_args_is_help=True)

AdsOption = Annotated[
    Path | None,
    typer.Option("--ads", help="CSV of orders: ad_id, item_id, bid, budget, cap, advertiser"),
]


@app.command("rank")
def rank(
    user: Annotated[str, typer.Argument(help="Shopper who looks; without one nobody")] = "",
    query: Annotated[str, typer.Option("--query", help="What is searched")] = "",
    slots: Annotated[int, typer.Option("--slots", help="How many slots, 1 to 10")] = 3,
    ads: AdsOption = None,
    shop: ShopOption = None,
    run: RunOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Rank ads by bid times calibrated click; second price, paced, capped, labelled."""
    from fedguide import config
    from fedguide.cli.ad_desk import open_desk
    from fedguide.cli.folders import open_guides, run_folder
    from fedguide.guide.ads import rank_ads

    settings = config.load(found(path))
    out = begin("ads rank", as_json=as_json, lang=lang, fallback=settings.lang)
    folder = run_folder(settings.home, run)
    guides = open_guides(settings, folder, shop)
    guide = next((g for g in guides.values() if user in g.histories.rows), None)
    guide = guide or next(iter(guides.values()))
    desk = open_desk(settings, folder, guide, ads)
    with desk.book:
        items = rank_ads(guide, desk, user, query, slots)
    personal = bool(user) and user in guide.histories.rows and guide.allows(user)
    if desk.model.synthetic:
        out.note("synthetic clicks", "合成点击数据")
    data = {
        "shop": guide.shop,
        "personal": personal,
        "synthetic": desk.model.synthetic,
        "model": {
            "personal": _judged(desk.model.personal.judged),
            "plain": _judged(desk.model.plain.judged),
        },
        "items": [_plain(item) for item in items],
    }
    out.finish(data, *_shown(out, items, desk.model, personal))


@app.command("report")
def report(
    ad: Annotated[str, typer.Argument(help="The order's ad_id")],
    epsilon: Annotated[
        float | None, typer.Option("--epsilon", help="ε of the three counts; 0.25 if not said")
    ] = None,
    recipient: Annotated[
        str | None,
        typer.Option("--recipient", help="Who gets them; stands in the ledger; else: advertiser"),
    ] = None,
    again: AgainOption = False,
    ads: AdsOption = None,
    shop: ShopOption = None,
    run: RunOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Say how many shoppers an ad reached, who clicked, who bought: noised and charged once."""
    from fedguide import config
    from fedguide.cli import released
    from fedguide.cli.ad_desk import known_ad, orders
    from fedguide.cli.folders import open_guides, run_folder

    settings = config.load(found(path))
    out = begin("ads report", as_json=as_json, lang=lang, fallback=settings.lang)
    folder = run_folder(settings.home, run)
    guide = next(iter(open_guides(settings, folder, shop).values()))
    order = known_ad(orders(guide, ads), ad)
    question = {"ad": ad, "item": order.item_id}
    place = released.place_of(released.ads_folder(settings.home, guide.shop), question)
    body = None if again else released.kept(place)
    charged = body is None
    if body is None:
        terms = (0.25 if epsilon is None else epsilon, recipient or "advertiser")
        body = released.keep(place, _counted(settings, folder, guide, order, *terms))
    else:
        _require_alike(body, epsilon, recipient)
        released.note_kept(out, body["made"], body["epsilon"])
    if body["synthetic"]:
        out.note("synthetic clicks", "合成点击数据")
    out.finish({**body, "charged": charged}, _counts_line(out, body))


def _counted(
    settings: Settings, folder: Path, guide: Guide, order: Ad, epsilon: float, recipient: str
) -> dict[str, Any]:
    """Releases the three counts of an order, charged, as they are kept and printed.

    Raises:
        RefusedError, LedgerError, ConfigError: see ``release_counts``.
    """
    from fedguide.cli.ad_desk import book_path, shop_log
    from fedguide.cli.counting import office_of
    from fedguide.guide.ad_book import AdBook
    from fedguide.guide.ad_report import CELLS, PURPOSE, reached_by
    from fedguide.guide.counts import release_counts
    from fedguide.seeds import fresh_root

    log = shop_log(settings, folder, guide)
    with AdBook(book_path(settings, guide.shop)) as book:
        reached = reached_by(log, guide.rows[order.item_id], book.reached(order.ad_id))
    task = f"ad {order.ad_id} {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S.%f}"
    with office_of(settings, PURPOSE, epsilon, synthetic=log.synthetic) as office:
        counts = release_counts(
            reached.counts,
            task,
            office,
            fresh_root(os.urandom),
            purpose=PURPOSE,
            recipient=recipient,
            shoppers=max(1, len(guide.histories)),
            most_cells=len(CELLS),
        )
    return {
        "ad": order.ad_id,
        "shop": guide.shop,
        "synthetic": log.synthetic,
        "recipient": recipient,
        "counts": dict(zip(CELLS, counts.shown, strict=True)),
        "half_width": counts.half_width(),
        "floor": counts.floor,
        "epsilon": counts.epsilon,
        "ledger_record": counts.record,
    }


def _require_alike(kept: Mapping[str, Any], epsilon: float | None, recipient: str | None) -> None:
    """Returns if the kept report is what is asked for.

    Raises:
        ConfigError: it was released at another ε, or to somebody else, as the ledger says.
    """
    for name, asked in (("epsilon", epsilon), ("recipient", recipient)):
        if asked is not None and asked != kept[name]:
            raise ConfigError(
                f"the report of {kept['ad']} was released with {name} {kept[name]}, not "
                f"{str(asked)[:64]}",
                hint="--again makes and charges a new one",
            )


def _judged(made: Judged) -> dict[str, Any]:
    return {
        "views": made.views,
        "clicks": made.clicks,
        "auc": [made.auc.value, made.auc.low, made.auc.high],
        "log_loss": made.log_loss,
        "calibration_error": made.error,
    }


def _plain(item: Sponsored) -> dict[str, Any]:
    import msgspec

    body: dict[str, Any] = msgspec.to_builtins(item)
    return body


def _shown(out: Output, items: tuple[Sponsored, ...], model: AdModel, personal: bool) -> list[Any]:
    """The ads as a table, and how good the model of clicks is."""
    heads = [
        "#",
        out.pick("sponsored", "广告"),
        out.pick("title", "名称"),
        out.pick("price", "价格"),
        out.pick("click", "点击率"),
        out.pick("bid", "出价"),
        out.pick("a click costs", "每次点击计费"),
    ]
    rows = [
        (
            str(item.slot),
            item.ad,
            item.title[:40],
            "" if item.price is None else f"{item.price:.2f}",
            f"{item.click_probability:.1%}",
            f"{item.bid_fen / 100:.2f}",
            f"{item.price_fen / 100:.2f}",
        )
        for item in items
    ]
    half = model.personal if personal else model.plain
    auc = half.judged.auc
    line = out.pick(
        f"clicks: AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}], calibration error "
        f"{half.judged.error:.3f}, on {half.judged.views:,} later views; ",
        f"点击：在其后 {half.judged.views:,} 次展示上 AUC {auc.value:.3f} "
        f"[{auc.low:.3f}, {auc.high:.3f}]，校准误差 {half.judged.error:.3f}；",
    )
    line += (
        out.pick("personal", "个性化")
        if personal
        else out.pick("not personal: the same for everybody", "未个性化：对所有人相同")
    )
    if not items:
        return [out.pick("no ad takes part now", "当前没有广告参与"), line]
    made = table("", heads, rows)
    for column in (1, 2):
        made.columns[column].justify = "left"
    return [made, line]


def _counts_line(out: Output, body: Mapping[str, Any]) -> str:
    names = (
        out.pick("shown to", "展示"),
        out.pick("clicked by", "点击"),
        out.pick("bought by", "购买"),
    )
    under = f"<{body['floor']}"
    said = ", ".join(
        f"{name} {value if value is not None else under}"
        for name, value in zip(names, body["counts"].values(), strict=True)
    )
    ad, half, epsilon = body["ad"], body["half_width"], body["epsilon"]
    return out.pick(
        f"{ad}: shoppers {said} (± {half:.0f} each, ε = {epsilon:g}, ledger record "
        f"{body['ledger_record']})",
        f"{ad}：顾客数 {said}（各 ± {half:.0f}，ε = {epsilon:g}，账本记录 "
        f"{body['ledger_record']}）",
    )
