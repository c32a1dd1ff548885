"""``fedguide audience uplift``: whom to address, from a randomised trial."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.audience import app
from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fedguide.models.bootstrap import Interval
    from fedguide.runtime.trial import Trial, Uplift


@app.command("uplift")
def uplift(
    trial: Annotated[Path, typer.Argument(help="The trial's CSV, JSON lines or Parquet")],
    treated: Annotated[
        str, typer.Option("--treated", help="Column that says who was treated: 1 or 0, or --arm")
    ],
    outcome: Annotated[str, typer.Option("--outcome", help="Column with what came of it")],
    arm: Annotated[
        str | None, typer.Option("--arm", help="Value of the treated; with --control")
    ] = None,
    control: Annotated[
        str | None, typer.Option("--control", help="Value of the untreated; others are left out")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="Column written after the treatment; repeatable"),
    ] = None,
    cost: Annotated[
        float, typer.Option("--cost", help="Outcome that treating one must bring to be worth it")
    ] = 0.0,
    partner: Annotated[
        list[str] | None, typer.Option("--partner", help="NAME=FILE of a partner; repeatable")
    ] = None,
    key: Annotated[str, typer.Option("--key", help="Column that names the customer")] = "id",
    kind: Annotated[
        str, typer.Option("--key-kind", help="What it holds: id, phone or email")
    ] = "id",
    target: Annotated[
        Path | None, typer.Option("--out", help="CSV of those to address, best first")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which half teaches, which judges")] = 7,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Say whom a treatment moves, learnt on half of a random trial and judged on the other half.

    With partners, trees over all parties' columns; they learn neither treatment nor outcome.
    """
    import os

    from fedguide import config
    from fedguide.cli.parties import partner_files
    from fedguide.cli.vertical_run import join
    from fedguide.data.partner_file import read_partner
    from fedguide.runtime.trial import judge_trial
    from fedguide.seeds import fresh_root
    from fedguide.values import PartyId
    from fedguide.vertical.features import speaking
    from fedguide.vertical.local import LocalPartner

    settings = config.load(found(path))
    out = begin("audience uplift", as_json=as_json, lang=lang, fallback=settings.lang)
    files = partner_files(partner or (), key)
    joined = join(read_partner(trial, key), files, kind, str(trial))
    names = (treated, outcome, *(without or ()))
    wanted, kept = _trial(joined.cells, names, arm, control)
    rows = {party: there[kept] for party, there in joined.rows.items()}
    halves = {
        PartyId(name): LocalPartner(speaking(one.cells), fresh_root(os.urandom))
        for name, one in files.items()
    }
    result = judge_trial(wanted, halves, rows, fresh_root(os.urandom), seed=seed, cost=cost)
    data = _record(wanted, result)
    keys = tuple(name for name, stays in zip(joined.keys, kept.tolist(), strict=True) if stays)
    if target is not None:
        data["listed"] = _listed(settings, target, key, keys, result, cost)
    out.finish(data, *_texts(out, data, target))


def _trial(
    cells: dict[str, Any], names: tuple[str, ...], arm: str | None, control: str | None
) -> tuple[Trial, NDArray[np.bool_]]:
    """The trial of these cells, and which rows are in it.

    Raises:
        DataError: a column is missing, or does not hold what it should.
        ConfigError: ``--arm`` comes without ``--control``, or one column is named twice.
    """
    import numpy as np

    from fedguide.runtime.trial import Trial

    if len(set(names)) != len(names):
        raise ConfigError("--treated, --outcome and --without must name different columns")
    absent = [name for name in names if name not in cells]
    if absent:
        raise DataError(f"the trial has no column {absent[0]!r}; it has {', '.join(cells)}")
    treated, kept = _arms(cells[names[0]], names[0], arm, control)
    outcomes = cells[names[1]][kept]
    if outcomes.dtype.kind != "f":
        raise DataError(f"outcome column {names[1]} holds texts")
    if not np.isfinite(outcomes).all():
        gone = int((~np.isfinite(outcomes)).sum())
        raise DataError(f"{gone} of {len(outcomes)} outcomes are missing in column {names[1]}")
    columns = {name: column[kept] for name, column in cells.items() if name not in names}
    return Trial(columns, treated, outcomes.astype(np.float64)), kept


