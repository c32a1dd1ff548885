"""One reply for many simulated parties, in the plain mean."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.horizontal.mean import Terms, weighted_mean
from fedguide.horizontal.merged import Merged
from fedguide.horizontal.messages import Submission, Train
from fedguide.protocol import Ask, Message, QuorumLost, Replies
from fedguide.seeds import seeded_root
from fedguide.values import PartyId

A, B, C = (PartyId(name) for name in "abc")
TERMS = Terms(4, 2, 0, seeded_root(1))
MERGED = Merged(4, (A, C), "num_examples", 5, 5, np.array([10.0, -5.0]), 2.5)
SINGLE = Submission(4, np.array([1.0, 3.0], np.float32), 15, 1.5, np.zeros(0))


def mean_of(answers: dict[PartyId, Message]) -> object:
    ask = Ask(dict.fromkeys((A, B, C), Train(4, np.zeros(2, np.float32))), 2, 1.0)
    collecting = weighted_mean().collect(ask, Replies(answers), TERMS)
    try:
        next(collecting)
    except StopIteration as done:
        return done.value
    raise AssertionError("the plain mean asks nothing more")


def test_it_weighs_as_much_as_its_parties() -> None:
    mean = mean_of({A: MERGED, B: SINGLE, C: MERGED})
    # (10 + 15 x 1) / 20 and (-5 + 15 x 3) / 20; losses (2.5 + 15 x 1.5) / 20
    np.testing.assert_allclose(mean.vector, [1.25, 2.0])  # type: ignore[attr-defined]
    assert mean.loss == pytest.approx(1.25)  # type: ignore[attr-defined]
    assert mean.examples == 20  # type: ignore[attr-defined]
    assert mean.parties == (A, B, C)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(MERGED, round=3),
        replace(MERGED, parties=(A, B)),
        replace(MERGED, parties=(A, C, C)),
        replace(MERGED, weighting="uniform"),
        replace(MERGED, vector=np.zeros(3)),
        replace(MERGED, weight=1),
        replace(MERGED, vector=np.array([np.nan, 0.0])),
    ],
)
def test_a_wrong_one_is_the_fault_of_all_it_stands_for(wrong: Merged) -> None:
    with pytest.raises(QuorumLost) as caught:
        mean_of({A: wrong, B: SINGLE, C: wrong})
    assert {missing.party for missing in caught.value.replies.missing} == {A, C}


def test_nobody_speaks_for_another_through_it() -> None:
    alone = Merged(4, (A, B, C), "num_examples", 30, 30, np.array([1e9, 1e9]), 0.0)
    with pytest.raises(QuorumLost):
        mean_of({A: alone, B: SINGLE})
