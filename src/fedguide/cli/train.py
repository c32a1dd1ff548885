"""``fedguide sim`` and ``fedguide eval compare``: cut, train, compare, release."""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.devices import (
    AvailableOption,
    ClientsOption,
    CohortOption,
    DeadlineOption,
    DeviceChoice,
    DropoutOption,
    SpreadOption,
    device_plan,
    rehearse_clients,
    require_clients,
)
from fedguide.cli.output import JsonOption, LangOption, Output, begin, progress, table
from fedguide.cli.private import (
    ClipOption,
    DeltaOption,
    DpChoice,
    DpOption,
    EpsilonOption,
    NoiseOption,
    PartOption,
    SamplingOption,
    actors_of,
    charging,
    in_words,
    lines,
    private_plan,
    public_figure,
    receipt,
)
from fedguide.cli.source import (
    ColumnOption,
    DataOption,
    FormatOption,
    PartitionOption,
    SeedOption,
    ShopsOption,
    WithholdOption,
    cohorts,
    read_cohort,
)
from fedguide.errors import ConfigError, RefusedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fedguide.cli.folders import Trained
    from fedguide.config import Settings
    from fedguide.data.contract import Dataset
    from fedguide.runtime.arms import Charging
    from fedguide.runtime.compare import ComparePlan, Comparison, Step
    from fedguide.runtime.private_rounds import PrivatePlan
    from fedguide.runtime.table import Gap

evaluation = typer.Typer(help="Evaluation: compare / 评测", no_args_is_help=True)

RoundsOption = Annotated[
    int | None, typer.Option("--rounds", help="Most rounds of one local epoch", min=1)
]
PatienceOption = Annotated[
    int | None, typer.Option("--patience", help="Rounds without progress before the end", min=1)
]
EncoderOption = Annotated[
    str | None, typer.Option("--encoder", help="Shopper encoder: bag or transformer")
]
AggregatorOption = Annotated[
    str | None,
    typer.Option(
        "--aggregator",
        help="How updates are added up: open, masked, or a name of `fedguide explain`",
        metavar="NAME",
    ),
]
AlgorithmOption = Annotated[
    str | None,
    typer.Option(
        "--algorithm",
        help="What a round is: fedavg, fedprox:0.01, scaffold, ditto, … of `fedguide explain`",
        metavar="NAME[:NUMBER]",
    ),
]
CompressOption = Annotated[
    str | None,
    typer.Option(
        "--compress",
        help="Send less: int8, int4, top:0.05 (largest changes), rank:4 (low rank), random:0.1 "
        "(goes under masks)",
        metavar="WAY[:SHARE]",
    ),
]
MatchOption = Annotated[
    str | None,
    typer.Option(
        "--match",
        help="Match the shops' catalogues by title, gtin or either, and let together share what "
        "shoppers of at least three shops bought together",
        metavar="BY",
    ),
]
SeedsOption = Annotated[
    int, typer.Option("--seeds", help="Trainings with different seeds, averaged", min=1)
]

AGGREGATOR_NAMES = {"open": "weighted_mean", "masked": "masked_sum"}
"""Short names of the two that are asked for most."""

LEAST_COMMON = 10
"""Fewest products that two shops of a simulation have in common to match at all."""

SHOWN_PAIRS = ("nonneural", "alone", "pooled", "history_recent")
"""What *together* is held against in the printed text; ``--json`` has every pair."""


