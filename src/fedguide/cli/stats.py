"""``fedguide stats``: figures over several shops that no shop shows, noised and charged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.cli.released import AgainOption
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
    again: AgainOption = False,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """How many people there are, over all holders."""
    put = Put("count", data, person, where, epsilon, floor, purpose, again)
    _tabled(put, (), 1, path, as_json, lang)


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
    again: AgainOption = False,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """People by the cells of one column."""
    if len(by) != 1:
        raise ConfigError(
            f"a histogram has one --by, got {len(by)}", hint="fedguide stats group-by"
        )
    put = Put("histogram", data, person, where, epsilon, floor, purpose, again)
    _tabled(put, by, most, path, as_json, lang)


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
    again: AgainOption = False,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """People by the cells of several columns together."""
    put = Put("group-by", data, person, where, epsilon, floor, purpose, again)
    _tabled(put, by, most, path, as_json, lang)


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
    again: AgainOption = False,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """The declared values that most people have; values nobody declared are not discovered."""
    from fedguide.runtime.statistics import heavy_hitters

    put = Put("heavy-hitters", data, person, where, epsilon, floor, purpose, again)
    settings, out, rules = _begun(put, path, as_json, lang)
    values = _domain(domain)
    base = _breakdown(where, (), 1)

    def made() -> dict[str, Any]:
        with _asked(settings, put, (column, *_columns(base))) as ask:
            return _plain(heavy_hitters(ask, column, values, rules, most, base))

    more = {"column": column, "domain": values, "most": most}
    body = _kept_or_made(settings, out, put, more, made)
    _finish_cells(out, (column,), body, rules, domain=len(values))


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
    again: AgainOption = False,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """The value below which a share of people is, by a noisy binary search."""
    from fedguide.runtime.statistics import quantile

    put = Put("quantile", data, person, where, epsilon, floor, purpose, again)
    settings, out, rules = _begun(put, path, as_json, lang)
    base = _breakdown(where, (), 1)

    def made() -> dict[str, Any]:
        with _asked(settings, put, (column, *_columns(base))) as ask:
            return asdict(quantile(ask, column, share, (low, high), rules, steps, base))

    more = {"column": column, "share": share, "low": low, "high": high, "steps": steps}
    body = _kept_or_made(settings, out, put, more, made)
    out.finish(
        {"column": column, "share": share, **body, **_said(rules)},
        out.pick(
            f"{column}: {share:.0%} of people are below {body['value']:g} (to "
            f"{body['resolution']:g}; noise moves the share by ± {body['rank_error']:.1%} at 95 %)",
            f"{column}：{share:.0%} 的人低于 {body['value']:g}"
            f"（精确到 {body['resolution']:g}；噪声使比例偏移 ± {body['rank_error']:.1%}，95 %）",
        ),
        _note(out, rules),
    )


@dataclass(frozen=True)
class Put:
    """A statistic as the command line put it; ``again`` wants a new answer, charged."""

    command: str
    data: Sequence[Path] | None
    person: str
    where: Sequence[str] | None
    epsilon: float
    floor: int
    purpose: str
    again: bool

    def question(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """What names the answer: everything that was asked, whoever reads it."""
        tables = None if self.data is None else [str(path.resolve()) for path in self.data]
        asked = asdict(self) | {"data": tables, "where": list(self.where or ())} | dict(more)
        del asked["again"]
        return asked


def _tabled(
    put: Put, by: Sequence[str], most: int, path: Path | None, as_json: bool, lang: str | None
) -> None:
    """A breakdown, asked and shown."""
    from fedguide.runtime.statistics import breakdown_of

    settings, out, rules = _begun(put, path, as_json, lang)
    breakdown = _breakdown(put.where, [_axis(text) for text in by], most)

    def made() -> dict[str, Any]:
        with _asked(settings, put, _columns(breakdown)) as ask:
            return _plain(breakdown_of(ask, breakdown, rules))

    body = _kept_or_made(settings, out, put, {"by": list(by), "most": most}, made)
    _finish_cells(out, tuple(axis.column for axis in breakdown.axes), body, rules)


def _kept_or_made(
    settings: Settings,
    out: Output,
    put: Put,
    more: Mapping[str, Any],
    made: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """The last answer to this question, free; a new one, charged, where there is none."""
    from fedguide.cli import released

    place = released.place_of(settings.home / "stats", put.question(more))
    body = None if put.again else released.kept(place)
    if body is None:
        return released.keep(place, made()) | {"charged": True}
    released.note_kept(out, body["made"], put.epsilon)
    return body | {"charged": False}


def _begun(
    put: Put, path: Path | None, as_json: bool, lang: str | None
) -> tuple[Settings, Output, Rules]:
    from fedguide import config
    from fedguide.runtime.statistics import Rules

    settings = config.load(found(path))
    out = begin(f"stats {put.command}", as_json=as_json, lang=lang, fallback=settings.lang)
    return settings, out, Rules(put.epsilon, put.floor)


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
def _asked(settings: Settings, put: Put, columns: Sequence[str]) -> Iterator[Asking]:
    """The question-putter over all holders, each with a ledger of its own under HOME/ledgers."""
    from fedguide.cli.ledgers import Place, opened, policy_of
    from fedguide.runtime.statistics_run import Holder, Poll, asking

    people = _people(settings, put.data, put.person, columns)
    policy = policy_of(settings)
    if put.data is None:  # nobody's data: any purpose
        policy = replace(policy, purposes=(*policy.purposes, put.purpose))
    folder = settings.home / "ledgers" / ("synthetic" if put.data is None else "stats")
    with ExitStack() as stack:
        holders = []
        for one in people:
            place = Place(one.name, str(folder / f"{one.name}.db"), folder / f"{one.name}.mark")
            ledger = stack.enter_context(opened(place))
            holders.append(Holder(one, ledger, policy))
        task = f"stats-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"
        yield asking(Poll(task, put.purpose, tuple(holders)), time.monotonic, os.urandom)


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


def _plain(cells: Sequence[Cell]) -> dict[str, Any]:
    """Cells as they are kept and printed."""
    return {
        "cells": [
            {"cell": list(cell.labels), "people": cell.count, "half_width": cell.half_width}
            for cell in cells
        ]
    }


def _finish_cells(
    out: Output, heads: tuple[str, ...], body: dict[str, Any], rules: Rules, **more: Any
) -> None:
    """The cells as a table, with noise and floor beside them."""
    columns = (*(heads or ("",)), out.pick("people", "人数"), "± 95 %")
    lines = [
        (
            *(cell["cell"] or (out.pick("all", "全部"),)),
            f"< {rules.floor}" if cell["people"] is None else f"{cell['people']:,}",
            f"{cell['half_width']:,.0f}",
        )
        for cell in body["cells"]
    ]
    out.finish({**body, **_said(rules), **more}, table("", columns, lines), _note(out, rules))


def _said(rules: Rules) -> dict[str, Any]:
    return {"epsilon": rules.epsilon, "floor": rules.floor, "noise": "discrete Laplace, in shares"}


def _note(out: Output, rules: Rules) -> str:
    return out.pick(
        f"ε = {rules.epsilon:g} of every holder's people is spent, once; figures below "
        f"k = {rules.floor} are not shown; judged after the noise",
        f"每个持有方的人员花费 ε = {rules.epsilon:g}，只记一次；低于 k = {rules.floor} 的数不显示；"
        "均在加噪后判断",
    )
