"""The console's page of audiences: how good each is, and what of it has left the shop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedguide.web.charts import Bar, bar_chart
from fedguide.web.console import Inside, page_of
from fedguide.web.content import Page


def audiences(here: Inside) -> Page:
    """Every kept audience, the latest first."""
    found = [_shown(here, report) for report in reversed(here.desk.reports())]
    return page_of(here, "audiences", "console_audiences.html", {"audiences": found})


def _shown(here: Inside, report: Mapping[str, Any]) -> dict[str, Any]:
    tested, counts = report["tested"], report["counts"]
    lifts = [Bar(str(row["group"]), *row["lift"]) for row in tested["lift"]]
    floor = counts["floor"]
    bands = [
        (cell, f"{value:,}" if value >= floor else f"<{floor}")
        for cell, value in zip(counts["cells"], counts["values"], strict=True)
    ]
    return {
        "name": report["name"],
        "synthetic": report["synthetic"],
        "facts": [
            (here.say("audience.target"), _target(here, report)),
            (here.say("audience.made"), report["made"]),
            (here.say("audience.tested"), f"{tested['shoppers']:,}"),
            (here.say("audience.rate"), f"{tested['rate']:.1%}"),
            ("AUC", _spread(tested["auc"])),
            (here.say("audience.error"), f"{tested['calibration_error']:.3f}"),
            *_partners(here, report),
            *_chosen(here, report),
        ],
        "chart": bar_chart(here.say("audience.lift"), lifts, decimals=2),
        "bands": bands,
        "charged": here.say(
            "audience.charged", epsilon=f"{counts['epsilon']:g}", record=counts["ledger_record"]
        ),
    }


def _target(here: Inside, report: Mapping[str, Any]) -> str:
    text = here.say(
        "audience.within", what=here.say(f"kind.{report['target']}"), days=report["days"]
    )
    return f"{text} · {report['category']}" if report["category"] else text


def _partners(here: Inside, report: Mapping[str, Any]) -> list[tuple[str, str]]:
    common = report["tested"].get("common")
    if common is None:
        return []
    named = ", ".join(report["partners"])
    if not common.get("kept", True):  # reports of earlier versions do not say it
        named = here.say("audience.unused", partners=named)
    return [
        (here.say("audience.partners"), named),
        (here.say("audience.gain"), _spread(common["difference"], sign="+")),
    ]


def _chosen(here: Inside, report: Mapping[str, Any]) -> list[tuple[str, str]]:
    chosen = report.get("chosen")
    if chosen is None:
        return []
    return [
        (here.say("audience.listed"), f"{chosen['shoppers']:,} / {chosen['eligible']:,}"),
        (here.say("audience.expected"), f"{chosen['expected']:,.0f}"),
    ]


def _spread(interval: list[float], sign: str = "") -> str:
    value, low, high = (format(part, f"{sign}.3f") for part in interval)
    return f"{value} [{low}, {high}]"
