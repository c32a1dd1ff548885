"""Small data sets made by hand, and comparisons, for the tests of this room."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedguide.data.contract import Dataset, Events
from fedguide.values import BUY, KINDS, SEARCH, Catalogue


def dataset(
    rows: list[tuple[Any, ...]], *, name: str = "corner-shop", clocked: bool = True, **users: str
) -> Dataset:
    """Events from rows (user, item or query, day[, kind]); ``users`` gives their groups."""
    full = [(*row, BUY)[:4] for row in rows]
    people = sorted({row[0] for row in full})
    things = sorted({row[1] for row in full if row[3] != SEARCH})
    asked = sorted({row[1] for row in full if row[3] == SEARCH})
    full.sort(key=lambda row: (row[0], row[2]))
    e = len(full)
    days = np.array([row[2] for row in full], np.int32)
    events = Events(
        users=np.array([people.index(row[0]) for row in full], np.int32),
        items=np.array([things.index(r[1]) if r[3] != SEARCH else -1 for r in full], np.int32),
        kinds=np.array([row[3] for row in full], np.uint8),
        times=days.astype(np.int64) * 86_400 if clocked else days.astype(np.int64),
        days=days,
        queries=np.array([asked.index(r[1]) if r[3] == SEARCH else -1 for r in full], np.int32),
        quantities=np.full(e, np.nan, np.float32),
        prices=np.full(e, np.nan, np.float32),
        baskets=np.full(e, -1, np.int32),
        user_ids=tuple(people),
        groups=tuple(users.get(person, "") for person in people),
        query_texts=tuple(asked),
    )
    n = len(things)
    catalogue = Catalogue(
        ids=tuple(things),
        titles=tuple(f"title of {thing}" for thing in things),
        brands=("",) * n,
        categories=("",) * n,
        prices=np.full(n, np.nan, np.float32),
    )
    return Dataset(name=name, events=events, catalogue=catalogue, clocked=clocked)


def differences(left: Any, right: Any) -> list[str]:
    """Names of the fields in which two frozen records differ; NaN equals NaN."""
    found = []
    for field in dataclasses.fields(left):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, np.ndarray):
            same = a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        else:
            same = a == b
        if not same:
            found.append(field.name)
    return found


def spelled(data: Dataset) -> list[tuple[Any, ...]]:
    """Every event in words: (user, item or query, kind, time, day, group)."""
    e = data.events
    return [
        (
            e.user_ids[e.users[row]],
            e.query_texts[e.queries[row]] if e.items[row] < 0 else data.catalogue.ids[e.items[row]],
            KINDS[e.kinds[row]],
            int(e.times[row]),
            int(e.days[row]),
            e.groups[e.users[row]],
        )
        for row in range(len(e))
    ]


def real(*parts: str) -> Path:
    """A path in the folder of real data; skips the test where there is none."""
    folder = os.environ.get("FEDGUIDE_DATA")
    if not folder:
        pytest.skip("FEDGUIDE_DATA does not say where the real data lie")
    path = Path(folder).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {path}")
    return path
