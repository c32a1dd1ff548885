"""Every reference row of the accountant: our ε beside the published figure.

PLD figures are held to 0.1 %, Rényi figures to 1e-6, both relative. The peer is dp-accounting
asked directly, in the same run; the noise for a wanted ε is calibrated and priced again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import dp_accounting as dp

from fedguide.privacy.accounting import (
    epsilon_of,
    noise_multiplier_for,
    price,
    rdp_epsilon_of,
)
from fedguide.privacy.events import Event
from fedguide.privacy.mechanisms import Laplace
from report import Bar, at_most, finish, parser, show


@dataclass(frozen=True)
class Row:
    """Sampling, noise multiplier, rounds, δ, and the two published ε."""

    q: float
    z: float
    rounds: int
    delta: float
    rdp: float
    pld: float


ROWS = (
    Row(1, 1, 1, 1e-5, 4.728507, 4.377178),
    Row(1, 10, 100, 1e-5, 4.728507, 4.377178),
    Row(1, 4, 50, 1e-6, 10.089443, 9.482192),
    Row(1, 8, 100, 1e-6, 6.734625, 6.312060),
    Row(0.01, 1.0, 1000, 1e-5, 2.101367, 1.828244),
    Row(0.01, 1.1, 10000, 1e-5, 5.632011, 5.192620),
    Row(256 / 60000, 1.1, 14063, 1e-5, 2.596656, 2.381779),
    Row(0.1, 1.0, 100, 1e-6, 8.921392, 8.058608),
    Row(0.001, 1.0, 2000, 1e-7, 1.073794, 0.298296),
)
LAPLACE = (10.0, 100, 1e-5, 4.532686, 4.220347)
CALIBRATED = (8.0, 1e-5, 20, 2.6843)


def peer(row: Row) -> tuple[float, float]:
    """Dp-accounting's own two figures."""
    event: Any = dp.GaussianDpEvent(row.z)
    if row.q < 1:
        event = dp.PoissonSampledDpEvent(row.q, event)
    judges = (dp.rdp.RdpAccountant(), dp.pld.PLDAccountant())
    return tuple(j.compose(event, row.rounds).get_epsilon(row.delta) for j in judges)


def main() -> None:
    """Prints the table and holds the largest error of each judge against its bar."""
    args = parser(__doc__).parse_args()
    logging.getLogger("absl").setLevel(logging.ERROR)  # of the orders that Rényi leaves out
    shown, rows = [], []
    for row in ROWS:
        begun = time.perf_counter()
        paid = price(sampling=row.q, noise_multiplier=row.z, rounds=row.rounds, delta=row.delta)
        seconds = time.perf_counter() - begun
        theirs = peer(row)
        errors = abs(paid.epsilon / row.pld - 1), abs(paid.epsilon_rdp / row.rdp - 1)
        rows.append((errors, abs(paid.epsilon / theirs[1] - 1)))
        name = f"q={row.q:.4g} z={row.z:g} T={row.rounds} δ={row.delta:g}"
        shown.append(
            (name, f"{row.pld:.6f}", f"{paid.epsilon:.6f}", f"{errors[0]:.1e}", f"{row.rdp:.6f}",
             f"{paid.epsilon_rdp:.6f}", f"{errors[1]:.1e}", f"{paid.epsilon_insider:.4g}",
             f"{seconds:.2f}")
        )  # fmt: skip
    scale, rounds, delta, rdp, pld = LAPLACE
    events = [Event("bench", Laplace(scale, 1.0), rounds=rounds)]
    ours = [judge(events, delta, "insider") for judge in (epsilon_of, rdp_epsilon_of)]
    laplace = abs(ours[0] / pld - 1), abs(ours[1] / rdp - 1)
    shown.append(
        (f"Laplace {scale:g} T={rounds} δ={delta:g}", f"{pld:.6f}", f"{ours[0]:.6f}",
         f"{laplace[0]:.1e}", f"{rdp:.6f}", f"{ours[1]:.6f}", f"{laplace[1]:.1e}", "-", "-")
    )  # fmt: skip
    columns = ("row", "PLD", "ours", "error", "RDP", "ours", "error", "insider", "s")
    show("ε of the reference rows", columns, shown)
    epsilon, delta, rounds, wanted = CALIBRATED
    z = noise_multiplier_for(epsilon, delta, rounds)
    begun = time.perf_counter()
    sampled = noise_multiplier_for(epsilon, delta, 1000, 0.01)
    seconds = time.perf_counter() - begun
    again = price(sampling=0.01, noise_multiplier=sampled, rounds=1000, delta=delta).epsilon
    bars = [
        at_most("largest error of a PLD row", max(e[0] for e, _ in rows), 1e-3),
        at_most("largest error of a RDP row", max(e[1] for e, _ in rows), 1e-6),
        at_most("error of the Laplace row, PLD", laplace[0], 1e-3),
        at_most("error of the Laplace row, RDP", laplace[1], 1e-6),
        at_most("largest difference from dp-accounting's PLD", max(d for _, d in rows), 1e-3),
        at_most("error of z for ε=8, q=1, T=20, δ=1e-5", abs(z / wanted - 1), 1e-4),
        at_most("ε of the z calibrated for ε=8, q=0.01, T=1000", again, 8.0),
        Bar("calibration under sampling, s", round(seconds, 2), "-", None),
        Bar("z for ε=8, q=1, T=20, δ=1e-5", round(z, 4), "-", None),
    ]
    finish("accountant", bars, {"rows": [dict(zip(columns, r, strict=False)) for r in shown]},
           args.json)  # fmt: skip


if __name__ == "__main__":
    main()
