"""``fedguide stats``: figures over several shops that no shop shows, noised and charged."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.errors import ConfigError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.data.people import Axis, Breakdown, People
    from fedguide.runtime.statistics import Asking, Cell, Rules

app = typer.Typer(
    help="Figures over several shops: count, histogram, quantile, … / 联邦统计",
    no_args_is_help=True,
)

DataOption = Annotated[
    list[Path] | None,
    typer.Option("--data", help="A holder's table, once for each; default: the synthetic market"),
]
PersonOption = Annotated[str, typer.Option("--person", help="Column that says whose a row is")]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="COLUMN=VALUE; only such rows; repeatable")
]
EpsilonOption = Annotated[float, typer.Option("--epsilon", help="ε of the whole statistic")]
FloorOption = Annotated[int, typer.Option("--floor", help="k: smaller figures are not shown")]
MostOption = Annotated[
    int, typer.Option("--most", help="Cells that one person is counted in", min=1)
]
PurposeOption = Annotated[
    str, typer.Option("--purpose", help="Must be one that every holder's policy allows")
]
ByOption = Annotated[
    list[str],
    typer.Option("--by", help="COLUMN=a,b,c (values) or COLUMN:0,10,50 (edges); repeatable"),
]

PURPOSE = "statistics"


@app.command("count")
def count(
    data: DataOption = None,
    person: PersonOption = "user",
    where: WhereOption = None,
    epsilon: EpsilonOption = 0.5,
    floor: FloorOption = 50,
    purpose: PurposeOption = PURPOSE,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """How many people there are, over all holders."""
    _tabled("count", (), data, person, where, epsilon, floor, 1, purpose, path, as_json, lang)


@app.command("histogram")
def histogram(
    by: ByOption,
    data: DataOption = None,
    person: PersonOption = "user",
    where: WhereOption = None,
    epsilon: EpsilonOption = 0.5,
    floor: FloorOption = 50,
    most: MostOption = 1,
    purpose: PurposeOption = PURPOSE,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """People by the cells of one column."""
    if len(by) != 1:
        raise ConfigError(
            f"a histogram has one --by, got {len(by)}", hint="fedguide stats group-by"
        )
    _tabled(
        "histogram", by, data, person, where, epsilon, floor, most, purpose, path, as_json, lang
    )


@app.command("group-by")
def group_by(
    by: ByOption,
    data: DataOption = None,
    person: PersonOption = "user",
    where: WhereOption = None,
    epsilon: EpsilonOption = 0.5,
    floor: FloorOption = 50,
    most: MostOption = 1,
    purpose: PurposeOption = PURPOSE,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """People by the cells of several columns together."""
    _tabled("group-by", by, data, person, where, epsilon, floor, most, purpose, path, as_json, lang)


@app.command("heavy-hitters")
def heavy(
    column: Annotated[str, typer.Option("--column", help="Whose values are counted")],
    domain: Annotated[
        str, typer.Option("--domain", help="Values a,b,c, or a file with one a line: declared")
    ],
    data: DataOption = None,
    person: PersonOption = "user",
    where: WhereOption = None,
    epsilon: EpsilonOption = 0.5,
    floor: FloorOption = 50,
    most: MostOption = 3,
    purpose: PurposeOption = PURPOSE,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """The declared values that most people have; values nobody declared are not discovered."""
    from fedguide.runtime.statistics import heavy_hitters

    settings, out, rules = _begun("heavy-hitters", epsilon, floor, path, as_json, lang)
    values = _domain(domain)
    base = _breakdown(where, (), 1)
    with _asked(settings, data, person, (column, *_columns(base)), purpose) as ask:
        cells = heavy_hitters(ask, column, values, rules, most, base)
    heads = (column,)
    _finish_cells(out, heads, cells, rules, domain=len(values))


@app.command("quantile")
def quantile_command(
    column: Annotated[str, typer.Option("--column", help="A column of numbers")],
    low: Annotated[float, typer.Option("--low", help="The search begins between --low")],
    high: Annotated[float, typer.Option("--high", help="and --high: declared, not looked up")],
    share: Annotated[float, typer.Option("--share", help="0.5 is the median")] = 0.5,
    steps: Annotated[int, typer.Option("--steps", help="Questions of the search", min=1)] = 10,
    data: DataOption = None,
    person: PersonOption = "user",
    where: WhereOption = None,
    epsilon: EpsilonOption = 1.0,
    floor: FloorOption = 50,
    purpose: PurposeOption = PURPOSE,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """The value below which a share of people is, by a noisy binary search."""
    from fedguide.runtime.statistics import quantile

    settings, out, rules = _begun("quantile", epsilon, floor, path, as_json, lang)
    base = _breakdown(where, (), 1)
    with _asked(settings, data, person, (column, *_columns(base)), purpose) as ask:
        made = quantile(ask, column, share, (low, high), rules, steps, base)
    data_ = {
        "column": column,
        "share": share,
        "value": made.value,
        "resolution": made.resolution,
        "questions": made.questions,
        "rank_error": made.rank_error,
        **_said(rules),
    }
    out.finish(
        data_,
        out.pick(
            f"{column}: {share:.0%} of people are below {made.value:g} "
            f"(to {made.resolution:g}; noise moves the share by ± {made.rank_error:.1%} at 95 %)",
            f"{column}：{share:.0%} 的人低于 {made.value:g}"
            f"（精确到 {made.resolution:g}；噪声使比例偏移 ± {made.rank_error:.1%}，95 %）",
        ),
        _note(out, rules),
    )


def _tabled(
    command: str,
    by: Sequence[str],
    data: Sequence[Path] | None,
    person: str,
    where: Sequence[str] | None,
    epsilon: float,
    floor: int,
    most: int,
    purpose: str,
    path: Path | None,
    as_json: bool,
    lang: str | None,
) -> None:
    """A breakdown, asked and shown."""
    from fedguide.runtime.statistics import breakdown_of

    settings, out, rules = _begun(command, epsilon, floor, path, as_json, lang)
    breakdown = _breakdown(where, [_axis(text) for text in by], most)
    with _asked(settings, data, person, _columns(breakdown), purpose) as ask:
        cells = breakdown_of(ask, breakdown, rules)
    _finish_cells(out, tuple(axis.column for axis in breakdown.axes), cells, rules)


def _begun(
    command: str,
    epsilon: float,
    floor: int,
    path: Path | None,
    as_json: bool,
    lang: str | None,
) -> tuple[Settings, Output, Rules]:
    from fedguide import config
    from fedguide.runtime.statistics import Rules

    settings = config.load(found(path))
    out = begin(f"stats {command}", as_json=as_json, lang=lang, fallback=settings.lang)
    return settings, out, Rules(epsilon, floor)


def _breakdown(where: Sequence[str] | None, axes: Sequence[Axis], most: int) -> Breakdown:
    """What is counted.

    Raises:
        ConfigError: a ``--where`` is not COLUMN=VALUE.
    """
    from fedguide.data.people import Breakdown

    pairs = []
    for text in where or ():
        column, equals, value = text.partition("=")
        if not (column and equals):
            raise ConfigError(f"--where wants COLUMN=VALUE, got {text!r}", hint="--where kind=buy")
        pairs.append((column, value))
    return Breakdown(tuple(pairs), tuple(axes), most)


def _axis(text: str) -> Axis:
    """The axis in COLUMN=a,b or COLUMN:0,10.

    Raises:
        ConfigError: it is neither.
    """
    from fedguide.data.people import Axis

    at = min((text.find(mark) for mark in "=:" if mark in text), default=-1)
    column, rest = text[:at], text[at + 1 :]
    if at < 1 or not rest:
        raise ConfigError(
            f"--by wants COLUMN=a,b,c or COLUMN:0,10,50, got {text!r}", hint="--by price:1,5,20"
        )
    if text[at] == "=":
        return Axis(column, tuple(rest.split(",")))
    try:
        return Axis(column, edges=tuple(map(float, rest.split(","))))
    except ValueError:
        raise ConfigError(f"edges of --by must be numbers, got {rest!r}") from None


def _domain(text: str) -> tuple[str, ...]:
    """The declared values: of a file, or of the option itself."""
    path = Path(text)
    if "," not in text and path.is_file():
        return tuple(line for line in path.read_text("utf-8").splitlines() if line)
    return tuple(value for value in text.split(",") if value)


def _columns(breakdown: Breakdown) -> tuple[str, ...]:
    """Every column a breakdown reads."""
    return (*(name for name, _ in breakdown.where), *(axis.column for axis in breakdown.axes))


@contextmanager
def _asked(
    settings: Settings,
    data: Sequence[Path] | None,
    person: str,
    columns: Sequence[str],
    purpose: str,
) -> Iterator[Asking]:
    """The question-putter over all holders, each with a ledger of its own under HOME/ledgers."""
    from fedguide.cli.ledgers import Place, opened, policy_of
    from fedguide.runtime.statistics_run import Holder, Poll, asking

    people = _people(settings, data, person, columns)
    policy = policy_of(settings)
    if data is None:  # nobody's data: any purpose
        policy = replace(policy, purposes=(*policy.purposes, purpose))
    folder = settings.home / "ledgers" / ("synthetic" if data is None else "stats")
    with ExitStack() as stack:
        holders = []
        for one in people:
            place = Place(one.name, str(folder / f"{one.name}.db"), folder / f"{one.name}.mark")
            ledger = stack.enter_context(opened(place))
            holders.append(Holder(one, ledger, policy))
        task = f"stats-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"
        yield asking(Poll(task, purpose, tuple(holders)), time.monotonic, os.urandom)


def _people(
    settings: Settings, data: Sequence[Path] | None, person: str, columns: Sequence[str]
) -> tuple[People, ...]:
    """The holders' people, without anybody who withdrew, and without withheld columns."""
    from fedguide.cli.rights import rights_of
    from fedguide.data.people import people_of, read_people

    if data is None:
        from fedguide.cli.source import cohorts
        from fedguide.data.synth import market
        from fedguide.data.truth import MarketPlan

        made = market(MarketPlan(shops=4, seed=settings.train.seed))
        return tuple(people_of(dataset) for dataset in cohorts(settings, made.shops))
    withheld = [name for name in columns if name in settings.data.withhold]
    if withheld:
        raise ConfigError(f"column {withheld[0]!r} is withheld", hint="[data] withhold")
    names = [path.stem for path in data]
    if len(set(names)) != len(names):
        raise ConfigError(f"holders are named by their files, got {', '.join(names)} twice")
    allows = rights_of(settings).allows
    return tuple(read_people(path, person, columns, allows) for path in data)


