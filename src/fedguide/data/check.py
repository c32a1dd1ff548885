"""Looks a table over before it is imported: what will be left out, why, and how to mend it.

The rows are judged by the same code that imports them, so that a check cannot say one thing and
an import do another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedguide.data.assemble import Source, judge
from fedguide.data.columns import EVENT_COLUMNS, NONE, ColumnMap, nearest
from fedguide.data.findings import SHOWN_ROWS, Finding, Severity
from fedguide.data.importers import plans
from fedguide.data.personal import personal_columns
from fedguide.data.tables import engine, load, readable, scan
from fedguide.data.tabular import (
    Tables,
    find_columns,
    load_items,
    missing_columns,
    require_known,
    scan_items,
)
from fedguide.errors import DataError
from fedguide.values import KINDS

YEAR_1990 = 631_152_000
ENOUGH_DAYS = 14
FEW_UNTITLED = 0.05
"""Share of items without a title up to which it is only a note."""

NOTES = ("cancelled", "not-a-product", "not-positive", "duplicates", "missing-values")
"""Codes that are notes wherever they occur: they are in every healthy export."""

LEFT_OUT = """
SELECT reason, count(*), list(line + 1 ORDER BY line)[:$shown]
FROM timed WHERE reason IS NOT NULL GROUP BY reason ORDER BY min(line)
"""
STRANGE_TIMES = """
SELECT CASE WHEN seconds > $now + 86400 THEN 'future-time' ELSE 'ancient-time' END AS code,
    count(*), list(line + 1 ORDER BY line)[:$shown]
FROM timed WHERE reason IS NULL AND (seconds > $now + 86400 OR seconds < $early)
GROUP BY code ORDER BY code
"""
BAD_NUMBERS = """
SELECT said, count(*), list(line + 1 ORDER BY line)[:$shown]
FROM (SELECT rowid AS line, unnest(['quantity', 'price']) AS said,
          unnest([present(quantity) IS NOT NULL AND number(quantity) IS NULL,
                  present(price) IS NOT NULL AND number(price) IS NULL]) AS bad FROM raw)
WHERE bad GROUP BY said ORDER BY said
"""
MISSING = """
SELECT said, count(*), list(line + 1 ORDER BY line)[:$shown]
FROM (SELECT line, unnest(['title', 'brand', 'category', 'quantity', 'price']) AS said,
          unnest([title IS NULL, brand IS NULL, category IS NULL,
                  kind = $buy AND quantity IS NULL, kind = $buy AND price IS NULL]) AS missing
      FROM timed WHERE reason IS NULL AND kind <> $search)
WHERE missing GROUP BY said ORDER BY said
"""
DUPLICATES = """
SELECT count(*), list(line + 1 ORDER BY line)[:$shown]
FROM (SELECT line, row_number() OVER (PARTITION BY "user", item, kind, query, seconds, basket,
          quantity, price ORDER BY line) AS copy FROM timed WHERE reason IS NULL)
WHERE copy > 1
"""
DUPLICATE_ITEMS = """
SELECT count(*), list(line + 1 ORDER BY line)[:$shown]
FROM (SELECT rowid AS line, row_number() OVER (PARTITION BY present(item) ORDER BY rowid) AS copy
      FROM listed WHERE present(item) IS NOT NULL)
WHERE copy > 1
"""
ITEMS = """
SELECT count(DISTINCT item) FROM (SELECT item FROM timed WHERE reason IS NULL
    UNION ALL SELECT present(item) FROM listed)
"""
UNTITLED = """
SELECT count(*) FROM (
    SELECT item, max(title) AS title FROM (
        SELECT item, title FROM timed WHERE reason IS NULL AND item IS NOT NULL
        UNION ALL SELECT present(item), present(title) FROM listed WHERE present(item) IS NOT NULL)
    GROUP BY item)
WHERE title IS NULL
"""
SUMMARY = """
SELECT count(*), count_if(kind = $buy), count(DISTINCT floor(seconds / 86400))
FROM timed WHERE reason IS NULL
"""
SEEN_KINDS = """
SELECT string_agg(said, ', ' ORDER BY said) FROM (
    SELECT DISTINCT left(present(kind), 20) AS said FROM raw
    WHERE kind_word(present(kind)) NOT IN (SELECT word FROM kind_words) ORDER BY said LIMIT 5)
"""


@dataclass(frozen=True)
class Report:
    """What a check of one data set found.

    Attributes:
        name: of the data set.
        path: its file of events.
        rows: rows of the file.
        usable: rows that an import would take.
        columns: our names of columns to theirs.
        withheld: columns that would never be read.
        findings: worst first.
    """

    name: str
    path: Path
    rows: int
    usable: int
    columns: Mapping[str, str]
    withheld: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Can the data set be imported?"""
        return not any(finding.severity == "error" for finding in self.findings)


def check(
    path: Path,
    now_s: int,
    *,
    format_name: str = "auto",
    columns: ColumnMap | None = None,
    withhold: Sequence[str] = (),
) -> tuple[Report, ...]:
    """Checks every data set at ``path``; ``now_s`` is the present in unix seconds.

    Raises:
        NotFoundError: there is nothing at ``path``.
        ConfigError: a wrong option.
        DataError: a file cannot be read as a table at all, or the map names an absent column.
    """
    return tuple(
        _check(tables, full, withhold, now_s) for tables, full in plans(path, format_name, columns)
    )