def sim(
    data: DataOption = None,
    format_name: FormatOption = None,
    shops: ShopsOption = None,
    partition: PartitionOption = "dirichlet:2",
    seed: SeedOption = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the run; default: the time")
    ] = None,
    rounds: RoundsOption = None,
    patience: PatienceOption = None,
    encoder: EncoderOption = None,
    algorithm: AlgorithmOption = None,
    compress: CompressOption = None,
    aggregator: AggregatorOption = None,
    match: MatchOption = None,
    seeds: SeedsOption = 1,
    dp: DpOption = None,
    epsilon: EpsilonOption = None,
    delta: DeltaOption = None,
    clip: ClipOption = None,
    noise: NoiseOption = None,
    sampling: SamplingOption = None,
    part: PartOption = None,
    column: ColumnOption = None,
    withhold: WithholdOption = None,
    clients: ClientsOption = None,
    cohort: CohortOption = None,
    spread: SpreadOption = None,
    available: AvailableOption = None,
    dropout: DropoutOption = None,
    deadline: DeadlineOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Cut a data set into shops, train alone, together and pooled, compare, sign releases."""
    from fedguide import config
    from fedguide.cli.folders import save_run

    settings = config.load(found(path))
    out = begin("sim", as_json=as_json, lang=lang, fallback=settings.lang)
    number = settings.train.seed if seed is None else seed
    crowd = DeviceChoice(clients, cohort, spread, available, dropout, deadline)
    require_clients(crowd)
    if clients is not None:
        _require_alone(data, shops, dp, algorithm, aggregator, compress, match, name)
        rehearse_clients(out, device_plan(crowd, clients, rounds, number))
        return
    run = name or datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    require_new(settings.home, run)
    choice = DpChoice(dp, epsilon, delta, clip, noise, sampling, part, rounds)
    plan = plan_of(
        settings, number, seeds, rounds, patience, encoder, aggregator, algorithm, compress
    )
    datasets = cut_datasets(settings, data, format_name, column, withhold, shops, partition, number)
    plan = with_privacy(plan, private_plan(settings, choice, lambda: public_figure(datasets)))
    ledgers = settings.home / "ledgers" / run
    products = None if match is None else _matched(out, datasets, plan, match)
    comparison = compared(out, datasets, plan, settings, ledgers, products)
    record = body(comparison, plan, datasets) | {"run": run}
    if products is not None:
        common = {shop: int((rows >= 0).sum()) for shop, rows in products.items()}
        record["match"] = {"by": match, "common_items": common}
    shared = comparison.outcomes[0].trained["together"].shared
    folder = save_run(settings.home, run, released(datasets, comparison, plan), record, shared)
    record["folder"] = str(folder)
    serve_hint = out.pick(
        f"run {run} is saved; fedguide serve, fedguide recommend SHOPPER --why",
        f"训练 {run} 已保存；fedguide serve，fedguide recommend SHOPPER --why",
    )
    out.finish(record, *texts(out, comparison, datasets, plan), serve_hint)


def _require_alone(*others: object) -> None:
    """A rehearsal of clients has a market, an algorithm and a name of its own."""
    if any(other is not None for other in others):
        raise ConfigError(
            "--clients rehearses FedAvg on the synthetic market, without data, shops, dp, "
            "algorithm, aggregator, compress, match or name",
            hint="fedguide sim --clients 10000",
        )


@evaluation.command("compare")
def compare_command(
    data: DataOption = None,
    format_name: FormatOption = None,
    shops: ShopsOption = None,
    partition: PartitionOption = "dirichlet:2",
    seed: SeedOption = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Print what a saved run measured; trains nothing")
    ] = None,
    rounds: RoundsOption = None,
    patience: PatienceOption = None,
    encoder: EncoderOption = None,
    algorithm: AlgorithmOption = None,
    compress: CompressOption = None,
    aggregator: AggregatorOption = None,
    seeds: SeedsOption = 1,
    dp: DpOption = None,
    epsilon: EpsilonOption = None,
    delta: DeltaOption = None,
    clip: ClipOption = None,
    noise: NoiseOption = None,
    sampling: SamplingOption = None,
    part: PartOption = None,
    column: ColumnOption = None,
    withhold: WithholdOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Compare every model on the same shoppers: both settings, every shop, 95 % intervals."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("eval compare", as_json=as_json, lang=lang, fallback=settings.lang)
    if run is not None:
        if data is not None:
            raise ConfigError("--run prints a saved run and reads no --data", hint="leave one out")
        from fedguide.cli.folders import run_folder, run_record

        saved = run_record(run_folder(settings.home, run))
        privacy = in_words(saved.get("privacy", {"mechanism": "none"}))
        out.finish(saved, *_tables(out, saved["rows"]), privacy)
        return
    number = settings.train.seed if seed is None else seed
    choice = DpChoice(dp, epsilon, delta, clip, noise, sampling, part, rounds)
    plan = plan_of(
        settings, number, seeds, rounds, patience, encoder, aggregator, algorithm, compress
    )
    datasets = cut_datasets(settings, data, format_name, column, withhold, shops, partition, number)
    plan = with_privacy(plan, private_plan(settings, choice, lambda: public_figure(datasets)))
    name = f"compare-{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S-%f}"
    comparison = compared(out, datasets, plan, settings, settings.home / "ledgers" / name)
    record = body(comparison, plan, datasets) | {"ledgers": name}
    charged = out.pick(
        f"charged as {name}; fedguide privacy report --run {name}",
        f"已记账为 {name}；fedguide privacy report --run {name}",
    )
    out.finish(record, *texts(out, comparison, datasets, plan), charged)


def require_new(home: Path, run: str) -> None:
    """Refuses a run's name before an hour is spent on it.

    Raises:
        ConfigError: the name is no plain folder name, or is taken.
    """
    if not run or run.startswith(".") or "/" in run or "\\" in run:
        raise ConfigError(f"--name must be a plain name, got {run!r}", hint="--name spring")
    if (home / "runs" / run).exists():
        raise ConfigError(f"run {run!r} is already there", hint="--name another")


def plan_of(
    settings: Settings,
    seed: int,
    seeds: int,
    rounds: int | None,
    patience: int | None,
    encoder: str | None,
    aggregator: str | None = None,
    algorithm: str | None = None,
    compress: str | None = None,
) -> ComparePlan:
    """The plan of the config file, with the command line's options on top.

    Raises:
        ConfigError: a number or name is not allowed, or ``[train]`` is not installed.
    """
    try:
        from fedguide.models.plan import GuidePlan
        from fedguide.runtime.arms import TrainPlan
        from fedguide.runtime.compare import ComparePlan
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"training needs {error.name}, which is not installed",
            hint="pip install 'fedguide[train]'",
        ) from error
    train = settings.train
    chosen = aggregator or train.aggregator
    return ComparePlan(
        TrainPlan(
            guide=GuidePlan(encoder=encoder or train.encoder),
            rounds=rounds or train.rounds,
            patience=patience or train.patience,
            server_momentum=train.server_momentum,
            keep_moments=train.keep_client_moments,
            aggregator=AGGREGATOR_NAMES.get(chosen, chosen),
            algorithm=algorithm or train.algorithm,
            compress=compress or train.compress,
        ),
        seeds=tuple(range(seed, seed + seeds)),
    )


def with_privacy(plan: ComparePlan, private: PrivatePlan | None) -> ComparePlan:
    """The plan with *together* under differential privacy, or without.

    Raises:
        ConfigError: several seeds, each of which would release, and be paid for, on its own; or
            an aggregator that is no sum.
    """
    if private is not None and len(plan.seeds) > 1:
        raise ConfigError(
            f"--dp trains once, got {len(plan.seeds)} seeds: every training spends its own ε",
            hint="--seeds 1",
        )
    if private is not None:
        if plan.train.aggregator not in ("weighted_mean", "masked_sum"):
            raise ConfigError(
                f"--dp goes with sums, open or masked, got {plan.train.aggregator}: a rule that "
                "looks at single updates would see what the noise of the sum should hide",
                hint="--aggregator masked",
            )
        masked = plan.train.aggregator == "masked_sum"
        private = dataclasses.replace(private, masked=masked)
    return dataclasses.replace(plan, train=dataclasses.replace(plan.train, private=private))


def cut_datasets(
    settings: Settings,
    path: Path | None,
    format_name: str | None,
    pairs: Sequence[str] | None,
    withhold: Sequence[str] | None,
    shops: int | None,
    partition: str,
    seed: int,
) -> tuple[Dataset, ...]:
    """The shops to train, with shoppers who allow it: of the data named, or synthetic.

    Raises:
        NotFoundError, ConfigError, DataError: see ``read_cohort`` and ``cut``.
    """
    if path is None:
        from fedguide.data.synth import market
        from fedguide.data.truth import MarketPlan

        made = market(MarketPlan(shops=4 if shops is None else shops, seed=seed))
        return cohorts(settings, made.shops)
    from fedguide.data.shops import cut

    datasets = read_cohort(path, format_name, settings, pairs, withhold)
    if len(datasets) == 1 and shops is None:
        raise ConfigError(
            "one data set has to be cut into shops, and --shops is missing", hint="--shops 6"
        )
    return cut(datasets, shops, partition, seed)


def compared(
    out: Output,
    datasets: Sequence[Dataset],
    plan: ComparePlan,
    settings: Settings,
    ledgers: Path,
    products: Mapping[str, NDArray[np.int64]] | None = None,
) -> Comparison:
    """Trains and measures, with a progress bar; ``ledgers`` is the folder where it is charged.

    With ``products``, the number of each shop's items (``_matched``), *together* shares counts.

    Raises:
        ConfigError: no product is sold by enough shops to be counted.
        DataError, RunError: see ``compare``.
        RefusedError: a shop's policy does not allow a private run.
    """
    from fedguide.data.split import split
    from fedguide.runtime.compare import compare

    private = plan.train.private
    with ExitStack() as stack:
        actors = None
        charge: Charging = _paid
        if private is None:
            charge = stack.enter_context(charging(settings, ledgers))
        else:
            task = f"together-{plan.seeds[0]}"
            actors = stack.enter_context(
                actors_of(settings, private, plan.train.guide, datasets, ledgers, task)
            )
        shops = split(datasets)
        shared = None
        if products is not None:
            from fedguide.runtime.common_counts import common_counts

            shared = common_counts(shops, products, plan.seeds[0])
        on_step = stack.enter_context(_shown(out, plan))
        return compare(shops, plan, time.monotonic, on_step, actors, shared, charge)


def _paid(_task: str, _round: int) -> None:
    """Charges nothing: with noise every shop pays for itself."""


def _matched(
    out: Output, datasets: Sequence[Dataset], plan: ComparePlan, by: str
) -> dict[str, NDArray[np.int64]]:
    """By shop the product of each of its items, -1 for none, shape ``(n,)``.

    Raises:
        ConfigError: ``by`` is unknown, or training is private.
        RefusedError: no two shops have ``LEAST_COMMON`` products in common.
    """
    import numpy as np

    from fedguide.cli.matching import matched
    from fedguide.values import PartyId

    if plan.train.private is not None:
        raise ConfigError(
            "--match shares counts without noise, --dp trains with it", hint="leave one out"
        )
    out.note("… matching catalogues", "… 匹配商品目录")
    shops = {PartyId(one.name): one.catalogue for one in datasets}
    try:
        tables, _, _ = matched(shops, by, LEAST_COMMON)
    except RefusedError as error:
        raise RefusedError(
            str(error), hint="--match title, gtin or either; or leave --match out"
        ) from error
    return {str(name): np.array(table, np.int64) for name, table in tables.items()}


@contextmanager
def _shown(out: Output, plan: ComparePlan) -> Iterator[Callable[[Step], None]]:
    """A bar for each stage; where stderr is no terminal, a line when a stage begins."""
    with progress() as bars:
        tasks: dict[str, Any] = {}

        def on_step(step: Step) -> None:
            # Every shop alone is one stage of its own: their bars would fill the screen.
            stage = "alone" if step.stage.startswith("alone ") else step.stage.split()[0]
            stage = f"{stage} fine-tune" if step.stage.endswith("fine-tune") else stage
            label = stage if step.seed is None or len(plan.seeds) == 1 else f"{stage} #{step.seed}"
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=step.most, note="")
                if bars.disable:
                    out.note(f"… {label}", f"… {label}")
            note = step.stage if stage == "alone" else ""
            if step.score is not None:
                note += f" NDCG@20 {step.score:.4f}"
            bars.update(tasks[label], completed=step.done, total=step.most, note=note)

        yield on_step


def body(comparison: Comparison, plan: ComparePlan, datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Everything measured, as JSON: the rows, the differences, what left, what was chosen."""
    from fedguide.models.evaluate import SETTINGS

    spent = receipt(plan.train.private, len(datasets), plan.train.guide)
    return {
        "synthetic": any(dataset.synthetic for dataset in datasets),
        "shops": [
            {
                "name": dataset.name,
                "shoppers": len(dataset.events.user_ids),
                "items": len(dataset.catalogue),
                "events": len(dataset.events),
                "cold": comparison.cold[dataset.name],
            }
            for dataset in datasets
        ],
        "rows": [_clean(dataclasses.asdict(row)) for row in comparison.rows],
        "differences": [_difference(gap) for gap in comparison.differences],
        "shop_differences": [
            _difference(gap) | _clean({"shop": gap.shop, "absolute": gap.absolute, "se": gap.error})
            for gap in comparison.shop_differences
        ],
        "chosen": {
            "baselines": dict(comparison.baselines.chosen),
            "together": [
                {
                    "seed": outcome.seed,
                    "round": max(outcome.trained["together"].rounds.values()),
                    "kept": {
                        shop: {s: outcome.source("together", s, shop) for s in SETTINGS}
                        for shop in comparison.models
                    },
                }
                for outcome in comparison.outcomes
            ],
        },
        "traffic": {
            "rounds": sum(len(outcome.rounds) for outcome in comparison.outcomes),
            "bytes_from_shops": comparison.bytes_up,
            "bytes_to_shops": comparison.bytes_down,
            "raw_rows_sent": 0,
            "privacy": in_words(spent),
        },
        "privacy": dict(spent),
        # The first seed's, which is the one whose releases are kept.
        "history": [
            _clean(dataclasses.asdict(one))
            for one in comparison.outcomes[0].trained["together"].history
        ],
        # Unrounded: an audit trains by it, and a δ of 1e-7 would be none.
        "plan": dataclasses.asdict(plan),
        "stage_seconds": {stage: round(s, 3) for stage, s in comparison.seconds.items()},
    }


