"""Patches: spread out they are the plain change, and a broken one never enters a mean."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.codec import Limits, decode, encode
from fedguide.errors import ConfigError
from fedguide.horizontal.mean import Mean, Terms, Update, weighted_mean
from fedguide.horizontal.patch import Patch, Patched, Table, patches_of
from fedguide.protocol import Ask, Message, Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId

TABLE = Table(2, 4, 3)  # 12 of 17 numbers: two before, three behind
SIZE = 17


def random_patch(seed: int) -> Patch:
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(4, rng.integers(0, 5), replace=False))
    block, rest = rng.normal(size=(len(rows), 3)), rng.normal(size=5)
    return Patch(TABLE, rows, block.astype(np.float32), rest.astype(np.float32))


def message(patch: Patch, examples: int) -> Message:
    nothing = np.zeros(0, np.float32)
    update = Update(1, nothing, examples, 0.5, np.zeros(0), patch=patch)
    return weighted_mean().submit(update, seeded_root(0))[1]


def mean_of(answers: dict[str, Message]) -> Mean:
    named = {PartyId(name): one for name, one in answers.items()}
    terms = Terms(1, SIZE, 0, seeded_root(0))
    collect = weighted_mean().collect(
        Ask(dict.fromkeys(named, Message()), 1), Replies(named), terms
    )
    return run(collect, lambda _ask: Replies({}))


def test_spread_by_hand() -> None:
    block = np.float32([[1, 2, 3], [4, 5, 6]])
    patch = Patch(TABLE, np.array([1, 3]), block, np.float32([7, 8, 9, 10, 11]))
    expected = [7, 8, 0, 0, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 9, 10, 11]
    np.testing.assert_array_equal(patch.spread(SIZE), expected)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=5, unique=True), st.booleans())
def test_the_mean_of_patches_is_that_of_the_plain_changes(seeds: list[int], mixed: bool) -> None:
    patches = {f"p{seed:02d}": (random_patch(seed), seed + 1) for seed in seeds}
    nothing = np.zeros(0)
    plain = {
        name: weighted_mean().submit(
            Update(1, patch.spread(SIZE), count, 0.5, nothing), seeded_root(0)
        )[1]
        for name, (patch, count) in patches.items()
    }
    sparse = {name: message(patch, count) for name, (patch, count) in patches.items()}
    if mixed:
        first = next(iter(plain))
        sparse[first] = plain[first]
    one, other = mean_of(plain), mean_of(sparse)
    assert one.vector.tobytes() == other.vector.tobytes()
    assert one.parties == other.parties


def test_it_crosses_a_wire() -> None:
    sent = message(random_patch(3), 4)
    back = decode(encode(sent), [Patched], Limits(1 << 20, dims={"p": SIZE}))
    assert isinstance(back, Patched)
    assert back.patch.spread(SIZE).tobytes() == random_patch(3).spread(SIZE).tobytes()


BLOCK, REST = np.ones((2, 3), np.float32), np.ones(5, np.float32)
SOUND = Patch(TABLE, np.array([0, 2]), BLOCK, REST)
BROKEN: dict[str, dict[str, Any]] = {
    "rows must be ascending": {"rows": np.array([3, 1])},
    "each once": {"rows": np.array([1, 1])},
    r"in \[0, 4\)": {"rows": np.array([1, 4])},
    "in .0, ": {"rows": np.array([-1, 1])},
    "do not fit": {"rows": np.array([1])},
    "are not 17": {"table": Table(2, 5, 3)},
    "are not": {"table": Table(6, 4, 3)},
    "loss or vector is not finite": {"rest": np.float32([0, 0, np.nan, 0, 0])},
}


def refused(bad: Message) -> str:
    """Why the mean leaves it out, beside a sound one that stays."""
    mean = mean_of({"bad": bad, "good": message(SOUND, 3)})
    assert mean.parties == ("good",)
    (missing,) = mean.missing
    assert missing.reason == "faulty"
    return missing.detail


@pytest.mark.parametrize("words", BROKEN)
def test_a_broken_one_is_faulty_and_the_others_go_on(words: str) -> None:
    assert re.search(words, refused(message(replace(SOUND, **BROKEN[words]), 3)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"round": 2}, "answered round 2"),
        ({"examples": 0}, "examples must be"),
        ({"loss": np.inf}, "loss or vector is not finite"),
    ],
)
def test_what_comes_along_is_checked_as_well(change: dict[str, Any], words: str) -> None:
    assert words in refused(replace(message(SOUND, 3), **change))


@pytest.mark.parametrize("numbers", [(-1, 4, 3), (0, 0, 3), (0, 4, 0)])
def test_no_such_table(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="table needs"):
        Table(*numbers)


@pytest.mark.parametrize("broken", ["", "block", "rest", "row"])
def test_many_at_once_are_as_sound_as_each_alone(broken: str) -> None:
    rows = np.array([[0, 2, 0], [1, 2, 3]])
    blocks, rests = np.ones((2, 3, 3), np.float32), np.ones((2, 5), np.float32)
    if broken == "block":
        blocks[1, 2, 0] = np.nan
    if broken == "rest":
        rests[1, 0] = np.inf
    if broken == "row":
        rows[1, 2] = 2
    one, other = patches_of(TABLE, rows, np.array([2, 3]), blocks, rests)
    assert one.is_finite
    assert one.flaw(SIZE) == ""
    np.testing.assert_array_equal(one.rows, [0, 2])
    assert one.block.shape == (2, 3)
    assert other.is_finite == (broken not in ("block", "rest"))
    assert other.flaw(SIZE) == ("rows must be ascending, each once" if broken == "row" else "")