def _check(tables: Tables, columns: ColumnMap, withhold: Sequence[str], now_s: int) -> Report:
    with engine() as connection:
        relation = scan(connection, tables.events, tables.event_names, tables.kind)
        items = scan_items(connection, tables)
        listed = list(items.columns) if items is not None else []
        require_known(withhold, (*relation.columns, *listed), tables.events)
        present = [name for name in relation.columns if name not in withhold]
        found = find_columns(tables, columns, present, listed)
        missing = missing_columns(tables, columns, found)
        with readable(tables.events):
            kinds = personal_columns(relation, present)
            read = {ours: theirs for ours, theirs in found.items() if theirs not in kinds}
            load(relation, read, EVENT_COLUMNS, "raw")
        findings = [*_missing(missing, found, present), *_withheld(kinds, found)]
        hidden = {*kinds, *withhold}
        usable = 0
        if not any(finding.severity == "error" for finding in findings):
            load_items(connection, items, tables, columns, listed)
            more, usable = _rows(connection, _source(tables, columns, read), now_s)
            findings += more
        rows = int(connection.execute("SELECT count(*) FROM raw").fetchall()[0][0])
        order = {"error": 0, "warning": 1, "note": 2}
        return Report(
            name=tables.name,
            path=tables.events,
            rows=rows,
            usable=usable,
            columns=found,
            withheld=tuple(name for name in relation.columns if name in hidden),
            findings=tuple(sorted(findings, key=lambda finding: order[finding.severity])),
        )


def _source(tables: Tables, columns: ColumnMap, found: Mapping[str, str]) -> Source:
    clocked = tables.clocked and columns.theirs.get("time") != NONE
    return Source(tables.name, columns, found, tables.rules, clocked)


def _missing(
    missing: Sequence[str], found: Mapping[str, str], present: Sequence[str]
) -> list[Finding]:
    free = [name for name in present if name not in found.values()] or list(present)
    return [
        Finding(
            "no-column",
            "error",
            values={
                "ours": ours, "present": ", ".join(present), "nearest": nearest(ours, free),
            },
        )
        for ours in missing
    ]  # fmt: skip


def _withheld(kinds: Mapping[str, str], found: Mapping[str, str]) -> list[Finding]:
    ids = {found[ours]: ours for ours in ("user", "item") if ours in found}
    return [
        Finding(
            "personal-id",
            "error",
            name,
            values={
                "kind": kind,
                "ours": ids[name],
                "what": {"user": "shopper", "item": "product"}[ids[name]],
            },
        )
        if name in ids
        else Finding("personal-column", "warning", name, values={"kind": kind})
        for name, kind in kinds.items()
    ]


def _rows(connection: Any, source: Source, now_s: int) -> tuple[list[Finding], int]:
    """Findings about rows, and how many rows can be used."""
    shown = {"shown": SHOWN_ROWS}
    run = connection.execute
    try:
        judge(connection, source)
    except DataError:
        return [Finding("ambiguous-time", "error", source.found.get("time", ""))], 0
    codes = {"buy": KINDS.index("buy")}
    usable, purchases, days = run(SUMMARY, codes).fetchall()[0]
    found = [_left_out(run, source, *row) for row in run(LEFT_OUT, shown).fetchall()]
    if source.clocked:
        strange = run(STRANGE_TIMES, {**shown, "now": now_s, "early": YEAR_1990}).fetchall()
        for code, count, rows in strange:
            found.append(_about_rows(code, count, rows, source.found.get("time", "")))
        if usable and days < ENOUGH_DAYS:
            found.append(Finding("few-days", "warning", source.found.get("time", ""), days))
    for ours, count, rows in run(BAD_NUMBERS, shown).fetchall():
        found.append(_about_rows("bad-number", count, rows, source.found[ours]))
    empty = {**shown, **codes, "search": KINDS.index("search")}
    for ours, count, rows in run(MISSING, empty).fetchall():
        if ours in source.found:
            theirs = source.found[ours]
            found.append(_about_rows("missing-values", count, rows, theirs, {"ours": ours}))
    for code, query in (("duplicates", DUPLICATES), ("duplicate-items", DUPLICATE_ITEMS)):
        count, rows = run(query, shown).fetchall()[0]
        if count:
            found.append(_about_rows(code, count, rows, ""))
    untitled = int(run(UNTITLED).fetchall()[0][0])
    if untitled:
        items = int(run(ITEMS).fetchall()[0][0])
        many = untitled > FEW_UNTITLED * items
        found.append(Finding("no-title", "warning" if many else "note", count=untitled))
    if usable and not purchases:
        found.append(Finding("no-purchase", "error", source.found.get("kind", "")))
    if not usable:
        found.append(Finding("no-rows", "error"))
    return found, int(usable)


def _left_out(run: Any, source: Source, reason: str, count: int, rows: Sequence[int]) -> Finding:
    """A finding about rows that an import leaves out."""
    place = {
        "no-shopper": "user", "no-item": "item", "no-query": "query", "unknown-kind": "kind",
        "bad-time": "time", "personal": "query",
    }  # fmt: skip
    theirs = source.found.get(place.get(reason, ""), "")
    values: dict[str, str] = {}
    if reason == "unknown-kind":
        values = {"seen": run(SEEN_KINDS).fetchall()[0][0] or "", "known": ", ".join(KINDS)}
    return _about_rows(reason, count, rows, theirs, values)


def _about_rows(
    code: str,
    count: int,
    rows: Sequence[int],
    theirs: str,
    values: Mapping[str, str] | None = None,
) -> Finding:
    severity: Severity = "note" if code in NOTES else "warning"
    return Finding(code, severity, theirs, int(count), tuple(rows), values or {})