def texts(
    out: Output, comparison: Comparison, datasets: Sequence[Dataset], plan: ComparePlan
) -> list[Any]:
    """The printed comparison: tables, what together gains, what left."""
    rows = [_clean(dataclasses.asdict(row)) for row in comparison.rows]
    shown: list[Any] = []
    if any(dataset.synthetic for dataset in datasets):
        shown.append(out.pick("synthetic data", "合成数据"))
    shown += _tables(out, rows)
    shown += [verdict(out, gap) for gap in comparison.differences if _is_shown(gap)]
    spent = receipt(plan.train.private, len(datasets), plan.train.guide)
    return [*shown, traffic(out, comparison, in_words(spent)), *lines(out, spent)]


def verdict(out: Output, gap: Gap) -> str:
    """One difference in words: better, worse, or not to be told apart."""
    setting = {"all": out.pick("all items", "全部商品"), "discovery": out.pick("discovery", "新品")}
    if gap.low > 0:
        mark, word = "▲", out.pick("better", "更好")
    elif gap.high < 0:
        mark, word = "▼", out.pick("worse", "更差")
    else:
        mark, word = "≈", out.pick("no significant difference", "无显著差异")
    return (
        f"{mark} {gap.a} / {gap.b}, {setting[gap.setting]}: {gap.relative:+.1%} "
        f"[{gap.low:+.1%}, {gap.high:+.1%}] {word}"
    )