def _arms(
    cells: NDArray[Any], name: str, arm: str | None, control: str | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who of the kept rows was treated, and which rows are kept.

    Raises:
        ConfigError: ``--arm`` and ``--control`` do not come together, or are one.
        DataError: the column holds something else than two arms.
    """
    import numpy as np

    if (arm is None) != (control is None) or (arm is not None and arm == control):
        raise ConfigError("--arm and --control come together, and are two values")
    if arm is None:
        if cells.dtype.kind != "f" or not np.isin(cells, (0.0, 1.0)).all():
            raise DataError(
                f"column {name} must say 1 or 0 of everybody",
                hint="--arm VALUE --control VALUE name two of its values",
            )
        return cells == 1, np.ones(len(cells), np.bool_)
    texts = cells if cells.dtype.kind == "U" else np.array([f"{c:g}" for c in cells])
    for value in (arm, control):
        if not (texts == value).any():
            seen = ", ".join(sorted(set(texts.tolist()))[:8])
            raise DataError(f"nobody has {value!r} in column {name}; it has {seen}")
    kept = (texts == arm) | (texts == control)
    return texts[kept] == arm, kept


def _record(trial: Trial, found: Uplift) -> dict[str, Any]:
    """What was found, as JSON."""
    addressed = found.addressed
    return {
        "people": len(trial.treated),
        "treated": int(trial.treated.sum()),
        "judged": int(found.judged.sum()),
        "effect": _three(found.effect),
        "qini": _three(found.qini),
        "qini_alone": None if found.qini_alone is None else _three(found.qini_alone),
        "telling": _three(found.telling),
        "addressed": {
            "share": round(addressed.share, 4),
            "uplift": None if addressed.uplift is None else _three(addressed.uplift),
            "rest": None if addressed.rest is None else _three(addressed.rest),
        },
        "tenths": [
            {
                "tenth": row.group,
                "treated": row.treated,
                "control": row.control,
                "predicted": round(row.predicted, 5),
                "uplift": _three(row.uplift),
            }
            for row in found.tenths
        ],
        "learned": [asdict(fact) for fact in found.learned],
    }


def _three(interval: Interval) -> list[float]:
    """Value and both ends of its 95 % interval."""
    return [round(part, 5) for part in (interval.value, interval.low, interval.high)]


def _listed(
    settings: Any, target: Path, key: str, keys: tuple[str, ...], found: Uplift, cost: float
) -> int:
    """Writes who is to be addressed, best first, to a file for its owner alone; says how many."""
    import csv
    import io

    import numpy as np

    from fedguide.cli.audience_store import write_private
    from fedguide.cli.rights import rights_of

    allows = rights_of(settings).allows
    order = np.argsort(-found.scores, kind="stable")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([key, "uplift"])
    count = 0
    for at in order.tolist():
        if found.scores[at] > cost and allows(keys[at]):
            writer.writerow([keys[at], f"{found.scores[at]:.6g}"])
            count += 1
    write_private(target, text.getvalue())
    return count


def _texts(out: Output, data: dict[str, Any], target: Path | None) -> list[Any]:
    """The same for people."""

    def shown(three: list[float] | None, scale: float = 1.0) -> str:
        if three is None:
            return "-"
        value, low, high = (scale * part for part in three)
        return f"{value:+.4g} [{low:+.4g}, {high:+.4g}]"

    addressed = data["addressed"]
    rows = [
        (out.pick("effect of treating everybody", "全部处理的效果"), shown(data["effect"])),
        (
            out.pick(
                f"of the {addressed['share']:.0%} to address",
                f"应触达的 {addressed['share']:.0%}",
            ),
            shown(addressed["uplift"]),
        ),
        (out.pick("of the others", "其余的人"), shown(addressed["rest"])),
        ("Qini x 1000", shown(data["qini"], 1000)),
    ]
    if data["qini_alone"] is not None:
        alone = out.pick("Qini x 1000, own columns alone", "Qini x 1000，仅自有列")
        rows.append((alone, shown(data["qini_alone"], 1000)))
    heads = (out.pick("measured on the judging half", "在评判的一半上测得"), "95 %")
    tenths = [
        (str(row["tenth"]), str(row["treated"]), str(row["control"]), f"{row['predicted']:+.4g}",
         shown(row["uplift"]))
        for row in data["tenths"]
    ]  # fmt: skip
    columns = out.pick("tenth treated control predicted uplift", "分组 处理 对照 预测 增量").split()
    told = out.pick(
        f"{data['people']:,} people, {data['treated']:,} treated; learnt on one half, judged on "
        f"the other's {data['judged']:,}. The columns tell who was treated with AUC "
        f"{data['telling'][0]:.3f} (1/2 in a random trial).",
        f"共 {data['people']:,} 人，其中 {data['treated']:,} 人被处理；一半用于学习，另一半 "
        f"{data['judged']:,} 人用于评判。由各列判断谁被处理的 AUC 为 {data['telling'][0]:.3f}"
        "（随机试验应为 1/2）。",
    )
    parts = [told, table("", heads, rows), table("", columns, tenths)]
    if target is not None:
        parts.append(
            out.pick(
                f"{target}: {data['listed']:,} people to address, best first; it stays here",
                f"{target}：应触达 {data['listed']:,} 人，按增量排序；名单留在本地",
            )
        )
    return parts
