"""Which counts are within a cap: the accountant's answer, with few questions."""

import math
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.privacy.frontier import Frontier

COSTS = {"a": 1.0, "b": 0.37, "c": 5.0}


class Asked:
    """A price that counts how often it is asked."""

    def __init__(self, power: float = 1.0) -> None:
        self.times, self._power = 0, power

    def __call__(self, counts: dict[str, int]) -> float:
        self.times += 1
        return math.fsum(COSTS[k] * n for k, n in counts.items()) ** self._power


def test_a_hundred_thousand_charges_ask_about_forty_times() -> None:
    price = Asked(0.5)
    frontier = Frontier(price, 300.0)
    counts, admitted = Counter[str](), 0
    for _ in range(100_000):
        counts["a"] += 1
        if not frontier.learn(counts):
            counts["a"] -= 1
        else:
            admitted += 1
    # √n ≤ 300 for n ≤ 90,000.
    assert admitted == 90_000
    assert price.times <= 2 * math.log2(100_000) + 10


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=200),
    st.floats(0.5, 200.0),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_it_says_what_the_price_says(order: list[str], cap: float, power: float) -> None:
    price = Asked(power)
    frontier = Frontier(price, cap)
    counts: Counter[str] = Counter()
    for what in order:
        wanted = counts + Counter([what])
        truth = price(wanted) <= cap
        said = frontier.known(wanted)
        assert said in (None, truth)
        assert frontier.learn(wanted) is truth
        assert frontier.known(wanted) is truth
        if truth:
            counts = wanted


def test_nothing_spent_is_always_within() -> None:
    assert Frontier(Asked(), 1.0).learn({}) is True
