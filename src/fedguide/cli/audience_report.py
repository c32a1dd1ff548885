"""How good an audience's scores were in the last window, as figures and as printed tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fedguide.cli.output import Output, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fedguide.models.bootstrap import Interval
    from fedguide.runtime.propensity import Scores

GROUPS = 10


def judged(
    labels: NDArray[np.float64], scores: Scores, who: NDArray[np.bool_], keeps: bool
) -> dict[str, Any]:
    """What the scores were worth on shoppers whose outcome they had not seen.

    ``keeps``: are the partners' scores in use?

    Raises:
        DataError: nobody, or everybody, did it.
    """
    from fedguide.models.auc import auc, auc_difference
    from fedguide.models.calibration import calibration_error, reliability
    from fedguide.models.lift import lift_table

    done, best = labels[who], scores.best[who]
    made: dict[str, Any] = {
        "shoppers": int(who.sum()),
        "rate": float(done.mean()),
        "auc": _spread(auc(done, best)),
        "lift": [
            {
                "group": row.group,
                "count": row.count,
                "rate": _spread(row.rate),
                "lift": _spread(row.lift),
                "gain": row.gain,
            }
            for row in lift_table(done, best, GROUPS)
        ],
        "calibration": [
            {"count": row.count, "predicted": row.predicted, "observed": _spread(row.observed)}
            for row in reliability(done, best, GROUPS)
        ],
        "calibration_error": calibration_error(done, best, GROUPS),
    }
    common = who & scores.common
    if common.any():
        mine, theirs = scores.alone[common], scores.together[common]
        made["common"] = {
            "shoppers": int(common.sum()),
            "kept": keeps,
            "alone": _spread(auc(labels[common], mine)),
            "together": _spread(auc(labels[common], theirs)),
            "difference": _spread(auc_difference(labels[common], theirs, mine)),
        }
    return made


def texts(out: Output, report: Mapping[str, Any]) -> list[Any]:
    """The report as lines and tables."""
    tested = report["tested"]
    parts: list[Any] = [_head(out, report)]
    if "common" in tested:
        parts.append(_verdict(out, tested["common"]))
    heads = [
        out.pick("tenth", "十分位"),
        out.pick("shoppers", "顾客"),
        out.pick("predicted", "预测"),
        out.pick("did it", "实际"),
        out.pick("lift, 95 %", "提升，95 %"),
        out.pick("gain", "累计占比"),
    ]
    # Calibration goes up, lift goes down; with ties there may be fewer bins than groups.
    said = [f"{row['predicted']:.1%}" for row in reversed(tested["calibration"])]
    rows = []
    for at, row in enumerate(tested["lift"]):
        value, low, high = row["lift"]
        predicted = said[at] if len(said) == len(tested["lift"]) else ""
        rows.append(
            [
                str(row["group"]),
                f"{row['count']:,}",
                predicted,
                f"{row['rate'][0]:.1%}",
                f"{value:.2f} [{low:.2f}, {high:.2f}]",
                f"{row['gain']:.0%}",
            ]
        )
    error = tested["calibration_error"]
    parts += [
        table("", heads, rows),
        out.pick(f"calibration error {error:.3f}", f"校准误差 {error:.3f}"),
        _counts_line(out, report["counts"]),
    ]
    return parts


def _head(out: Output, report: Mapping[str, Any]) -> str:
    tested = report["tested"]
    value, low, high = tested["auc"]
    return out.pick(
        f"{report['name']}: {report['target']} within {report['days']} days; tested on "
        f"{tested['shoppers']:,} shoppers in the {report['days']} days from "
        f"{report['tested_from']}: {tested['rate']:.1%} did it, "
        f"AUC {value:.3f} [{low:.3f}, {high:.3f}]",
        f"{report['name']}：{report['days']} 天内 {report['target']}；在 {report['tested_from']} "
        f"起 {report['days']} 天的 {tested['shoppers']:,} 位顾客上检验：{tested['rate']:.1%} 发生，"
        f"AUC {value:.3f} [{low:.3f}, {high:.3f}]",
    )


def _verdict(out: Output, common: Mapping[str, Any]) -> str:
    gap, low, high = common["difference"]
    if low > 0:
        word = out.pick("partners help", "合作方有帮助")
    elif high < 0:
        word = out.pick("▼ partners harm", "▼ 合作方有害")
    else:
        word = out.pick("no significant difference", "无显著差异")
    if not common.get("kept", True):  # reports of earlier versions do not say it
        word += out.pick(
            "; on held customers the shop's own scores were no worse: the list is by them",
            "；在留出顾客上本店评分不逊色：名单按本店评分排列",
        )
    elif high < 0:
        word += out.pick(": build it without --partner", "：去掉 --partner 重建")
    return out.pick(
        f"known to all partners: {common['shoppers']:,}; AUC alone {common['alone'][0]:.3f}, "
        f"together {common['together'][0]:.3f}: {gap:+.3f} [{low:+.3f}, {high:+.3f}], {word}",
        f"所有合作方共有顾客：{common['shoppers']:,}；AUC 单独 {common['alone'][0]:.3f}，联合 "
        f"{common['together'][0]:.3f}：{gap:+.3f} [{low:+.3f}, {high:+.3f}]，{word}",
    )


def _counts_line(out: Output, counts: Mapping[str, Any]) -> str:
    floor = counts["floor"]
    shown = ", ".join(
        f"{cell} {value}" if value >= floor else f"{cell} <{floor}"
        for cell, value in zip(counts["cells"], counts["values"], strict=True)
    )
    return out.pick(
        f"may leave (ε = {counts['epsilon']:g}, charged): {shown}",
        f"可对外（ε = {counts['epsilon']:g}，已记账）：{shown}",
    )


def _spread(interval: Interval) -> list[float]:
    return [round(float(part), 6) for part in (interval.value, interval.low, interval.high)]
