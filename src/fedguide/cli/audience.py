"""``fedguide audience``: whom a campaign should reach, and how many that is for others to know."""

from __future__ import annotations

import datetime
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.cli.source import ColumnOption, DataOption, FormatOption, SeedOption, WithholdOption
from fedguide.errors import ConfigError, DataError

if TYPE_CHECKING:
    from fedguide.cli.audience_store import Prospect
    from fedguide.config import Settings
    from fedguide.data.contract import Dataset
    from fedguide.data.partner_file import Columns as PartnerColumns
    from fedguide.guide.counts import NoisyCounts, Office

app = typer.Typer(help="Audiences: build, estimate, show / 人群", no_args_is_help=True)

TargetOption = Annotated[
    str, typer.Option("--target", help="What they are to do: buy, cart, view, search, ad_click")
]
WithinOption = Annotated[str, typer.Option("--in", help="Within so many days, for example 30d")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Name of the audience; default: buy-30d and the like")
]
CategoryOption = Annotated[
    str, typer.Option("--category", help="Only items of this category or below it")
]
PartnerOption = Annotated[
    list[str] | None,
    typer.Option("--partner", help="NAME=FILE of a partner's table, as it was then; repeatable"),
]
KeyOption = Annotated[
    str, typer.Option("--key", help="Column of a partner's table with the shop's shopper ids")
]
EpsilonOption = Annotated[
    float, typer.Option("--epsilon", help="ε of the counts that are released, at most 1")
]
ShoppersOption = Annotated[
    int, typer.Option("--shoppers", help="Shoppers of the synthetic market", min=100)
]
RecipientOption = Annotated[
    str, typer.Option("--recipient", help="Who gets the counts; stands in the ledger")
]


