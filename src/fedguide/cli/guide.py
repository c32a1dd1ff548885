"""``fedguide recommend``, ``search`` and ``serve``: what a finished run is for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.guide.answers import Because, Pick

RunOption = Annotated[
    str | None, typer.Option("--run", help="Name of the run; default: the latest")
]
ShopOption = Annotated[str | None, typer.Option("--shop", help="Shop; default: found by itself")]
CountOption = Annotated[int, typer.Option("-k", "--count", help="How many items")]


TITLE, REASON = 44, 30
"""Characters of a title that are printed, in its own column and in a reason."""

SHOWN_REASONS = 2


def recommend(
    user: Annotated[str, typer.Argument(help="Shopper id, as in the shop's own data")],
    why: Annotated[bool, typer.Option("--why", help="Print the reasons of each item")] = False,
    slate: Annotated[str, typer.Option("--slate", help="both, discover or again")] = "both",
    count: CountOption = 5,
    shop: ShopOption = None,
    run: RunOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Recommend items to one shopper of the latest run."""
    from fedguide import config
    from fedguide.cli.folders import open_guides, run_folder
    from fedguide.guide import engine

    settings = config.load(found(path))
    out = begin("recommend", as_json=as_json, lang=lang, fallback=settings.lang)
    guides = open_guides(settings, run_folder(settings.home, run), shop, pinned=run is not None)
    # Without --shop: the shop that knows the shopper; if none does, the first shop's best sellers.
    guide = next((g for g in guides.values() if user in g.histories.rows), None)
    guide = guide or next(iter(guides.values()))
    answer = engine.recommend(guide, user, count, slate)
    if not guide.allows(user):
        out.note("personalisation is off: best sellers", "个性化已关闭：给出畅销品")
    elif answer.source != "personal":
        out.note(
            f"{user} is new to {guide.shop}: its best sellers",
            f"{guide.shop} 还不认识 {user}：给出畅销品",
        )
    synthetic = guide.release.card.synthetic
    data = {
        "shop": guide.shop,
        "user": user,
        "source": answer.source,
        "synthetic": synthetic,
        "items": [_plain(pick) for pick in answer.picks],
    }
    _note_synthetic(out, synthetic)
    out.finish(data, *_tables(out, answer.picks, why))