def traffic(out: Output, comparison: Comparison, privacy: str = "dp: none") -> str:
    """What left the shops, counted, and what protects it."""
    rounds = sum(len(outcome.rounds) for outcome in comparison.outcomes)
    sent = comparison.bytes_up / 1e6
    return out.pick(
        f"{rounds} rounds; {sent:.1f} MB left the shops as model updates; raw rows sent: 0; "
        f"{privacy}",
        f"{rounds} 轮；以模型更新的形式离开商店 {sent:.1f} MB；原始数据行：0；"
        f"{'差分隐私：无' if privacy == 'dp: none' else privacy}",
    )


def released(
    datasets: Sequence[Dataset], comparison: Comparison, plan: ComparePlan
) -> list[Trained]:
    """Every shop's model of the first seed with its card."""
    from fedguide.cli.folders import Trained
    from fedguide.models.card import Card, Metric, chosen_of
    from fedguide.models.served import SLATE_OF

    privacy = in_words(receipt(plan.train.private, len(datasets), plan.train.guide))
    outcome = comparison.outcomes[0]
    names = tuple(dataset.name for dataset in datasets)
    made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    reports = outcome.trained["together"].history
    shops = []
    for dataset in datasets:
        train = next(
            b.shop.train for b in comparison.baselines.benches if b.shop.name == dataset.name
        )
        metrics = tuple(
            Metric("NDCG@10", row.setting, row.ndcg10, row.low, row.high, row.cases)
            for row in comparison.rows
            if row.model == "together" and row.shop == dataset.name and row.cases
        )
        card = Card(
            shop=dataset.name,
            made=made,
            data_from=_date(int(train.days.min())) if dataset.clocked else "",
            data_to=_date(int(train.days.max())) if dataset.clocked else "",
            shops=names,
            # Every round that crossed, not the best one: the bytes are those of all of them.
            rounds=len(reports),
            # Updates of one layout are of one size, so a shop's part is an equal one.
            bytes_sent=sum(report.bytes_up for report in reports) // len(names),
            synthetic=dataset.synthetic,
            privacy=privacy,
            clocked=dataset.clocked,
            metrics=metrics,
            chosen=chosen_of(
                {
                    slate: outcome.source("together", setting, dataset.name)
                    for setting, slate in SLATE_OF.items()
                }
            ),
        )
        shops.append(Trained(dataset, comparison.models[dataset.name], card))
    return shops


