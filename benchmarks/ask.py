"""Does ``ask`` understand wishes, are its items right, and how long does an answer take?

The wishes of ``benchmarks/wishes`` (Chinese and English, written before the grammar) over the
synthetic market's first shop. What failed is printed for the development half alone; of the
held-out half nobody sees more than the score, and while the grammar is worked on not even that.
The other sets were written after the grammar; docs/ask.md has their first scores, and as they
were read since, their failures are printed too.

    python benchmarks/ask.py [--half development] [--json FILE] [--quick]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from report import at_least, at_most, finish, parser, show

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.guide.judged import (
    AGAIN,
    DEVELOPMENT,
    FINAL,
    FRESH,
    HELD_OUT,
    LANGUAGES,
    LAST,
    MORE,
    SHOPPERS,
    SHOPPERS_HELD_OUT,
    TALK,
    THIRD,
    a_market_guide,
    parts_right,
    scores,
    wishes,
)

from fedguide.guide.ask import ask
from fedguide.guide.engine import Guide

RIGHT, RELEVANT, SLOWEST_MS, SLOWEST_LARGE_MS = 0.95, 0.90, 50.0, 500.0
LARGE = 100_000
HALVES = (
    DEVELOPMENT,
    HELD_OUT,
    FRESH,
    SHOPPERS,
    SHOPPERS_HELD_OUT,
    AGAIN,
    MORE,
    THIRD,
    LAST,
    TALK,
    FINAL,
)


def times_ms(guide: Guide, repeats: int) -> list[tuple[float, float]]:
    """How long each wish takes, by the clock and in processor time; the vocabulary is there."""
    guide.words()
    taken = []
    for _ in range(repeats):
        for half in HALVES:
            for lang in LANGUAGES:
                for wish in wishes(lang, half):
                    start, worked = time.perf_counter(), time.process_time()
                    ask(guide, wish["text"])
                    used = time.process_time() - worked
                    taken.append((1000 * (time.perf_counter() - start), 1000 * used))
    return taken


def timed(items: int, repeats: int) -> tuple[str, float, float, float, float]:
    """Seconds to make the vocabulary; median and 99th percentile of an answer, and of its work."""
    guide, _ = a_market_guide(items)
    start = time.perf_counter()
    guide.words()
    made = time.perf_counter() - start
    taken = times_ms(guide, repeats)
    p50, p99 = (float(value) for value in np.percentile([wall for wall, _ in taken], [50, 99]))
    return f"{items:,}", made, p50, p99, float(np.percentile([work for _, work in taken], 99))


def main() -> None:
    """Scores of each half and language, then times."""
    options = parser(__doc__)
    options.add_argument("--quick", action="store_true", help="no large catalogue")
    options.add_argument("--half", choices=HALVES, help="judge this half alone")
    args = options.parse_args()
    guide, truth = a_market_guide()
    rows, bars, data = [], [], {}
    for half in (args.half,) if args.half else HALVES:
        for lang in LANGUAGES:
            some = wishes(lang, half)
            if not some:
                continue
            judged = scores(guide, truth, some)
            right, relevant = parts_right(judged)
            rows.append((half, lang, len(judged), f"{right:.3f}", f"{relevant:.3f}"))
            bars.append(at_least(f"{half} {lang}: constraints right", right, RIGHT))
            bars.append(at_least(f"{half} {lang}: relevant@5", relevant, RELEVANT))
            if half != HELD_OUT:
                failed = [one for one in judged if one.wrong or one.relevant < 1]
                data[f"failed {lang}"] = [
                    {"text": one.wish["text"], "wrong": one.wrong, "relevant": one.relevant}
                    for one in failed
                ]
                for one in failed:
                    print(f"{one.wish['id']} {one.wish['text']}: {one.wrong} {one.relevant:.2f}")
    show("wishes", ("half", "lang", "wishes", "constraints right", "relevant@5"), rows)
    timings = [timed(2000, 3), *(() if args.quick else (timed(LARGE, 1),))]
    shown = [(n, *(f"{value:.2f}" for value in values)) for n, *values in timings]
    columns = ("items", "vocabulary, s", "p50, ms", "p99, ms", "p99, ms of processor time")
    show("answers", columns, shown)
    bars.append(at_most("2,000 items: p99, ms", timings[0][3], SLOWEST_MS))
    if not args.quick:
        bars.append(at_most("100,000 items: p99, ms", timings[1][3], SLOWEST_LARGE_MS))
    finish("ask", bars, {"wishes": rows, "answers": timings, **data}, args.json)


if __name__ == "__main__":
    main()
