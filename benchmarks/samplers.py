"""Seconds for 10M discrete Gaussian and Laplace values on one core, beside opendp.

Per law and scale: the best of three draws of 10M in this process, opendp's time a value in the
same run, χ² of 200,000 of our values against 200,000 of opendp's (p), and the same of a sampler
whose scale is 0.9 times what it says (p, has to be tiny). Compilation and tables come apart.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SIZE, SAMPLE, RUNS = 10_000_000, 200_000, 3
SCALES = (2.0, 100.0, 4096.0, 1e6)
BINS = 64


def main() -> None:
    """Sets up a fresh cache for compiled code first, so that compilation is measured."""
    folder = tempfile.mkdtemp()
    os.environ["NUMBA_CACHE_DIR"] = folder
    try:
        measure()
    finally:
        shutil.rmtree(Path(folder))


def measure() -> None:
    """Draws, times and compares."""
    import numpy as np
    import opendp.prelude as opendp
    from scipy import stats

    from fedguide.privacy.inversion import table_of
    from fedguide.privacy.laws import DiscreteGaussian, DiscreteLaplace, Law
    from fedguide.privacy.samplers import draw
    from fedguide.seeds import fresh_root
    from report import Bar, at_least, at_most, finish, parser, show

    args = parser(__doc__).parse_args()
    opendp.enable_features("contrib")
    root = fresh_root(os.urandom)

    def timed(task: Callable[[], object]) -> tuple[float, object]:
        begun = time.perf_counter()
        result = task()
        return time.perf_counter() - begun, result

    def theirs(law: Law) -> object:
        space = opendp.vector_domain(opendp.atom_domain(T=int))
        if isinstance(law, DiscreteGaussian):
            metric = opendp.l2_distance(T=float)
            mechanism = opendp.m.make_gaussian(space, metric, scale=law.sigma)
        else:
            metric = opendp.l1_distance(T=int)
            mechanism = opendp.m.make_laplace(space, metric, scale=law.scale)
        return np.array(mechanism([0] * SAMPLE))

    def p_value(left: object, right: object) -> float:
        edges = np.unique(np.quantile(np.concatenate([left, right]), np.arange(1, BINS) / BINS))
        table = np.array(
            [
                np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1)
                for x in (left, right)
            ]
        )
        return float(stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue)

    cold, _ = timed(lambda: draw(DiscreteGaussian(3.0), 1, root, "cold"))
    rows, bars, figures = [], [], {}
    for name, make in (("Gaussian", DiscreteGaussian), ("Laplace", DiscreteLaplace)):
        for scale in SCALES:
            law = make(scale)
            tabled, _ = timed(lambda law=law: table_of(law))
            runs = [
                timed(lambda law=law, i=i: draw(law, SIZE, root, "speed", i))[0]
                for i in range(RUNS)
            ]
            peer_s, peer = timed(lambda law=law: theirs(law))
            p = p_value(draw(law, SAMPLE, root, "law"), peer)
            mutant = p_value(draw(make(0.9 * scale), SAMPLE, root, "mutant"), peer)
            ratio = (peer_s / SAMPLE) / (min(runs) / SIZE)
            rows.append(
                (f"{name} {scale:g}", f"{min(runs):.3f}", f"{max(runs):.3f}", f"{tabled:.3f}",
                 f"{peer_s / SAMPLE * 1e6:.1f}", f"{ratio:.0f}x", f"{p:.3g}", f"{mutant:.1g}")
            )  # fmt: skip
            figures[f"{name} {scale:g}"] = {"seconds": runs, "table": tabled, "ratio": ratio}
            bars += [
                at_most(f"{name} {scale:g}: 10M values, s", min(runs), 1.0),
                at_least(f"{name} {scale:g}: χ² against opendp's law, p", p, 1e-3),
                at_most(f"{name} {scale:g}: the same of a 0.9 mutant, p", mutant, 1e-6),
            ]
    columns = ("law, scale", "best s", "worst s", "table s", "opendp µs", "faster", "p", "mutant p")
    show("10M values on one core", columns, rows)
    bars.append(Bar("first draw of a machine: imports and compilation, s", cold, "-", None))
    load = os.getloadavg()[0]
    bars.append(Bar("load average while measuring", load, "-", None))
    finish("samplers", bars, {"laws": figures, "cold_s": cold, "load": load}, args.json)


if __name__ == "__main__":
    main()