def _is_shown(gap: Gap) -> bool:
    return gap.a == "together" and gap.b in SHOWN_PAIRS


def _tables(out: Output, rows: Sequence[dict[str, Any]]) -> list[Any]:
    """For each setting: the mean over shoppers with intervals, then every shop's NDCG@10."""
    titles = {
        "all": out.pick("All items (repurchase allowed)", "全部商品（允许复购）"),
        "discovery": out.pick("Discovery (new to the shopper)", "新品（顾客未买过）"),
    }
    model = out.pick("model", "模型")
    shown = []
    for setting, title in titles.items():
        mine = [row for row in rows if row["setting"] == setting]
        heads = (model, "NDCG@10", "95 %", "R@20", "HR@10", "MRR", out.pick("cases", "顾客数"))
        lines = [
            (
                row["model"],
                _figure(row["ndcg10"]),
                f"{_figure(row['low'])} - {_figure(row['high'])}",
                _figure(row["recall20"]),
                _figure(row["hr10"]),
                _figure(row["mrr"]),
                str(row["cases"]),
            )
            for row in mine
            if row["shop"] == "mean"
        ]
        shown.append(table(title, heads, lines))
        shops = list(dict.fromkeys(row["shop"] for row in mine if row["shop"] != "mean"))
        cells = {(row["model"], row["shop"]): _figure(row["ndcg10"]) for row in mine}
        names = list(dict.fromkeys(row["model"] for row in mine))
        by_shop = [(name, *(cells.get((name, shop), "-") for shop in shops)) for name in names]
        counts = {row["shop"]: row["cases"] for row in mine}
        columns = (model, *(s if s == "worst" else f"{s} ({counts[s]})" for s in shops))
        shown.append(table(f"{title}: NDCG@10", columns, by_shop))
    return shown


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _difference(gap: Gap) -> dict[str, Any]:
    keys = ("a", "b", "setting", "relative", "low", "high")
    return {key: _clean(getattr(gap, key)) for key in keys}


def _clean(value: Any) -> Any:
    """The value as JSON can hold it: NaN (nobody was asked) becomes null."""
    if isinstance(value, dict):
        return {key: _clean(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def _date(day: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()