def search(
    query: Annotated[str, typer.Argument(help="Words in any language")],
    count: CountOption = 10,
    shop: ShopOption = None,
    run: RunOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Search a shop's items with the guide's own text tower."""
    from fedguide import config
    from fedguide.cli.folders import open_guides, run_folder
    from fedguide.guide import engine

    settings = config.load(found(path))
    out = begin("search", as_json=as_json, lang=lang, fallback=settings.lang)
    guides = open_guides(settings, run_folder(settings.home, run), shop, pinned=run is not None)
    guide = next(iter(guides.values()))
    answer = engine.search(guide, query, count)
    if answer.source == "meaning":
        out.note(
            "no item has these words; nearest by meaning", "没有商品含有这些词；按含义最接近的"
        )
    data = {
        "shop": guide.shop,
        "query": query,
        "source": answer.source,
        "synthetic": guide.release.card.synthetic,
        "items": [_plain(pick) for pick in answer.picks],
    }
    _note_synthetic(out, guide.release.card.synthetic)
    out.finish(data, *_tables(out, answer.picks, why=False))


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port; 0 takes a free one")] = None,
    shop: ShopOption = None,
    run: RunOption = None,
    ads: Annotated[
        Path | None,
        typer.Option("--ads", help="CSV of ads to serve: ad_id, item_id, bid, budget, cap"),
    ] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Serve the guide page and the HTTP API of the latest run."""
    # One request is too small for BLAS to share out; its threads would only be in the way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from fedguide import config
    from fedguide.cli.folders import run_folder

    settings = config.load(found(path))
    out = begin("serve", as_json=as_json, lang=lang, fallback=settings.lang)
    folder = run_folder(settings.home, run)
    listen_and_serve(
        out,
        settings,
        folder,
        shop,
        settings.serve.host if host is None else host,
        settings.serve.port if port is None else port,
        ads,
        pinned=run is not None,
    )


def listen_and_serve(
    out: Output,
    settings: Settings,
    folder: Path,
    shop: str | None,
    host: str,
    port: int,
    ads: Path | None = None,
    *,
    pinned: bool = True,
) -> None:
    """Opens the run's guides, prints the address once it can be asked, serves until Ctrl-C."""
    from fedguide.api.app import create_app
    from fedguide.api.server import listen, loading
    from fedguide.api.server import serve as serve_app
    from fedguide.cli.folders import open_guides
    from fedguide.cli.registry import served_folders
    from fedguide.cli.service import desk_of, services_of
    from fedguide.cli.speaking import voice_from
    from fedguide.web.pages import add_pages

    voice = voice_from(settings.voice)
    with loading():
        guides = open_guides(settings, folder, shop, pinned=pinned)
    places = served_folders(settings, folder, pinned=pinned)
    with services_of(settings, guides, places, folder, ads) as services:
        listening = listen(host, port)
        address = f"http://{host}:{listening.getsockname()[1]}"
        app = create_app(guides, services, voice=voice)
        # Real shoppers are never listed; those of a synthetic market are there to be tried.
        desk = desk_of(settings, services)
        invented = all(guide.release.card.synthetic for guide in guides.values())
        add_pages(app, guides, lang="zh" if out.lang == "zh" else "en", demo=invented, desk=desk)
        out.finish(
            {"address": address, "shops": list(guides)},
            out.pick(f"guide  {address}/", f"导购  {address}/"),
            out.pick(
                f"console {address}/console  (fedguide keys create ME --role operator)",
                f"控制台 {address}/console （fedguide keys create ME --role operator）",
            ),
            f"api    {address}/api/v1/recommend?user=…",
            out.pick("Ctrl-C stops it", "按 Ctrl-C 停止"),
        )
        serve_app(app, listening)


def _note_synthetic(out: Output, synthetic: bool) -> None:
    if synthetic:
        out.note("synthetic data", "合成数据")


def _plain(pick: Pick) -> dict[str, Any]:
    """A pick as JSON."""
    return {
        "item_id": pick.item_id,
        "title": pick.title,
        "price": pick.price,
        "score": pick.score,
        "rank": pick.rank,
        "source": pick.source,
        "slate": pick.slate,
        "because": [
            {"kind": b.kind, "share": b.share}
            | ({"item": b.item} if b.item else {"query": b.query})
            for b in pick.because
        ],
    }


def _tables(out: Output, picks: tuple[Pick, ...], why: bool) -> list[Any]:
    """A table for each slate; with ``why`` the reasons stand in a last column."""
    names = {
        "again": out.pick("Buy again", "再次购买"),
        "discover": out.pick("Discover", "为您发现"),
        "both": out.pick("Best sellers", "畅销品"),
        "": out.pick("Found", "找到"),
    }
    heads = ["#", out.pick("item", "商品"), out.pick("title", "名称"), out.pick("price", "价格")]
    made = []
    for slate in dict.fromkeys(pick.slate for pick in picks):
        rows = []
        for pick in (p for p in picks if p.slate == slate):
            price = "" if pick.price is None else f"{pick.price:.2f}"
            row = [str(pick.rank), pick.item_id, _short(pick.title, TITLE), price]
            rows.append([*row, _reason(out, pick.because)] if why else row)
        part = table(names[slate], [*heads, out.pick("because", "因为")] if why else heads, rows)
        for column in (1, 2, *((4,) if why else ())):
            part.columns[column].justify = "left"
            part.columns[column].no_wrap = False
        made.append(part)
    if not made:
        made.append(out.pick("nothing to show", "没有可显示的"))
    return made


def _reason(out: Output, because: tuple[Because, ...]) -> str:
    """The strongest reasons in words, each with its exact share of what lifts the item."""
    kinds = {
        "view": out.pick("viewed", "看过"),
        "cart": out.pick("put in cart", "加购过"),
        "buy": out.pick("bought", "买过"),
        "search": out.pick("searched", "搜过"),
        "ad_view": out.pick("saw an ad of", "看过广告"),
        "ad_click": out.pick("clicked an ad of", "点过广告"),
    }
    return "; ".join(
        f"{b.share:.0%} {kinds[b.kind]} {_short(b.title or b.query or b.item, REASON)}"
        for b in because[:SHOWN_REASONS]
    )


def _short(text: str, length: int) -> str:
    """The text, cut with an ellipsis where it is longer."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
