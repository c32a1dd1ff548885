"""Noised figures as they were released, kept to be shown again free of charge.

HOME/ads/released/SHOP/DIGEST.json   the last report of an ad (0600)
HOME/stats/DIGEST.json               the last answer to a statistic (0600)

The digest is of what was asked. A fresh draw for every reading would cost the budget once more and
let whoever reads often enough average the noise away.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.errors import DataError

if TYPE_CHECKING:
    from fedguide.cli.output import Output

AgainOption = Annotated[
    bool, typer.Option("--again", help="Release anew and charge it; else the last is shown")
]


def place_of(folder: Path, question: Mapping[str, Any]) -> Path:
    """Where the answer to a question lies, there or not."""
    text = json.dumps(question, sort_keys=True, ensure_ascii=False)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def ads_folder(home: Path, shop: str) -> Path:
    """Where the reports of a shop's ads lie."""
    return home / "ads" / "released" / shop


def reports_of(home: Path, shop: str) -> dict[str, dict[str, Any]]:
    """The last report of every ad of a shop, by the ad.

    Raises:
        DataError: a file is damaged.
    """
    found = [kept(path) for path in ads_folder(home, shop).glob("*.json")]
    # An order may come to show another item: the latest report is the ad's.
    latest = sorted((one for one in found if one is not None), key=lambda one: str(one["made"]))
    return {one["ad"]: one for one in latest}


def all_reports(home: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """The reports of every shop that has some, by shop and ad.

    Raises:
        DataError: a file is damaged.
    """
    folders = sorted((home / "ads" / "released").glob("*"))
    return {folder.name: reports_of(home, folder.name) for folder in folders}


def kept(path: Path) -> dict[str, Any] | None:
    """What was released, or ``None``.

    Raises:
        DataError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        made: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}", hint="--again") from None
    return made


def keep(path: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    """Writes what was released just now, with its time; gives it back."""
    from fedguide.cli.audience_store import write_private

    made = {**body, "made": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M}"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    write_private(path, json.dumps(made, ensure_ascii=False, indent=1, allow_nan=False))
    return made


def note_kept(out: Output, made: str, epsilon: float) -> None:
    """Says that nothing was charged this time."""
    out.note(
        f"as released {made} UTC for ε = {epsilon:g}; nothing is charged now (--again makes and "
        "charges a new one)",
        f"{made} UTC 的发布，当时花费 ε = {epsilon:g}；本次不记账（--again 重新发布并记账）",
    )