@app.command("build")
def build(
    target: TargetOption = "buy",
    within: WithinOption = "30d",
    size: Annotated[int, typer.Option("--size", help="How many shoppers", min=1)] = 1000,
    name: NameOption = None,
    category: CategoryOption = "",
    data: DataOption = None,
    format_name: FormatOption = None,
    column: ColumnOption = None,
    withhold: WithholdOption = None,
    partner: PartnerOption = None,
    key: KeyOption = "user_id",
    epsilon: EpsilonOption = 0.25,
    recipient: RecipientOption = "partner",
    shoppers: ShoppersOption = 6000,
    seed: SeedOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Choose the shoppers who most likely do it; the list stays here, noised counts may leave."""
    from fedguide import config
    from fedguide.cli import audience_report, audience_store
    from fedguide.cli.rights import rights_of
    from fedguide.guide.audience import choose

    settings = config.load(found(path))
    out = begin("audience build", as_json=as_json, lang=lang, fallback=settings.lang)
    source = Source(data, format_name, column, withhold, partner or (), key, shoppers, seed)
    wish = Wish(target, days_of(within), category, name, epsilon, recipient)
    prospect = kept_or_made(out, settings, wish, source)
    # Whoever opted out since the scores were made is not in the list either.
    allows = rights_of(settings).allows
    may = [row for row, shopper in enumerate(prospect.ids) if allows(shopper)]
    ids = [prospect.ids[row] for row in may]
    chosen = choose(ids, prospect.probabilities[may], size, settings.privacy.least_audience)
    folder = audience_store.folder_of(settings.home, wish.folder)
    listed = folder / "shoppers.csv"
    audience_store.write_private(listed, "\n".join(["shopper_id", *chosen.shoppers]) + "\n")
    prospect.report["chosen"] = {
        "shoppers": len(chosen),
        "eligible": len(may),
        "expected": round(chosen.expected, 1),
        "least_probability": round(float(chosen.probabilities[-1]), 4),
    }
    audience_store.keep_report(settings.home, wish.folder, prospect.report)
    _note(out, prospect.report)
    line = out.pick(
        f"{listed}: {len(chosen):,} of {len(may):,} shoppers, {chosen.expected:,.0f} of them are "
        f"expected to {target}; the list stays in the shop",
        f"{listed}：{len(may):,} 位顾客中的 {len(chosen):,} 位，预计其中 {chosen.expected:,.0f} 位"
        f"会 {target}；名单不离开商店",
    )
    body = prospect.report | {"list": str(listed)}
    out.finish(body, *audience_report.texts(out, prospect.report), line)


@app.command("estimate")
def estimate(
    target: TargetOption = "buy",
    within: WithinOption = "30d",
    at_least: Annotated[
        float, typer.Option("--at-least", help="Count shoppers of this probability or a higher one")
    ] = 0.0,
    name: NameOption = None,
    category: CategoryOption = "",
    data: DataOption = None,
    format_name: FormatOption = None,
    column: ColumnOption = None,
    withhold: WithholdOption = None,
    partner: PartnerOption = None,
    key: KeyOption = "user_id",
    epsilon: EpsilonOption = 0.25,
    recipient: RecipientOption = "partner",
    shoppers: ShoppersOption = 6000,
    seed: SeedOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Say how many shoppers an audience could reach, noised; asked again nothing is spent."""
    from fedguide import config
    from fedguide.cli.audience_store import kept_counts
    from fedguide.guide.audience import reach

    settings = config.load(found(path))
    out = begin("audience estimate", as_json=as_json, lang=lang, fallback=settings.lang)
    source = Source(data, format_name, column, withhold, partner or (), key, shoppers, seed)
    wish = Wish(target, days_of(within), category, name, epsilon, recipient)
    report = kept_or_made(out, settings, wish, source).report
    count, half = reach(kept_counts(report["counts"]), at_least)
    _note(out, report)
    body = {
        "name": report["name"],
        "synthetic": report["synthetic"],
        "at_least": at_least,
        "shoppers": count,
        "half_width": round(half, 1),
        "epsilon": report["counts"]["epsilon"],
        "ledger_record": report["counts"]["ledger_record"],
        "counts": _shown(kept_counts(report["counts"]), report["counts"]["cells"]),
    }
    out.finish(
        body,
        out.pick(
            f"about {count:,} ± {half:.0f} shoppers {target} within {report['days']} days with "
            f"probability {at_least:g} or more (95 % of the noise; ε = {body['epsilon']:g} was "
            f"charged once, ledger record {body['ledger_record']})",
            f"约 {count:,} ± {half:.0f} 位顾客在 {report['days']} 天内以 {at_least:g} 或更高概率 "
            f"{target}（噪声的 95 %；ε = {body['epsilon']:g} 只记账一次，账本记录 "
            f"{body['ledger_record']}）",
        ),
    )


@app.command("show")
def show(
    name: Annotated[
        str | None, typer.Argument(help="Name of the audience; without it all are listed")
    ] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Show a kept audience's report; nothing is computed and nothing spent."""
    from fedguide import config
    from fedguide.cli import audience_report, audience_store

    settings = config.load(found(path))
    out = begin("audience show", as_json=as_json, lang=lang, fallback=settings.lang)
    if name is not None:
        report = audience_store.report_of(settings.home, name)
        _note(out, report)
        out.finish(report, *audience_report.texts(out, report))
        return
    known = [
        audience_store.report_of(settings.home, one) for one in audience_store.names(settings.home)
    ]
    rows = [
        (
            one["name"],
            one["target"],
            str(one["days"]),
            f"{one['tested']['auc'][0]:.3f}",
            one["made"],
        )
        for one in known
    ]
    heads = [
        out.pick("name", "名称"),
        out.pick("target", "目标"),
        out.pick("days", "天数"),
        "AUC",
        out.pick("made", "建立于"),
    ]
    out.finish({"audiences": known}, table("", heads, rows))


@dataclass(frozen=True)
class Source:
    """Where shoppers and partners' columns come from, as the command line said it."""

    data: Path | None
    format_name: str | None
    column: Sequence[str] | None
    withhold: Sequence[str] | None
    partners: Sequence[str]
    key: str
    shoppers: int
    seed: int | None


@dataclass(frozen=True)
class Wish:
    """What an audience is for."""

    target: str
    days: int
    category: str
    name: str | None
    epsilon: float
    recipient: str

    @property
    def folder(self) -> str:
        """The name it is kept under."""
        return self.name or f"{self.target}-{self.days}d"


@dataclass(frozen=True)
class Subject:
    """A shop and its partners, read: who allows it only."""

    dataset: Dataset
    keys: tuple[str, ...] = field(repr=False)
    kind: str
    partners: Mapping[str, PartnerColumns] = field(repr=False)
    seed: int


def _said(target: object, days: object, category: object) -> str:
    """What an audience is of, in words."""
    return f"{target} within {days} days" + (f" in {category}" if category else "")


def days_of(text: str) -> int:
    """``30d`` or ``4w`` as days.

    Raises:
        ConfigError: it is neither.
    """
    match = re.fullmatch(r"([0-9]{1,4})([dw])", text)
    days = int(match[1]) * (7 if match[2] == "w" else 1) if match else 0
    if not days:
        raise ConfigError(f"--in wants days or weeks, got {text[:20]!r}", hint="--in 30d")
    return days


def kept_or_made(out: Output, settings: Settings, wish: Wish, source: Source) -> Prospect:
    """The prospect of that name; made, paid for and kept where there is none.

    Raises:
        RefusedError: purpose, budget or a partner's policy do not allow it.
        ConfigError: an audience of that name is for something else.
        DataError: the data do not reach far enough, or say too little.
    """
    from fedguide.cli import audience_store

    if wish.folder in audience_store.names(settings.home):
        kept = audience_store.load(settings.home, wish.folder)
        asked = {"target": wish.target, "days": wish.days, "category": wish.category}
        if any(kept.report[name] != value for name, value in asked.items()):
            there = _said(*(kept.report[name] for name in asked))
            raise ConfigError(
                f"audience {wish.folder!r} is of {there}, asked for {_said(*asked.values())}",
                hint="--name another",
            )
        out.note(
            f"scores and counts of {kept.report['made']} (another --name makes new ones)",
            f"沿用 {kept.report['made']} 的评分与计数（换 --name 可重新计算）",
        )
        return kept
    return _made(out, settings, wish, source)


def _made(out: Output, settings: Settings, wish: Wish, source: Source) -> Prospect:
    from fedguide.cli import audience_store
    from fedguide.cli.counting import office_of
    from fedguide.guide.audience import PURPOSE
    from fedguide.guide.counts import require_allowed

    audience_store.folder_of(settings.home, wish.folder)
    with office_of(settings, PURPOSE, wish.epsilon, synthetic=source.data is None) as office:
        task = f"audience {wish.folder} {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S.%f}"
        subject = _subject(settings, source)
        people = len(subject.dataset.events.user_ids)
        require_allowed(task, office, purpose=PURPOSE, recipient=wish.recipient, shoppers=people)
        prospect = _scored(out, subject, wish, task, office)
    audience_store.save(settings.home, wish.folder, prospect)
    return prospect


def _subject(settings: Settings, source: Source) -> Subject:
    """The shop and its partners.

    Raises:
        NotFoundError, ConfigError, DataError: see ``read_cohort`` and ``partner_files``.
    """
    from fedguide.cli.parties import partner_files
    from fedguide.cli.source import cohorts, read_cohort

    if source.data is None:
        return _synthetic(settings, source)
    datasets = read_cohort(
        source.data, source.format_name, settings, source.column, source.withhold
    )
    if len(datasets) != 1:
        raise ConfigError(
            f"{source.data} holds {len(datasets)} shops, an audience is of one",
            hint=f"--data {source.data / datasets[0].name}",
        )
    partners = partner_files(source.partners, source.key)
    (dataset,) = cohorts(settings, datasets)
    return Subject(dataset, dataset.events.user_ids, "id", partners, _seed(settings, source))


def _synthetic(settings: Settings, source: Source) -> Subject:
    """One shop of the synthetic market with its two partners."""
    from fedguide.cli.source import cohorts
    from fedguide.data.partner_file import columns_of
    from fedguide.data.partners import lasting_partners, shopper_keys
    from fedguide.data.synth import market
    from fedguide.data.truth import MarketPlan

    if source.partners:
        raise ConfigError("--partner goes with --data: the synthetic market has its own partners")
    seed = _seed(settings, source)
    made = market(MarketPlan(shops=1, shoppers=source.shoppers, items=120, seed=seed))
    everybody = made.shops[0].events.user_ids
    phones = dict(zip(everybody, shopper_keys(len(everybody)), strict=True))
    (dataset,) = cohorts(settings, made.shops)
    tables = lasting_partners(made)
    return Subject(
        dataset,
        tuple(phones[shopper] for shopper in dataset.events.user_ids),
        "phone",
        {name: columns_of(one, "phone") for name, one in tables.items()},
        seed,
    )


def _seed(settings: Settings, source: Source) -> int:
    return settings.train.seed if source.seed is None else source.seed


def _scored(out: Output, subject: Subject, wish: Wish, task: str, office: Office) -> Prospect:
    """Trains on one window, tests on the next, scores for the one to come; releases the counts."""
    from fedguide.cli import audience_report
    from fedguide.cli.audience_store import Prospect, counts_record
    from fedguide.cli.parties import aligned, trained
    from fedguide.data.periods import reached, seen_by, shopper_columns
    from fedguide.guide.audience import BANDS, PURPOSE, banded
    from fedguide.guide.counts import release_counts
    from fedguide.runtime.propensity import score
    from fedguide.seeds import fresh_root

    dataset, days = subject.dataset, wish.days
    last = int(dataset.events.days.max())
    learnt, tested = last - 2 * days, last - days
    _require_history(dataset, learnt, days)
    rows = {}
    if subject.partners:
        out.note(
            "aligning with " + ", ".join(subject.partners), "对齐：" + "、".join(subject.partners)
        )
        rows = aligned(subject.keys, subject.partners, subject.kind, wish.folder)
    out.note("growing trees on hidden sums", "在隐藏的和上生长决策树")
    did = reached(dataset, wish.target, learnt, days, wish.category)
    known, who = shopper_columns(dataset, learnt), seen_by(dataset, learnt)
    model = trained(known, did, who, subject.partners, rows, subject.seed)
    test = audience_report.judged(
        reached(dataset, wish.target, tested, days, wish.category),
        score(model, shopper_columns(dataset, tested)),
        seen_by(dataset, tested),
        model.keeps,
    )
    probabilities = score(model, shopper_columns(dataset, last)).best
    ids = dataset.events.user_ids
    counts = release_counts(
        banded(probabilities),
        task,
        office,
        fresh_root(os.urandom),
        purpose=PURPOSE,
        recipient=wish.recipient,
        shoppers=len(ids),
    )
    cells = [f"{low:g}-{high:g}" for low, high in itertools.pairwise(BANDS)]
    report = {
        "name": wish.folder,
        "made": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M}",
        "shop": dataset.name,
        "synthetic": dataset.synthetic,
        "target": wish.target,
        "days": days,
        "category": wish.category,
        "partners": list(subject.partners),
        "tested_from": str(datetime.date(1970, 1, 1) + datetime.timedelta(days=tested + 1)),
        "tested": test,
        "counts": counts_record(counts, cells),
    }
    return Prospect(report, ids, probabilities)


def _require_history(dataset: Dataset, learnt: int, days: int) -> None:
    """Two windows and something before them are needed.

    Raises:
        DataError: the data have no times, or are too short.
    """
    if not dataset.clocked:
        raise DataError(f"{dataset.name} has no times: what comes within days cannot be said")
    first = int(dataset.events.days.min())
    if learnt - first < days:
        have = int(dataset.events.days.max()) - first + 1
        raise DataError(
            f"{dataset.name} has {have} days, an audience of {days} needs {3 * days + 1}: to learn "
            "from, to be tested on, and a past before them",
            hint=f"--in {max(1, (have - 1) // 3)}d",
        )


def _shown(counts: NoisyCounts, cells: Sequence[str]) -> list[dict[str, Any]]:
    """Released cells, ``null`` below the floor."""
    return [
        {"band": cell, "shoppers": value} for cell, value in zip(cells, counts.shown, strict=True)
    ]


def _note(out: Output, report: Mapping[str, Any]) -> None:
    if report["synthetic"]:
        out.note("synthetic data", "合成数据")