def _finish_cells(
    out: Output, heads: tuple[str, ...], cells: Sequence[Cell], rules: Rules, **more: Any
) -> None:
    """The cells as a table, with noise and floor beside them."""
    rows = [
        {"cell": list(cell.labels), "people": cell.count, "half_width": cell.half_width}
        for cell in cells
    ]
    columns = (*(heads or ("",)), out.pick("people", "人数"), "± 95 %")
    lines = [
        (
            *(cell.labels or (out.pick("all", "全部"),)),
            f"< {rules.floor}" if cell.count is None else f"{cell.count:,}",
            f"{cell.half_width:,.0f}",
        )
        for cell in cells
    ]
    out.finish(
        {"cells": rows, **_said(rules), **more}, table("", columns, lines), _note(out, rules)
    )


def _said(rules: Rules) -> dict[str, Any]:
    return {"epsilon": rules.epsilon, "floor": rules.floor, "noise": "discrete Laplace, in shares"}


def _note(out: Output, rules: Rules) -> str:
    return out.pick(
        f"ε = {rules.epsilon:g} of every holder's people is spent; figures below k = {rules.floor} "
        "are not shown; judged after the noise",
        f"每个持有方的人员花费 ε = {rules.epsilon:g}；低于 k = {rules.floor} 的数不显示；"
        "均在加噪后判断",
    )
