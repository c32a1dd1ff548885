"""Charts say their figures in words, stay inside their frame, and are never code."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from fedguide.web.charts import Bar, bar_chart, gauge, line_chart

NUMBERS = st.floats(-1e9, 1e9)


@given(st.lists(st.tuples(st.integers(0, 2000).map(float), NUMBERS), min_size=1, max_size=40))
def test_every_point_of_a_line_is_inside(points: list[tuple[float, float]]) -> None:
    points = sorted(points)
    root = ET.fromstring(str(line_chart("loss", points)))  # noqa: S314 - our own
    line = next(e for e in root if e.tag == "polyline")
    placed = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(placed) == len(points)
    assert all(0 <= x <= 640 and 0 <= y <= 220 for x, y in placed)
    assert [x for x, _ in placed] == sorted(x for x, _ in placed)


def test_a_falling_loss_falls_and_is_said() -> None:
    chart = str(line_chart("loss", [(1, 3.0), (2, 1.5), (3, 1.0)]))
    heights = [
        float(pair.split(",")[1])
        for pair in re.search(r'polyline class="line" points="([^"]+)"', chart)[1].split()  # type: ignore[index]
    ]
    assert heights == sorted(heights)
    assert 'aria-label="loss: 3 → 1"' in chart


def test_what_is_no_number_is_left_out() -> None:
    assert line_chart("loss", []) == ""
    assert line_chart("loss", [(1, float("nan"))]) == ""
    assert "nan" not in line_chart("loss", [(1, float("nan")), (2, 1.0)])


def test_bars_are_as_long_as_their_values() -> None:
    chart = str(bar_chart("NDCG", [Bar("a", 0.1, 0.08, 0.12), Bar("b", 0.2, 0.18, 0.24)]))
    a, b = (float(w) for w in re.findall(r'class="bar"[^>]* width="([\d.]+)"', chart))
    assert abs(b - 2 * a) < 0.2
    assert "b 0.2000 (0.1800 – 0.2400)" in chart


def test_a_gauge_is_full_at_one_and_warns_before() -> None:
    assert 'class="used" width="25.00"' in gauge("x", 0.25)
    assert 'class="over" width="100.00"' in gauge("x", 3.0)
    assert 'class="over" width="100.00"' in gauge("x", float("inf"))


def test_a_hostile_label_is_only_text() -> None:
    bad = "\"><script>alert('x')</script>"
    for made in (line_chart(bad, [(1, 1)]), bar_chart(bad, [Bar(bad, 1, 1, 1)]), gauge(bad, 0.5)):
        assert "<script>" not in made
