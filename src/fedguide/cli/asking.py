"""``fedguide ask``: a wish in Chinese or English, answered from a shop of a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.guide import CountOption, RunOption, ShopOption
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table

if TYPE_CHECKING:
    from fedguide.guide.answers import Pick
    from fedguide.guide.asked import Asked

_TITLE, _REASON = 44, 30


def ask(
    wish: Annotated[str, typer.Argument(help="What you want, in Chinese or English / 想要什么")],
    why: Annotated[bool, typer.Option("--why", help="Print why each item is there")] = False,
    user: Annotated[str | None, typer.Option("--user", help="Shopper who asks")] = None,
    chip: Annotated[
        list[str] | None, typer.Option("--chip", help="Code of a chip to set; may be repeated")
    ] = None,
    count: CountOption = 5,
    shop: ShopOption = None,
    run: RunOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Ask for items in your own words: "light running shoes under 400, not black"."""
    from fedguide import config
    from fedguide.cli.folders import open_guides, run_folder
    from fedguide.cli.speaking import said_of, voice_from
    from fedguide.guide.ask import ask as answer_to
    from fedguide.guide.ask import checked_lang

    settings = config.load(found(path))
    voice = voice_from(settings.voice)
    out = begin("ask", as_json=as_json, lang=lang, fallback=checked_lang(wish, None))
    guides = open_guides(settings, run_folder(settings.home, run), shop, pinned=run is not None)
    guide = next((g for g in guides.values() if user in g.histories.rows), None)
    guide = guide or next(iter(guides.values()))
    answer = answer_to(guide, wish, shopper=user, chips=chip or (), lang=out.lang, k=count)
    synthetic = guide.release.card.synthetic
    if synthetic:
        out.note("synthetic data", "合成数据")
    said = said_of(voice, answer, guide.release.card.currency)
    data = {**_data(guide.shop, answer, synthetic), "said": said.text, "voice": said.voice}
    out.finish(data, said.text, *_shown(out, answer, why))


def _data(shop: str, answer: Asked, synthetic: bool) -> dict[str, Any]:
    import msgspec

    body: dict[str, Any] = msgspec.to_builtins(answer)
    body["items"] = body.pop("picks")
    return {"shop": shop, "synthetic": synthetic, **body}


def _shown(out: Output, answer: Asked, why: bool) -> list[Any]:
    heads = ["#", out.pick("item", "商品"), out.pick("title", "名称"), out.pick("price", "价格")]
    if why:
        heads += [out.pick("source", "来源"), out.pick("because", "因为")]
    rows = [_row(pick, why) for pick in answer.picks]
    parts: list[Any] = [*answer.notes]
    if rows:
        made = table("", heads, rows)
        for column in range(1, len(heads)):
            if column != 3:
                made.columns[column].justify = "left"
                made.columns[column].no_wrap = False
        parts.append(made)
    if answer.chips:
        chips = "  ".join(f"{chip.code} ({chip.count})" for chip in answer.chips[:8])
        parts.append(out.pick(f"refine with --chip: {chips}", f"用 --chip 细化：{chips}"))
    return parts


def _row(pick: Pick, why: bool) -> list[str]:
    price = "" if pick.price is None else f"{pick.price:.2f}"
    row = [str(pick.rank), pick.item_id, _short(pick.title, _TITLE), price]
    if not why:
        return row
    reasons = [
        f"{b.share:.0%} {_short(b.title or b.query or b.item, _REASON)}" for b in pick.because[:2]
    ]
    return [*row, pick.source, "; ".join([*pick.matched, *reasons])]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
