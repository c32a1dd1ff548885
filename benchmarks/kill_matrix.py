"""Kills every process of a masked, noised federation at every step: is the model the same?

Hub, driver and three parties are real processes on 127.0.0.1 (TLS, signatures, journals, masked
sums, three rounds and the hand-over). For each of them, and each mark it passes (before and after
whatever it writes to disk or says over the network), one run in which it is SIGKILLed there and
started again. ``--every N`` takes every N-th mark.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from report import ROOT, Bar, at_least, finish, parser, show

sys.path.insert(0, str(ROOT))

from tests.runtime.killing import ROLES, Killer, left, marks


def main() -> int:
    """One undisturbed run, then one for each kill."""
    made = parser(__doc__)
    made.add_argument("--every", type=int, default=1, metavar="N", help="every N-th mark only")
    args = made.parse_args()
    killer = Killer()
    survived: dict[str, int] = {}
    tried: dict[str, int] = {}
    lost: list[str] = []
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        killer.run(folder)
        expected = left(folder)
        names = {role: marks(folder, role) for role in ROLES}
        try:
            for role in ROLES:
                for at in range(0, len(names[role]), args.every):
                    tried[role] = tried.get(role, 0) + 1
                    if _survives(killer, folder, role, at, expected):
                        survived[role] = survived.get(role, 0) + 1
                    else:
                        lost.append(f"{role} at {at} ({names[role][at]})")
        finally:
            killer.close()
    rows = [
        (role, len(names[role]), tried[role], survived.get(role, 0), len(set(names[role])))
        for role in ROLES
    ]
    show("kills", ("process", "marks", "killed at", "same result", "kinds of mark"), rows)
    for line in lost:
        print("not the same:", line)
    share = sum(survived.values()) / sum(tried.values())
    bars = [
        at_least("kills survived with the same model, answers, roots and ledgers", share, 1.0),
        Bar("kills", float(sum(tried.values())), "every step", args.every == 1),
    ]
    data = {"tried": tried, "survived": survived, "lost": lost}
    data["seconds"] = round(time.monotonic() - start_s, 1)
    finish("kill_matrix", bars, data, args.json)
    return 0 if not lost else 1


def _survives(killer: Killer, folder: Path, role: str, at: int, expected: object) -> bool:
    """Did the run end, and leave the same? A mark that this run did not come to kills nobody."""
    try:
        killer.run(folder, role, at)
    except AssertionError as error:
        print(f"{role} at {at}: {error}", file=sys.stderr)
        return False
    return left(folder) == expected


if __name__ == "__main__":
    sys.exit(main())
