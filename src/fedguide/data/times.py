"""Times as shops write them, to unix seconds and to days of the shop's own calendar.

Known are ISO 8601, unix seconds, milli-, micro- and nanoseconds, ``20240305``, ``2024年3月5日``,
day first (``31/12/2024``, ``31.12.2024``) and month first. A column in which every date could be
either day or month first is refused: a guess would shuffle a year of history.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, DataError

DAY_S = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MACROS = r"""
CREATE MACRO unix_seconds(x) AS CASE
    WHEN NOT regexp_matches(x, '^-?[0-9]{1,19}(\.[0-9]+)?$') THEN NULL
    WHEN regexp_matches(x, '^(19|20)[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])([0-9]{6})?$')
        THEN NULL
    WHEN abs(try_cast(x AS DOUBLE)) >= 1e17 THEN try_cast(x AS DOUBLE) / 1e9
    WHEN abs(try_cast(x AS DOUBLE)) >= 1e14 THEN try_cast(x AS DOUBLE) / 1e6
    WHEN abs(try_cast(x AS DOUBLE)) >= 1e11 THEN try_cast(x AS DOUBLE) / 1e3
    ELSE try_cast(x AS DOUBLE) END;
CREATE MACRO has_offset(x) AS
    regexp_matches(x, ':[0-9.]+ ?(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)$');
CREATE MACRO iso_time(x) AS CASE WHEN regexp_matches(x, '^[0-9]{4}') THEN epoch(coalesce(
    try_cast(x AS TIMESTAMPTZ),
    try_strptime(x, ['%Y%m%d', '%Y%m%d%H%M%S', '%Y年%m月%d日', '%Y年%m月%d日 %H:%M',
        '%Y年%m月%d日 %H:%M:%S', '%Y年%m月%d日%H时%M分', '%Y年%m月%d日 %H时%M分%S秒',
        '%Y.%m.%d', '%Y.%m.%d %H:%M', '%Y.%m.%d %H:%M:%S'])::TIMESTAMPTZ)) END;
CREATE MACRO slashed(x) AS regexp_replace(x, '^(\d{1,2})[.-](\d{1,2})[.-]', '\1/\2/');
CREATE MACRO day_first(x) AS epoch(try_strptime(slashed(x), ['%d/%m/%y', '%d/%m/%y %H:%M',
    '%d/%m/%y %H:%M:%S', '%d/%m/%Y', '%d/%m/%Y %H:%M', '%d/%m/%Y %H:%M:%S']));
CREATE MACRO month_first(x) AS epoch(try_strptime(slashed(x), ['%m/%d/%y', '%m/%d/%y %H:%M',
    '%m/%d/%y %I:%M %p', '%m/%d/%Y', '%m/%d/%Y %H:%M', '%m/%d/%Y %H:%M:%S',
    '%m/%d/%Y %I:%M %p', '%m/%d/%Y %I:%M:%S %p']));
"""
"""SQL functions: text to seconds since 1970, NULL where it is not in that form."""

STAMPS = """
CREATE TABLE stamps AS
WITH said AS (SELECT DISTINCT trim(time) AS text FROM raw WHERE time IS NOT NULL),
known AS (SELECT text, unix_seconds(text) AS instant, iso_time(text) AS iso FROM said)
SELECT *, has_offset(text) AS has_offset,
    CASE WHEN instant IS NULL AND iso IS NULL THEN day_first(text) END AS day_first,
    CASE WHEN instant IS NULL AND iso IS NULL THEN month_first(text) END AS month_first
FROM known
"""
FIRSTS = """
SELECT count(day_first) AS day_first, count(month_first) AS month_first,
    count_if(day_first <> month_first) AS differ
FROM stamps
"""
BY_KNOWN_FORMS = """
CREATE TABLE clock AS
SELECT raw.rowid AS line,
    coalesce(instant, iso, CASE WHEN $1 THEN day_first ELSE month_first END) AS seconds,
    instant IS NOT NULL OR (has_offset AND iso IS NOT NULL) AS is_instant
FROM raw LEFT JOIN stamps ON stamps.text = trim(raw.time)
"""
BY_FORMAT = """
CREATE TABLE clock AS
SELECT rowid AS line, epoch(try_strptime(trim(time), $1)) AS seconds, $2 AS is_instant FROM raw
"""


def read_clock(connection: Any, time_format: str, time_column: str) -> None:
    """Makes ``clock(line, seconds, is_instant)`` of the texts in ``raw.time``.

    ``seconds`` since 1970 are NULL where a text is no time; they are on the shop's own clock
    unless ``is_instant`` (a unix time, or a text with an offset).

    Raises:
        ConfigError: ``time_format`` is not a strptime format.
        DataError: day first and month first explain the column equally well.
    """
    import duckdb

    connection.execute(MACROS)
    if time_format:
        try:
            connection.execute(BY_FORMAT, [time_format, "%z" in time_format])
        except duckdb.Error:
            raise ConfigError(
                f"time_format must be a strptime format, got {time_format!r}",
                hint="--column time_format='%d/%m/%Y %H:%M'",
            ) from None
        return
    connection.execute(STAMPS)
    day_first, month_first, differ = connection.execute(FIRSTS).fetchall()[0]
    if day_first == month_first and differ:
        raise DataError(
            f"every date of column {time_column!r} can be read day first and month first",
            hint="--column time_format='%d/%m/%Y' (or '%m/%d/%Y'; with %H:%M if it has a clock)",
        )
    connection.execute(BY_KNOWN_FORMS, [day_first > month_first])


def zone(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"timezone must be a name of the tz database, got {name!r}", hint="Asia/Shanghai"
        ) from None


def on_calendar(
    seconds: NDArray[np.int64], is_instant: NDArray[np.bool_], place: ZoneInfo
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Unix seconds ``(e,)`` and days of the shop's calendar ``(e,)``.

    Args:
        seconds: since 1970, on the shop's clock or (``is_instant``) in UTC; shape ``(e,)``.
        is_instant: shape ``(e,)``.
        place: where the shop keeps its calendar.
    """
    # Offsets change on the quarter of an hour at most: look up each quarter once, not each row.
    quarters, places = np.unique(seconds // 900, return_inverse=True)
    ahead = np.array([_offset(int(q) * 900, place) for q in quarters], np.int64)[places]
    behind = np.array([_local_offset(int(q) * 900, place) for q in quarters], np.int64)[places]
    unix = np.where(is_instant, seconds, seconds - behind)
    local = np.where(is_instant, seconds + ahead, seconds)
    return unix, (local // DAY_S).astype(np.int32)


def _offset(unix: int, place: ZoneInfo) -> int:
    """Seconds the place is ahead of UTC at an instant."""
    gap = (EPOCH + timedelta(seconds=unix)).astimezone(place).utcoffset()
    return int(gap.total_seconds()) if gap else 0


def _local_offset(local: int, place: ZoneInfo) -> int:
    """Seconds the place is ahead of UTC when its own clock shows ``local``."""
    gap = (EPOCH + timedelta(seconds=local)).replace(tzinfo=place).utcoffset()
    return int(gap.total_seconds()) if gap else 0
