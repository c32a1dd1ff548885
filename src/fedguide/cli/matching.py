"""``fedguide match``: which products several shops have in common, without showing catalogues."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, begin, table
from fedguide.errors import ConfigError, RefusedError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.runtime.matching import Pairs
    from fedguide.values import Catalogue, PartyId

OWN = "shop1"


def match(
    own: Annotated[Path, typer.Argument(help="Your store (.duckdb), file or folder of one shop")],
    others: Annotated[
        list[str] | None, typer.Option("--with", help="NAME=STORE of another shop; repeatable")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--out", help="CSV to write: shop, item_id, product")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What your shop is called here")] = OWN,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="gtin (item ids that are trade numbers), title, or either: by gtin where both "
            "have one, else by title",
        ),
    ] = "either",
    least: Annotated[
        int, typer.Option("--least", help="A pair with fewer products in common is refused", min=1)
    ] = 100,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Match the catalogues of shops by blind comparison, and number their common products."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("match", as_json=as_json, lang=lang, fallback=settings.lang)
    shops = _catalogues(settings, own, name, others or ())
    numbers, pairs, log = matched(shops, by, least)
    if target is not None:
        _write(target, shops, numbers)
    counted = [
        {"asker": a, "asked": b, "common": None if some is None else len(some)}
        for (a, b), some in pairs.items()
    ]
    total = 1 + max(max(rows, default=-1) for rows in numbers.values())
    data: dict[str, Any] = {
        "by": by,
        "least": least,
        "items": {shop: len(catalogue) for shop, catalogue in shops.items()},
        "common_items": {s: sum(row >= 0 for row in rows) for s, rows in numbers.items()},
        "products": total,
        "pairs": counted,
        "attempts": log,
    }
    refused = out.pick("refused", "已拒绝")
    shown = [
        (f"{a} → {b}", refused if some is None else str(len(some)))
        for (a, b), some in pairs.items()
    ]
    heads = out.pick("pair common", "商店对 共同商品").split()
    told = out.pick(
        f"{total} common products. The first of a pair learns which of its items the other sells "
        "too and how many items that one has; the other learns how many keys were asked and which "
        "of its own items are common. Who joins the pairs learns how many products every two "
        "share. Nobody sees an item that is not common. Give each shop its own rows of the table "
        "only.",
        f"共有 {total} 种共同商品。每对中的前者得知自己的哪些商品对方也在售，以及对方的商品总数；"
        "后者得知被查询了多少个键，以及自己的哪些商品是共同的。合并各对结果的一方得知每两家共有"
        "多少种商品。不共同的商品谁也看不到。请只把表中属于各店的行交给该店。",
    )
    out.finish(data, table("", heads, shown), told)


def matched(
    shops: Mapping[PartyId, Catalogue], by: str, least: int
) -> tuple[
    dict[PartyId, list[int]],
    dict[tuple[PartyId, PartyId], Pairs | None],
    list[dict[str, Any]],
]:
    """Products of every shop's items, the pairs (``None`` where refused) and all attempts.

    All shops are read in this process, so this is a simulation of what happens between companies:
    the messages are the same, only the network is missing.

    Raises:
        ConfigError: ``by`` is unknown.
        DataError: a catalogue is empty.
        RefusedError: every pair is refused, or a shop does not answer.
    """
    from fedguide.errors import QuorumLostError
    from fedguide.protocol import run
    from fedguide.runtime.couriers import Party, in_process
    from fedguide.runtime.matching import goods, match_pair, own_table, products
    from fedguide.seeds import fresh_root
    from fedguide.vertical import align

    workers = os.cpu_count() or 1
    ready = {
        shop: goods(c.titles, c.ids, by, fresh_root(os.urandom))  # type: ignore[arg-type]  # checked by goods itself
        for shop, c in shops.items()
    }
    log: list[dict[str, Any]] = []
    pairs: dict[tuple[PartyId, PartyId], Pairs | None] = {}
    for a, b in combinations(sorted(ready), 2):
        asked = ready[b].answered
        most = max(len(ready[a].asked), 1)
        contract = align.Contract(f"match {a} {b}", os.urandom(32), most, len(asked), least)

        def note(attempt: align.Attempt, a: str = a, b: str = b) -> None:
            log.append({"asker": a, "asked": b, **asdict(attempt)})

        tags = align.tag_table(asked, contract, fresh_root(os.urandom), workers)
        env = align.PartnerEnv(contract, tags, fresh_root(os.urandom), note, workers)
        parties = {b: Party(env, align.answer, align.PartnerState)}
        lookup = match_pair(ready[a], b, contract, fresh_root(os.urandom), workers)
        try:
            pairs[a, b] = run(lookup, in_process(parties, time.monotonic))
        except RefusedError:
            pairs[a, b] = None
        except QuorumLostError as error:
            raise RefusedError(f"{b} refused to be asked: {error}") from error
    kept = {names: some for names, some in pairs.items() if some is not None}
    if not kept:
        raise RefusedError(
            f"policy: no two shops have {least} products in common",
            hint="--by title, or agree on a smaller --least",
        )
    numbers = products({shop: len(own) for shop, own in ready.items()}, kept)
    tables = {shop: own_table(own, numbers[shop]).tolist() for shop, own in ready.items()}
    return tables, pairs, log


def _catalogues(
    settings: Settings, own: Path, name: str, others: Sequence[str]
) -> dict[PartyId, Catalogue]:
    """The catalogue of every shop by its name.

    Raises:
        ConfigError: there is no other shop, a pair is none, or a name stands twice.
        NotFoundError, DataError: see ``one_dataset``.
    """
    from fedguide.cli.shop import one_dataset
    from fedguide.values import PartyId

    if not others:
        raise ConfigError(
            "--with is missing: a match needs another shop", hint="--with shop2=shop2.duckdb"
        )
    paths = {name: own}
    for pair in others:
        other, equals, path = pair.partition("=")
        if not (other and equals and path) or other in paths:
            raise ConfigError(
                f"--with wants NAME=STORE, each name once and not {name!r}, got {pair!r}",
                hint="--with shop2=shop2.duckdb",
            )
        paths[other] = Path(path)
    return {PartyId(shop): one_dataset(settings, path).catalogue for shop, path in paths.items()}


def _write(
    target: Path, shops: Mapping[PartyId, Catalogue], numbers: Mapping[PartyId, Sequence[int]]
) -> None:
    """The common items of every shop with their product numbers."""
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["shop", "item_id", "product"])
        for shop, catalogue in shops.items():
            rows = zip(catalogue.ids, numbers[shop], strict=True)
            writer.writerows((shop, item, product) for item, product in rows if product >= 0)
