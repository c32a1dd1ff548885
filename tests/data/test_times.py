"""Times of all kinds to unix seconds and calendar days."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.data.tables import engine
from fedguide.data.times import on_calendar, read_clock, zone
from fedguide.errors import ConfigError, DataError


def clock(texts: Sequence[str], time_format: str = "") -> list[tuple[float | None, bool]]:
    with engine() as connection:
        connection.execute("CREATE TABLE raw(time VARCHAR)")
        connection.executemany("INSERT INTO raw VALUES (?)", [[text] for text in texts])
        read_clock(connection, time_format, "when")
        query = "SELECT seconds, is_instant FROM clock ORDER BY line"
        return connection.execute(query).fetchall()


def unix(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds", "is_instant"),
    [
        ("2024-03-05", unix(2024, 3, 5), False),
        ("2024-03-05 09:05", unix(2024, 3, 5, 9, 5), False),
        ("2024-03-05 09:05:07", unix(2024, 3, 5, 9, 5, 7), False),
        ("2024-03-05T09:05:07Z", unix(2024, 3, 5, 9, 5, 7), True),
        ("2024-03-05T09:05:07+08:00", unix(2024, 3, 5, 1, 5, 7), True),
        ("2024/3/5 9:05", unix(2024, 3, 5, 9, 5), False),
        ("20240305", unix(2024, 3, 5), False),
        ("20240305090507", unix(2024, 3, 5, 9, 5, 7), False),
        ("2024年3月5日", unix(2024, 3, 5), False),
        ("2024年03月05日 09:05", unix(2024, 3, 5, 9, 5), False),
        (" 1709629507 ", 1709629507, True),
        ("1709629507000", 1709629507, True),
        ("1709629507000000", 1709629507, True),
        ("31/12/2024", unix(2024, 12, 31), False),
        ("31.12.2024 23:59", unix(2024, 12, 31, 23, 59), False),
        ("12/31/2024 11:59:00 PM", unix(2024, 12, 31, 23, 59), False),
        ("31/12/24", unix(2024, 12, 31), False),
        ("soon", None, False),
        ("2024-13-45", None, False),
        ("", None, False),
    ],
)
def test_known_forms(text: str, seconds: float | None, is_instant: bool) -> None:
    assert clock([text]) == [(seconds, is_instant)]


def test_the_column_tells_day_first_from_month_first() -> None:
    assert clock(["03/04/2024", "25/04/2024"])[0] == (unix(2024, 4, 3), False)
    assert clock(["03/04/2024", "04/25/2024"])[0] == (unix(2024, 3, 4), False)


def test_an_ambiguous_column_is_refused_and_a_format_settles_it() -> None:
    with pytest.raises(DataError, match="'when' can be read day first and month first") as caught:
        clock(["03/04/2024", "05/06/2024"])
    assert "time_format" in caught.value.hint
    assert clock(["03/04/2024"], "%d/%m/%Y") == [(unix(2024, 4, 3), False)]
    assert clock(["03/04/2024"], "%m/%d/%Y") == [(unix(2024, 3, 4), False)]
    assert clock(["03/03/2024"]) == [(unix(2024, 3, 3), False)]  # the same either way


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="%Q"):
        clock(["03/04/2024"], "%Q")


@settings(max_examples=10)
@given(st.lists(st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)), min_size=1, max_size=5))
def test_iso_times_come_back_exactly(times: list[datetime]) -> None:
    times = [time.replace(microsecond=0) for time in times]
    read = clock([time.isoformat(sep=" ") for time in times])
    assert [seconds for seconds, _ in read] == [t.replace(tzinfo=UTC).timestamp() for t in times]


def test_days_are_those_of_the_shop() -> None:
    # 23:30 UTC on 1970-01-02 is 07:30 on the 3rd in Shanghai, 18:30 on the 2nd in New York.
    instant = np.array([86_400 + 84_600])
    for name, day in (("UTC", 1), ("Asia/Shanghai", 2), ("America/New_York", 1)):
        unix_s, days = on_calendar(instant, np.array([True]), zone(name))
        assert (unix_s.tolist(), days.tolist()) == (instant.tolist(), [day])


def test_a_clock_on_the_wall_is_turned_into_unix_time() -> None:
    wall = np.array([int(unix(2024, 7, 1, 12)), int(unix(2024, 1, 1, 12))])
    unix_s, days = on_calendar(wall, np.array([False, False]), zone("Europe/Paris"))
    assert unix_s.tolist() == [int(unix(2024, 7, 1, 10)), int(unix(2024, 1, 1, 11))]
    assert days.tolist() == (wall // 86_400).tolist()


def test_an_unknown_zone_is_refused() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ConfigError, match="tz database"):
            zone(name)
