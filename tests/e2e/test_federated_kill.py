"""Ten kills out of the matrix of ``benchmarks/kill_matrix.py``: hub, driver and parties.

A masked, noised run of three rounds over five real processes; whichever is SIGKILLed wherever, the
model is the same bit for bit, every trip was answered with one content, no root was drawn twice,
every ledger has paid for each round once, and every party has seen the others' last heads.
"""

import json

import pytest

from tests.runtime.killing import PARTIES, ROLES, Killer, left, marks

pytestmark = pytest.mark.e2e

# Marks spread over the run: its proposal, its first and later trips, its hand-over.
KILLS = [
    ("hub", 0.02), ("hub", 0.3), ("hub", 0.61), ("hub", 0.97),
    ("driver", 0.1), ("driver", 0.5), ("driver", 0.99),
    ("shop-a", 0.15), ("shop-b", 0.55), ("shop-c", 0.95),
]  # fmt: skip


@pytest.fixture(scope="module")
def killer():
    made = Killer()
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(killer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert killer.run(folder) == 0
    counts = {role: len(marks(folder, role)) for role in ROLES}
    return left(folder), counts


def test_the_undisturbed_run_trains_and_hands_over(undisturbed):
    result, counts = undisturbed
    assert any(result.model)
    assert len(set(result.models)) == 1
    trips = 3 * (5 + 2) + 1  # five trips a masked round, two for heads, and the hand-over
    assert len(result.answers) == trips * len(PARTIES)
    assert len(result.fits) == len(result.draws) == 3 * len(PARTIES)
    assert [charges for _, charges in result.spent] == [3, 3, 3]
    assert min(counts.values()) > 30
    for name, seen in zip(PARTIES, result.seen, strict=True):
        peers = json.loads(seen)
        assert set(peers) == set(PARTIES) - {name}
        assert all(
            sum(one["times"] for one in peer["last"]["head"]["spent"]) == 3
            for peer in peers.values()
        )
        assert not any(peer["doubt"] for peer in peers.values())


@pytest.mark.parametrize(("role", "share"), KILLS)
def test_killed_once_and_started_again(killer, undisturbed, tmp_path, role, share):
    expected, counts = undisturbed
    folder = tmp_path / "run"
    at = int(share * counts[role])
    assert killer.run(folder, role, at) == 1, f"{role} did not come to mark {at}"
    assert left(folder) == expected
