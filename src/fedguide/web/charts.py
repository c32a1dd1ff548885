"""Charts as inline SVG: a line over rounds, bars with their intervals. No script, no style.

Colours come from the style sheet by class, so that a chart follows light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 30
_TICKS = 4


@dataclass(frozen=True)
class Bar:
    """One bar with its interval."""

    label: str
    value: float
    low: float
    high: float


_LINE = Markup(
    '<polygon class="area" points="{area}"/><polyline class="line" points="{path}"/>'
    '<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
)
_BAR = Markup(
    '<text x="128" y="{text:.0f}" text-anchor="end">{label}</text>'
    '<rect class="bar" x="140" y="{y:.0f}" width="{width:.1f}" height="28" rx="5"/>'
    '<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}'
    'M{low:.1f} {end}v12M{high:.1f} {end}v12"/>'
    '<text x="{right}" y="{text:.0f}" text-anchor="end" class="figure">{value}</text>'
)
_GAUGE = Markup(
    '<svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" '
    'aria-label="{title}"><rect class="track" width="100" height="6" rx="3"/>'
    '<rect class="{kind}" width="{width:.2f}" height="6" rx="3"/></svg>'
)
_SVG = Markup(
    '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
    "{inside}</svg>"
)
_GRID = Markup(
    '<path class="grid" d="M{left} {y:.1f}H{right}"/>'
    '<text x="{text}" y="{base:.1f}" text-anchor="end">{value}</text>'
)
_ROUND = Markup('<text x="{x:.1f}" y="{y}" text-anchor="middle">{at}</text>')


def line_chart(title: str, points: Sequence[tuple[float, float]]) -> Markup:
    """Points (x, y) joined in their order; without any point there is no chart."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not finite:
        return Markup("")
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    bottom, top = _spread(min(ys), max(ys))
    left, right = (min(xs), max(xs)) if min(xs) < max(xs) else (min(xs) - 0.5, max(xs) + 0.5)
    floor = _HEIGHT - _BOTTOM
    placed = [
        (
            _LEFT + (x - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT),
            floor - (y - bottom) / (top - bottom) * (floor - _TOP),
        )
        for x, y in finite
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    area = f"{placed[0][0]:.1f},{floor} {path} {placed[-1][0]:.1f},{floor}"
    line = _LINE.format(area=area, path=path, x=placed[-1][0], y=placed[-1][1])
    inside = _grid(bottom, top) + _rounds(left, right) + line
    return _svg(f"{title}: {_short(ys[0])} → {_short(ys[-1])}", _HEIGHT, inside)


def bar_chart(title: str, bars: Sequence[Bar], decimals: int = 4) -> Markup:
    """Horizontal bars from zero, each with the interval it is known to."""
    if not bars:
        return Markup("")
    most = max(*(bar.high for bar in bars), 1e-12)
    rows = [_bar(bar, 12 + 44 * number, most, decimals) for number, bar in enumerate(bars)]
    said = "; ".join(
        f"{b.label} {b.value:.{decimals}f} ({b.low:.{decimals}f} – {b.high:.{decimals}f})"
        for b in bars
    )
    return _svg(f"{title}: {said}", 12 + 44 * len(bars), Markup("").join(rows))


def gauge(title: str, share: float) -> Markup:
    """How much of something is used, 0 … 1; anything above is drawn as full."""
    width, kind = 100 * min(1.0, max(0.0, share)), "over" if share >= 0.9 else "used"
    return _GAUGE.format(title=title, kind=kind, width=width)


def _bar(bar: Bar, y: int, most: float, decimals: int) -> Markup:
    room = _WIDTH - 140 - 90
    width, low, high = (room * max(0.0, v) / most for v in (bar.value, bar.low, bar.high))
    return _BAR.format(
        text=y + 19,
        label=bar.label,
        y=y,
        width=width,
        low=140 + low,
        high=140 + high,
        middle=y + 14,
        end=y + 8,
        right=_WIDTH,
        value=f"{bar.value:.{decimals}f}",
    )


def _svg(label: str, height: int, inside: Markup) -> Markup:
    return _SVG.format(width=_WIDTH, height=height, label=label, inside=inside)


def _grid(bottom: float, top: float) -> Markup:
    lines, floor = [], _HEIGHT - _BOTTOM
    for number in range(_TICKS + 1):
        value = _tick(bottom + (top - bottom) * number / _TICKS, (top - bottom) / _TICKS)
        y = floor - (floor - _TOP) * number / _TICKS
        lines.append(
            _GRID.format(
                left=_LEFT, right=_WIDTH - _RIGHT, y=y, text=_LEFT - 8, base=y + 4, value=value
            )
        )
    return Markup("").join(lines)


def _rounds(left: float, right: float) -> Markup:
    step, marks, at = max(1, math.ceil((right - left) / 8)), [], math.ceil(left)
    while at <= right:
        x = _LEFT + (at - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)
        marks.append(_ROUND.format(x=x, y=_HEIGHT - 8, at=at))
        at += step
    return Markup("").join(marks)


def _spread(low: float, high: float) -> tuple[float, float]:
    """A little room above and below, also where all values are one."""
    room = 0.08 * (high - low) or 0.5 * abs(high) or 1.0
    return low - room, high + room


def _short(value: float) -> str:
    return f"{value:.3g}"


def _tick(value: float, step: float) -> str:
    """A tick's value with as many decimals as its neighbours need to differ, in few characters."""
    decimals = max(0, -math.floor(math.log10(step)))
    return f"{value:.{decimals}f}" if decimals <= 3 and abs(value) < 1e5 else f"{value:.2g}"
