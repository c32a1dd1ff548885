"""Where audiences lie under the home folder.

HOME/audiences/NAME/report.json    what it is, how good, and the counts that were released
                                   (0600: all but the counts is for the shop alone)
HOME/audiences/NAME/scores.json    every eligible shopper's probability (0600)
HOME/audiences/NAME/shoppers.csv   the chosen ones, best first (0600)
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedguide.errors import ConfigError, DataError, NotFoundError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fedguide.guide.counts import NoisyCounts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Prospect:
    """Everybody who could be in an audience.

    Attributes:
        report: as it is printed and kept.
        ids: of the eligible.
        probabilities: of each, shape ``(c,)``.
    """

    report: dict[str, Any]
    ids: tuple[str, ...] = field(repr=False)
    probabilities: NDArray[np.float64] = field(repr=False)


def folder_of(home: Path, name: str) -> Path:
    """The folder of an audience, there or not.

    Raises:
        ConfigError: it cannot be a folder's name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a name has 1 to 64 letters, digits, dots, dashes, got {name[:80]!r}",
            hint="--name spring",
        )
    return home / "audiences" / name


def names(home: Path) -> list[str]:
    """The audiences that are there, oldest first."""
    found = (home / "audiences").glob("*/report.json")
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


def save(home: Path, name: str, prospect: Prospect) -> Path:
    """Writes a prospect whole, or not at all.

    Raises:
        ConfigError: it is there already.
    """
    target = folder_of(home, name)
    if target.exists():
        raise ConfigError(f"audience {name!r} is already there", hint="--name another")
    half_done = target.with_name(f".{name}.{os.getpid()}")
    half_done.mkdir(parents=True)
    try:
        write_private(half_done / "report.json", _json(prospect.report))
        scores = {"ids": prospect.ids, "probabilities": prospect.probabilities.tolist()}
        write_private(half_done / "scores.json", _json(scores))
        half_done.rename(target)
    except BaseException:
        shutil.rmtree(half_done, ignore_errors=True)
        raise
    return target


def load(home: Path, name: str) -> Prospect:
    """A kept prospect.

    Raises:
        NotFoundError: there is none of that name.
        DataError: a file is damaged.
    """
    import numpy as np

    folder = folder_of(home, name)
    if not (folder / "report.json").is_file():
        known = ", ".join(names(home)) or "none"
        raise NotFoundError(
            f"no audience {name!r}; there are: {known}", hint="fedguide audience build"
        )
    scores = _read(folder / "scores.json")
    return Prospect(
        _read(folder / "report.json"), tuple(scores["ids"]), np.array(scores["probabilities"])
    )


def report_of(home: Path, name: str) -> dict[str, Any]:
    """The report alone.

    Raises:
        NotFoundError, DataError: as ``load``.
    """
    folder = folder_of(home, name)
    if not (folder / "report.json").is_file():
        raise NotFoundError(f"no audience {name!r}", hint="fedguide audience build")
    return _read(folder / "report.json")


def keep_report(home: Path, name: str, report: Mapping[str, Any]) -> None:
    """Writes the report anew."""
    write_private(folder_of(home, name) / "report.json", _json(report))


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def known(home: Path, shopper: str) -> list[dict[str, Any]]:
    """What is kept of a shopper: their probability in each audience, and whether they were chosen.

    Raises:
        DataError: a file is damaged.
    """
    found = []
    for path in sorted((home / "audiences").glob("*/scores.json")):
        scores = dict(zip(*(_read(path)[name] for name in ("ids", "probabilities")), strict=True))
        if shopper in scores:
            listed = path.with_name("shoppers.csv")
            lines = listed.read_text("utf-8").splitlines() if listed.is_file() else []
            found.append(
                {
                    "audience": path.parent.name,
                    "probability": scores[shopper],
                    "chosen": shopper in lines[1:],
                }
            )
    return found


def forget(home: Path, shopper: str) -> int:
    """Takes a shopper out of every score and list; how many audiences had them.

    Raises:
        DataError: a file is damaged.
    """
    found = 0
    for path in sorted((home / "audiences").glob("*/scores.json")):
        scores = _read(path)
        rows = [row for row, one in enumerate(scores["ids"]) if one != shopper]
        if len(rows) < len(scores["ids"]):
            found += 1
            kept = {name: [column[row] for row in rows] for name, column in scores.items()}
            write_private(path, _json(kept))
        listed = path.with_name("shoppers.csv")
        lines = listed.read_text("utf-8").splitlines() if listed.is_file() else []
        if shopper in lines[1:]:
            rest = [line for at, line in enumerate(lines) if not at or line != shopper]
            write_private(listed, "\n".join(rest) + "\n")
    return found


def counts_record(counts: NoisyCounts, cells: Sequence[str]) -> dict[str, Any]:
    """Released counts as they are kept."""
    return {
        "cells": list(cells),
        "values": list(counts.values),
        "floor": counts.floor,
        "epsilon": counts.epsilon,
        "scale": counts.scale,
        "ledger_record": counts.record,
    }


def kept_counts(record: Mapping[str, Any]) -> NoisyCounts:
    """Released counts from where they were kept."""
    from fedguide.guide.counts import NoisyCounts

    return NoisyCounts(
        tuple(record["values"]),
        record["floor"],
        record["epsilon"],
        record["scale"],
        record["ledger_record"],
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        made: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is damaged: {type(error).__name__}") from None
    return made
